"""What was sent and is not answered yet, by block; what was answered, gathered and folded with numpy.

Knows neither a schedule nor a driver: blocks are put into flows, and replies take them out in order. A message costs a
few list entries here until thousands are folded at once.
"""

from array import array
from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

from ombdriver.bench.ledger.sent import CHECKPOINT
from ombdriver.bench.metrics.histogram import Int64s
from ombdriver.bench.metrics.recorder import Recorder
from ombdriver.bench.metrics.report import SentReport
from ombdriver.errors import OutcomeUnknown

FOLD = 4096
"""Samples gathered before they are folded into histograms."""
ERROR_KINDS = 16
"""Different errors that are told; those past it are counted all the same."""
AS_INTENDED = -1
"""In place of the time at which a message was looked at: the worker was waiting for room when it became due."""


class SentBatch:
    """Messages of one flow that were sent at one time; a probe is no message of the flow."""

    __slots__ = ("count", "done", "intended", "is_probe", "looked_ns", "sent_ns")

    def __init__(self, intended: Sequence[int], sent_ns: int, looked_ns: int, is_probe: bool = False) -> None:
        self.intended, self.sent_ns, self.looked_ns, self.is_probe = intended, sent_ns, looked_ns, is_probe
        self.count, self.done = len(intended), 0


class Flow:
    """One producer's messages to one partition, in order.

    Attributes:
        number: the flow's (`plan.Plan.flow`).
        sequence: of the next message; so many have been sent.
        replied: so many of these have a reply.
        checkpoint: the next checkpoint is due when this sequence has been acknowledged.
    """

    __slots__ = ("blocks", "checkpoint", "number", "replied", "sequence")

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.blocks: deque[SentBatch] = deque()
        self.sequence = self.replied = self.checkpoint = 0


class InFlightBatches:
    """Books the replies of a worker's producers.

    Args:
        book: takes the figures.

    Attributes:
        replied: messages that were answered.
        failed: of these, those that were not acknowledged.
        errors: how often each error was met.
        longest_silence_ns: the longest time in which a message was due and none was acknowledged, since `listen`.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
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

    def take(self, flow: Flow, count: int, error: Exception | None, time_ns: int, answer: object = None) -> None:
        """Books that the next `count` messages of `flow` were answered at `time_ns`, all well or all with `error`.

        `answer` is what the system said to the last of them.
        """
        if self._concluded:
            return  # it stands as unanswered already
        self.replied += count
        if error is None:
            due_ns = flow.blocks[0].intended[0]
            if self._owed_ns is not None:
                due_ns, self._owed_ns = min(due_ns, self._owed_ns), None
            if time_ns - due_ns > self.longest_silence_ns:
                silence_ns = time_ns - max(due_ns, self._acknowledged_ns)
                self.longest_silence_ns = max(self.longest_silence_ns, silence_ns)
            self._acknowledged_ns = max(time_ns, self._acknowledged_ns)
        while count:
            block = flow.blocks[0]
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
                    self._note(error, flow, taken)
            if not block.is_probe:
                flow.replied += taken
            block.done += taken
            count -= taken
            if block.done == block.count:
                flow.blocks.popleft()
        if flow.replied > flow.checkpoint and answer is not None:
            self._checkpoints.append((flow.number, flow.replied - 1, answer))
            flow.checkpoint = flow.replied - 1 + CHECKPOINT
        if len(self._intended) >= FOLD:
            self.fold()

    def _note(self, error: Exception, flow: Flow, count: int) -> None:
        """Remembers for the ledger that the next `count` messages of `flow` were not acknowledged."""
        runs = self._indeterminate if isinstance(error, OutcomeUnknown) else self._failed
        first = flow.replied
        if runs and runs[-1][0] == flow.number and runs[-1][1] + runs[-1][2] == first:
            _, first, before = runs.pop()
            count += before
        runs.append((flow.number, first, count))

    def answered(self, flows: Sequence[Flow]) -> SentReport:
        """What the ledger has to know of `flows`, which are all of this worker's, since this was last called."""
        columns = [flow.number for flow in flows], [flow.sequence for flow in flows], [flow.replied for flow in flows]
        told = SentReport(
            np.array(columns, np.int64).T.reshape(-1, 3),
            _rows(self._failed),
            _rows(self._indeterminate),
            self._checkpoints,
        )
        self._failed, self._indeterminate, self._checkpoints = [], [], []
        return told

    def conclude(self, flows: Iterable[Flow], now_ns: int) -> None:
        """No reply is waited for any longer: what has none stands in the family `unanswered`, as (now - intended)."""
        self.fold()
        self._concluded = True
        open_blocks = (block for flow in flows for block in flow.blocks)
        left = [due_ns for block in open_blocks for due_ns in block.intended[block.done :]]
        if left:
            intended = np.array(left, np.int64)
            self._recorder.latencies(None, intended, {"unanswered": now_ns - intended})

    def _book_failure(self, intended: Int64s, error: Exception, time_ns: int) -> None:
        self.failed += len(intended)
        self._recorder.latencies(None, intended, {"failed": time_ns - intended})
        self._recorder.tally("failed", None, [time_ns], [len(intended)])
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
        self._recorder.latencies(None, intended, families)
        self._recorder.tally("published", None, self._replied_ns, self._counts)
        self._begin()


def _rows(rows: Sequence[tuple[int, int, int]]) -> Int64s:
    return np.array(rows, np.int64).reshape(-1, 3)
