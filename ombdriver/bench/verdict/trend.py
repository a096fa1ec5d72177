"""Does a series of a run rise or fall over the window? A trend test that allows for autocorrelation. Pure.

The neighbours in such a series resemble each other, since a backlog or a warm cache lasts, and a plain test then sees
a trend in every slow wave. So this is Mann-Kendall's test, whose variance is multiplied by (1 + r) / (1 - r) for the
correlation r of neighbours in what is left without the trend; r is corrected for its bias in short series, which is
some -(2 + 4r) / n.

What is taken away as the trend is a line, or a step where that fits clearly better: a series that steps up in its
middle differs from any line by long runs of one sign, which look like a slow wave, and no step was ever found that way.
The size of the trend is Theil and Sen's slope, the median of the slopes of all pairs; or the difference of the medians
before and after the step.

A step is also looked at by its height: the order of a short series has little to say where neighbours resemble each
other, and a step of six times the level was called chance in it.

How often a series without any trend was called one, at a level of 1 % (at 0.17 %), of 400 simulated series with a
standard deviation of 20 % of their level, x(t) = phi x(t - 1) + noise:

    intervals      white noise     phi 0.5         phi 0.7         phi 0.9
           30      0.2 % (0 %)     2.0 % (1.2 %)   4.0 % (1.5 %)   3.8 % (1.8 %)
           60      0.8 % (0 %)     1.0 % (0.5 %)   3.0 % (0.2 %)   3.8 % (1.2 %)
          200      0.2 % (0 %)     0.5 % (0 %)     0.2 % (0 %)     2.8 % (0.5 %)

The variance of Hamed and Rao (1998) gave 10 to 15 % in place of these figures at phi 0.7, and was not taken for that.
How often a change of 30 % was found, of 200 series (60 of the longest) with a standard deviation of 5 % (10 %), white
noise; and with 5 % and phi 0.7:

    intervals      drift                      step in the middle         step after 30 %           step after 80 %
           30      100 % (89 %),  56 %        98 % (74 %),   30 %        96 % (54 %),  30 %        84 % (36 %), 26 %
           60      100 % (100 %), 84 %        100 % (100 %), 56 %        100 % (85 %), 54 %        96 % (50 %), 24 %
          200      100 % (100 %), 100 %       100 % (100 %), 98 %        100 % (100 %), 100 %      100 % (100 %), 90 %
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ombdriver.bench.metrics.correlation import Floats, inflation

FEWEST_INTERVALS = 30
"""No trend is judged from fewer."""
MOST = 240
"""Longer series are averaged into so many parts at most: all pairs are compared."""
LEAST_PART = 8
"""A step has an eighth of the series on each side at least."""
SURE_PART = 4
"""From a quarter on that is another level; what is shorter may be a pause at an edge, after which each message has
waited less than the one before it."""
MOST_SLOPING = 0.4
"""A shorter side is a level when the pairs in it that rise, less those that fall, are at most that part of them all."""
CLEARLY = 0.7
"""A step is taken for the trend when it leaves less than that part of what a line leaves."""
HIGHER_BY_CHANCE = 30
"""So many times as likely as a step's height says by itself is a step, besides one for each place where it may be:
height is a second look at a series, and one that skewed noise deceives."""
STEPS = 2.0**40
"""Of the largest value; what differs by less than one step is the same: rounding makes no order and no size."""


@dataclass(frozen=True, slots=True)
class Trend:
    """What a series does over the window.

    Attributes:
        change: from its first to its last interval, as a share of its usual size; below 0 when it falls.
        p_value: how likely such an order of the values is where there is no trend.
    """

    change: float
    p_value: float


class _Fit(NamedTuple):
    """What may be the trend of a series.

    Attributes:
        change: from its first to its last value.
        left: what is left of the series without it.
        first: the number of the first value after a step; 0 for a line.
    """

    change: float
    left: Floats
    first: int = 0


def trend(series: Sequence[float | None], size: float = 0.0) -> Trend | None:
    """The trend of a series with one value per interval; None when there are not enough values to judge.

    Args:
        series: its values in order; None where there was no sample.
        size: what `change` is a share of, unless the median of the series is larger.
    """
    values = np.array([value for value in series if value is not None], np.float64)
    if len(values) < FEWEST_INTERVALS:
        return None
    values = _averaged(values)
    largest = float(np.abs(values).max())
    if not largest:
        return Trend(0.0, 1.0)
    values = np.round(values / largest * STEPS) / STEPS
    usual = max(float(np.median(values)), size / largest)
    score = _score(values)
    if usual <= 0 or not score:
        return Trend(0.0, 1.0)
    slope = median_slope(np.arange(len(values), dtype=np.float64), values)
    line = values - slope * np.arange(len(values))
    steps = [fit for fit in _steps(values) if fit.change * score > 0 and _left(fit.left) < CLEARLY * _left(line)]
    fits = steps or ([_Fit(slope * (len(values) - 1), line)] if slope else [])
    # Of several that fit alike the one that says least, so that a series read backwards has the opposite trend.
    trends = [Trend(fit.change / usual, min(_p_of_order(values, score, fit.left), _p_of_height(fit))) for fit in fits]
    return max(trends, key=lambda each: (each.p_value, -abs(each.change)), default=Trend(0.0, 1.0))


def _averaged(values: Floats) -> Floats:
    """Means of neighbours, so that there are at most `MOST`; what is left over at the end is left out."""
    together = -(-len(values) // MOST)
    parts = len(values) // together
    means: Floats = values[: parts * together].reshape(parts, together).mean(axis=1)
    return means


def median_slope(times: Sequence[float] | Floats, values: Sequence[float] | Floats) -> float:
    """Theil and Sen's: the median of the slopes of all pairs, of two values at least at rising times."""
    at, value = np.asarray(times, np.float64), np.asarray(values, np.float64)
    first, second = np.triu_indices(len(at), 1)
    return float(np.median((value[second] - value[first]) / (at[second] - at[first])))


def _steps(values: Floats) -> list[_Fit]:
    """The best steps, by ranks; several only when they tie."""
    n = len(values)
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (2 * np.cumsum(counts) - counts)[places]  # twice the mean rank of equal values: whole numbers
    at = np.arange(n // LEAST_PART, n - n // LEAST_PART + 1)
    before = np.cumsum(ranks)[at - 1]
    gain = before**2 / at + (int(ranks.sum()) - before) ** 2 / (n - at)
    best = at[gain == gain.max()]
    if not all(
        _has_levels(values, int(first)) for first in best
    ):  # a pause at an edge: whether there is a step besides
        inner = (at >= n // SURE_PART) & (at <= n - n // SURE_PART)
        best = at[inner & (gain == gain[inner].max())]
    found = []
    for first in best:
        low, high = np.median(values[:first]), np.median(values[first:])
        left = np.concatenate((values[:first] - low, values[first:] - high))
        found.append(_Fit(float(high - low), left, int(first)))
    return found


def _has_levels(values: Floats, first: int) -> bool:
    """Whether both sides of a step before the value numbered `first` may be levels, and neither a pause."""
    shorter = min((values[:first], values[first:]), key=len)
    pairs = len(shorter) * (len(shorter) - 1) / 2
    return len(shorter) >= len(values) // SURE_PART or abs(_score(shorter)) <= MOST_SLOPING * pairs


def _left(residuals: Floats) -> float:
    """How much a fit leaves."""
    return float(np.abs(residuals - np.median(residuals)).sum())


def _score(values: Floats) -> float:
    """Mann and Kendall's: how many more pairs rise than fall."""
    first, second = np.triu_indices(len(values), 1)
    return float(np.sign(values[second] - values[first]).sum())


def _p_of_order(values: Floats, score: float, left: Floats) -> float:
    """How likely so many pairs rise or fall by chance, by Mann and Kendall."""
    n = len(values)
    _, ties = np.unique(values, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    variance *= inflation(left)
    if variance <= 0:
        return 1.0
    return math.erfc(max(abs(score) - 1, 0) / math.sqrt(2 * variance))


def _p_of_height(fit: _Fit) -> float:
    """How likely a step is so high by chance, beside what is left without it: Student's test of two levels.

    The order of 40 values has no more to tell of a step in the middle than that 400 of 780 pairs rise, however high it
    is; where neighbours resemble each other that may be chance. The test has as many values as are independent.
    """
    n, before, alike = len(fit.left), fit.first, inflation(fit.left)
    if not before or n <= 2 * alike:
        return 1.0
    deviation = math.sqrt(
        float((fit.left * fit.left).sum()) / (n - 2 * alike) * alike * (1 / before + 1 / (n - before))
    )
    places = n - 2 * (n // LEAST_PART) + 1
    return min(1.0, HIGHER_BY_CHANCE * places * _student(abs(fit.change), deviation, max(2, int((n - 2) / alike))))


def _student(difference: float, deviation: float, freedom: int) -> float:
    """How likely is a difference of so many deviations, or more, to either side; `freedom` is made even, downwards.

    Abramowitz and Stegun, 26.7.4: a sum of few terms, so that scipy need not be loaded to look at a series.
    """
    freedom -= freedom % 2
    angle = math.atan2(difference, deviation * math.sqrt(freedom))
    term = total = 1.0
    for number in range(2, freedom, 2):
        term *= math.cos(angle) ** 2 * (number - 1) / number
        total += term
    return max(0.0, 1.0 - math.sin(angle) * total)
