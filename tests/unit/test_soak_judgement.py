"""What judges a soak: its account of messages, and what it calls growth."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.soak.tally import Tally
from tests.soak.trend import PARTS, condensed, trend_of


@given(st.lists(st.integers(0, 30)))
def test_a_tally_counts_what_came_what_is_missing_and_what_came_again(numbers: list[int]) -> None:
    """In any order."""
    tally = Tally()
    for number in numbers:
        tally.add(number)
    assert tally.handled == len(set(numbers))
    assert tally.duplicates == len(numbers) - len(set(numbers))
    assert tally.missing(31) == 31 - len(set(numbers))


def test_a_tally_does_not_grow_with_what_came_in_order() -> None:
    """Or it would be the leak that it looks for."""
    tally = Tally()
    for number in range(10_000):
        tally.add(number ^ 1)
    assert len(tally._ahead) <= 1


def steps(values: list[float]) -> list[tuple[float, float]]:
    """Samples, one a second."""
    return list(enumerate(values))


@given(st.floats(0.01, 100), st.integers(0, 2**32))
def test_a_steady_growth_in_noise_is_found(per_s: float, seed: int) -> None:
    """Noise of twenty times what it grows by in a second."""
    noise = random.Random(seed)
    trend = trend_of(steps([1_000 + per_s * (second + noise.uniform(-20, 20)) for second in range(240)]))
    assert trend.exceeds(100 * per_s)
    assert trend.growth == pytest.approx(180 * per_s, rel=0.25)


@given(st.integers(0, 2**32), st.floats(0, 1_000))
def test_noise_alone_is_no_growth(seed: int, size: float) -> None:
    """However loud it is: its slope is small against it."""
    noise = random.Random(seed)
    assert not trend_of(steps([noise.uniform(0, size) for _ in range(240)])).exceeds(size / 2)


@pytest.mark.parametrize(
    "values",
    [
        [5.0] * 100,
        [100.0 - second for second in range(100)],
        [float(min(second, 20)) * 50 for second in range(100)],  # caches that fill, and then are full
        [float(second % 10) for second in range(200)],  # what is collected now and then
        [1.0] * 99 + [10_000.0],  # a last sample in a burst
    ],
    ids=["flat", "falling", "warming up", "saw teeth", "a burst"],
)
def test_what_is_no_growth(values: list[float]) -> None:
    """Though its last sample may be far above its first."""
    assert not trend_of(steps(values)).exceeds(1.0)


def test_growth_within_what_is_allowed_is_none() -> None:
    """However certain it is."""
    trend = trend_of(steps([0.01 * second for second in range(100)]))
    assert trend.z > 10
    assert not trend.exceeds(1.0)
    assert trend.exceeds(0.5)


def test_too_few_samples_are_refused() -> None:
    """Rather than found flat."""
    with pytest.raises(ValueError, match="take 10 or more"):
        trend_of(steps([1.0] * 12))
    with pytest.raises(ValueError, match="0 samples"):
        trend_of([])


@given(st.integers(1, 1_000))
def test_a_run_is_condensed_to_equal_parts(count: int) -> None:
    """Each sample is in one of them."""
    points = condensed(steps([3.0] * count))
    assert len(points) == min(PARTS, count)
    assert [time for time, _ in points] == sorted({time for time, _ in points})
    assert {value for _, value in points} == {3.0}
