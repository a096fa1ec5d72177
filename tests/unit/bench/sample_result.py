"""A run that never was, for the tests of what is made from results."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

from ombdriver.bench.metrics.latency import STATISTICS, LatencySummary
from ombdriver.bench.metrics.summary import (
    FAMILIES,
    GROUP_FAMILIES,
    Distribution,
    FamilyMetrics,
    RunMetrics,
    SubscriptionMetrics,
    Totals,
)
from ombdriver.bench.results.build import RunRecord, build_result
from ombdriver.bench.results.result import Result
from ombdriver.bench.verdict.assess import Assessment
from ombdriver.bench.verdict.model import INTERRUPTED, VALID, Ending, Verdict

SECOND = 10**9
SPEC: dict[str, Any] = {
    "name": "1kb-3groups",
    "topics": 1,
    "partitionsPerTopic": 1,
    "messageSize": 1024,
    "producersPerTopic": 1,
    "consumerPerSubscription": 1,
    "subscriptionsPerTopic": 3,
    "producerRate": 2000,
}


TELEMETRY: dict[str, Any] = {
    "intervalSeconds": 1.0,
    "summary": {
        "serverCpu": {"mean": 0.0931, "peak": 0.2826},
        "usedMemoryPeakBytes": 16_210_904,
        "evictedKeys": 0,
        "expiredKeys": 0,
        "delayedFsyncs": None,
        "forks": 1,
        "longestForkMs": 0.312,
        "serverProcessCpu": {"mean": None, "peak": None},
        "serverProcessWaiting": {"mean": None, "peak": None},
        "busiestWorkerCpu": {"mean": 0.37, "peak": 1.4},
        "steal": {"mean": 0.0, "peak": 0.0},
        "pressure": {"mean": 0.31, "peak": 0.4},
    },
    "server": None,
    "processes": {"t": [], "machine": {}, "server": None, "parent": {}, "workers": []},
    "cost": {"looks": 31},
}
"""What a result tells of server and processes, shortened."""


TIMES = {"min": 0.5, "avg": 1.1, "p50": 1, "p75": 2, "p95": 3, "p99": 5, "p99.9": 9, "p99.99": 20, "p99.999": 30}
"""Each statistic as a multiple of the median; the greatest is the 40-fold."""


def figures(scale: int, count: int = 60_000) -> LatencySummary:
    """A distribution whose median is `scale` ns."""
    if not count:
        return LatencySummary.none()
    times = {each.attribute: TIMES.get(name, 40) for name, each in STATISTICS.items()}
    return LatencySummary(count=count, **{name: round(scale * each) for name, each in times.items()})


def family(scale: int, intervals: int = 3, count: int = 60_000) -> FamilyMetrics:
    """A family whose median is `scale` ns, with an empty interval at its end."""
    series = [figures(scale + one, 2_000) for one in range(intervals - 1)] + [LatencySummary.none()]
    quantiles = {50.0: scale, 99.0: scale * 5, 100.0: scale * 40}
    known = {"p50": (scale * 97 // 100, scale * 104 // 100), "p99": (scale * 4, scale * 7)}
    return FamilyMetrics(figures(scale, count), "HISTFAAAA", series, quantiles, confidence=known if count else {})


def measurements(groups: int = 3, **changed: Any) -> RunMetrics:
    """What a run of `groups` groups at 2,000 messages/s for 30 s measured."""
    scales = dict(zip(FAMILIES, (61_000, 31_400, 180_000, 95_000, 212_000), strict=True))
    values: dict[str, Any] = {
        "length_ns": 30 * SECOND,
        "interval_ns": SECOND,
        "target_rate": 2000.0,
        "families": {
            name: family(scale, count=60_000 * (groups if name in GROUP_FAMILIES else 1))
            for name, scale in scales.items()
        },
        "subscriptions": [
            SubscriptionMetrics(
                f"group-{number}",
                60_000,
                1999.97,
                {
                    name: Distribution(figures(scales[name] + number * 7_000), f"HIST{number}")
                    for name in GROUP_FAMILIES
                },
            )
            for number in range(1, groups + 1)
        ],
        "publish_rate": [2000.0, 1999.5, 2000.5],
        "publish_error_rate": [0.0, 0.0, 0.0],
        "consume_rate": [groups * rate for rate in (2000.0, 1999.5, 2000.5)],
        "backlog": [0, 3, 0],
        "totals": Totals(60_000, 0, 0, 60_000 * groups),
        "counters": {"overRange": 0},
    }
    return RunMetrics(**(values | changed))


RECORD = RunRecord(
    run_id="k3v9qz",
    workload_spec=SPEC,
    workload_sha256="ab" * 32,
    setup={"name": "embedded", "driver": "redis-streams"},
    driver="redis-streams",
    begin_time=datetime(2026, 3, 1, 12, 0, 10, 500_000, UTC),
    environment={"python": "3.11.4"},
    tags={"host": "lab"},
    version="0.1.0",
)


def result(measured: RunMetrics | None = None, partial_reason: str | None = None, **changed: Any) -> Result:
    """The result of `measured`, without a verdict.

    Args:
        measured: what was measured; 30 s of three groups by default.
        partial_reason: why the run was interrupted; None when it was not.
        changed: attributes of the record of the run, of what was measured, or else of the result itself.
    """
    measured = measured or measurements()
    spec = SPEC | {"subscriptionsPerTopic": len(measured.subscriptions)}
    ending = None if partial_reason is None else Ending(INTERRUPTED, partial_reason)
    own, taken = ({each.name for each in fields(cls)} & changed.keys() for cls in (RunRecord, RunMetrics))
    record = replace(RECORD, **({"workload_spec": spec, "ending": ending} | {name: changed[name] for name in own}))
    measured = replace(measured, **{name: changed[name] for name in taken - own})
    said: dict[str, Any] = {
        name: tuple(changed[name]) for name in ("thresholds", "at_harness_floor", "caveats") if name in changed
    }
    if "own_parts" in changed:
        said["own_parts"] = changed["own_parts"]
    rest = {name: value for name, value in changed.items() if name not in own | taken | said.keys()}
    return replace(build_result(measured, record, Assessment(Verdict(VALID), **said)), **({"verdict": None} | rest))
