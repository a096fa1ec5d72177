"""Facts of a run: the plain numbers that the rules of the verdict look at, and how they follow from its metrics. Pure.

Times are nanoseconds. Knows no rule and no file; facts are the same while a run goes on as at its end, but for what is
known at the end only.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ombdriver.bench.metrics.figures import Source
from ombdriver.bench.metrics.latency import LatencySummary
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
        role: what it does in the plan.
        collections: how many there were.
        stalls: how many there were.
        peak_rss_bytes: its greatest resident size since its start.
        rss_growth_bytes: by how much its resident size grew.
    """

    name: str
    cpu_ns: int
    run_delay_ns: int | None = None
    throttled_ns: int | None = None
    longest_collection_ns: int = 0
    collections_ns: int = 0
    stalls_ns: int | None = None
    longest_stall_ns: int | None = None
    role: str = "both"
    collections: int = 0
    stalls: int = 0
    peak_rss_bytes: int = 0
    rss_growth_bytes: int = 0


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


# -- facts from metrics ------------------------------------------------------------------------------------------------

MOST_ON_ITS_WAY_NS = 100_000_000
"""At the end of the window messages are on their way for one median service time; for no longer than that it counts."""


def worker_facts(
    workers: Sequence[WorkerPlan], before: Sequence[ProcessUsage], after: Sequence[ProcessUsage]
) -> list[WorkerFacts]:
    """What each worker took from one time to another, which are in the same phase."""
    return [
        WorkerFacts(
            name=f"worker {number} ({worker.role})",
            cpu_ns=now.cpu_ns - then.cpu_ns,
            run_delay_ns=(now.run_delay_ns - then.run_delay_ns) or None,  # 0 where the system does not tell
            throttled_ns=_difference(then.throttled_ns, now.throttled_ns),
            longest_collection_ns=now.gc_longest_ns,
            collections_ns=now.gc_ns,
            stalls_ns=now.stalled_ns,
            longest_stall_ns=now.longest_stall_ns,
            role=worker.role,
            collections=now.gc_pauses,
            stalls=now.stalls,
            peak_rss_bytes=now.peak_rss_bytes,
            rss_growth_bytes=now.rss_bytes - then.rss_bytes,
        )
        for number, (worker, then, now) in enumerate(zip(workers, before, after, strict=True))
    ]


def _difference(then: int | None, now: int | None) -> int | None:
    return None if then is None or now is None else now - then


def facts_of(
    source: Source,
    workers: Sequence[WorkerFacts],
    subscriptions: Iterable[str],
    *,
    window_ns: int,
    rated_ns: int,
    intervals: int,
    target_rate: float,
) -> Facts:
    """The facts that are known of any phase, be it over or not.

    Args:
        source: its figures.
        workers: what they took in it.
        subscriptions: the names of those that are read.
        window_ns: how long it was, or has been.
        rated_ns: the time that the rates of `source` are of.
        intervals: sample intervals that are complete.
        target_rate: messages per second that were asked for.
    """
    lag, response = (source.latency(family, None) for family in ("scheduleLag", "publishResponse"))
    totals = ("published", "publish_errors", "unsent", "unanswered")
    due = {name: int(source.count("totals", None, name) or 0) for name in totals}
    return Facts(
        window_ns=window_ns,
        schedule_lag_p99_ns=lag.ns("p99"),
        publish_response_p99_ns=response.ns("p99"),
        workers=workers,
        target_rate=target_rate,
        achieved=_achieved(source, subscriptions, target_rate, rated_ns),
        due=sum(due.values()),
        errors=due["publish_errors"],
        intervals=intervals,
    )


def _achieved(source: Source, subscriptions: Iterable[str], target_rate: float, rated_ns: int) -> dict[str, float]:
    """Messages per second, `published` and received by each subscription, with what was on its way at the end."""

    def with_what_was_on_its_way(rate: float | None, service: LatencySummary) -> float:
        usual_ns = min(service.p50, MOST_ON_ITS_WAY_NS) if service.count else 0
        return (rate or 0.0) + target_rate * usual_ns / max(rated_ns, 1)

    published = with_what_was_on_its_way(source.rate("publishRate", None), source.latency("publish", None))
    return {"published": published} | {
        name: with_what_was_on_its_way(source.rate("consumeRate", name), source.latency("endToEnd", name))
        for name in subscriptions
    }
