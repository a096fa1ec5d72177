"""What a worker reports: metrics, what the delivery ledger has to know, and its process. Data that crosses the pipe."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ombdriver.bench.metrics.histogram import Histogram, Int64s
from ombdriver.bench.metrics.recorder import Metrics

NO_RANGES = np.zeros((0, 3), np.int64)


@dataclass(frozen=True, slots=True)
class SentReport:
    """What a worker's producers know of their messages; all but `flows` since their last report.

    Attributes:
        flows: shape (n, 3): flow, messages sent so far, of these replied to (well or not), for all of its flows.
        failed: shape (n, 3): flow, first sequence number, count of messages that were refused, or never left.
        indeterminate: the same, of those that were sent and whose connection was lost before the reply.
        checkpoints: (flow, sequence number, answer) of some of the messages that were acknowledged.
    """

    flows: Int64s = field(default_factory=lambda: NO_RANGES)
    failed: Int64s = field(default_factory=lambda: NO_RANGES)
    indeterminate: Int64s = field(default_factory=lambda: NO_RANGES)
    checkpoints: Sequence[tuple[int, int, object]] = ()


@dataclass(frozen=True, slots=True)
class ReceivedReport:
    """What a consumer was given since its last report.

    Attributes:
        ranges: shape (n, 3): flow, first sequence number, count; by flow, within it in the order of arrival.
        redelivered: the same, of entries that this consumer had been given before, or later ones of their partition.
        out_of_order: messages below the next expected sequence number of their flow (RFC 4737), repetitions among them.
        corrupt: messages whose checksum did not fit.
    """

    ranges: Int64s = field(default_factory=lambda: NO_RANGES)
    redelivered: Int64s = field(default_factory=lambda: NO_RANGES)
    out_of_order: int = 0
    corrupt: int = 0


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """What a worker process has taken since its start.

    Attributes:
        cpu_ns: processor time, user and system.
        rss_bytes: the resident size now.
        peak_rss_bytes: the greatest resident size so far.
        gc_pauses: collections by the garbage collector since `since_ns`.
        gc_longest_ns: the longest of them.
        run_delay_ns: time that its main thread was ready to run and had no processor; 0 where this system does not say.
        stalls: times since `since_ns` that the event loop was held up for longer than a few milliseconds.
        longest_stall_ns: the longest of them.
        stalled_ns: all of them together.
        gc_ns: all collections since `since_ns` together.
        since_ns: when the phase began for this process, or had settled, on the monotonic clock.
        lateness: how late its event loop came to what was due since `since_ns`, in ns.
        throttled_ns: how long its cgroup was kept from running by a limit; None where this system does not say.
    """

    cpu_ns: int = 0
    rss_bytes: int = 0
    peak_rss_bytes: int = 0
    gc_pauses: int = 0
    gc_longest_ns: int = 0
    run_delay_ns: int = 0
    stalls: int = 0
    longest_stall_ns: int = 0
    stalled_ns: int = 0
    gc_ns: int = 0
    since_ns: int = 0
    throttled_ns: int | None = None
    lateness: Histogram = field(default_factory=Histogram.zero, compare=False)


@dataclass(frozen=True, slots=True)
class ProbeFailure:
    """A probe that was not acknowledged.

    Attributes:
        producer: which sent it.
        partition: where to.
        error: the text of what it met, with what to do about it as far as that is known.
        may_pass: whether another one may be taken a little later.
    """

    producer: int
    partition: int
    error: str
    may_pass: bool


@dataclass(frozen=True, slots=True)
class Report:
    """One report of a worker: metrics since the last one, and totals over all phases and probes.

    Attributes:
        metrics: since the last report.
        sent: messages sent.
        acknowledged: of these, answered well.
        failed: of these, answered with an error, or lost with the connection.
        unsent: messages of the current phase that are not sent yet; of random arrivals about so many, and 0 at the end.
        received: messages per subscription.
        probed: (subscription, producer, partition) of each probe that arrived since the last report.
        foreign: messages that were not of this run.
        errors: how often each error was met, by its text.
        driver: the driver's own counters.
        sent_report: of all producers, for the ledger.
        received_reports: of each consumer, with its subscription, for the ledger.
        empty_reads: reads of each subscription's consumers that brought nothing, one after the other and until now;
            the fewest of any of its consumers.
        active_consumers: consumers that have not paused.
        process: the process.
        longest_ack_gap_ns: the longest time of the current phase in which a message was due and none acknowledged.
        overdue: messages of the current phase that are due and not sent.
        probe_failures: probes that were not acknowledged, since the last report.
    """

    metrics: Metrics
    sent: int
    acknowledged: int
    failed: int
    unsent: int
    received: Mapping[str, int]
    probed: frozenset[tuple[str, int, int]]
    foreign: int
    errors: Mapping[str, int]
    driver: Mapping[str, int]
    sent_report: SentReport = field(default_factory=SentReport)
    received_reports: Sequence[tuple[str, ReceivedReport]] = ()
    empty_reads: Mapping[str, int] = field(default_factory=dict)
    active_consumers: int = 0
    process: ProcessUsage = field(default_factory=ProcessUsage)
    longest_ack_gap_ns: int = 0
    overdue: int = 0
    probe_failures: Sequence[ProbeFailure] = ()


# -- of processes that took over from one another ----------------------------------------------------------------------


def standing(last: Report) -> Report:
    """What a worker that is gone adds to each later report: its totals, and nothing new."""
    return replace(
        last,
        metrics=Metrics(),
        probed=frozenset(),
        sent_report=SentReport(),
        received_reports=(),
        empty_reads={},
        active_consumers=0,
        probe_failures=(),
    )


def followed(before: Report, now: Report) -> Report:
    """A report of a worker that took over from one that has reported `before`, as if both were of one process.

    What is left to send is that of the one that is there.
    """
    metrics = Metrics()
    metrics += before.metrics
    metrics += now.metrics
    return replace(
        now,
        metrics=metrics,
        probed=before.probed | now.probed,
        sent_report=_sent_by_both(before.sent_report, now.sent_report),
        received_reports=(*before.received_reports, *now.received_reports),
        probe_failures=(*before.probe_failures, *now.probe_failures),
        sent=before.sent + now.sent,
        acknowledged=before.acknowledged + now.acknowledged,
        failed=before.failed + now.failed,
        received=_summed(before.received, now.received),
        foreign=before.foreign + now.foreign,
        errors=_summed(before.errors, now.errors),
        driver=_summed(before.driver, now.driver),
        process=_usage_of_both(before.process, now.process),
        longest_ack_gap_ns=max(before.longest_ack_gap_ns, now.longest_ack_gap_ns),
    )


def _sent_by_both(before: SentReport, now: SentReport) -> SentReport:
    """The second one has gone on where the first one was."""
    return SentReport(
        now.flows if len(now.flows) else before.flows,
        np.concatenate((before.failed, now.failed)),
        np.concatenate((before.indeterminate, now.indeterminate)),
        (*before.checkpoints, *now.checkpoints),
    )


def _summed(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    counts = Counter(one)
    counts.update(other)
    return dict(counts)


def _usage_of_both(before: ProcessUsage, now: ProcessUsage) -> ProcessUsage:
    throttled = [each for each in (before.throttled_ns, now.throttled_ns) if each is not None]
    return replace(
        now,
        cpu_ns=before.cpu_ns + now.cpu_ns,
        peak_rss_bytes=max(before.peak_rss_bytes, now.peak_rss_bytes),
        gc_pauses=before.gc_pauses + now.gc_pauses,
        gc_longest_ns=max(before.gc_longest_ns, now.gc_longest_ns),
        run_delay_ns=before.run_delay_ns + now.run_delay_ns,
        stalls=before.stalls + now.stalls,
        longest_stall_ns=max(before.longest_stall_ns, now.longest_stall_ns),
        stalled_ns=before.stalled_ns + now.stalled_ns,
        gc_ns=before.gc_ns + now.gc_ns,
        throttled_ns=sum(throttled) if throttled else None,
        lateness=before.lateness + now.lateness,
    )
