"""How many interval histograms a result keeps: neighbours are merged until they are few enough, and none is dropped.

Pure. Knows numbers of intervals and histograms; no family, unit or file.
"""

from collections.abc import Sequence

from ombdriver.bench.recorder import Histogram

MOST_INTERVALS = 360
"""Of each family over all groups; an hour of OMB's 10 s."""
MOST_OF_GROUPS = 1_440
"""Interval histograms of all groups together, however many groups there are."""
OMB_INTERVAL_NS = 10 * 10**9
"""What an element of a series stands for in OMB's results and charts."""


def merged_by(intervals: int, interval_ns: int, most: int) -> int:
    """How many neighbours make one, so that of `intervals` at most `most` are left.

    A length that divides OMB's 10 s, or is a multiple of it, is taken when it is less than twice the shortest that
    would do: 10 s can then be put together from whole ones.
    """
    least = max(1, -(-intervals // max(1, most)))
    for factor in range(least, 2 * least):
        length_ns = factor * interval_ns
        if OMB_INTERVAL_NS % length_ns == 0 or length_ns % OMB_INTERVAL_NS == 0:
            return factor
    return least


def most_for(groups: int, families: int) -> int:
    """How many intervals each of `groups` may keep of each of `families`."""
    return max(1, min(MOST_INTERVALS, MOST_OF_GROUPS // max(1, groups * families)))


def merged(histograms: Sequence[Histogram], by: int) -> list[Histogram]:
    """`by` neighbours each as one; the last one may stand for fewer."""
    return [Histogram.total(histograms[at : at + by]) for at in range(0, len(histograms), by)]
