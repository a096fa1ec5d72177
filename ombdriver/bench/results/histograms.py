"""The histograms that a result holds: of the whole window, and of its intervals. Pure.

A result of an older version has none of intervals; then that of the whole window is its one interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.results.result import Result

CLOSE_S = 1e-6
"""Times that differ by less are the same: they come from sums of decimal fractions."""


@dataclass(frozen=True, slots=True)
class HistogramInterval:
    """The samples of one latency in one interval.

    Attributes:
        start_s: seconds from the beginning of the window.
        length_s: seconds.
        encoded: the histogram (HdrHistogram V2, deflated, base64), values in nanoseconds; None without a sample.
    """

    start_s: float
    length_s: float
    encoded: str | None

    def histogram(self) -> Histogram:
        """The samples.

        Raises:
            ValueError: if `encoded` is no histogram.
        """
        return Histogram.zero() if self.encoded is None else Histogram.decode(self.encoded)


def interval_s(result: Result) -> float | None:
    """How long an interval of the families' histograms is; None when there are only those of the whole window."""
    found = result.histograms.get("intervals")
    return None if found is None else float(found["seconds"])


def encoded_total(result: Result, family: str, group: str | None = None) -> str:
    """The encoded histogram of the whole window."""
    of = result.histograms["families"] if group is None else result.histograms["subscriptions"][group]
    encoded: str = of[family]
    return encoded


def intervals(result: Result, family: str, group: str | None = None) -> list[HistogramInterval]:
    """The histograms of one latency in the order of time."""
    whole_s = sum(result.interval_lengths_s())
    found = result.histograms.get("intervals")
    if found is None:
        return [HistogramInterval(0.0, whole_s, encoded_total(result, family, group))] if whole_s > 0 else []
    seconds = float(found["seconds" if group is None else "subscriptionSeconds"])
    of = found["families"] if group is None else found["subscriptions"][group]
    return [
        HistogramInterval(at * seconds, min(seconds, whole_s - at * seconds), encoded)
        for at, encoded in enumerate(of[family])
    ]


def within(starts_s: Sequence[float], begin_s: float, end_s: float) -> range:
    """Which intervals make up the time from `begin_s` to `end_s`: those that start in it.

    When none does, because they are longer, it is the one that lasts over `begin_s`.

    Args:
        starts_s: where each interval starts; rising.
        begin_s: of the time.
        end_s: of the time; not in it.
    """
    inside = [at for at, start_s in enumerate(starts_s) if begin_s - CLOSE_S <= start_s < end_s - CLOSE_S]
    if inside:
        return range(inside[0], inside[-1] + 1)
    before = [at for at, start_s in enumerate(starts_s) if start_s <= begin_s]
    return range(before[-1], before[-1] + 1) if before else range(0)
