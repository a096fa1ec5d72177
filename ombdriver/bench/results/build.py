"""Metrics, the record of a run and its assessment -> its `Result`: names of JSON, and units. Pure.

The one place where nanoseconds become the seconds, milliseconds and microseconds of a result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ombdriver import __version__
from ombdriver.bench.faults.durability import Durability
from ombdriver.bench.load.profile import Profile
from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.metrics.latency import HEADLINE, LatencySummary
from ombdriver.bench.metrics.summary import (
    FAMILIES,
    GROUP_FAMILIES,
    BacklogDelivery,
    BacklogMetrics,
    Distribution,
    DrainMetrics,
    FaultMetrics,
    FaultTotals,
    RunMetrics,
    StretchMetrics,
)
from ombdriver.bench.results import document, omb_keys
from ombdriver.bench.results.result import Result, Standing, Subscription, to_json
from ombdriver.bench.results.versions import content_sha256
from ombdriver.bench.spec.rate_profile import profile_to_json
from ombdriver.bench.spec.workload import topic_count
from ombdriver.bench.verdict.assess import Assessment
from ombdriver.bench.verdict.facts import WorkerFacts
from ombdriver.bench.verdict.model import Ending
from ombdriver.bench.verdict.probe import SearchResult


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What was run, when and on what: all that a result tells beside figures and what is said of them.

    Attributes:
        run_id: as in the names of the run's topics.
        workload_spec: the resolved workload under OMB's names.
        workload_sha256: its hash.
        setup: the resolved setup, without secrets.
        driver: its name.
        begin_time: of the measured window; with a time zone.
        ending: why the run ended before its time; None when it did not.
        profile: how the rate changed over the measured time; None when it did not.
        search_result: how the rate was found; None when it was given.
        environment: the fingerprint, without secrets.
        telemetry: what the server and the processes did; None when it was not sampled.
        tags: the user's.
        standing: where the run stands among those of its command; None when nobody said.
        overrides: what the command line put into the files, without secrets.
        sweep: the values of the settings that were swept, by path; empty when none was.
        sweep_of: the names of workload and setup without those values; empty when nothing was swept.
        durability: what an acknowledgement means; None where no faults were asked for.
        clock_error_ms: how wrong an end-to-end latency may be by the clocks of several hosts; None on one host.
        version: of ombdriver.
    """

    run_id: str
    workload_spec: Mapping[str, Any]
    workload_sha256: str
    setup: Mapping[str, Any]
    driver: str
    begin_time: datetime
    ending: Ending | None = None
    profile: Profile | None = None
    search_result: SearchResult | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    telemetry: Mapping[str, Any] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    standing: Standing | None = None
    overrides: Sequence[str] = ()
    sweep: Mapping[str, Any] = field(default_factory=dict)
    sweep_of: Mapping[str, str] = field(default_factory=dict)
    durability: Durability | None = None
    clock_error_ms: float | None = None
    version: str = __version__


def build_result(metrics: RunMetrics, run: RunRecord, assessment: Assessment) -> Result:
    """The result of one run."""
    series: dict[str, list[float | None]] = {}
    quantiles: dict[str, dict[str, float]] = {}
    for family, found in metrics.families.items():
        series |= omb_keys.series(family, found.series)
        quantiles |= omb_keys.quantiles(family, found.quantiles)
    totals, counters = metrics.totals, metrics.counters
    return Result(
        version=run.version,
        run_id=run.run_id,
        tags=dict(run.tags),
        standing=run.standing,
        overrides=tuple(run.overrides),
        sweep=dict(run.sweep),
        sweep_of=dict(run.sweep_of),
        begin_time=_iso(run.begin_time),
        end_time=_iso(run.begin_time + timedelta(microseconds=metrics.length_ns // 1000)),
        partial=run.ending is not None,
        partial_reason=None if run.ending is None else run.ending.reason,
        verdict=assessment.verdict,
        thresholds=assessment.thresholds,
        at_harness_floor=assessment.at_harness_floor,
        own_parts=assessment.own_parts,
        clock_error_ms=run.clock_error_ms,
        caveats=assessment.caveats,
        workload=run.workload_spec["name"],
        driver=run.driver,
        message_size=run.workload_spec["messageSize"],
        topics=topic_count(run.workload_spec),
        partitions=run.workload_spec["partitionsPerTopic"],
        producers_per_topic=run.workload_spec["producersPerTopic"],
        consumers_per_topic=run.workload_spec["consumerPerSubscription"],
        subscriptions_per_topic=run.workload_spec["subscriptionsPerTopic"],
        target_publish_rate=round(metrics.target_rate, 3),
        rate_profile=None if run.profile is None else profile_to_json(run.profile),
        stretches=tuple(map(stretch_to_json, metrics.stretches)),
        target_rates=tuple(_rounded(metrics.target_rates)),
        search=None if run.search_result is None else search_to_json(run.search_result),
        backlog_drain=None if metrics.backlog_drain is None else drain_to_json(metrics.backlog_drain),
        sample_interval_seconds=metrics.interval_ns / 10**9,
        totals={
            "published": totals.published,
            "publishErrors": totals.publish_errors,
            "indeterminate": totals.indeterminate,
            "underReplicated": min(totals.indeterminate, counters.get("underReplicated", 0)),
            "unsent": totals.unsent,
            "unanswered": totals.unanswered,
            "received": totals.received,
            "receivedOfOthers": totals.received_of_others,
            "receivedFromOtherHosts": totals.received_from_other_hosts,
        },
        delivery=tuple(metrics.delivery),
        faults=None if run.durability is None else faults_to_json(metrics.faults, run.durability),
        messages_per_write=None if metrics.messages_per_write is None else to_json(metrics.messages_per_write),
        counters=dict(counters),
        delay_parts=dict(metrics.delay_parts),
        subscriptions=tuple(
            Subscription(
                each.name,
                each.received,
                round(each.consume_rate, 3),
                {family: each.latency[family].total for family in GROUP_FAMILIES},
                each.received_from_other_hosts,
            )
            for each in metrics.subscriptions
        ),
        latency={family: metrics.families[family].total for family in FAMILIES},
        confidence=_confidence(metrics),
        rates={
            "publishRate": _rounded(metrics.publish_rate),
            "publishErrorRate": _rounded(metrics.publish_error_rate),
            "consumeRate": _rounded(metrics.consume_rate),
            "backlog": list(metrics.backlog),
        },
        series=series,
        quantiles=quantiles,
        workload_spec=run.workload_spec,
        workload_sha256=run.workload_sha256,
        setup=run.setup,
        setup_sha256=content_sha256(run.setup),
        environment=run.environment,
        telemetry=run.telemetry,
        histograms={
            "unit": "ns",
            "families": _encoded(metrics.families),
            "subscriptions": {each.name: _encoded(each.latency) for each in metrics.subscriptions},
            **({"intervals": _intervals(metrics)} if metrics.histogram_interval_ns else {}),
        },
    )


def _confidence(metrics: RunMetrics) -> dict[str, list[float]]:
    named: list[tuple[str, str | None, Distribution]] = [(name, None, each) for name, each in metrics.families.items()]
    named += [(name, group.name, each) for group in metrics.subscriptions for name, each in group.latency.items()]
    return {
        str(Figure(family, statistic, group)): [round(end / 1e6, 6) for end in ends]
        for family, group, distribution in named
        for statistic, ends in distribution.confidence.items()
    }


def _encoded(distributions: Mapping[str, Distribution]) -> dict[str, str]:
    return {family: each.encoded for family, each in distributions.items()}


def _intervals(metrics: RunMetrics) -> dict[str, Any]:
    return {
        "seconds": metrics.histogram_interval_ns / 10**9,
        "families": {family: list(each.intervals) for family, each in metrics.families.items()},
        "subscriptionSeconds": metrics.subscription_interval_ns / 10**9,
        "subscriptions": {
            each.name: {family: list(one.intervals) for family, one in each.latency.items()}
            for each in metrics.subscriptions
        },
    }


def _rounded(rates: Sequence[float]) -> list[float]:
    return [round(rate, 3) for rate in rates]


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# -- parts of a result that are plain data -----------------------------------------------------------------------------


def worker_to_json(worker: WorkerFacts) -> document.WorkerOfRun:
    """One of the `environment.workers` of a result."""
    told: document.WorkerOfRun = {
        "role": worker.role,
        "windowCpuSeconds": worker.cpu_ns / 1e9,
        "peakRssBytes": worker.peak_rss_bytes,
        "rssGrowthBytes": worker.rss_growth_bytes,
        "garbageCollections": worker.collections,
        "longestCollectionMs": worker.longest_collection_ns / 1e6,
        "collectingMs": worker.collections_ns / 1e6,
        "runDelayMs": worker.run_delay_ns / 1e6,
        "loopStalls": worker.stalls,
        "longestStallMs": worker.longest_stall_ns / 1e6,
        "stalledMs": worker.stalls_ns / 1e6,
        "throttledMs": None if worker.throttled_ns is None else worker.throttled_ns / 1e6,
    }
    return {**told, "host": worker.host} if worker.host else told


def search_to_json(found: SearchResult) -> document.Search:
    """The `search` of a result."""
    failed = [probe for probe in found.probes if probe.rate == found.failing]
    judged = [probe for probe in failed if not probe.is_spoilt]
    limits = [probe.limit for probe in judged or failed if probe.limit is not None]
    return {
        "sustainedRate": found.sustained,
        "failingRate": found.failing,
        "limit": limits[-1].value if limits else None,
        "probes": [
            {
                "rate": probe.rate,
                "seconds": round(probe.seconds, 3),
                "held": probe.held,
                "reasons": list(probe.reasons),
                "limit": None if probe.limit is None else probe.limit.value,
                "achieved": {name: round(rate, 3) for name, rate in probe.achieved.items()},
                "backlogGrowth": {name: round(rate, 3) for name, rate in probe.growth.items()},
                "publishResponse": _headline(probe.publish),
                "endToEndResponse": _headline(probe.end_to_end),
                "ownParts": {name: part for name, part in probe.own_parts.items() if name in _OF_PROBES},
                "serverCpu": None if probe.server_cpu is None else round(probe.server_cpu, 4),
            }
            for probe in found.probes
        ],
    }


def stretch_to_json(stretch: StretchMetrics) -> document.Stretch:
    """One of the `stretches` of a result."""
    return {
        "beginSeconds": stretch.begin_ns / 10**9,
        "endSeconds": stretch.end_ns / 10**9,
        "from": stretch.stretch.first,
        "to": stretch.stretch.last,
        "targetRate": round(stretch.target_rate, 3),
        "publishRate": round(stretch.publish_rate, 3),
        "consumeRate": round(stretch.consume_rate, 3),
        "backlog": stretch.backlog,
        "publishResponse": _headline(stretch.publish),
        "endToEndResponse": _headline(stretch.end_to_end),
    }


_OF_PROBES = {f"{family}.{name}" for family in ("publishResponse", "endToEndResponse") for name in HEADLINE}
"""The percentiles that a result tells of each probe."""


def _headline(summary: LatencySummary) -> dict[str, float | None]:
    return {name: summary.ms(name) for name in HEADLINE}


def faults_to_json(faults: Sequence[FaultMetrics], durability: Durability) -> document.Faults:
    """The `faults` of a result; times in seconds, from the beginning of the window or from the injection."""
    return {
        "durability": durability.kind,
        "replicas": durability.replicas,
        "acknowledged": str(durability),
        "totals": to_json(FaultTotals.of(faults)),
        "injections": [
            {
                "number": each.number,
                "kind": each.kind,
                "fault": each.text,
                "hit": list(each.hit),
                "askedSeconds": _seconds(each.asked_ns),
                "injectedSeconds": _seconds(each.injected_ns),
                "healedSeconds": _seconds_or_none(each.healed_ns),
                "error": each.error,
                "dataLost": each.data_lost,
                "hadEffect": each.had_effect,
                "detectSeconds": _seconds_or_none(each.detect_ns),
                "outageSeconds": _seconds(each.outage_ns),
                "recoverSeconds": _seconds_or_none(each.recover_ns),
                "beginSeconds": _seconds(each.begin_ns),
                "endSeconds": _seconds(each.end_ns),
                "failed": each.failed,
                "indeterminate": each.indeterminate,
                "promisesNoLoss": each.promises_no_loss,
                "groups": [
                    {
                        "name": group.subscription,
                        "outageSeconds": _seconds(group.outage_ns),
                        "catchUpSeconds": _seconds_or_none(group.catch_up_ns),
                        "acknowledged": group.acknowledged,
                        "lost": group.lost,
                        "undelivered": group.undelivered,
                        "recovered": group.recovered,
                        "redelivered": group.redelivered,
                        "duplicated": group.duplicated,
                        "reordered": group.reordered,
                    }
                    for group in each.groups
                ],
            }
            for each in faults
        ],
    }


def _seconds_or_none(ns: int | None) -> float | None:
    return None if ns is None else _seconds(ns)


def drain_to_json(backlog: BacklogMetrics) -> document.BacklogDrain:
    """The `backlogDrain` of a result."""
    messages = backlog.total.messages
    deliveries = {each.subscription: each for each in backlog.delivery}
    return {
        "askedBytes": backlog.asked_bytes,
        "askedMessages": backlog.asked_messages * len(backlog.subscriptions),
        "bytes": messages * backlog.message_size,
        "messages": messages,
        "level": backlog.level,
        "buildSeconds": _seconds(backlog.build_ns),
        **_drained(backlog.total),
        "subscriptions": [
            {
                "name": name,
                "messages": each.messages,
                **_drained(each),
                "delivery": _counts(deliveries[name]) if name in deliveries else None,
            }
            for name, each in backlog.subscriptions.items()
        ],
        "publishDuring": to_json(backlog.publish_during),
        "publishAfter": to_json(backlog.publish_after),
    }


def _drained(drain: DrainMetrics) -> document.Drained:
    return {
        "caughtUp": drain.caught_up,
        "drainSeconds": _seconds(drain.drain_ns),
        "left": drain.left,
        "drainRate": round(drain.drain_rate, 3),
        "receiveRate": round(drain.receive_rate, 3),
        "backlogLatency": to_json(drain.backlog_latency),
        "freshLatency": to_json(drain.fresh_latency),
    }


def _counts(delivery: BacklogDelivery) -> document.BacklogDelivery:
    return {
        "acknowledged": delivery.acknowledged,
        "received": delivery.received,
        "lost": delivery.lost,
        "trimmed": delivery.trimmed,
        "undelivered": delivery.undelivered,
        "recovered": delivery.recovered,
    }


def _seconds(ns: int) -> float:
    return round(ns / 10**9, 3)
