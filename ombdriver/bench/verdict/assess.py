"""Metrics of a run -> what is said of it as a whole: verdict, thresholds, caveats, percentiles at the floor. Pure.

Brings facts to the rules, and knows none of their limits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ombdriver.bench.metrics.summary import BacklogMetrics, RunMetrics
from ombdriver.bench.spec.thresholds import Check, Threshold
from ombdriver.bench.verdict import caveats as cautions
from ombdriver.bench.verdict import trend
from ombdriver.bench.verdict.facts import DrainFacts, Facts, TrendFacts, WorkerFacts, facts_of
from ombdriver.bench.verdict.floor import at_floor
from ombdriver.bench.verdict.model import Caveat, Ending, Verdict
from ombdriver.bench.verdict.rules import judge

LEAST_LATENCY_NS = 500_000
"""A change of a latency is told as a share of that at least: 10 % of it are what wake-ups of this harness vary by."""
_SUMMED = ("p50", "p99")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What was run, and on what.

    Attributes:
        ending: why it ended before its time; None when it did not.
        setup: as resolved.
        cores: that the run could use.
        harness: the figures of a calibration of this machine; None without one.
        loopback: whether the driver lives within one process.
        rate_changes: whether the target rate is the mean of a rate that changes.
    """

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
    measured: RunMetrics,
    circumstances: Circumstances,
    workers: Sequence[WorkerFacts],
    thresholds: Sequence[Threshold],
) -> Assessment:
    """What is to be said of `measured`, which `workers` made."""
    facts = final_facts(measured, circumstances, workers)
    caveats = (
        *cautions.on_samples(measured),
        *(cautions.on_targets(measured) if circumstances.rate_changes else ()),
        *cautions.on_stalls(facts.workers, facts.bound_ns),
        *cautions.on_cores(circumstances.setup, len(workers), circumstances.cores),
    )
    return Assessment(
        judge(facts),
        tuple(threshold.check(measured) for threshold in thresholds),
        tuple(at_floor(measured, circumstances.harness, circumstances.loopback)),
        caveats,
    )


def final_facts(measured: RunMetrics, circumstances: Circumstances, workers: Sequence[WorkerFacts]) -> Facts:
    """What the rules of the verdict look at when the run is over."""
    first = _first_settled(measured)
    known = facts_of(
        measured,
        workers,
        [each.name for each in measured.subscriptions],
        window_ns=measured.length_ns,
        rated_ns=measured.length_ns,
        intervals=len(measured.publish_rate) - first,
        target_rate=measured.target_rate,
    )
    return replace(
        known,
        ending=circumstances.ending,
        lost=_gone(measured, "lost", 0),
        trimmed=_gone(measured, "trimmed", 1),
        rate_changes=circumstances.rate_changes,
        trends=[] if circumstances.rate_changes else _trends(measured, first),
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
    return found | {f"{name}, in the warm-up": counts[place] for name, counts in measured.warm_up_losses.items()}


def _trends(measured: RunMetrics, first: int) -> list[TrendFacts]:
    series: dict[str, Sequence[float | None]] = {"publishRate": measured.publish_rate}
    sizes: dict[str, float] = {"publishRate": measured.target_rate}
    for family in ("publishResponse", "endToEndResponse"):
        for percentile in _SUMMED:
            name = f"{family}Latency{percentile[1:]}pct"
            series[name] = [
                getattr(each, percentile) if each.count else None for each in measured.families[family].series
            ]
            sizes[name] = LEAST_LATENCY_NS
    if measured.subscriptions:
        series["backlog"] = measured.backlog
        sizes["backlog"] = measured.target_rate * measured.interval_ns / 1e9 * len(measured.subscriptions)
    found = {name: trend.trend(values[first:], sizes.get(name, 0.0)) for name, values in series.items()}
    return [TrendFacts(name, each.change, each.p_value) for name, each in found.items() if each is not None]
