"""What was sent and is not answered yet, by block; what was answered, gathered and folded with numpy.

Knows neither a schedule nor a driver: blocks are put into lanes, and replies take them out in order. A message costs a
few list entries here until thousands are folded at once.
"""

from array import array
from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

from ombdriver.bench.figures import Book
from ombdriver.bench.recorder import Int64s

FOLD = 4096
"""Samples gathered before they are folded into histograms."""
ERROR_KINDS = 16
"""Different errors that are told; those past it are counted all the same."""
AS_INTENDED = -1
"""In place of the time at which a message was looked at: the worker was waiting for room when it became due."""


class Block:
    """Messages of one lane that were sent at one time."""

    __slots__ = ("count", "done", "intended", "looked_ns", "sent_ns")

    def __init__(self, intended: Sequence[int], sent_ns: int, looked_ns: int) -> None:
        self.intended, self.sent_ns, self.looked_ns = intended, sent_ns, looked_ns
        self.count, self.done = len(intended), 0


class Lane:
    """One producer's messages to one partition, in order."""

    __slots__ = ("blocks", "sequence")

    def __init__(self) -> None:
        self.blocks: deque[Block] = deque()
        self.sequence = 0


class Acknowledgements:
    """Books the replies of a worker's producers.

    Args:
        book: takes the figures.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self.replied = self.failed = 0
        self.errors: dict[str, int] = {}
        self._concluded = False
        self._begin()

    def _begin(self) -> None:
        self._counts: list[int] = []
        self._sent_ns: list[int] = []
        self._looked_ns: list[int] = []
        self._replied_ns: list[int] = []
        self._intended = array("q")

    def take(self, lane: Lane, count: int, error: Exception | None, time_ns: int) -> None:
        """Books that the next `count` messages of `lane` were answered at `time_ns`, all well or all with `error`."""
        if self._concluded:
            return  # it stands as unanswered already
        self.replied += count
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
                self._book_failure(np.array(intended, np.int64), error, time_ns)
            block.done += taken
            count -= taken
            if block.done == block.count:
                lane.blocks.popleft()
        if len(self._intended) >= FOLD:
            self.fold()

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
