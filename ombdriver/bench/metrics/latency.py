"""A distribution of latencies in a few statistics: which there are, and how each is written. Pure.

The fields of `LatencySummary` are the one list of statistics, and the selections below it say which is shown where:
results, OMB's keys, thresholds, tables, pages, exports and comparisons take them from here. Knows no family and no run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from ombdriver.bench.metrics.histogram import Histogram

UNKNOWN = -1
"""In place of a statistic that a result does not have, since its version did not know it."""
ENOUGH_BEYOND = 10
"""A percentile is worth telling from so many samples beyond it on: 1,000 samples for the p99."""


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """The statistics of `count` samples, in nanoseconds; with a count of 0 they mean nothing."""

    count: int
    min: int
    avg: int
    p50: int
    p75: int
    p95: int
    p99: int
    p999: int
    p9999: int
    p99999: int = field(compare=False)  # a file keeps it for whole families alone
    max: int

    @classmethod
    def none(cls) -> "LatencySummary":
        """The summary of no sample."""
        return cls(*[0] * len(fields(cls)))

    def ns(self, statistic: str) -> int | None:
        """One of `STATISTICS` in nanoseconds; None without a sample, or when it is not known."""
        value: int = getattr(self, STATISTICS[statistic].attribute)
        return None if not self.count or value == UNKNOWN else value

    def ms(self, statistic: str) -> float | None:
        """The same in ms, to the nanosecond."""
        value = self.ns(statistic)
        return None if value is None else round(value / 1e6, 6)


@dataclass(frozen=True, slots=True)
class Statistic:
    """One statistic of a distribution.

    Attributes:
        name: as it is written: `p99.9`.
        attribute: the field of a `LatencySummary`: `p999`.
        percentile: from 0 to 100; None for least, mean and greatest.
    """

    name: str
    attribute: str
    percentile: float | None

    @classmethod
    def of(cls, attribute: str) -> "Statistic":
        """The statistic of a field: the digits behind the second are decimals."""
        if not attribute.startswith("p"):
            return cls(attribute, attribute, None)
        percentile = float(f"{attribute[1:3]}.{attribute[3:] or 0}")
        return cls(f"p{percentile:g}", attribute, percentile)

    @property
    def least_count(self) -> int:
        """How many samples it takes to be worth telling; an average as many as a median."""
        beyond = 0.5 if self.percentile is None else 1 - self.percentile / 100
        return round(ENOUGH_BEYOND / beyond)


STATISTICS: Mapping[str, Statistic] = {
    each.name: each for each in map(Statistic.of, [each.name for each in fields(LatencySummary)[1:]])
}
"""All statistics by how they are written, in the order of the fields."""
PERCENTILES: Mapping[str, float] = {
    name: each.percentile for name, each in STATISTICS.items() if each.percentile is not None
}
"""Those that are percentiles, from 0 to 100."""
REPORTED = tuple(name for name in STATISTICS if name != "p99.999")
"""What a result has of a latency, and what thresholds may be set for; the other one is under OMB's keys alone,
since some forks of OMB have it."""
HEADLINE = ("p50", "p99", "p99.9")
"""The percentiles that are shown where there is room for few."""
COMPARED = ("p50", "p95", "p99", "p99.9", "max")
"""What is compared between runs."""


def summarise(histogram: Histogram) -> LatencySummary:
    """The statistics of `histogram`."""
    if not histogram.count:
        return LatencySummary.none()
    percentiles = dict(zip(PERCENTILES, histogram.percentiles(list(PERCENTILES.values())), strict=True))
    values = {STATISTICS[name].attribute: value for name, value in percentiles.items()}
    return LatencySummary(
        count=histogram.count, min=histogram.min_ns, avg=round(histogram.mean_ns), max=histogram.max_ns, **values
    )
