"""A histogram as HdrHistogram's percentile text, which its plotters read. Pure.

The text is that of the Java library's `outputPercentileDistribution` at its defaults, to the last digit: five steps
for each halving of what is left to 100 %, values at the top of their bucket, halves rounded up. The Python package's
own has other steps, and a standard deviation in another unit than the mean.
"""

import math
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal

import numpy as np

from ombdriver.bench.recorder import BUCKETS, SIGNIFICANT_DIGITS, SUB_BUCKETS, Histogram, bucket_middle, bucket_top

TICKS_PER_HALVING = 5
_NS_PER_MS = 1e6


def render(histogram: Histogram) -> str:
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
