"""The receiving half of the ledger: which messages reached one subscription, on all flows. Pure, on numpy.

One set of spans over all flows (`flows`): a pair of numbers for each flow while nothing is missing, and another one for
each gap; so memory follows the number of gaps, not the length of the run, and a poll is a few sweeps, however many
flows and consumers it tells of.

What a consumer has been given, in few words: runs of sequence numbers by flow, and how many came out of order.

Pure, on numpy, by thousands of messages at once. The parent unites the runs of all consumers of a subscription; see
`ledger`.
"""

from collections.abc import Sequence

import numpy as np

from ombdriver.bench.ledger.spans import SEQUENCES, Spans, below, between, ends_of, marks_of, of_runs
from ombdriver.bench.metrics.histogram import Int64s
from ombdriver.bench.metrics.report import NO_RUNS, ReceivedReport


class ReceivedLedger:
    """What one subscription has received, united over its consumers.

    Args:
        flows: how many flows the run has.

    Attributes:
        spans: every message that has arrived.
        ends: shape (flows,): one past the greatest sequence that has arrived.
        again: messages that came once more, by an entry that was not new.
        anew: messages that came once more, by a new entry.
        late: messages below the next expected sequence of the consumer that got them, repetitions among them.
        corrupt: messages whose checksum did not fit.
    """

    def __init__(self, flows: int) -> None:
        self.spans = Spans()
        self.ends = np.zeros(flows, np.int64)
        self.again = self.anew = self.late = self.corrupt = 0
        self._seen_before = np.zeros(flows, np.int64)
        self._examined = np.zeros(flows, np.int64)
        self._gaps = self._judged = self._cut = Spans()

    def __repr__(self) -> str:
        return f"<ReceivedLedger {len(self.spans)} in {len(self.spans.pairs)} stretches>"

    def take(self, arrived: Sequence[ReceivedReport]) -> None:
        """Adds what the consumers report."""
        self.anew += self._unite([each.runs for each in arrived])
        self.again += self._unite([each.again for each in arrived])
        self.late += sum(each.late for each in arrived)
        self.corrupt += sum(each.corrupt for each in arrived)

    def _unite(self, parts: Sequence[Int64s]) -> int:
        """Adds runs; returns how many of their messages had come before, or come twice in them."""
        runs = np.concatenate(parts) if parts else np.zeros((0, 3), np.int64)
        if not len(runs):
            return 0
        before = len(self.spans)
        self.spans |= of_runs(runs)
        self.ends = ends_of(self.spans, len(self.ends))
        return int(runs[:, 2].sum()) - (len(self.spans) - before)

    def marks(self) -> Int64s:
        """The lowest sequence of each flow that has not arrived. Shape (flows,)."""
        return marks_of(self.spans, len(self.ends))

    # -- gaps ------------------------------------------------------------------------------------------------------

    def new_gaps(self, acknowledged: Spans) -> Spans:
        """Acknowledged messages that were overtaken before this was called last, and still have not come; each once.

        A gap of one report may be filled by the next one, from another consumer.
        """
        self._gaps = (between(self._examined, self._seen_before) & acknowledged) - self.spans
        self._examined = self._seen_before
        self._seen_before = self.ends
        return self._gaps

    def judge(self, floors: Int64s) -> None:
        """Notes that the system now holds nothing below `floors` (shape (flows,)), for the gaps found last."""
        self._judged |= self._gaps
        self._cut |= self._gaps & below(floors)

    def trimmed(self, gone: Spans, floors: Int64s) -> Spans:
        """Of what is gone, what was cut off: below the floor when its gap was found, or else below `floors` now."""
        return (gone & self._cut) | ((gone - self._judged) & below(floors))


class DeliveryRecorder:
    """Gathers what one consumer is given.

    Args:
        flows: how many flows the run has.
    """

    def __init__(self, flows: int) -> None:
        self._expected = np.zeros(flows, np.int64)
        self._runs: list[Int64s] = []
        self._again: list[Int64s] = []
        self._late = self._corrupt = 0

    def add(self, flows: Int64s, sequences: Int64s, again: "np.typing.NDArray[np.bool_] | None") -> None:
        """Books messages in their order of arrival.

        Args:
            flows: shape (n,).
            sequences: shape (n,), each below `SEQUENCES`.
            again: shape (n,), which of them came of an entry that was not new; None when none did.
        """
        runs = runs_of(flows, sequences)
        self._late += count_late(runs, self._expected)
        if again is None:
            self._runs.append(runs)
        else:
            self._again.append(runs_of(flows[again], sequences[again]))
            self._runs.append(runs_of(flows[~again], sequences[~again]))

    def add_corrupt(self, count: int) -> None:
        """Counts messages whose checksum did not fit."""
        self._corrupt += count

    def take(self) -> ReceivedReport:
        """What has come since the last call."""
        arrived = ReceivedReport(joined(self._runs), joined(self._again), self._late, self._corrupt)
        self._runs, self._again = [], []
        self._late = self._corrupt = 0
        return arrived


def runs_of(flows: Int64s, sequences: Int64s) -> Int64s:
    """The runs (`ReceivedReport.runs`) of messages in their order of arrival."""
    if not len(flows):
        return NO_RUNS
    is_one_lane = flows[0] == flows[-1] and bool((flows == flows[0]).all())
    if not is_one_lane:
        order = np.argsort(flows, kind="stable")
        flows, sequences = flows[order], sequences[order]
    breaks = sequences[1:] != sequences[:-1] + 1
    if not is_one_lane:
        breaks |= flows[1:] != flows[:-1]
    starts = np.flatnonzero(breaks) + 1
    if not len(starts):  # the usual case: nothing is missing
        return np.array([[flows[0], sequences[0], len(flows)]], np.int64)
    starts = np.concatenate(([0], starts))
    counts = np.diff(starts, append=len(flows))
    return np.stack((flows[starts], sequences[starts], counts), axis=1)


def joined(parts: list[Int64s]) -> Int64s:
    """All runs of `parts`, which followed each other; runs that go on where the one before ended become one."""
    if len(parts) < 2:
        return parts[0] if parts else NO_RUNS
    runs = np.concatenate(parts)
    if not len(runs):
        return NO_RUNS
    runs = runs[np.argsort(runs[:, 0], kind="stable")]
    flows, firsts, counts = runs.T
    goes_on = (flows[1:] == flows[:-1]) & (firsts[1:] == firsts[:-1] + counts[:-1])
    starts = np.flatnonzero(np.concatenate(([True], ~goes_on)))
    return np.stack((flows[starts], firsts[starts], np.add.reduceat(counts, starts)), axis=1)


def count_late(runs: Int64s, expected: Int64s) -> int:
    """How many messages of `runs` (of one consumer, by flow) were below the next expected sequence of their flow.

    Args:
        runs: as `runs_of` gives them.
        expected: the next expected sequence of each flow; it is brought forward.
    """
    if not len(runs):
        return 0
    if len(runs) == 1:
        flow, first, count = map(int, runs[0])
        due_now = int(expected[flow])
        expected[flow] = max(due_now, first + count)
        return min(max(due_now - first, 0), count)
    flows, firsts, counts = runs.T
    is_first = np.concatenate(([True], flows[1:] != flows[:-1]))
    floor = (np.cumsum(is_first) - 1) * SEQUENCES  # lifts each flow above the ones before, so that one sweep does all
    highest = np.maximum.accumulate(np.maximum(firsts + counts, expected[flows]) + floor)
    before = np.concatenate(([0], highest[:-1])) - floor
    due = np.maximum(before, expected[flows])
    late = int(np.clip(due - firsts, 0, counts).sum())
    is_last = np.concatenate((is_first[1:], [True]))
    expected[flows[is_last]] = (highest - floor)[is_last]
    return late
