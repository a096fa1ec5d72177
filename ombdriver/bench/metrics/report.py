"""What a worker reports of its measurements, and of its own process: plain data that crosses the pipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ombdriver.bench.metrics.histogram import Int64s
from ombdriver.bench.metrics.recorder import Metrics

NO_RUNS = np.zeros((0, 3), np.int64)


@dataclass(frozen=True, slots=True)
class SentReport:
    """What a worker's producers have learnt since their last report.

    Attributes:
        flows: shape (n, 3): flow, messages attempted so far, of these replied to (well or not), for all of its flows.
        failed: shape (n, 3): flow, first sequence, count of messages that the system refused, or that never left.
        indeterminate: the same, of those that were sent and whose connection was lost before the reply.
        checkpoints: (flow, sequence, answer) of some of the messages that were acknowledged.
    """

    flows: Int64s = field(default_factory=lambda: NO_RUNS)
    failed: Int64s = field(default_factory=lambda: NO_RUNS)
    indeterminate: Int64s = field(default_factory=lambda: NO_RUNS)
    checkpoints: Sequence[tuple[int, int, object]] = ()


@dataclass(frozen=True, slots=True)
class ReceivedReport:
    """What came since the last report.

    Attributes:
        runs: shape (n, 3): flow, first sequence, count; by flow, within it in the order of arrival.
        again: the same, of entries that were not new: this consumer had been given them, or later ones, before.
        late: messages with a sequence below the next expected one of their flow (RFC 4737), repetitions among them.
        corrupt: messages whose checksum did not fit.
    """

    runs: Int64s = field(default_factory=lambda: NO_RUNS)
    again: Int64s = field(default_factory=lambda: NO_RUNS)
    late: int = 0
    corrupt: int = 0


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """A worker process since its start.

    Attributes:
        cpu_ns: processor time, user and system.
        rss_bytes: the resident size now.
        peak_rss_bytes: the greatest resident size so far.
        gc_pauses: collections by the garbage collector since the last phase began.
        gc_longest_ns: the longest of them.
        run_delay_ns: time that its main thread was ready to run and had no processor (0: not told by this system).
        stalls: times since the last phase began that the event loop was held up for longer than a few milliseconds.
        longest_stall_ns: the longest of them.
        stalled_ns: all of them together.
        gc_ns: all collections since the last phase began together.
        since_ns: when that phase began for this process, on the monotonic clock.
        throttled_ns: how long its cgroup was kept from running by a limit; None where the system does not tell.
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


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to `Poll`: figures since the last one, and totals over all phases and probes.

    Attributes:
        figures: since the last report.
        sent: messages sent.
        acknowledged: of these, answered well.
        failed: of these, answered with an error, or lost with the connection.
        unsent: messages of the current phase that are not sent yet; of random arrivals about so many, and 0 at the end.
        received: messages per subscription.
        probed: (subscription, producer, partition) of each probe that arrived since the last report.
        strangers: messages that were not of this run.
        errors: how often each error was met, by its text.
        driver: the driver's own counters.
        answered: what the ledger has to know of what was sent, since the last report.
        arrived: what each consumer was given since the last report: its subscription and the runs.
        empty_reads: reads of each subscription's consumers that brought nothing, one after the other and until now;
            the fewest of any of its consumers.
        reading: consumers that have not paused.
        process: the process.
        longest_silence_ns: the longest time of the current phase in which a message was due and none acknowledged.
        overdue: messages of the current phase that are due and not sent.
    """

    figures: Metrics
    sent: int
    acknowledged: int
    failed: int
    unsent: int
    received: Mapping[str, int]
    probed: frozenset[tuple[str, int, int]]
    strangers: int
    errors: Mapping[str, int]
    driver: Mapping[str, int]
    answered: SentReport = field(default_factory=SentReport)
    arrived: Sequence[tuple[str, ReceivedReport]] = ()
    empty_reads: Mapping[str, int] = field(default_factory=dict)
    reading: int = 0
    process: ProcessUsage = field(default_factory=ProcessUsage)
    longest_silence_ns: int = 0
    overdue: int = 0
