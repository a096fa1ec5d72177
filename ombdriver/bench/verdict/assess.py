"""Metrics of a run -> what is said of it as a whole: verdict, thresholds, caveats, percentiles at the floor. Pure.

Makes the facts that rules and caveats are found from, and knows none of their bounds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ombdriver.bench.metrics.phase_view import PhaseView
from ombdriver.bench.metrics.summary import FAMILIES, RunMetrics
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.spec.thresholds import Check, Threshold
from ombdriver.bench.verdict.advice import with_advice
from ombdriver.bench.verdict.caveats import caveats_of
from ombdriver.bench.verdict.facts import Facts, phase_facts
from ombdriver.bench.verdict.floor import at_floor
from ombdriver.bench.verdict.model import Caveat, Verdict
from ombdriver.bench.verdict.own_parts import own_parts
from ombdriver.bench.verdict.rules import LATENCY_TRENDS, judge
from ombdriver.bench.verdict.trend import Trend, trend

LEAST_LATENCY_NS = 500_000
"""A change of a latency is taken as a share of that at least: 10 % of it are what wake-ups of this harness vary by."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is said of a run as a whole.

    Attributes:
        verdict: whether its figures can be trusted.
        thresholds: what became of each, in the user's order.
        at_harness_floor: the percentiles that are no higher than the harness's own.
        own_parts: the harness's own share of each percentile of which it is more than a third.
        caveats: what has to be known with the figures.
    """

    verdict: Verdict
    thresholds: tuple[Check, ...] = ()
    at_harness_floor: tuple[str, ...] = ()
    own_parts: Mapping[str, float] = field(default_factory=dict)
    caveats: tuple[Caveat, ...] = ()


def assess(
    metrics: RunMetrics,
    facts: Facts,
    thresholds: Sequence[Threshold],
    calibration: Mapping[str, Any] | None,
    *,
    loopback: bool,
) -> Assessment:
    """What is to be said of a run.

    Args:
        metrics: what was measured.
        facts: those of `run_facts`.
        thresholds: the user's.
        calibration: the figures of one of this machine; None without one.
        loopback: whether the driver lives within one process.
    """
    verdict = judge(facts)
    return Assessment(
        verdict if facts.is_elsewhere else with_advice(verdict, facts),  # the advice is for this machine
        tuple(threshold.check(metrics) for threshold in thresholds),
        tuple(at_floor(metrics, calibration, loopback)),
        own_parts(metrics, [each.name for each in metrics.subscriptions], facts.workers),
        tuple(caveats_of(facts)),
    )


def run_facts(metrics: RunMetrics, plan: Plan, observed: Facts, calm: PhaseView | None = None) -> Facts:
    """All facts of a run that is over.

    Args:
        metrics: what was measured.
        plan: the run.
        observed: the facts that are in neither: the workers, the ending, what happened to servers and to trimming.
        calm: the window without the intervals in which faults were felt; None without faults. Where no interval is
            left, nothing is judged by rates and latencies.
    """
    first = _first_settled(metrics)
    totals, counters = metrics.totals, metrics.counters
    return replace(
        phase_facts(
            observed,
            metrics if calm is None else calm,
            [each.name for each in metrics.subscriptions],
            window_ns=metrics.length_ns,
            intervals=len(metrics.publish_rate) - first,
            target_rate=metrics.target_rate if calm is None else calm.target_rate if calm.intervals else 0.0,
        ),
        faults=metrics.faults,
        rate_changes=plan.profile is not None,
        interval_ns=metrics.interval_ns,
        target_rates=metrics.target_rates,
        publish_rates=metrics.publish_rate,
        trends={} if plan.profile is not None else _trends(metrics, first),
        samples={family: count for family in FAMILIES if (count := metrics.families[family].total.count)},
        tails={family: metrics.families[family].tail for family in ("publishResponse", "endToEndResponse")},
        over_range=counters.get("overRangeSamples", 0),
        negative=counters.get("negativeSamples", 0),
        most_negative_ns=counters.get("mostNegativeNs", 0),
        unsent=totals.unsent,
        unanswered=totals.unanswered,
        under_replicated=counters.get("underReplicated", 0),
        lost=_gone(metrics, "lost", 0),
        trimmed=_gone(metrics, "trimmed", 1),
        corrupt=_counted(metrics, "corrupt"),
        duplicated=_counted(metrics, "duplicated", "redelivered", "repeated"),
        reordered=_counted(metrics, "reordered"),
        undelivered={each.subscription: each.undelivered for each in metrics.delivery},
        drains={} if metrics.backlog_drain is None else metrics.backlog_drain.subscriptions,
        of_others=totals.received_of_others,
        received=totals.received,
        received_from_other_hosts=totals.received_from_other_hosts,
        reconnects=counters.get("reconnects", 0),
        longest_silence_ms=counters.get("longestSilenceMs", 0),
        failed_acks=counters.get("failedAcknowledgements", 0),
        polling_rounds=counters.get("pollingRounds", 0),
        early_reads=counters.get("earlyReads", 0),
        lost_replies=counters.get("lostReplies", 0),
        kept_entries=plan.trimming.max_entries if plan.backlog is None else None,
        sends=plan.producers > 0,
        reads=bool(plan.reading),
        existing_topics=plan.existing,
        max_in_flight=plan.max_in_flight,
    )


def _first_settled(metrics: RunMetrics) -> int:
    """The first interval that trends are judged from: while a backlog is drained, everything is to change."""
    drain = metrics.backlog_drain
    if drain is None:
        return 0
    return len(metrics.publish_rate) if drain.settled_interval is None else drain.settled_interval


def _gone(metrics: RunMetrics, attribute: str, place: int) -> dict[str, int] | None:
    """What each subscription will never get; None without a ledger."""
    if not metrics.delivery:
        return None
    found = {each.subscription: int(getattr(each, attribute)) for each in metrics.delivery}
    if metrics.backlog_drain is not None:
        of_backlog = metrics.backlog_drain.delivery
        found |= {f"{each.subscription}, of the backlog": int(getattr(each, attribute)) for each in of_backlog}
    return found | {f"{name}, in the warm-up": counts[place] for name, counts in metrics.warm_up_losses.items()}


def _counted(metrics: RunMetrics, *attributes: str) -> dict[str, int] | None:
    """The sum of some counts of each subscription; None where they were not counted."""
    counts = {each.subscription: [getattr(each, name) for name in attributes] for each in metrics.delivery}
    known = {name: sum(values) for name, values in counts.items() if None not in values}
    return known or None


def _trends(metrics: RunMetrics, first: int) -> dict[str, Trend]:
    series: dict[str, Sequence[float | None]] = {"publishRate": metrics.publish_rate}
    sizes: dict[str, float] = {"publishRate": metrics.target_rate}
    for name, figure in LATENCY_TRENDS.items():
        series[name] = [each.ns(figure.statistic) for each in metrics.families[figure.family].series]
        sizes[name] = LEAST_LATENCY_NS
    if metrics.subscriptions:
        series["backlog"] = metrics.backlog
        sizes["backlog"] = metrics.target_rate * metrics.interval_ns / 1e9 * len(metrics.subscriptions)
    trends = {name: trend(values[first:], sizes[name]) for name, values in series.items()}
    return {name: each for name, each in trends.items() if each is not None}
