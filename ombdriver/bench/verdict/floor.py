"""Which percentiles of a run say more of the harness than of the system: those at or below the calibrated floor. Pure.

A calibration (`run.calibrate`) has the headline percentiles in ms at some rates: against the null server, whose figures
are what a socket and the library cost, and in one process (the memory driver). The rate nearest to the run's is taken.
The null server delivers nothing, so what a delivery costs at least is what it costs in one process.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.metrics.summary import FAMILIES, GROUP_FAMILIES, RunMetrics


def at_floor(metrics: RunMetrics, calibration: Mapping[str, Any] | None, loopback: bool) -> list[str]:
    """The names of the percentiles at or below the floor, as `publish.p50` and `endToEnd[group-1].p99`.

    Args:
        metrics: what was measured.
        calibration: the figures of one; None when there is none.
        loopback: whether the run's driver lives within one process.
    """
    floors = (calibration or {}).get("floorMs", {})
    found = []
    for family in FAMILIES:
        of_groups = family in GROUP_FAMILIES
        groups = [None, *(each.name for each in metrics.subscriptions)] if of_groups else [None]
        where = "memory" if loopback or of_groups else "nullServer"
        floor = _nearest(floors.get(where, {}), metrics.target_rate).get(family, {})
        for group in groups:
            found += [str(each) for each in _reached(metrics, [Figure(family, name, group) for name in floor], floor)]
    return found


def _reached(metrics: RunMetrics, figures: Sequence[Figure], floor_ms: Mapping[str, float | None]) -> Iterator[Figure]:
    for figure in figures:
        value_ns, bound_ms = figure.value(metrics), floor_ms[figure.statistic]
        if value_ns is not None and bound_ms is not None and value_ns <= bound_ms * 1e6:
            yield figure


def _nearest(by_rate: Mapping[str, Any], rate: float) -> Mapping[str, Any]:
    """The floors at the calibrated rate that is nearest by ratio."""
    if not by_rate or rate <= 0:
        return {}
    nearest: Mapping[str, Any] = by_rate[min(by_rate, key=lambda key: abs(math.log(float(key) / rate)))]
    return nearest
