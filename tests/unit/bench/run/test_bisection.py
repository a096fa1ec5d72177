"""`Bisection`: the highest sustained rate of simulated systems whose knee is known."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.run.rate_search import MOST_PROBES, NARROW, Bisection

Holds = Callable[[int], bool]


def searched(holds: Holds, start: int = 1000, most: int = 10_000_000) -> Bisection:
    """A search that has come to its end."""
    search = Bisection(start, most=most)
    while search.rate is not None:
        search.add(holds(search.rate))
    return search


@given(st.integers(1, 5_000_000), st.integers(1, 5_000_000))
def test_a_knee_is_found_to_a_few_per_cent_wherever_the_search_begins(knee: int, start: int) -> None:
    """And lies within the interval that is told."""
    search = searched(lambda rate: rate <= knee, start)

    assert search.failing is not None
    assert search.sustained <= knee < search.failing
    assert search.failing <= max(search.sustained * NARROW, search.sustained + 1)


@pytest.mark.parametrize("wrong", [0.05, 0.1])
def test_probes_that_fail_by_chance_do_not_move_the_knee(wrong: float) -> None:
    """One in twenty, one in ten: the rate that is found is within 5 % of the knee, in 95 of 100 searches."""
    within = 0
    for seed in range(200):
        chance = random.Random(seed)
        search = searched(lambda rate, chance=chance: rate <= 37_000 and chance.random() >= wrong)  # type: ignore[misc]
        within += 0.95 * 37_000 <= search.sustained <= 37_000

    assert within >= 190


def test_a_blurred_knee_is_found_within_5_per_cent() -> None:
    """Around it a probe holds or not as it comes: by 2 % of noise."""
    within = 0
    for seed in range(200):
        chance = random.Random(seed)
        search = searched(lambda rate, chance=chance: rate * chance.gauss(1, 0.02) <= 37_000)  # type: ignore[misc]
        within += 0.95 * 37_000 <= search.sustained <= 1.05 * 37_000

    assert within >= 190


def test_a_system_that_degrades_is_found_as_it_is_at_the_end() -> None:
    """What held earlier has to hold again."""
    probes = 0

    def tiring(rate: int) -> bool:
        nonlocal probes
        probes += 1
        return rate <= (40_000 if probes < 10 else 20_000)

    search = searched(tiring)

    assert 0.95 * 20_000 <= search.sustained <= 20_000


@given(st.integers(1, 1_000_000), st.integers(1, 1_000_000), st.integers(0, 2**32), st.floats(0.0, 0.9))
def test_rates_that_could_not_be_judged_move_nothing_that_is_known(
    knee: int, start: int, seed: int, unjudged: float
) -> None:
    """What held stays, nothing above the knee is found, and the lowest rate that is not known to hold is told."""
    chance, held, failed = random.Random(seed), set(), set()
    search = Bisection(start)
    while search.rate is not None:
        if chance.random() < unjudged:
            search.pass_over()
            continue
        (held if search.rate <= knee else failed).add(search.rate)
        search.add(search.rate <= knee)

    assert search.sustained == max(held, default=0)
    assert search.failing is None or search.failing > search.sustained
    assert not failed or (search.failing or 0) <= min(failed)
    assert search.probes <= MOST_PROBES


def test_a_search_ends_when_nothing_can_be_judged() -> None:
    """At the first rate, a tenth and a hundredth of it: not at 1 message a second."""
    search, tried = Bisection(10_000), []
    while search.rate is not None:
        tried.append(search.rate)
        search.pass_over()

    assert tried == [10_000, 1_000, 100]
    assert (search.sustained, search.failing) == (0, 100)


def test_a_rate_that_can_t_be_judged_bounds_the_search_from_above() -> None:
    """As where this machine needs all of its cores for the load: it is told apart from what the system did."""
    search = Bisection(1000)
    while search.rate is not None:
        if search.rate > 37_000:
            search.pass_over()
        else:
            search.add(True)

    assert search.sustained <= 37_000 < (search.failing or 0) <= search.sustained * NARROW + 1
    assert search.probes <= 20


def test_a_system_that_holds_nothing_is_told() -> None:
    """Down to the least rate."""
    search = searched(lambda _: False)

    assert (search.sustained, search.failing) == (0, 1)


def test_a_system_without_a_limit_ends_at_the_most() -> None:
    """Nothing above is tried, and nothing is known to fail."""
    search = searched(lambda _: True, most=100_000)

    assert (search.sustained, search.failing) == (100_000, None)


def test_a_search_is_short() -> None:
    """Some 15 to 20 probes for a knee that is far from the start."""
    assert searched(lambda rate: rate <= 61_234).probes <= 20


@given(st.integers(0, 2**32))
def test_a_system_that_answers_as_it_likes_is_given_up(seed: int) -> None:
    """However the probes come out, there is an end."""
    chance = random.Random(seed)

    assert searched(lambda _: chance.random() < 0.5).probes <= MOST_PROBES
