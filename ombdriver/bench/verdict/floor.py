"""Which percentiles of a run say more of the harness than of the system: those at or below the calibrated floor. Pure.

A calibration (`calibrate`) holds p50, p99 and p99.9 in ms, at some rates: against the null server, whose figures are
what a socket and the library cost, and in one process (the memory driver). The rate nearest to the run's is taken. The
null server delivers nothing, so what a delivery costs at least is what it costs in one process.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ombdriver.bench.metrics.latency import LatencySummary
from ombdriver.bench.metrics.summary import FAMILIES, GROUP_FAMILIES, RunMetrics


def at_floor(measured: RunMetrics, harness: Mapping[str, Any] | None, loopback: bool) -> list[str]:
    """The names of the percentiles at or below the floor, as `publish.p50` and `endToEnd[group-1].p99`.

    Args:
        measured: the figures of the window.
        harness: the figures of a calibration; None when there is none.
        loopback: whether the run's driver lives within one process.
    """
    floors = (harness or {}).get("floorMs", {})
    found = []
    for family in FAMILIES:
        where = "memory" if loopback or family in GROUP_FAMILIES else "nullServer"
        floor = _nearest(floors.get(where, {}), measured.target_rate).get(family, {})
        for name, summary in _summaries(measured, family):
            found += [f"{name}.{each}" for each, ms in floor.items() if _reached(summary, each, ms)]
    return found


def _summaries(measured: RunMetrics, family: str) -> Iterator[tuple[str, LatencySummary]]:
    yield family, measured.families[family].total
    if family in GROUP_FAMILIES:
        for group in measured.subscriptions:
            yield f"{family}[{group.name}]", group.latency[family].total


def _nearest(by_rate: Mapping[str, Any], rate: float) -> Mapping[str, Any]:
    """The floors at the calibrated rate that is nearest by ratio."""
    if not by_rate or rate <= 0:
        return {}
    nearest: Mapping[str, Any] = by_rate[min(by_rate, key=lambda told: abs(math.log(float(told) / rate)))]
    return nearest


def _reached(summary: LatencySummary, statistic: str, floor_ms: float | None) -> bool:
    value_ns = summary.ns(statistic)
    return value_ns is not None and floor_ms is not None and value_ns <= floor_ms * 1e6
