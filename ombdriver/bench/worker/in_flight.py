"""What was sent and has no reply yet, and the recording of replies.

Batches are put into flows in the order in which they are sent, and replies take them out in that order. A message costs
a few list entries until thousands are recorded at once with numpy. Knows neither a schedule nor a driver.
"""

from array import array
from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

from ombdriver.bench.ledger.sent import CHECKPOINT_EVERY
from ombdriver.bench.metrics.histogram import Int64s
from ombdriver.bench.metrics.recorder import Recorder
from ombdriver.bench.metrics.report import SentReport
from ombdriver.errors import OutcomeUnknown

FLUSH_AT = 4096
"""Samples gathered before they are recorded."""
MOST_ERRORS = 16
"""Different errors that are reported; messages that met another one are counted all the same."""


class SentBatch:
    """Messages of one flow that were sent at one time; a probe is no message of the flow.

    Attributes:
        intended: when each message was due, rising.
        sent_ns: when they were sent.
        blocked_ns: for how long the first and the last of them had no room since they were due, and those in between
            evenly so by their times (`room.RoomWaits`); None when none of them had.
        is_probe: whether it is a probe.
        count: how many messages there are.
        replied: how many of them have a reply.
    """

    __slots__ = ("blocked_ns", "count", "intended", "is_probe", "replied", "sent_ns")

    def __init__(
        self, intended: Sequence[int], sent_ns: int, blocked_ns: tuple[int, int] | None = None, is_probe: bool = False
    ) -> None:
        self.intended, self.sent_ns, self.blocked_ns, self.is_probe = intended, sent_ns, blocked_ns, is_probe
        self.count, self.replied = len(intended), 0


class Flow:
    """The messages of one flow (`load.flow`), in order.

    Attributes:
        number: the flow's.
        batches: sent, and not wholly replied to; probes among them.
        sequence: of the next message; so many have been sent.
        replied: so many of these have a reply.
        next_checkpoint: the sequence number from which on the next acknowledged message is a checkpoint.
    """

    __slots__ = ("batches", "next_checkpoint", "number", "replied", "sequence")

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.batches: deque[SentBatch] = deque()
        self.sequence = self.replied = self.next_checkpoint = 0


class InFlightBatches:
    """Matches the replies of a worker's producers with what was sent, and records them.

    Args:
        recorder: takes the samples.

    Attributes:
        replied: messages that were answered.
        failed: of these, those that were not acknowledged.
        errors: how often each error was met.
        longest_ack_gap_ns: the longest time since `begin_phase` in which a message was due and none was acknowledged.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.replied = self.failed = 0
        self.errors: dict[str, int] = {}
        self.longest_ack_gap_ns = self._last_ack_ns = 0
        self._failed_due_ns: int | None = None  # when the first was due that has failed since the last acknowledgement
        self._finished = False
        self._failed_probes: list[tuple[int, Exception]] = []
        self._failed: list[tuple[int, int, int]] = []
        self._indeterminate: list[tuple[int, int, int]] = []
        self._checkpoints: list[tuple[int, int, object]] = []
        self._clear()

    def _clear(self) -> None:
        self._counts: list[int] = []
        self._sent_ns: list[int] = []
        self._replied_ns: list[int] = []
        self._intended = array("q")
        self._blocked = array("q")  # of each part that was: see `_blocked`
        self._failed_counts: list[int] = []
        self._failed_at_ns: list[int] = []
        self._failed_intended = array("q")

    def begin_phase(self, now_ns: int) -> None:
        """From here on gaps between acknowledgements count."""
        self.longest_ack_gap_ns, self._last_ack_ns, self._failed_due_ns = 0, now_ns, None

    def on_replies(self, flow: Flow, count: int, error: Exception | None, time_ns: int, answer: object = None) -> None:
        """The next `count` messages of `flow` were answered at `time_ns`, all well or all with `error`.

        `answer` is what the system said to the last of them.
        """
        if self._finished:
            return  # they stand as unanswered already
        self.replied += count
        if error is None:
            self._note_ack(flow.batches[0].intended[0], time_ns)
        while count:
            batch = flow.batches[0]
            taken = min(count, batch.count - batch.replied)
            whole = taken == batch.count
            intended = batch.intended if whole else batch.intended[batch.replied : batch.replied + taken]
            if error is None:
                self._counts.append(taken)
                self._sent_ns.append(batch.sent_ns)
                self._replied_ns.append(time_ns)
                if batch.blocked_ns is not None:
                    ends = *batch.blocked_ns, batch.intended[0], batch.intended[-1]
                    self._blocked.extend((len(self._intended), taken, *ends))
                self._intended.extend(intended)
            else:
                self._note_error(error, intended, time_ns)
                if batch.is_probe:
                    self._failed_probes.append((flow.number, error))
                else:
                    self._note_failure(error, flow, taken)
            if not batch.is_probe:
                flow.replied += taken
            batch.replied += taken
            count -= taken
            if batch.replied == batch.count:
                flow.batches.popleft()
        if flow.replied > flow.next_checkpoint and answer is not None:
            self._checkpoints.append((flow.number, flow.replied - 1, answer))
            flow.next_checkpoint = flow.replied - 1 + CHECKPOINT_EVERY
        if len(self._intended) >= FLUSH_AT or len(self._failed_intended) >= FLUSH_AT:
            self.flush()

    def _note_ack(self, due_ns: int, time_ns: int) -> None:
        """A message that was due at `due_ns` is acknowledged."""
        if self._failed_due_ns is not None:
            due_ns, self._failed_due_ns = min(due_ns, self._failed_due_ns), None
        if time_ns - due_ns > self.longest_ack_gap_ns:
            self.longest_ack_gap_ns = max(self.longest_ack_gap_ns, time_ns - max(due_ns, self._last_ack_ns))
        self._last_ack_ns = max(time_ns, self._last_ack_ns)

    def _note_error(self, error: Exception, intended: Sequence[int], time_ns: int) -> None:
        """Messages met `error`; they are recorded by thousands, as those are that were acknowledged."""
        first_ns, count = intended[0], len(intended)
        self._failed_due_ns = first_ns if self._failed_due_ns is None else min(first_ns, self._failed_due_ns)
        self.failed += count
        self._failed_counts.append(count)
        self._failed_at_ns.append(time_ns)
        self._failed_intended.extend(intended)
        name = f"{type(error).__name__}: {error}"
        if name in self.errors or len(self.errors) < MOST_ERRORS:
            self.errors[name] = self.errors.get(name, 0) + count

    def _note_failure(self, error: Exception, flow: Flow, count: int) -> None:
        """Remembers for the ledger that the next `count` messages of `flow` were not acknowledged."""
        ranges = self._indeterminate if isinstance(error, OutcomeUnknown) else self._failed
        first = flow.replied
        if ranges and ranges[-1][0] == flow.number and ranges[-1][1] + ranges[-1][2] == first:
            _, first, before = ranges.pop()
            count += before
        ranges.append((flow.number, first, count))

    def flush(self) -> None:
        """Records what has been answered so far."""
        if self._counts:
            repeats = np.array(self._counts)
            intended = np.frombuffer(self._intended, np.int64)
            blocked = _blocked(intended, np.frombuffer(self._blocked, np.int64).reshape(-1, 6))
            sent = np.repeat(np.array(self._sent_ns), repeats)
            replied = np.repeat(np.array(self._replied_ns), repeats)
            families = {
                "publish": replied - sent,
                "publishDelay": sent - intended,
                "publishResponse": replied - intended,
                "scheduleLag": sent - intended - blocked,
                "blocked": blocked,
            }
            self._recorder.record(None, intended, families)
            self._recorder.count("published", None, self._replied_ns, self._counts)
        if self._failed_counts:
            intended = np.frombuffer(self._failed_intended, np.int64)
            failed_at = np.repeat(np.array(self._failed_at_ns), np.array(self._failed_counts))
            self._recorder.record(None, intended, {"failed": failed_at - intended})
            self._recorder.count("failed", None, self._failed_at_ns, self._failed_counts)
        if self._counts or self._failed_counts:
            self._clear()

    def take_failed_probes(self) -> list[tuple[int, Exception]]:
        """(flow, error) of the probes that were not acknowledged, since this was last called."""
        taken, self._failed_probes = self._failed_probes, []
        return taken

    def take_report(self, flows: Sequence[Flow]) -> SentReport:
        """What the ledger has to know of `flows`, which are all of this worker's, since this was last called."""
        columns = [flow.number for flow in flows], [flow.sequence for flow in flows], [flow.replied for flow in flows]
        report = SentReport(
            np.array(columns, np.int64).T.reshape(-1, 3),
            _as_ranges(self._failed),
            _as_ranges(self._indeterminate),
            self._checkpoints,
        )
        self._failed, self._indeterminate, self._checkpoints = [], [], []
        return report

    def finish(self, flows: Iterable[Flow], now_ns: int) -> None:
        """No reply is waited for any longer: what has none stands in the family `unanswered`, as (now - intended)."""
        self.flush()
        self._finished = True
        batches = (batch for flow in flows for batch in flow.batches)
        left = [due_ns for batch in batches for due_ns in batch.intended[batch.replied :]]
        if left:
            intended = np.array(left, np.int64)
            self._recorder.record(None, intended, {"unanswered": now_ns - intended})


def _blocked(intended: Int64s, parts: Int64s) -> Int64s:
    """For how long each message was blocked.

    Args:
        intended: when each was due, shape (n,).
        parts: of those that were blocked, shape (k, 6): the place of the first in `intended`, how many; and of the
            batch that they are of: for how long its first and its last were, and when these two were due.
    """
    blocked = np.zeros(len(intended), np.int64)
    if len(parts):
        at, counts, first, last, first_due, last_due = parts.T
        ends = np.cumsum(counts)
        places = np.arange(ends[-1]) + np.repeat(at - ends + counts, counts)
        slope = (first - last) / np.maximum(last_due - first_due, 1)
        since_first = intended[places] - np.repeat(first_due, counts)
        blocked[places] = np.repeat(first, counts) - np.rint(since_first * np.repeat(slope, counts)).astype(np.int64)
    return blocked


def _as_ranges(ranges: Sequence[tuple[int, int, int]]) -> Int64s:
    return np.array(ranges, np.int64).reshape(-1, 3)
