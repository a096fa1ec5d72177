"""A histogram as HdrHistogram's percentile text, which its plotters read. Pure.

The text is that of the Java library's `outputPercentileDistribution` at its defaults, to the last digit: five steps
for each halving of what is left to 100 %, values at the top of their bucket, halves rounded up. The Python package's
own has other steps, and a standard deviation in another unit than the mean.

The interval histograms of a result, as the formats want them: where each begins, how long it is, and its text.

Pure. A result of an older version has none; then the histogram of the whole window is its one interval.

The interval histograms of a result as a HdrHistogram log, which HdrHistogram's own readers accept. Pure.

Written by hand: the Python package's writer fails on a start time, knows no tags, and rounds the greatest value down.
Histograms hold nanoseconds; the third column is the greatest value in ms, as the Java library writes it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from urllib.parse import quote

import numpy as np

from ombdriver.bench.metrics.histogram import (
    BUCKETS,
    SIGNIFICANT_DIGITS,
    SUB_BUCKETS,
    Histogram,
    bucket_middle,
    bucket_top,
)
from ombdriver.bench.metrics.summary import FAMILIES, GROUP_FAMILIES
from ombdriver.bench.results.result import Result

TICKS_PER_HALVING = 5
_NS_PER_MS = 1e6


def render_hgrm(histogram: Histogram) -> str:
    """The distribution with values in ms."""
    digits = SIGNIFICANT_DIGITS
    lines = [f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}", ""]
    for value_ns, level, count in rows(histogram):
        line = f"{_fixed(value_ns / _NS_PER_MS, digits):>12} {_fixed(level / 100, 12)} {count:10d}"
        lines.append(line if level == 100 else f"{line} {_fixed(1 / (1 - level / 100), 2):>14}")
    mean, deviation, greatest = (_fixed(each / _NS_PER_MS, digits) for each in _footer(histogram))
    lines += [
        f"#[Mean    = {mean:>12}, StdDeviation   = {deviation:>12}]",
        f"#[Max     = {greatest:>12}, Total count    = {histogram.count:12d}]",
        f"#[Buckets = {BUCKETS:12d}, SubBuckets     = {SUB_BUCKETS:12d}]",
    ]
    return "\n".join(lines) + "\n"


def rows(histogram: Histogram) -> Iterator[tuple[int, float, int]]:
    """(value in ns, percentile from 0 to 100, samples up to this value), as HdrHistogram steps through them."""
    if not histogram.count:
        return
    tops, counts = bucket_top(histogram.index), np.cumsum(histogram.counts, dtype=np.int64)
    reached = 100.0 * counts / histogram.count
    level, at = 0.0, 0
    while True:
        at = int(np.searchsorted(reached, level))
        yield int(tops[at]), level, int(counts[at])
        if counts[at] == histogram.count:
            break
        level += 100.0 / (TICKS_PER_HALVING * 2 ** (int(math.log(100.0 / (100.0 - level)) / math.log(2)) + 1))
    yield int(tops[-1]), 100.0, histogram.count


def _fixed(value: float, digits: int) -> str:
    """As Java's formatter writes it: from the shortest decimal form of `value`, halves up."""
    return f"{Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP):f}"


def _footer(histogram: Histogram) -> tuple[float, float, int]:
    """Mean, standard deviation and the greatest value, as far as buckets tell them."""
    if not histogram.count:
        return 0.0, 0.0, 0
    middles = bucket_middle(histogram.index).astype(np.float64)
    mean = float((middles * histogram.counts).sum()) / histogram.count
    variance = float(((middles - mean) ** 2 * histogram.counts).sum()) / histogram.count
    return mean, math.sqrt(variance), int(bucket_top(histogram.index[-1:])[0])


CLOSE_S = 1e-6
"""Times that differ by less are the same: they come from sums of decimal fractions."""


@dataclass(frozen=True, slots=True)
class Part:
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
    intervals = result.histograms.get("intervals")
    return None if intervals is None else float(intervals["seconds"])


def total(result: Result, family: str, group: str | None = None) -> str:
    """The encoded histogram of the whole window."""
    of = result.histograms["families"] if group is None else result.histograms["subscriptions"][group]
    encoded: str = of[family]
    return encoded


def parts(result: Result, family: str, group: str | None = None) -> list[Part]:
    """The histograms of one latency in the order of time."""
    whole_s = sum(result.interval_lengths_s())
    intervals = result.histograms.get("intervals")
    if intervals is None:
        return [Part(0.0, whole_s, total(result, family, group))] if whole_s > 0 else []
    seconds = float(intervals["seconds" if group is None else "subscriptionSeconds"])
    of = intervals["families"] if group is None else intervals["subscriptions"][group]
    return [Part(at * seconds, min(seconds, whole_s - at * seconds), encoded) for at, encoded in enumerate(of[family])]


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


FORMAT = "1.3"
"""Version of the log's format; the one that brought tags."""
_LEGEND = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'


def render_hlog(result: Result) -> str:
    """All latencies, each under its tag, in the order of time; intervals without a sample are left out."""
    begin = datetime.fromisoformat(result.begin_time)
    lines = [
        f"#[Written by ombdriver from run {_line(result.run_id)} of {_line(result.workload)};"
        " values in ns, Interval_Max in ms]",
        f"#[Histogram log format version {FORMAT}]",
        f"#[StartTime: {begin.timestamp():.3f} (seconds since epoch), {begin:%a %b %d %H:%M:%S UTC %Y}]",
        # Without it readers have to guess whether times count from the epoch or from the start.
        f"#[BaseTime: {begin.timestamp():.3f} (seconds since epoch)]",
        _LEGEND,
    ]
    found = [(part.start_s, order, name, part) for order, (name, part) in enumerate(_tagged(result))]
    for _, _, name, part in sorted(found, key=lambda one: one[:2]):
        histogram = part.histogram()
        if histogram.count:
            greatest_ms = histogram.max_ns / _NS_PER_MS
            lines.append(f"Tag={name},{part.start_s:.3f},{part.length_s:.3f},{greatest_ms:.3f},{part.encoded}")
    return "\n".join(lines) + "\n"


def _tagged(result: Result) -> Iterator[tuple[str, Part]]:
    for family in FAMILIES:
        for part in parts(result, family):
            yield tag(family), part
    for group in result.subscriptions:
        for family in GROUP_FAMILIES:
            for part in parts(result, family, group.name):
                yield tag(family, group.name), part


def tag(family: str, group: str | None = None) -> str:
    """`endToEnd`, or `endToEnd.group-1`: no two are the same, and none holds a comma, a space or a line break."""
    return family if group is None else f"{family}.{quote(group, safe='')}"


def _line(text: str) -> str:
    return " ".join(str(text).split())
