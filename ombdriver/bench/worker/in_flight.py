"""What was sent and is not answered yet, by block; what was answered, gathered and folded with numpy.

Knows neither a schedule nor a driver: blocks are put into lanes, and replies take them out in order. A message costs a
few list entries here until thousands are folded at once.
"""

from array import array
from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

from ombdriver.bench.ledger.sent import CHECKPOINT
from ombdriver.bench.metrics.histogram import Int64s
from ombdriver.bench.metrics.recorder import Book
from ombdriver.bench.metrics.report import Answered
from ombdriver.errors import OutcomeUnknown

FOLD = 4096
"""Samples gathered before they are folded into histograms."""
ERROR_KINDS = 16
"""Different errors that are told; those past it are counted all the same."""
AS_INTENDED = -1
"""In place of the time at which a message was looked at: the worker was waiting for room when it became due."""


class Block:
    """Messages of one lane that were sent at one time; a probe is no message of the lane."""

    __slots__ = ("count", "done", "intended", "is_probe", "looked_ns", "sent_ns")

    def __init__(self, intended: Sequence[int], sent_ns: int, looked_ns: int, is_probe: bool = False) -> None:
        self.intended, self.sent_ns, self.looked_ns, self.is_probe = intended, sent_ns, looked_ns, is_probe
        self.count, self.done = len(intended), 0


class Lane:
    """One producer's messages to one partition, in order.

    Attributes:
        number: the lane's (`plan.Plan.lane`).
        sequence: of the next message; so many have been sent.
        replied: so many of these have a reply.
        checkpoint: the next checkpoint is due when this sequence has been acknowledged.
    """

    __slots__ = ("blocks", "checkpoint", "number", "replied", "sequence")

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.blocks: deque[Block] = deque()
        self.sequence = self.replied = self.checkpoint = 0


class Acknowledgements:
    """Books the replies of a worker's producers.

    Args:
        book: takes the figures.

    Attributes:
        replied: messages that were answered.
        failed: of these, those that were not acknowledged.
        errors: how often each error was met.
        longest_silence_ns: the longest time in which a message was due and none was acknowledged, since `listen`.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self.replied = self.failed = 0
        self.errors: dict[str, int] = {}
        self.longest_silence_ns = self._acknowledged_ns = 0
        self._owed_ns: int | None = None  # when the first was due that has failed since the last acknowledgement
        self._concluded = False
        self._failed: list[tuple[int, int, int]] = []
        self._indeterminate: list[tuple[int, int, int]] = []
        self._checkpoints: list[tuple[int, int, object]] = []
        self._begin()

    def _begin(self) -> None:
        self._counts: list[int] = []
        self._sent_ns: list[int] = []
        self._looked_ns: list[int] = []
        self._replied_ns: list[int] = []
        self._intended = array("q")

    def listen(self, now_ns: int) -> None:
        """From here on silence counts."""
        self.longest_silence_ns, self._acknowledged_ns, self._owed_ns = 0, now_ns, None

    def take(self, lane: Lane, count: int, error: Exception | None, time_ns: int, answer: object = None) -> None:
        """Books that the next `count` messages of `lane` were answered at `time_ns`, all well or all with `error`.

        `answer` is what the system said to the last of them.
        """
        if self._concluded:
            return  # it stands as unanswered already
        self.replied += count
        if error is None:
            due_ns = lane.blocks[0].intended[0]
            if self._owed_ns is not None:
                due_ns, self._owed_ns = min(due_ns, self._owed_ns), None
            if time_ns - due_ns > self.longest_silence_ns:
                silence_ns = time_ns - max(due_ns, self._acknowledged_ns)
                self.longest_silence_ns = max(self.longest_silence_ns, silence_ns)
            self._acknowledged_ns = max(time_ns, self._acknowledged_ns)
        while count:
            block = lane.blocks[0]
            taken = min(count, block.count - block.done)
            intended = block.intended if taken == block.count else block.intended[block.done : block.done + taken]
            if error is None:
                self._counts.append(taken)
                self._sent_ns.append(block.sent_ns)
                self._looked_ns.append(block.looked_ns)
                self._replied_ns.append(time_ns)
                self._intended.extend(intended)
            else:
                self._owed_ns = intended[0] if self._owed_ns is None else min(intended[0], self._owed_ns)
                self._book_failure(np.array(intended, np.int64), error, time_ns)
                if not block.is_probe:
                    self._note(error, lane, taken)
            if not block.is_probe:
                lane.replied += taken
            block.done += taken
            count -= taken
            if block.done == block.count:
                lane.blocks.popleft()
        if lane.replied > lane.checkpoint and answer is not None:
            self._checkpoints.append((lane.number, lane.replied - 1, answer))
            lane.checkpoint = lane.replied - 1 + CHECKPOINT
        if len(self._intended) >= FOLD:
            self.fold()

    def _note(self, error: Exception, lane: Lane, count: int) -> None:
        """Remembers for the ledger that the next `count` messages of `lane` were not acknowledged."""
        runs = self._indeterminate if isinstance(error, OutcomeUnknown) else self._failed
        first = lane.replied
        if runs and runs[-1][0] == lane.number and runs[-1][1] + runs[-1][2] == first:
            _, first, before = runs.pop()
            count += before
        runs.append((lane.number, first, count))

    def answered(self, lanes: Sequence[Lane]) -> Answered:
        """What the ledger has to know of `lanes`, which are all of this worker's, since this was last called."""
        columns = [lane.number for lane in lanes], [lane.sequence for lane in lanes], [lane.replied for lane in lanes]
        told = Answered(
            np.array(columns, np.int64).T.reshape(-1, 3),
            _rows(self._failed),
            _rows(self._indeterminate),
            self._checkpoints,
        )
        self._failed, self._indeterminate, self._checkpoints = [], [], []
        return told

    def conclude(self, lanes: Iterable[Lane], now_ns: int) -> None:
        """No reply is waited for any longer: what has none stands in the family `unanswered`, as (now - intended)."""
        self.fold()
        self._concluded = True
        open_blocks = (block for lane in lanes for block in lane.blocks)
        left = [due_ns for block in open_blocks for due_ns in block.intended[block.done :]]
        if left:
            intended = np.array(left, np.int64)
            self._book.latencies(None, intended, {"unanswered": now_ns - intended})

    def _book_failure(self, intended: Int64s, error: Exception, time_ns: int) -> None:
        self.failed += len(intended)
        self._book.latencies(None, intended, {"failed": time_ns - intended})
        self._book.tally("failed", None, [time_ns], [len(intended)])
        name = f"{type(error).__name__}: {error}"
        if name in self.errors or len(self.errors) < ERROR_KINDS:
            self.errors[name] = self.errors.get(name, 0) + len(intended)

    def fold(self) -> None:
        """Brings what has been acknowledged so far into the book."""
        if not self._counts:
            return
        repeats = np.array(self._counts)
        intended = np.frombuffer(self._intended, np.int64)
        sent = np.repeat(np.array(self._sent_ns), repeats)
        looked = np.repeat(np.array(self._looked_ns), repeats)
        replied = np.repeat(np.array(self._replied_ns), repeats)
        delay = sent - intended
        lag = np.where(looked == AS_INTENDED, 0, looked - intended)
        families = {
            "publish": replied - sent,
            "publishDelay": delay,
            "publishResponse": replied - intended,
            "scheduleLag": lag,
            "blocked": delay - lag,
        }
        self._book.latencies(None, intended, families)
        self._book.tally("published", None, self._replied_ns, self._counts)
        self._begin()


def _rows(rows: Sequence[tuple[int, int, int]]) -> Int64s:
    return np.array(rows, np.int64).reshape(-1, 3)
