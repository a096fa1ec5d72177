"""The trend test: what has none is called steady, though its neighbours resemble each other; a drift is found."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.special import stdtr

from ombdriver.bench.verdict.rules import FEWEST_INTERVALS, TREND_EFFECT, TREND_LEVEL
from ombdriver.bench.verdict.trend import MOST, Trend, _student, trend

SIMULATED = 200


def unsteady(found: Trend | None) -> bool:
    """As the verdict judges a single series."""
    return found is not None and abs(found.change) > TREND_EFFECT and found.p_value < TREND_LEVEL


def wave(random: np.random.Generator, length: int, phi: float, deviation: float) -> list[float]:
    """A series around 1 in which each value is `phi` times the one before it and noise."""
    noise = random.normal(size=length + 100)
    for at in range(1, len(noise)):
        noise[at] += phi * noise[at - 1]
    values: list[float] = (1 + deviation * np.sqrt(1 - phi**2) * noise[100:]).tolist()
    return values


@pytest.mark.parametrize("length", [30, 60])
@pytest.mark.parametrize("phi", [0.0, 0.5, 0.7])
def test_what_has_no_trend_is_steady(phi: float, length: int) -> None:
    """In 95 % of the cases at least, though the noise alone is 20 %."""
    random = np.random.default_rng(20)
    wrong = sum(unsteady(trend(wave(random, length, phi, 0.2))) for _ in range(SIMULATED))

    assert wrong / SIMULATED <= 0.05


@pytest.mark.parametrize(("length", "phi", "deviation", "least"), [(30, 0.0, 0.05, 0.99), (60, 0.7, 0.05, 0.75)])
def test_a_drift_of_30_per_cent_is_found(length: int, phi: float, deviation: float, least: float) -> None:
    """And its size is about right."""
    random = np.random.default_rng(30)
    drift = 0.3 * np.arange(length) / (length - 1)
    found = [trend((np.array(wave(random, length, phi, deviation)) + drift).tolist()) for _ in range(SIMULATED)]

    assert sum(unsteady(each) for each in found) / SIMULATED >= least
    assert np.median([each.change for each in found if each]) == pytest.approx(0.3 / 1.15, abs=0.03)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize(
    ("length", "at", "least"),
    [
        (30, 0.5, 0.9),
        (60, 0.5, 0.99),
        (60, 0.3, 0.95),
        (60, 0.7, 0.95),
        (60, 0.8, 0.75),
        (120, 0.85, 0.9),
        (240, 0.87, 0.9),
    ],
)
def test_a_step_of_30_per_cent_is_found(length: int, at: float, least: float, direction: int) -> None:
    """Wherever it is, and its size is about right; a line through it leaves what looks like a slow wave."""
    random = np.random.default_rng(31)
    step = 0.3 * (np.arange(length) >= at * length)
    found = [trend((np.array(wave(random, length, 0.0, 0.05)) + step)[::direction].tolist()) for _ in range(SIMULATED)]

    assert sum(unsteady(each) for each in found) / SIMULATED >= least
    usual = 1.3 if at < 0.5 else 1.15 if at == 0.5 else 1.0  # the median
    assert np.median([each.change * direction for each in found if each]) == pytest.approx(0.3 / usual, abs=0.04)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize(("phi", "at", "least"), [(0.0, 0.8, 0.7), (0.5, 0.3, 0.6), (0.5, 0.5, 0.7), (0.7, 0.5, 0.45)])
def test_a_step_is_found_by_its_height(phi: float, at: float, least: float, direction: int) -> None:
    """Of six times the level, in 40 intervals whose noise is skewed and lasts: their order alone is no proof then."""
    random = np.random.default_rng(32)
    step = 5.5 * (np.arange(40) >= at * 40)
    series = [np.exp(3 * (np.array(wave(random, 40, phi, 0.2)) - 1)) + step for _ in range(SIMULATED)]

    assert sum(unsteady(trend(each[::direction].tolist())) for each in series) / SIMULATED >= least


def test_a_clock_that_steps_is_seen_beside_a_busy_neighbour() -> None:
    """The medians of a run in whose middle a consumer's clock went on by 5 ms: it was called VALID."""
    before = "0.99 0.541 0.64 1.543 0.123 0.11 0.109 0.108 0.109 0.11 0.108 0.108 0.112 0.111 0.797 0.83 0.808 1.35"
    after = "2.021 1.235 9.347 6.431 7.172 7.766 7.553 7.283 9.175 9.486 6.173 5.898 7.148 6.615 5.685 5.984 7.086"
    end = "6.365 6.349 6.332 6.304 6.468"
    found = trend([float(each) for each in f"{before} {after} {end}".split()])

    assert found is not None
    assert found.p_value < TREND_LEVEL / 6  # the series of a run share the level
    assert found.change > 0.5


@given(st.floats(0, 50), st.integers(2, 200))
def test_a_difference_of_levels_is_judged_as_by_scipy(difference: float, freedom: int) -> None:
    """Student's distribution, of the even degree of freedom below."""
    expected = 2 * float(stdtr(freedom - freedom % 2, -difference))
    assert _student(difference, 1.0, freedom) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("intervals", "length"), [(40, 7), (120, 20), (240, 40)])
@pytest.mark.parametrize("where", [0.0, 0.4, 1.0])
def test_a_pause_is_no_step(intervals: int, length: int, where: float) -> None:
    """Not at an edge of the window either: who is due later in it has waited less, which is no other level."""
    random = np.random.default_rng(32)
    pause = np.zeros(intervals)
    first = round(where * (intervals - length))
    pause[first : first + length] = np.linspace(100, 10, length)

    found = [trend((np.array(wave(random, intervals, 0.0, 0.05)) + pause).tolist()) for _ in range(SIMULATED)]

    assert sum(unsteady(each) for each in found) / SIMULATED <= 0.02


def test_too_few_intervals_are_not_judged() -> None:
    """Intervals without a sample do not count."""
    values = [float(number) for number in range(FEWEST_INTERVALS - 1)]

    assert trend(values) is None
    assert trend([*values, None]) is None
    assert trend([*values, 29.0]) is not None


def test_a_long_series_is_averaged() -> None:
    """And its trend is the same."""
    found = trend([100.0 + number / 1000 for number in range(10 * MOST)])

    assert found is not None
    assert found.change == pytest.approx(0.0239, rel=0.02)
    assert found.p_value < 1e-6


def test_a_few_messages_of_backlog_are_no_trend() -> None:
    """From 1 to 3, where an interval brings 6,000."""
    backlog = [1.0] * 15 + [3.0] * 15

    small = trend(backlog, size=6000)

    assert small is not None
    assert abs(small.change) < 0.001


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_constant_has_no_trend(value: float) -> None:
    """Nor has a series of zeros."""
    assert trend([value] * 40) == Trend(0.0, 1.0)


@given(st.lists(st.floats(0, 1e9), min_size=FEWEST_INTERVALS, max_size=50), st.integers(0, 30))
@example([0.0] * 3 + [2.0] * 2 + [1.0] * 12 + [5e-324] + [0.0] * 12, 10)  # of which the median is half of 5e-324
def test_the_unit_does_not_matter_and_the_reverse_falls(values: list[float], power: int) -> None:
    """Scaled without rounding it is the same trend, however small a value is; read backwards it is the opposite one."""
    found, back = trend(values), trend(values[::-1])
    scaled = trend([value * 2**power for value in values])

    assert found is not None
    assert back is not None
    assert scaled is not None
    assert back.change == pytest.approx(-found.change, rel=1e-6, abs=1e-9)
    assert scaled == found
    assert 0 <= found.p_value <= 1


@given(st.lists(st.integers(0, 1000), min_size=FEWEST_INTERVALS, max_size=50), st.floats(1e-3, 1e3))
def test_rounding_makes_no_trend(counts: list[int], unit: float) -> None:
    """In a unit in which counts are no whole numbers any more they have the same trend, and the same ties."""
    found, scaled = trend([float(each) for each in counts]), trend([each * unit for each in counts])

    assert found is not None
    assert scaled is not None
    assert scaled.change == pytest.approx(found.change, rel=1e-6)
    assert scaled.p_value == pytest.approx(found.p_value, rel=1e-6)
