"""How far a percentile of one run may be trusted: its 95 % interval, by batch means. Pure.

Latencies resemble their neighbours in time, so a run has fewer independent samples than samples. How much the share of
the samples beyond a percentile varies from one stretch of the run to the next tells how uncertain that share is, and
the interval is that of the percentiles on both sides of it. Sample intervals are the stretches; as long as there are
enough of them, they are also taken by 2, 4, 8, ..., and the greatest uncertainty counts: what holds on for longer than
a stretch shows in longer ones alone.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from ombdriver.bench.metrics.correlation import Floats, inflation
from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.latency import STATISTICS

LEVEL = 0.95
FEWEST_BATCHES = 10
"""Fewer stretches say too little of how much they vary."""
TOLD = ("p50", "p99")
"""The statistics that get an interval."""

Interval = tuple[int, int]
"""The lower and the upper end, in ns."""


def intervals(total: Histogram, parts: Sequence[Histogram]) -> dict[str, Interval]:
    """The 95 % intervals of `TOLD`, without those for which there are too few samples or stretches.

    Args:
        total: all samples of the run.
        parts: those of each sample interval, in order.
    """
    found = {name: interval(total, parts, STATISTICS[name].percentile or 0.0) for name in TOLD}
    enough = {name: each for name, each in found.items() if total.count >= STATISTICS[name].least_count}
    return {name: each for name, each in enough.items() if each is not None}


def interval(total: Histogram, parts: Sequence[Histogram], percentile: float) -> Interval | None:
    """The 95 % interval of a percentile (0 to 100); None where its ends can't be told."""
    (value,) = total.percentiles([percentile])
    counts = np.array([part.count for part in parts], np.float64)
    if counts.sum() != total.count or not total.count:
        return None
    beyond = counts - np.array([part.upto([value])[0] for part in parts], np.float64)
    error = _error(counts, beyond, percentile / 100)
    if error is None:
        return None
    low, high = percentile - 100 * error, percentile + 100 * error
    if low <= 0 or high >= 100:
        return None
    ends = total.percentiles([low, high])
    return min(ends[0], value), max(ends[1], value)


def _error(counts: "np.ndarray[tuple[int], np.dtype[np.float64]]", beyond: Floats, share: float) -> float | None:
    """Half of the 95 % interval of the share of samples beyond a percentile; None with too few stretches."""
    total = counts.sum()
    excess = np.asarray(beyond) - counts * (np.sum(beyond) / total)
    excess = excess[counts > 0]
    error, by = None, 1
    while (batches := len(excess) // by) >= FEWEST_BATCHES:
        sums = np.add.reduceat(excess, range(0, batches * by, by))
        variance = batches / (batches - 1) * float((sums**2).sum()) / total**2 * inflation(sums)
        variance = max(variance, share * (1 - share) / total)
        error = max(error or 0.0, _student(batches - 1) * math.sqrt(variance))
        by *= 2
    return error


def _student(freedom: int) -> float:
    """The quantile of Student's t that leaves 95 % in the middle, by its expansion; to 0.005 from 9 degrees on."""
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
