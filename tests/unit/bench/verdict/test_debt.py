"""`Debts`: how what was due and is not answered grows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.verdict.debt import FEWEST, MOST_LOOKS, Debts, growth


@given(st.floats(-1000, 1000), st.integers(0, 10_000), st.integers(FEWEST, 100))
def test_the_growth_of_a_straight_line_is_its_slope(slope: float, start: int, looks: int) -> None:
    """With no error."""
    times = np.arange(looks) / 10
    found = growth(times.tolist(), (start + slope * times).tolist())

    assert found is not None
    assert found.slope == pytest.approx(slope, abs=1e-6)
    assert found.error == pytest.approx(0.0, abs=1e-6)


def test_growth_is_below_its_upper_end_in_95_of_100_noisy_series() -> None:
    """Also where neighbours resemble each other."""
    below = 0
    for seed in range(400):
        noise = np.random.default_rng(seed)
        debt, held = 0.0, []
        for _ in range(50):
            debt = 0.6 * debt + noise.normal(0, 30)
            held.append(round(200 + debt))
        found = growth([at / 10 for at in range(50)], held)
        assert found is not None
        below += found.upper > 0

    assert below >= 0.92 * 400


def test_too_few_looks_tell_no_growth() -> None:
    """A line through a handful of points says little, and one look nothing."""
    assert growth([0.1 * at for at in range(FEWEST - 1)], [0] * (FEWEST - 1)) is None

    debts = Debts()
    debts.look(0.1, {"published": 7})
    assert (debts.growth(), debts.usual_growth()) == ({}, {})


PAUSES = (st.integers(0, 1000), st.integers(0, 500), st.integers(20, 200), st.floats(0.0, 0.8))
"""What a debt begins with, its growth, the looks at it, and where a pause of a fifth of them begins."""


@given(*PAUSES, st.integers(0, 10_000))
def test_a_pause_that_is_made_up_for_adds_no_growth(start: int, slope: int, looks: int, begin: float, by: int) -> None:
    """Wherever in the window it is."""
    first = int(begin * looks)
    debts = Debts()
    for at in range(looks):
        debts.look(at, {"published": start + slope * at + by * (first <= at < first + looks // 5)})

    assert debts.usual_growth()["published"] <= 1.01 * slope


@given(*PAUSES, st.integers(0, 10_000))
def test_a_pause_that_is_not_made_up_for_excuses_nothing(
    start: int, slope: int, looks: int, begin: float, by: int
) -> None:
    """A debt that grows grows on after it."""
    first = int(begin * looks)
    debts = Debts()
    for at in range(looks):
        debts.look(at, {"published": start + slope * at + by * (at >= first)})

    assert debts.usual_growth()["published"] >= slope


def test_earlier_looks_are_left_out_on_request() -> None:
    """What was before a phase had settled."""
    debts = Debts()
    for at in range(30):
        debts.look(at, {"published": 100 * at if at < 10 else 1000})

    assert debts.usual_growth(10.0) == {"published": 0.0}
    assert debts.growth(10.0)["published"].upper == 0.0
    assert debts.growth()["published"].slope > 0


@given(st.integers(1, 5 * MOST_LOOKS))
def test_the_looks_at_a_long_run_are_thinned_and_tell_the_same(looks: int) -> None:
    """A debt that began to be known later is thinned with the others."""
    debts = Debts()
    for at in range(looks):
        debts.look(at, {"published": 3 * at} | ({"group-1": 5 * at} if at > 100 else {}))

    found = debts.usual_growth()
    assert max(len(each.times_s) for each in debts._looks.values()) <= MOST_LOOKS
    assert found == ({} if looks < 2 else {"published": 3.0} | ({"group-1": 5.0} if looks > 102 else {}))
