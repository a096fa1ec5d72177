"""Facts of a run: the plain numbers that the rules of the verdict look at. Pure data; times are nanoseconds.

What worker processes took in the measured window, as a result tells it. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ombdriver.bench.metrics.report import ProcessUsage
from ombdriver.bench.plan.plan import WorkerPlan
from ombdriver.bench.verdict.model import Ending

LEAST_LAG_NS = 2_000_000
"""Schedule lags and pauses up to that never matter."""
SHORT_NS = 10 * 10**9
"""Shorter windows hold no trimming, no garbage collection of the server and no slow wave."""
PART_OF_RESPONSE = 0.5
"""Above that, they matter from this part of the p99 of `publishResponse` on."""


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One worker process in the window; None for what the system does not tell.

    Attributes:
        name: for messages.
        cpu_ns: processor time.
        run_delay_ns: time that it was ready to run and had no core.
        throttled_ns: time that its cgroup was not let run.
        longest_collection_ns: the longest pause by the garbage collector.
        collections_ns: all of these together.
        stalls_ns: time that its event loop was held up.
        longest_stall_ns: the longest of these.
    """

    name: str
    cpu_ns: int
    run_delay_ns: int | None = None
    throttled_ns: int | None = None
    longest_collection_ns: int = 0
    collections_ns: int = 0
    stalls_ns: int | None = None
    longest_stall_ns: int | None = None


@dataclass(frozen=True, slots=True)
class TrendFacts:
    """What one series does over the window.

    Attributes:
        series: its name.
        change: over the window, as a share of the series' usual size.
        p_value: how likely that order of values is without a trend.
    """

    series: str
    change: float
    p_value: float


@dataclass(frozen=True, slots=True)
class DrainFacts:
    """How one subscription drained a backlog that was built.

    Attributes:
        subscription: its name.
        caught_up: whether it had caught up before the run ended.
        messages: before it at the beginning.
        left: before it at the end.
        drain_ns: how long it took, or had.
    """

    subscription: str
    caught_up: bool
    messages: int
    left: int
    drain_ns: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules look at; None, or nothing in it, for what was not measured.

    Attributes:
        window_ns: the length of the window.
        ending: why the run ended before its time; None when it did not.
        lost, trimmed: acknowledged messages that a subscription never got, by its name; None without a ledger.
        schedule_lag_p99_ns: of the time from due until the worker looked.
        publish_response_p99_ns: of the publish latency from the intended send.
        workers: the processes.
        target_rate: messages per second.
        rate_changes: whether that is the mean of a rate that changes.
        achieved: the messages that were acknowledged per second, by `published`, and those that each subscription
            received, by its name; what was usually on its way when the window ended is added.
        due: messages of the window.
        errors: messages of the window that met an error.
        trends: what each series that has enough intervals does.
        intervals: how many there are.
        drains: of a backlog, one for each subscription; none when none was built.
    """

    window_ns: int
    ending: Ending | None = None
    lost: Mapping[str, int] | None = None
    trimmed: Mapping[str, int] | None = None
    schedule_lag_p99_ns: int | None = None
    publish_response_p99_ns: int | None = None
    workers: Sequence[WorkerFacts] = ()
    target_rate: float = 0.0
    rate_changes: bool = False
    achieved: Mapping[str, float] = field(default_factory=dict)
    due: int = 0
    errors: int = 0
    trends: Sequence[TrendFacts] = ()
    intervals: int = 0
    drains: Sequence[DrainFacts] = ()

    @property
    def bound_ns(self) -> float:
        """What a lag or a pause must not be larger than."""
        return max(LEAST_LAG_NS, PART_OF_RESPONSE * (self.publish_response_p99_ns or 0))


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A rule can't judge, and why not."""

    why: str


Found = list[str] | Unjudged
"""The messages of a rule; none when all is well."""


def told_workers(
    workers: Sequence[WorkerPlan], before: Sequence[ProcessUsage], after: Sequence[ProcessUsage]
) -> list[dict[str, object]]:
    """The `environment.workers` of a result, from the figures at the beginning and at the end of the window."""
    return [
        {
            "role": worker.role,
            "windowCpuSeconds": (now.cpu_ns - then.cpu_ns) / 1e9,
            "peakRssBytes": now.peak_rss_bytes,
            "rssGrowthBytes": now.rss_bytes - then.rss_bytes,
            "garbageCollections": now.gc_pauses,
            "longestCollectionMs": now.gc_longest_ns / 1e6,
            "collectingMs": now.gc_ns / 1e6,
            "runDelayMs": (now.run_delay_ns - then.run_delay_ns) / 1e6,
            "loopStalls": now.stalls,
            "longestStallMs": now.longest_stall_ns / 1e6,
            "stalledMs": now.stalled_ns / 1e6,
            "throttledMs": _ms_between(then.throttled_ns, now.throttled_ns),
        }
        for worker, then, now in zip(workers, before, after, strict=True)
    ]


def _ms_between(then_ns: int | None, now_ns: int | None) -> float | None:
    return None if then_ns is None or now_ns is None else (now_ns - then_ns) / 1e6
