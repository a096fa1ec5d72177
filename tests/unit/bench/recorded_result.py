"""A result with real histograms, made of numbers that anyone can work out: for the tests of what is exported."""

from typing import Any

import numpy as np
from sample_result import SPEC, result

from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.latency import summarise
from ombdriver.bench.metrics.phase_view import merged, quantile_points
from ombdriver.bench.metrics.summary import (
    FAMILIES,
    GROUP_FAMILIES,
    Distribution,
    FamilyMetrics,
    RunMetrics,
    SubscriptionMetrics,
    Totals,
)
from ombdriver.bench.results.result import Result

US = 1_000
PER_INTERVAL = 100


def samples(family: str, interval: int) -> Histogram:
    """100 latencies: (family's number + 1) x 1, 2, ... 100 us, and 1 ms more for each interval before it."""
    steps = np.arange(1, PER_INTERVAL + 1, dtype=np.int64)
    return Histogram.of((steps * (FAMILIES.index(family) + 1) + interval * 1000) * US)


def recorded(
    intervals: int,
    *,
    last_s: float = 1.0,
    interval_s: float = 1.0,
    merged_by: int = 1,
    groups: tuple[str, ...] = ("group-1",),
    silent: tuple[int, ...] = (),
    **changed: Any,
) -> Result:
    """A run of `intervals` sample intervals; the rate in each is 100 x (its number + 1), the backlog its number.

    Args:
        intervals: how many; 0 for a result of a version that kept no interval histograms.
        last_s: the length of the last one.
        interval_s: the length of the others.
        merged_by: how many of them make an interval of histograms.
        groups: the subscriptions, which receive the same.
        silent: intervals without a sample.
        changed: see `result`.
    """

    def histograms(family: str) -> list[Histogram]:
        return [Histogram.zero() if at in silent else samples(family, at) for at in range(intervals)]

    def encoded(family: str) -> list[str | None]:
        return [each.encode() if each.count else None for each in merged(histograms(family), merged_by)]

    def measured(family: str) -> FamilyMetrics:
        total = merged(histograms(family), intervals)[0]
        points = quantile_points(total.count)
        curve = dict(zip(points, total.percentiles(points), strict=True))
        series = [summarise(each) for each in histograms(family)]
        return FamilyMetrics(summarise(total), total.encode(), series, curve, intervals=encoded(family))

    families = {family: measured(family) for family in FAMILIES}
    of_group = {
        family: Distribution(families[family].total, families[family].encoded, intervals=families[family].intervals)
        for family in GROUP_FAMILIES
    }
    count = families["publish"].total.count
    length_ns = round(merged_by * interval_s * 1e9)
    measurements = RunMetrics(
        length_ns=round(((intervals - 1) * interval_s + last_s) * 1e9),
        interval_ns=round(interval_s * 1e9),
        target_rate=SPEC["producerRate"],
        families=families,
        subscriptions=[SubscriptionMetrics(name, count, 100.0, of_group) for name in groups],
        publish_rate=[100.0 * (at + 1) for at in range(intervals)],
        publish_error_rate=[0.0] * intervals,
        consume_rate=[100.0 * (at + 1) * len(groups) for at in range(intervals)],
        backlog=list(range(intervals)),
        totals=Totals(count, 0, 0, count * len(groups)),
        histogram_interval_ns=length_ns,
        subscription_interval_ns=length_ns,
    )
    return result(measurements, **({"tags": {}, "environment": {}} | changed))


def without_intervals(whole: Result) -> Result:
    """The same as an older version wrote it."""
    data = whole.to_json()
    data["histograms"] = {name: value for name, value in data["histograms"].items() if name != "intervals"}
    return Result._from_json(data)
