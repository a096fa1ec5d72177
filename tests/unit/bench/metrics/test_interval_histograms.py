"""Interval histograms: bounded in number, every sample in one of them, and fit for OMB's 10 s."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.phase_view import MOST_HISTOGRAMS, OMB_INTERVAL_NS, merge_factor, merged, most_for

SECOND = 10**9


@pytest.mark.parametrize(
    ("intervals", "interval_ns", "factor"),
    [
        (30, SECOND, 1),
        (360, SECOND, 1),
        (361, SECOND, 2),
        (1_000, SECOND, 5),  # 3 would do, but 10 s are no threes
        (1_200, SECOND, 5),
        (2_048, SECOND, 10),
        (300, SECOND // 10, 1),
        (720, 7 * SECOND, 2),  # nothing fits 10 s
        (1, SECOND, 1),
    ],
)
def test_neighbours_are_merged_so_that_10_s_can_be_put_together(intervals: int, interval_ns: int, factor: int) -> None:
    """The fewest, or somewhat more where that makes a length that OMB's 10 s can be made of."""
    assert merge_factor(intervals, interval_ns, MOST_HISTOGRAMS) == factor


@given(intervals=st.integers(1, 5_000), interval_ns=st.integers(1, OMB_INTERVAL_NS * 3), most=st.integers(0, 400))
def test_never_more_than_wanted_and_never_merged_for_nothing(intervals: int, interval_ns: int, most: int) -> None:
    """As many as are wanted at most; at least half of what would be left with the least merging."""
    factor = merge_factor(intervals, interval_ns, most)

    assert -(-intervals // factor) <= max(1, most)
    assert factor < 2 * max(1, -(-intervals // max(1, most)))


def test_many_groups_have_coarser_intervals() -> None:
    """What all of them keep together is bounded, but each keeps one at least."""
    assert most_for(0, 2) == most_for(1, 2) == MOST_HISTOGRAMS
    assert most_for(3, 2) == 240
    assert most_for(100, 2) == 7
    assert most_for(1_000, 2) == 1


@given(st.lists(st.lists(st.integers(0, 10**10), max_size=4), max_size=12), st.integers(1, 5))
def test_merging_drops_nothing(values: list[list[int]], by: int) -> None:
    """All samples are in one of them, in their order in time."""
    histograms = [Histogram.of(np.array(each, np.int64)) for each in values]

    found = merged(histograms, by)

    assert [each.count for each in found] == [sum(map(len, values[at : at + by])) for at in range(0, len(values), by)]
    assert sum(each.sum_ns for each in found) == sum(map(sum, values))
