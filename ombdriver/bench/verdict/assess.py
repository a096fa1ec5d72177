"""RunMetrics of a run -> what is said of it as a whole: verdict, thresholds, caveats, percentiles at the floor. Pure.

Brings facts to the rules, and knows none of their limits.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ombdriver.bench.metrics.figures import Source
from ombdriver.bench.metrics.latency import LatencySummary
from ombdriver.bench.metrics.summary import BacklogMetrics, RunMetrics
from ombdriver.bench.spec.thresholds import Check, Threshold
from ombdriver.bench.verdict import caveats as cautions
from ombdriver.bench.verdict import trend
from ombdriver.bench.verdict.facts import DrainFacts, Facts, TrendFacts, WorkerFacts
from ombdriver.bench.verdict.floor import at_floor
from ombdriver.bench.verdict.model import Caveat, Ending, Verdict
from ombdriver.bench.verdict.rules import judge

MOST_ON_ITS_WAY_NS = 100_000_000
"""At the end of the window messages are on their way for one median service time; for no longer than that it counts."""
LEAST_LATENCY_NS = 500_000
"""A change of a latency is told as a share of that at least: 10 % of it are what wake-ups of this harness vary by."""
_SUMMED = ("p50", "p99")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What was run, and on what.

    Attributes:
        length_ns: of the measured window.
        interval_ns: of a sample interval.
        target_rate: messages per second.
        rate_changes: whether that is the mean of a rate that changes.
        ending: why it ended before its time; None when it did not.
        setup: as resolved.
        cores: that the run could use.
        harness: the figures of a calibration of this machine; None without one.
        loopback: whether the driver lives within one process.
    """

    length_ns: int
    interval_ns: int
    target_rate: float
    ending: Ending | None
    setup: Mapping[str, Any]
    cores: float
    harness: Mapping[str, Any] | None
    loopback: bool
    rate_changes: bool = False


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is said of a run as a whole; the attributes are those of a `Result`."""

    verdict: Verdict
    thresholds: tuple[Check, ...]
    at_harness_floor: tuple[str, ...]
    caveats: tuple[Caveat, ...]


def assess(
    measured: RunMetrics, window: Circumstances, workers: Sequence[Mapping[str, Any]], thresholds: Sequence[Threshold]
) -> Assessment:
    """What is to be said of `measured`; `workers` as in the `environment.workers` of a result."""
    source = Measured(measured, window)
    facts = facts_of(measured, window, workers, source)
    caveats = (
        *cautions.on_samples(measured, window.length_ns),
        *(cautions.on_targets(measured, window.interval_ns, window.length_ns) if window.rate_changes else ()),
        *cautions.on_stalls(facts.workers, facts.bound_ns),
        *cautions.on_cores(window.setup, len(workers), window.cores),
    )
    return Assessment(
        judge(facts),
        tuple(threshold.check(source) for threshold in thresholds),
        tuple(at_floor(measured, window.harness, window.target_rate, window.loopback)),
        caveats,
    )


class Measured:
    """The figures of a whole run, for thresholds (`figures.Source`)."""

    def __init__(self, measured: RunMetrics, window: Circumstances) -> None:
        self._measured, self._window = measured, window
        self._rates = {
            "publishRate": measured.publish_rate,
            "publishErrorRate": measured.publish_error_rate,
            "consumeRate": measured.consume_rate,
        }

    def latency(self, name: str, group: str | None) -> LatencySummary:
        """See `Source`."""
        if name in self._measured.delay_parts:
            return self._measured.delay_parts[name]
        if name not in self._measured.families:
            return LatencySummary.none()
        if group is None:
            return self._measured.families[name].total
        found = (each.latency[name].total for each in self._measured.subscriptions if each.name == group)
        return next(found, LatencySummary.none())

    def count(self, name: str, group: str | None, attribute: str) -> float | None:
        """See `Source`."""
        if name == "backlogDrain":
            return _of_drain(self._measured.backlog_drain, group, attribute)
        if name == "totals":
            return int(getattr(self._measured.totals, attribute))
        told = [each for each in self._measured.delivery if group in (None, each.subscription)]
        counts = [getattr(each, attribute) for each in told]
        return sum(counts) if counts and None not in counts else None

    def rate(self, name: str, group: str | None) -> float | None:
        """See `Source`. The mean over the window, whose last interval may be a shorter one."""
        if group is not None:
            return next((each.consume_rate for each in self._measured.subscriptions if each.name == group), None)
        rates, interval_ns, length_ns = self._rates[name], self._window.interval_ns, self._window.length_ns
        if not rates or length_ns <= 0:
            return None
        last_ns = length_ns - (len(rates) - 1) * interval_ns
        return (sum(rates[:-1]) * interval_ns + rates[-1] * last_ns) / length_ns


def _of_drain(drain: BacklogMetrics | None, group: str | None, attribute: str) -> float | None:
    """A figure of a drain; it did not take so long when it was not over."""
    found = None if drain is None else drain.total if group is None else drain.subscriptions.get(group)
    if found is None or (attribute == "drain_seconds" and not found.caught_up):
        return None
    value: float = getattr(found, attribute)
    return value


def facts_of(
    measured: RunMetrics, window: Circumstances, workers: Sequence[Mapping[str, Any]], source: Measured
) -> Facts:
    """What the rules of the verdict look at."""
    lag = measured.delay_parts.get("scheduleLag", LatencySummary.none())
    first = _first_settled(measured)
    response, totals = measured.families["publishResponse"].total, measured.totals
    return Facts(
        window_ns=window.length_ns,
        ending=window.ending,
        lost=_gone(measured, "lost", 0),
        trimmed=_gone(measured, "trimmed", 1),
        schedule_lag_p99_ns=lag.p99 if lag.count else None,
        publish_response_p99_ns=response.p99 if response.count else None,
        workers=[worker_facts(number, each) for number, each in enumerate(workers)],
        target_rate=window.target_rate,
        rate_changes=window.rate_changes,
        achieved=achieved(source, [each.name for each in measured.subscriptions], window.target_rate, window.length_ns),
        due=totals.published + totals.publish_errors + totals.unsent + totals.unanswered,
        errors=totals.publish_errors,
        trends=[] if window.rate_changes else _trends(measured, window, first),
        intervals=len(measured.publish_rate) - first,
        drains=_drains(measured.backlog_drain),
    )


def _first_settled(measured: RunMetrics) -> int:
    """The first interval that trends are judged from: while a backlog is drained, everything is to change."""
    drain = measured.backlog_drain
    if drain is None:
        return 0
    return len(measured.publish_rate) if drain.settled_interval is None else drain.settled_interval


def _drains(drain: BacklogMetrics | None) -> list[DrainFacts]:
    if drain is None:
        return []
    return [
        DrainFacts(name, each.caught_up, each.messages, each.left, each.drain_ns)
        for name, each in drain.subscriptions.items()
    ]


def _gone(measured: RunMetrics, attribute: str, place: int) -> dict[str, int] | None:
    """What each subscription will never get; None without a ledger."""
    if not measured.delivery:
        return None
    found = {each.subscription: int(getattr(each, attribute)) for each in measured.delivery}
    if measured.backlog_drain is not None:
        of_backlog = measured.backlog_drain.delivery
        found |= {f"{each.subscription}, of the backlog": int(getattr(each, attribute)) for each in of_backlog}
    return found | {f"{name}, in the warm-up": counts[place] for name, counts in measured.gone_before.items()}


def worker_facts(number: int, told: Mapping[str, Any]) -> WorkerFacts:
    """One of the `environment.workers` of a result, for the rules."""

    def ns(key: str) -> int | None:
        value = told.get(key)
        return None if value is None else round(value * 1e6)

    return WorkerFacts(
        name=f"worker {number} ({told.get('role', '?')})",
        cpu_ns=round((told.get("windowCpuSeconds") or 0.0) * 1e9),
        run_delay_ns=ns("runDelayMs") or None,  # 0 where the system does not tell
        throttled_ns=ns("throttledMs"),
        longest_collection_ns=ns("longestCollectionMs") or 0,
        collections_ns=ns("collectingMs") or 0,
        stalls_ns=ns("stalledMs"),
        longest_stall_ns=ns("longestStallMs"),
    )


def achieved(source: Source, subscriptions: Iterable[str], target_rate: float, length_ns: int) -> dict[str, float]:
    """Messages per second, `published` and received by each subscription, with what was on its way at the end.

    Args:
        source: the figures.
        subscriptions: their names.
        target_rate: messages per second that were asked for.
        length_ns: the time that the figures are of.
    """

    def with_what_was_on_its_way(rate: float | None, service: LatencySummary) -> float:
        usual_ns = min(service.p50, MOST_ON_ITS_WAY_NS) if service.count else 0
        return (rate or 0.0) + target_rate * usual_ns / max(length_ns, 1)

    published = with_what_was_on_its_way(source.rate("publishRate", None), source.latency("publish", None))
    return {"published": published} | {
        name: with_what_was_on_its_way(source.rate("consumeRate", name), source.latency("endToEnd", name))
        for name in subscriptions
    }


def _trends(measured: RunMetrics, window: Circumstances, first: int) -> list[TrendFacts]:
    series: dict[str, Sequence[float | None]] = {"publishRate": measured.publish_rate}
    sizes: dict[str, float] = {"publishRate": window.target_rate}
    for family in ("publishResponse", "endToEndResponse"):
        for percentile in _SUMMED:
            name = f"{family}Latency{percentile[1:]}pct"
            series[name] = [
                getattr(each, percentile) if each.count else None for each in measured.families[family].series
            ]
            sizes[name] = LEAST_LATENCY_NS
    if measured.subscriptions:
        series["backlog"] = measured.backlog
        sizes["backlog"] = window.target_rate * window.interval_ns / 1e9 * len(measured.subscriptions)
    found = {name: trend.trend(values[first:], sizes.get(name, 0.0)) for name, values in series.items()}
    return [TrendFacts(name, each.change, each.p_value) for name, each in found.items() if each is not None]
