"""A run that never was, for the tests of what is made from results."""

from datetime import UTC, datetime
from typing import Any

from ombdriver.bench.metrics.latency import LatencySummary
from ombdriver.bench.metrics.summary import (
    FAMILIES,
    GROUP_FAMILIES,
    Distribution,
    FamilyMetrics,
    RunMetrics,
    SubscriptionMetrics,
    Totals,
)
from ombdriver.bench.results.build import build_result
from ombdriver.bench.results.result import Result

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
        "busiestWorkerCpu": {"mean": 0.37, "peak": 1.4},
    },
    "server": None,
    "processes": {"t": [], "server": None, "parent": {}, "workers": []},
    "cost": {"looks": 31},
}
"""What a result tells of server and processes, shortened."""


def figures(scale: int, count: int = 60_000) -> LatencySummary:
    """A distribution whose median is `scale` ns."""
    if not count:
        return LatencySummary.none()
    return LatencySummary(
        count,
        scale // 2,
        round(scale * 1.1),
        scale,
        scale * 2,
        scale * 3,
        scale * 5,
        scale * 9,
        scale * 20,
        scale * 30,
        scale * 40,
    )


def family(scale: int, intervals: int = 3, count: int = 60_000) -> FamilyMetrics:
    """A family whose median is `scale` ns, with an empty interval at its end."""
    series = [figures(scale + one, 2_000) for one in range(intervals - 1)] + [LatencySummary.none()]
    return FamilyMetrics(figures(scale, count), "HISTFAAAA", series, {50.0: scale, 99.0: scale * 5, 100.0: scale * 40})


def measurements(groups: int = 3, **changed: Any) -> RunMetrics:
    """What a run of `groups` groups at 2,000 msg/s measured in 3 s."""
    scales = dict(zip(FAMILIES, (61_000, 31_400, 180_000, 95_000, 212_000), strict=True))
    values: dict[str, Any] = {
        "length_ns": 3 * 10**9,
        "interval_ns": 10**9,
        "target_rate": float(SPEC["producerRate"]),
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


def result(measured: RunMetrics | None = None, **changed: Any) -> Result:
    """The result of `measured`."""
    measured = measured or measurements()
    values: dict[str, Any] = {
        "version": "0.1.0",
        "run_id": "k3v9qz",
        "tags": {"host": "lab"},
        "begin_time": datetime(2026, 3, 1, 12, 0, 10, 500_000, UTC),
        "end_time": datetime(2026, 3, 1, 12, 0, 40, 500_000, UTC),
        "driver": "redis-streams",
        "workload_spec": SPEC | {"subscriptionsPerTopic": len(measured.subscriptions)},
        "workload_sha256": "ab" * 32,
        "setup": {"name": "embedded", "driver": "redis-streams"},
        "environment": {"python": "3.11.4"},
    }
    return build_result(measured, **(values | changed))
