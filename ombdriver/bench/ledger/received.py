"""The receiving half of the ledger: which messages reached each consumer, and a subscription as a whole.

A worker's consumers report ranges of sequence numbers by flow; the parent unites those of a subscription in one set
over all flows. Memory follows the number of gaps, not the length of the run. Knows no message and no reply. Pure, on
numpy, by thousands of messages at once.
"""

from collections.abc import Sequence

import numpy as np

from ombdriver.bench.ledger.spans import Mask, Spans, below, between, ends_of, first_missing, of_ranges
from ombdriver.bench.load.flow import SEQUENCES
from ombdriver.bench.metrics.histogram import Int64s
from ombdriver.bench.metrics.report import NO_RANGES, ReceivedReport

# -- in the parent: a subscription -------------------------------------------------------------------------------------


class ReceivedLedger:
    """What one subscription has received, united over its consumers.

    Args:
        flows: how many flows the run has.

    Attributes:
        spans: every message that has arrived.
        ends: shape (flows,): one past the greatest sequence number that has arrived.
        redelivered: times that a message came again with an entry that had been delivered before.
        duplicated: times that a message came again with a new entry.
        out_of_order: messages below the next expected sequence number of their consumer, repetitions among them.
        corrupt: messages whose checksum did not fit.
    """

    def __init__(self, flows: int) -> None:
        self.spans = Spans()
        self.ends = np.zeros(flows, np.int64)
        self.redelivered = self.duplicated = self.out_of_order = self.corrupt = 0
        self._ends_before = np.zeros(flows, np.int64)
        self._examined = np.zeros(flows, np.int64)
        self._gaps = self._known_gaps = self._trimmed = Spans()

    def __repr__(self) -> str:
        return f"<ReceivedLedger {len(self.spans)} in {len(self.spans.pairs)} spans>"

    def add(self, reports: Sequence[ReceivedReport]) -> None:
        """Adds what the consumers report."""
        self.duplicated += self._unite([each.ranges for each in reports])
        self.redelivered += self._unite([each.redelivered for each in reports])
        self.out_of_order += sum(each.out_of_order for each in reports)
        self.corrupt += sum(each.corrupt for each in reports)

    def _unite(self, parts: Sequence[Int64s]) -> int:
        """Adds ranges; returns how many of their messages had come before, or come twice in them."""
        ranges = np.concatenate(parts) if parts else NO_RANGES
        if not len(ranges):
            return 0
        before = len(self.spans)
        self.spans |= of_ranges(ranges)
        self.ends = ends_of(self.spans, len(self.ends))
        return int(ranges[:, 2].sum()) - (len(self.spans) - before)

    def first_missing(self) -> Int64s:
        """The lowest sequence number of each flow that has not arrived. Shape (flows,)."""
        return first_missing(self.spans, len(self.ends))

    def new_gaps(self, acknowledged: Spans) -> Spans:
        """Acknowledged messages that were overtaken before this was called last, and still have not come; each once.

        A gap of one report may be filled by the next one, from another consumer.
        """
        self._gaps = (between(self._examined, self._ends_before) & acknowledged) - self.spans
        self._examined = self._ends_before
        self._ends_before = self.ends
        return self._gaps

    def note_log_starts(self, log_starts: Int64s) -> None:
        """Notes that the system now holds nothing below `log_starts` (shape (flows,)), for the gaps found last."""
        self._known_gaps |= self._gaps
        self._trimmed |= self._gaps & below(log_starts)

    def trimmed(self, gone: Spans, log_starts: Int64s) -> Spans:
        """Of what is gone, what was trimmed: below the log start when its gap was found, or else below it now."""
        return (gone & self._trimmed) | ((gone - self._known_gaps) & below(log_starts))


# -- in a worker: a consumer -------------------------------------------------------------------------------------------


class DeliveryRecorder:
    """Gathers which messages one consumer is given.

    Args:
        flows: how many flows the run has.
    """

    def __init__(self, flows: int) -> None:
        self._expected = np.zeros(flows, np.int64)
        self._ranges: list[Int64s] = []
        self._redelivered: list[Int64s] = []
        self._out_of_order = self._corrupt = 0

    def add(self, flows: Int64s, sequences: Int64s, redelivered: Mask | None) -> None:
        """Records messages in their order of arrival.

        Args:
            flows: shape (n,).
            sequences: shape (n,), each below `SEQUENCES`.
            redelivered: shape (n,), which of them came with an entry delivered before; None when none did.
        """
        ranges = ranges_of(flows, sequences)
        self._out_of_order += count_out_of_order(ranges, self._expected)
        if redelivered is None:
            self._ranges.append(ranges)
        else:
            self._redelivered.append(ranges_of(flows[redelivered], sequences[redelivered]))
            self._ranges.append(ranges_of(flows[~redelivered], sequences[~redelivered]))

    def add_corrupt(self, count: int) -> None:
        """Counts messages whose checksum did not fit."""
        self._corrupt += count

    def take(self) -> ReceivedReport:
        """What has come since the last call."""
        report = ReceivedReport(
            join_ranges(self._ranges), join_ranges(self._redelivered), self._out_of_order, self._corrupt
        )
        self._ranges, self._redelivered = [], []
        self._out_of_order = self._corrupt = 0
        return report


def ranges_of(flows: Int64s, sequences: Int64s) -> Int64s:
    """The ranges (`ReceivedReport.ranges`) of messages in their order of arrival."""
    if not len(flows):
        return NO_RANGES
    is_one_flow = flows[0] == flows[-1] and bool((flows == flows[0]).all())
    if not is_one_flow:
        order = np.argsort(flows, kind="stable")
        flows, sequences = flows[order], sequences[order]
    breaks = sequences[1:] != sequences[:-1] + 1
    if not is_one_flow:
        breaks |= flows[1:] != flows[:-1]
    starts = np.flatnonzero(breaks) + 1
    if not len(starts):  # the usual case: nothing is missing
        return np.array([[flows[0], sequences[0], len(flows)]], np.int64)
    starts = np.concatenate(([0], starts))
    counts = np.diff(starts, append=len(flows))
    return np.stack((flows[starts], sequences[starts], counts), axis=1)


def join_ranges(parts: list[Int64s]) -> Int64s:
    """All ranges of `parts`, which followed each other; ranges that go on where the one before ended become one."""
    if len(parts) < 2:
        return parts[0] if parts else NO_RANGES
    ranges = np.concatenate(parts)
    if not len(ranges):
        return NO_RANGES
    ranges = ranges[np.argsort(ranges[:, 0], kind="stable")]
    flows, firsts, counts = ranges.T
    goes_on = (flows[1:] == flows[:-1]) & (firsts[1:] == firsts[:-1] + counts[:-1])
    starts = np.flatnonzero(np.concatenate(([True], ~goes_on)))
    return np.stack((flows[starts], firsts[starts], np.add.reduceat(counts, starts)), axis=1)


def count_out_of_order(ranges: Int64s, expected: Int64s) -> int:
    """How many messages of `ranges` were below the next expected sequence number of their flow (RFC 4737).

    Args:
        ranges: of one consumer, by flow, as `ranges_of` gives them.
        expected: the next expected sequence number of each flow; it is brought forward.
    """
    if not len(ranges):
        return 0
    if len(ranges) == 1:
        flow, first, count = map(int, ranges[0])
        next_one = int(expected[flow])
        expected[flow] = max(next_one, first + count)
        return min(max(next_one - first, 0), count)
    flows, firsts, counts = ranges.T
    is_first = np.concatenate(([True], flows[1:] != flows[:-1]))
    shift = (np.cumsum(is_first) - 1) * SEQUENCES  # lifts each flow above the ones before, so that one sweep does all
    highest = np.maximum.accumulate(np.maximum(firsts + counts, expected[flows]) + shift)
    before = np.concatenate(([0], highest[:-1])) - shift
    found = int(np.clip(np.maximum(before, expected[flows]) - firsts, 0, counts).sum())
    is_last = np.concatenate((is_first[1:], [True]))
    expected[flows[is_last]] = (highest - shift)[is_last]
    return found
