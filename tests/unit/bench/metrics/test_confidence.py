"""95 % intervals of percentiles: they hold what they should, and are not told where too little is known."""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.bench.metrics.confidence import FEWEST_BATCHES, Interval, interval, intervals
from ombdriver.bench.metrics.histogram import Histogram

SPREAD = 0.5
"""Standard deviation of the logarithm of latencies around the level of their sample interval."""


def histograms(levels: Sequence[float], count: int, rng: np.random.Generator) -> list[Histogram]:
    """Sample intervals of `count` latencies, log-normal around a level that goes up and down."""
    return [Histogram.of(np.exp(12 + level + SPREAD * rng.normal(size=count)).astype(np.int64)) for level in levels]


def levels(count: int, phi: float, spread: float, rng: np.random.Generator) -> list[float]:
    """A series with that correlation of neighbours and that standard deviation."""
    found = [rng.normal()]
    while len(found) < count:
        found.append(phi * found[-1] + np.sqrt(1 - phi**2) * rng.normal())
    return [spread * each for each in found]


@pytest.mark.parametrize(
    ("parts", "count", "phi", "spread", "least"),
    [
        (10, 2000, 0.0, 0.0, 0.94),
        (30, 1000, 0.0, 0.0, 0.94),
        (30, 1000, 0.0, 0.2, 0.90),
        (60, 1000, 0.5, 0.2, 0.90),
        (60, 1000, 0.8, 0.2, 0.80),
    ],
)
@pytest.mark.parametrize("percentile", [50.0, 99.0])
def test_an_interval_holds_the_true_percentile_as_often_as_it_says(
    parts: int, count: int, phi: float, spread: float, least: float, percentile: float
) -> None:
    """Of 100 runs whose distribution is known: with independent samples, and with neighbours that are alike."""
    rng = np.random.default_rng(round(percentile))
    true_ns = np.exp(12 + np.hypot(spread, SPREAD) * NormalDist().inv_cdf(percentile / 100))
    found = []
    for _ in range(100):
        each = histograms(levels(parts, phi, spread, rng), count, rng)
        found.append(interval(Histogram.total(each), each, percentile))
    told = [each for each in found if each is not None]

    held = sum(low * 0.999 <= true_ns <= high * 1.001 for low, high in told)  # buckets are 0.1 % wide
    assert held >= least * len(told)
    assert len(told) >= 30


def test_neighbours_that_are_alike_make_it_wider() -> None:
    """As many samples tell less, since they are fewer independent ones."""
    rng = np.random.default_rng(5)

    def width(phi: float) -> float:
        widths = []
        for _ in range(20):
            each = histograms(levels(60, phi, 0.2, rng), 500, rng)
            found = interval(Histogram.total(each), each, 50.0)
            widths.append(float("inf") if found is None else found[1] - found[0])
        return float(np.median(widths))

    assert width(0.7) > 1.5 * width(0.0)


@pytest.mark.parametrize(
    ("parts", "count", "told"),
    [
        (FEWEST_BATCHES - 1, 10_000, []),
        (FEWEST_BATCHES, 10_000, ["p50", "p99"]),
        (60, 10, ["p50"]),  # 600 samples are too few for a p99
        (20, 0, []),
    ],
)
def test_where_too_little_is_known_there_is_none(parts: int, count: int, told: list[str]) -> None:
    """Too few samples, or too few stretches to see how much they differ."""
    each = histograms([0.0] * parts, count, np.random.default_rng(1))

    assert list(intervals(Histogram.total(each), each)) == told


def test_a_tail_that_is_one_pause_has_no_interval() -> None:
    """Whether such a pause comes once or three times in a run is not known from one run."""
    usual = [Histogram.of(np.full(1000, 100_000, np.int64))] * 60
    paused = Histogram.of(np.array([100_000] * 200 + [300_000_000] * 800))
    each = [*usual[:30], paused, *usual[31:]]

    assert list(intervals(Histogram.total(each), each)) == ["p50"]


@settings(max_examples=200)
@given(
    st.lists(st.lists(st.integers(0, 10**10), max_size=60), max_size=40),
    st.sampled_from([50.0, 90.0, 99.0]),
)
def test_an_interval_is_around_its_percentile(samples: list[list[int]], percentile: float) -> None:
    """Whatever the samples: within what was measured, and never upside down."""
    each = [Histogram.of(np.array(some, np.int64)) for some in samples]
    total = Histogram.total(each)
    found: Interval | None = interval(total, each, percentile)

    if found is not None:
        (value,) = total.percentiles([percentile])
        assert found[0] <= value <= found[1] <= total.max_ns
