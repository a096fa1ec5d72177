"""The histograms of a result as HdrHistogram's own tools read them: percentile text (hgrm) and log (hlog). Pure.

Both are written by hand. The percentile text is that of the Java library's `outputPercentileDistribution` at its
defaults, to the last digit; the Python package's has other steps, and a standard deviation in another unit than the
mean. The log is that of the Java library too; the Python package's writer fails on a start time, knows no tags, and
rounds the greatest value down. Histograms hold nanoseconds.
"""

import math
from collections.abc import Iterator
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
from ombdriver.bench.results.histograms import HistogramInterval, intervals
from ombdriver.bench.results.result import Result

# -- percentile text ---------------------------------------------------------------------------------------------------

TICKS_PER_HALVING = 5
"""Steps for each halving of what is left to 100 %."""
_NS_PER_MS = 1e6


def render_hgrm(histogram: Histogram) -> str:
    """The distribution with values in ms."""
    digits = SIGNIFICANT_DIGITS
    lines = [f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}", ""]
    for value_ns, level, count in percentile_rows(histogram):
        line = f"{_fixed(value_ns / _NS_PER_MS, digits):>12} {_fixed(level / 100, 12)} {count:10d}"
        lines.append(line if level == 100 else f"{line} {_fixed(1 / (1 - level / 100), 2):>14}")
    mean, deviation, greatest = (_fixed(each / _NS_PER_MS, digits) for each in _footer(histogram))
    lines += [
        f"#[Mean    = {mean:>12}, StdDeviation   = {deviation:>12}]",
        f"#[Max     = {greatest:>12}, Total count    = {histogram.count:12d}]",
        f"#[Buckets = {BUCKETS:12d}, SubBuckets     = {SUB_BUCKETS:12d}]",
    ]
    return "\n".join(lines) + "\n"


def percentile_rows(histogram: Histogram) -> Iterator[tuple[int, float, int]]:
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


# -- log ---------------------------------------------------------------------------------------------------------------

FORMAT = "1.3"
"""Version of the log's format; the first with tags."""
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
    found = [(each.start_s, order, name, each) for order, (name, each) in enumerate(_tagged(result))]
    for _, _, name, each in sorted(found, key=lambda one: one[:2]):
        histogram = each.histogram()
        if histogram.count:
            greatest_ms = histogram.max_ns / _NS_PER_MS
            lines.append(f"Tag={name},{each.start_s:.3f},{each.length_s:.3f},{greatest_ms:.3f},{each.encoded}")
    return "\n".join(lines) + "\n"


def _tagged(result: Result) -> Iterator[tuple[str, HistogramInterval]]:
    for family in FAMILIES:
        for each in intervals(result, family):
            yield tag(family), each
    for group in result.subscriptions:
        for family in GROUP_FAMILIES:
            for each in intervals(result, family, group.name):
                yield tag(family, group.name), each


def tag(family: str, group: str | None = None) -> str:
    """`endToEnd`, or `endToEnd.group-1`: no two are the same, and none holds a comma, a space or a line break."""
    return family if group is None else f"{family}.{quote(group, safe='')}"


def _line(text: str) -> str:
    return " ".join(str(text).split())
