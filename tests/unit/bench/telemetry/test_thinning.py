"""`Downsampled`: a bounded, evenly spaced part of a sequence without an end."""

from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.telemetry.processes import Downsampled


def test_a_short_sequence_is_kept_whole() -> None:
    """Up to as many as there is room for."""
    kept: Downsampled[int] = Downsampled(4)
    for item in range(4):
        kept.take(item)

    assert (kept.items, kept.stride) == ([0, 1, 2, 3], 1)
    assert repr(kept) == "<Downsampled 4 of 4>"


def test_past_the_limit_every_second_one_goes() -> None:
    """And then of those that come, every second one is kept, so that the spacing stays even."""
    kept: Downsampled[int] = Downsampled(4)
    for item in range(9):
        kept.take(item)

    assert (kept.items, kept.stride) == ([0, 4, 8], 4)


@given(count=st.integers(1, 500), most=st.integers(2, 20))
def test_it_is_bounded_and_even(count: int, most: int) -> None:
    """At any length: the multiples of the stride, which never leaves less than half of what there is room for."""
    kept: Downsampled[int] = Downsampled(most)
    for item in range(count):
        kept.take(item)

    assert kept.items == list(range(0, count, kept.stride))
    assert len(kept.items) <= most
    assert kept.stride == 1 or len(kept.items) >= most // 2
