"""Measurements and facts of a run -> its Result: the names and the units.

Pure. The one place where nanoseconds become the milliseconds and microseconds of a result.

The drain of a backlog -> the `backlogDrain` of a result: names and units. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from ombdriver.bench.load.profile import Profile
from ombdriver.bench.metrics.latency import HEADLINE, LatencySummary
from ombdriver.bench.metrics.phase_view import StretchMetrics
from ombdriver.bench.metrics.summary import (
    FAMILIES,
    GROUP_FAMILIES,
    BacklogDelivery,
    BacklogMetrics,
    Distribution,
    DrainMetrics,
    RunMetrics,
)
from ombdriver.bench.results import omb_keys
from ombdriver.bench.results.result import Result, Standing, Subscription, to_json
from ombdriver.bench.results.versions import content_sha256
from ombdriver.bench.spec.rate_profile import profile_to_json
from ombdriver.bench.spec.thresholds import Check
from ombdriver.bench.spec.workload import topic_count
from ombdriver.bench.verdict.facts import WorkerFacts
from ombdriver.bench.verdict.model import Caveat, Verdict
from ombdriver.bench.verdict.probe import Found


def told_search(found: Found) -> dict[str, Any]:
    """The `search` of a result."""
    limits = [probe.limit for probe in found.probes if probe.rate == found.failing and probe.limit is not None]
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
                "publishResponse": _probed(probe.publish),
                "endToEndResponse": _probed(probe.end_to_end),
                "serverCpu": None if probe.server_cpu is None else round(probe.server_cpu, 4),
            }
            for probe in found.probes
        ],
    }


def told_stretch(found: StretchMetrics) -> dict[str, Any]:
    """One of the `stretches` of a result."""
    return {
        "beginSeconds": found.begin_ns / 10**9,
        "endSeconds": found.end_ns / 10**9,
        "from": found.stretch.first,
        "to": found.stretch.last,
        "targetRate": round(found.target_rate, 3),
        "publishRate": round(found.publish_rate, 3),
        "consumeRate": round(found.consume_rate, 3),
        "backlog": found.backlog,
        "publishResponse": _probed(found.publish),
        "endToEndResponse": _probed(found.end_to_end),
    }


def _probed(figures: LatencySummary) -> dict[str, float | None]:
    return {name: figures.ms(name) for name in HEADLINE}


def worker_to_json(found: WorkerFacts) -> dict[str, Any]:
    """One of the `environment.workers` of a result."""
    return {
        "role": found.role,
        "windowCpuSeconds": found.cpu_ns / 1e9,
        "peakRssBytes": found.peak_rss_bytes,
        "rssGrowthBytes": found.rss_growth_bytes,
        "garbageCollections": found.collections,
        "longestCollectionMs": found.longest_collection_ns / 1e6,
        "collectingMs": found.collections_ns / 1e6,
        "runDelayMs": (found.run_delay_ns or 0) / 1e6,
        "loopStalls": found.stalls,
        "longestStallMs": (found.longest_stall_ns or 0) / 1e6,
        "stalledMs": (found.stalls_ns or 0) / 1e6,
        "throttledMs": None if found.throttled_ns is None else found.throttled_ns / 1e6,
    }


def build_result(
    measured: RunMetrics,
    *,
    version: str,
    run_id: str,
    tags: Mapping[str, str],
    begin_time: datetime,
    end_time: datetime,
    driver: str,
    workload_spec: Mapping[str, Any],
    workload_sha256: str,
    setup: Mapping[str, Any],
    environment: Mapping[str, Any],
    telemetry: Mapping[str, Any] | None = None,
    profile: Profile | None = None,
    stretches: Sequence[StretchMetrics] = (),
    search: Mapping[str, Any] | None = None,
    backlog_drain: Mapping[str, Any] | None = None,
    standing: Standing | None = None,
    overrides: Sequence[str] = (),
    sweep: Mapping[str, Any] | None = None,
    sweep_of: Mapping[str, str] | None = None,
    caveats: Sequence[Caveat] = (),
    partial_reason: str | None = None,
    verdict: Verdict | None = None,
    thresholds: Sequence[Check] = (),
    at_harness_floor: Sequence[str] = (),
) -> Result:
    """The result of one run.

    Args:
        measured: the figures of the measured window.
        version: of ombdriver.
        run_id: the run's.
        tags: the user's.
        begin_time: of the measured window; with a time zone.
        end_time: of the measured window; with a time zone.
        driver: its name.
        workload_spec: the resolved workload under OMB's names.
        workload_sha256: its hash.
        setup: the resolved setup, without secrets.
        environment: the fingerprint, without secrets.
        telemetry: what the server and the processes did; None when nobody looked.
        profile: how the rate changed over the measured time; None when it did not.
        stretches: the window by the stretches of the profile; none without one.
        search: how the rate was found; None when it was given.
        backlog_drain: how a backlog was built and drained; None when none was.
        standing: where the run stands among those of its command; None when nobody said.
        sweep: the values of the settings that were swept, by path; None or empty when none was.
        sweep_of: the names of workload and setup without those values; None or empty when nothing was swept.
        overrides: what the command line put into the files, without secrets.
        caveats: what has to be known with the figures.
        partial_reason: why the run ended before its time; None when it did not.
        verdict: on the figures.
        thresholds: what became of them.
        at_harness_floor: the percentiles that are no higher than the harness's own.
    """
    series: dict[str, list[float | None]] = {}
    quantiles: dict[str, dict[str, float]] = {}
    for family, found in measured.families.items():
        series |= omb_keys.series(family, found.series)
        quantiles |= omb_keys.quantiles(family, found.quantiles)
    totals = measured.totals
    return Result(
        version=version,
        run_id=run_id,
        tags=dict(tags),
        standing=standing,
        overrides=tuple(overrides),
        sweep=dict(sweep or {}),
        sweep_of=dict(sweep_of or {}),
        begin_time=_iso(begin_time),
        end_time=_iso(end_time),
        partial=partial_reason is not None,
        partial_reason=partial_reason,
        verdict=verdict,
        thresholds=tuple(thresholds),
        at_harness_floor=tuple(at_harness_floor),
        caveats=tuple(caveats),
        workload=workload_spec["name"],
        driver=driver,
        message_size=workload_spec["messageSize"],
        topics=topic_count(workload_spec),
        partitions=workload_spec["partitionsPerTopic"],
        producers_per_topic=workload_spec["producersPerTopic"],
        consumers_per_topic=workload_spec["consumerPerSubscription"],
        subscriptions_per_topic=workload_spec["subscriptionsPerTopic"],
        target_publish_rate=round(measured.target_rate, 3),
        rate_profile=None if profile is None else profile_to_json(profile),
        stretches=tuple(map(told_stretch, stretches)),
        target_rates=tuple(_rounded(measured.target_rates)),
        search=search,
        backlog_drain=backlog_drain,
        sample_interval_seconds=measured.interval_ns / 10**9,
        totals={
            "published": totals.published,
            "publishErrors": totals.publish_errors,
            "indeterminate": totals.indeterminate,
            "underReplicated": min(totals.indeterminate, measured.counters.get("underReplicated", 0)),
            "unsent": totals.unsent,
            "unanswered": totals.unanswered,
            "received": totals.received,
            "receivedOfOthers": totals.received_of_others,
        },
        delivery=tuple(measured.delivery),
        counters=dict(measured.counters),
        delay_parts=dict(measured.delay_parts),
        subscriptions=tuple(
            Subscription(
                each.name,
                each.received,
                round(each.consume_rate, 3),
                {family: each.latency[family].total for family in GROUP_FAMILIES},
            )
            for each in measured.subscriptions
        ),
        latency={family: measured.families[family].total for family in FAMILIES},
        rates={
            "publishRate": _rounded(measured.publish_rate),
            "publishErrorRate": _rounded(measured.publish_error_rate),
            "consumeRate": _rounded(measured.consume_rate),
            "backlog": list(measured.backlog),
        },
        series=series,
        quantiles=quantiles,
        workload_spec=workload_spec,
        workload_sha256=workload_sha256,
        setup=setup,
        setup_sha256=content_sha256(setup),
        environment=environment,
        telemetry=telemetry,
        histograms={
            "unit": "ns",
            "families": _encoded(measured.families),
            "subscriptions": {each.name: _encoded(each.latency) for each in measured.subscriptions},
            **({"intervals": _intervals(measured)} if measured.histogram_interval_ns else {}),
        },
    )


def _encoded(distributions: Mapping[str, Distribution]) -> dict[str, str]:
    return {family: each.encoded for family, each in distributions.items()}


def _intervals(measured: RunMetrics) -> dict[str, Any]:
    return {
        "seconds": measured.histogram_interval_ns / 10**9,
        "families": {family: list(each.intervals) for family, each in measured.families.items()},
        "subscriptionSeconds": measured.subscription_interval_ns / 10**9,
        "subscriptions": {
            each.name: {family: list(one.intervals) for family, one in each.latency.items()}
            for each in measured.subscriptions
        },
    }


def _rounded(rates: Sequence[float]) -> list[float]:
    return [round(rate, 3) for rate in rates]


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def told_drain(found: BacklogMetrics) -> dict[str, Any]:
    """The `backlogDrain` of a result."""
    begin = found.total.messages
    deliveries = {each.subscription: each for each in found.delivery}
    return {
        "askedBytes": found.asked_bytes,
        "askedMessages": found.asked_messages * len(found.subscriptions),
        "bytes": begin * found.message_size,
        "messages": begin,
        "level": found.level,
        "buildSeconds": _seconds(found.build_ns),
        **_drained(found.total),
        "subscriptions": [
            {
                "name": name,
                "messages": each.messages,
                **_drained(each),
                "delivery": _plainly(deliveries[name]) if name in deliveries else None,
            }
            for name, each in found.subscriptions.items()
        ],
        "publishDuring": _summaries(found.publish_during),
        "publishAfter": _summaries(found.publish_after),
    }


def _drained(found: DrainMetrics) -> dict[str, Any]:
    return {
        "caughtUp": found.caught_up,
        "drainSeconds": _seconds(found.drain_ns),
        "left": found.left,
        "drainRate": round(found.drain_rate, 3),
        "receiveRate": round(found.receive_rate, 3),
        "backlogLatency": _summaries(found.backlog_latency),
        "freshLatency": _summaries(found.fresh_latency),
    }


def _summaries(found: Mapping[str, LatencySummary]) -> dict[str, Any]:
    return {family: to_json(each) for family, each in found.items()}


def _plainly(delivery: BacklogDelivery) -> dict[str, int]:
    return {each.name: getattr(delivery, each.name) for each in fields(delivery) if each.name != "subscription"}


def _seconds(ns: int) -> float:
    return round(ns / 10**9, 3)
