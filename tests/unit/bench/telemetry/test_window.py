"""A bounded, evenly spaced part of a sequence without an end; and the samples at the ends of a window."""

from dataclasses import dataclass
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.telemetry.window import Downsampled, Window, WindowEnds


def test_a_short_sequence_is_kept_whole() -> None:
    """Up to as many as there is room for."""
    kept: Downsampled[int] = Downsampled(4)
    for item in range(4):
        kept.add(item)

    assert (kept.items, kept.stride) == ([0, 1, 2, 3], 1)
    assert repr(kept) == "<Downsampled 4 of 4>"


def test_past_the_limit_every_second_one_goes() -> None:
    """And then of those that come, every second one is kept, so that the spacing stays even."""
    kept: Downsampled[int] = Downsampled(4)
    for item in range(9):
        kept.add(item)

    assert (kept.items, kept.stride) == ([0, 4, 8], 4)


@given(count=st.integers(1, 500), most=st.integers(2, 20))
def test_it_is_bounded_and_even(count: int, most: int) -> None:
    """At any length: the multiples of the stride, which never leaves less than half of what there is room for."""
    kept: Downsampled[int] = Downsampled(most)
    for item in range(count):
        kept.add(item)

    assert kept.items == list(range(0, count, kept.stride))
    assert len(kept.items) <= most
    assert kept.stride == 1 or len(kept.items) >= most // 2


# -- which samples are of the window -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A sample of nothing but its time."""

    at_ns: int


def test_the_samples_nearest_to_its_ends_stand_for_a_window() -> None:
    """What lies between two samples is of the window when its middle is; a window that begins anew has none yet."""
    ends: WindowEnds[Seen] = WindowEnds()
    window = Window(100, 200)
    ends.begin(window)

    counted = [ends.add(Seen(at)) for at in (70, 95, 120, 180)]
    assert counted == [None, None, Seen(95), Seen(120)]
    assert ends.both == (Seen(95), Seen(180))
    window.extend(300)
    assert ends.add(Seen(290)) == Seen(180)
    window.end(295)
    assert ends.add(Seen(330)) is None
    assert ends.both == (Seen(95), Seen(290))

    ends.begin(Window(320, 400))
    assert ends.both is None
    assert ends.add(Seen(350)) == Seen(330)


@given(st.lists(st.integers(1, 100), min_size=2, max_size=12), st.integers(0, 300), st.integers(0, 300))
def test_no_other_sample_is_nearer(steps: list[int], start: int, length: int) -> None:
    """To either end, wherever samples fall."""
    ends: WindowEnds[Seen] = WindowEnds()
    window = Window(start, start + length)
    ends.begin(window)
    times = list(accumulate(steps))
    for at in times:
        ends.add(Seen(at))

    if ends.both is not None:
        first, final = (each.at_ns for each in ends.both)
        assert abs(first - start) <= min(abs(at - start) for at in times) + 1
        assert abs(final - window.end_ns) <= min(abs(at - window.end_ns) for at in times) + 1
