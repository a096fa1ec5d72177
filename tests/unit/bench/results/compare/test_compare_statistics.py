"""The tests behind a comparison: they hold their level, find what is there, and never contradict their intervals."""

import itertools
import math

import numpy as np
import pytest
from compared_trials import trials
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, wilcoxon

from ombdriver.bench.results.compare import statistics
from ombdriver.bench.results.compare.comparison import SetupComparison, compare
from ombdriver.bench.results.compare.statistics import ALPHA, FASTER, FEWEST, SLOWER, conclusion, holm, paired, unpaired

STUDIES = 200

samples = st.lists(st.floats(-1, 1), min_size=FEWEST, max_size=11)
rounded = st.lists(st.integers(-4, 4).map(float), min_size=FEWEST, max_size=9)


def claimed(repeats: int, seed: int, shift: float, series: str | None = "ab12cd34") -> set[str]:
    """What is claimed of a setup whose latencies are `shift` times those of the baseline."""
    base = trials("a", repeats, seed=2 * seed, series=series)
    (comparison,) = compare([*base, *trials("b", repeats, seed=2 * seed + 1, shift=shift, series=series)])
    (compared,) = comparison.setups
    return words(compared) & {FASTER, SLOWER}


def words(compared: SetupComparison) -> set[str]:
    """All words that were said."""
    return {effect.conclusion for effect in compared.effects if effect.conclusion is not None}


@pytest.mark.parametrize("series", ["ab12cd34", None])
def test_of_200_comparisons_of_a_setup_with_itself_at_most_17_claim_a_difference(series: str | None) -> None:
    """10 repeats, correlated metrics, 8 % from run to run; 5 % of 200 are 10, and more than 17 would come by chance
    in one of 100 such studies. In blocks, and without any.
    """
    assert sum(bool(claimed(10, seed, 1.0, series)) for seed in range(STUDIES)) <= 17


@pytest.mark.parametrize("series", ["ab12cd34", None])
def test_a_shift_of_20_percent_is_found_in_at_least_90_percent(series: str | None) -> None:
    """At the same variation and the same repeats, and never taken for its opposite."""
    found = [claimed(10, seed, 1.2, series) for seed in range(STUDIES)]

    assert sum(each == {SLOWER} for each in found) >= 0.9 * STUDIES
    assert not any(FASTER in each for each in found)


@pytest.mark.parametrize("in_blocks", [True, False])
def test_intervals_hold_the_truth_as_often_as_they_say(in_blocks: bool) -> None:
    """In 95 % of 1,000 cases at least, within what chance does to such a count."""
    generator = np.random.default_rng(5)
    held = 0
    for _ in range(1000):
        first, second = generator.normal(size=(2, 10))
        shift = paired(second - first) if in_blocks else unpaired(first, second)
        assert shift.low is not None
        assert shift.high is not None
        held += shift.low <= 0 <= shift.high

    assert held >= 935


@settings(deadline=None, max_examples=60)
@given(samples)
def test_a_paired_test_is_that_of_signed_ranks(differences: list[float]) -> None:
    """Where nothing is tied, its p is that of scipy's exact Wilcoxon test."""
    sizes = [abs(each) for each in differences]
    if len(set(sizes)) == len(sizes) and 0 not in sizes:
        found = paired(np.array(differences))
        assert found.p == pytest.approx(wilcoxon(differences, method="exact").pvalue)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-1, 1), min_size=12, max_size=12, unique=True))
def test_an_unpaired_test_is_that_of_rank_sums(values: list[float]) -> None:
    """Where nothing is tied, its p is that of scipy's exact Mann-Whitney test."""
    found = unpaired(np.array(values[:6]), np.array(values[6:]))

    assert found.p == pytest.approx(mannwhitneyu(values[6:], values[:6], method="exact").pvalue)


@settings(deadline=None, max_examples=40)
@given(rounded)
def test_ties_and_zeros_are_counted_as_they_are(differences: list[float]) -> None:
    """The p is that of going through all signs by hand."""
    values = np.array(differences)
    ranks = statistics._ranks(np.abs(values))
    signed = float((np.sign(values) * ranks).sum())
    sums = [
        sum(s * r for s, r in zip(signs, ranks, strict=True)) for signs in itertools.product((-1, 1), repeat=len(ranks))
    ]
    below, above = (sum(each <= signed for each in sums), sum(each >= signed for each in sums))

    assert paired(values).p == pytest.approx(min(1.0, 2 * min(below, above) / len(sums)))


@settings(deadline=None, max_examples=80)
@given(st.lists(st.floats(-1, 1), min_size=12, max_size=22, unique=True))
def test_an_interval_and_its_test_agree(values: list[float]) -> None:
    """Without ties, an interval leaves out 0 exactly when p is at most 5 %."""
    half = len(values) // 2
    first, second = np.array(values[:half]), np.array(values[half:])
    differences = second[:half] - first
    for shift, tied in (
        (paired(differences), len(set(np.abs(differences))) < half or 0 in differences),
        (unpaired(first, second), len(np.unique(second[:, None] - first)) < half * len(second)),
    ):
        assert shift.low is not None
        assert shift.high is not None
        assert shift.p is not None
        assert shift.low <= shift.estimate <= shift.high
        drawn = math.comb(len(values), half) > statistics.RESAMPLES
        if not tied and not drawn:
            assert (shift.low > 0 or shift.high < 0) == (shift.p <= ALPHA)


@settings(deadline=None, max_examples=40)
@given(samples, st.floats(-2, 2))
def test_a_shift_moves_estimate_and_interval_with_it(differences: list[float], by: float) -> None:
    """And turning the sample round turns them round."""
    values = np.array(differences)
    here, there, back = paired(values), paired(values + by), paired(-values)

    assert there.estimate == pytest.approx(here.estimate + by, abs=1e-9)
    assert (there.low, there.high) == pytest.approx((here.low + by, here.high + by), abs=1e-9)  # type: ignore[operator]
    assert (back.low, back.high) == pytest.approx((-here.high, -here.low), abs=1e-9)  # type: ignore[operator]
    assert back.p == pytest.approx(here.p)


def test_one_run_that_went_astray_does_not_decide() -> None:
    """The estimate stays where the others are."""
    values = np.full(10, 0.02)
    values[3] = 9.0

    assert paired(values).estimate == pytest.approx(0.02)
    assert unpaired(np.zeros(10), values).estimate == pytest.approx(0.02)


def test_with_fewer_than_6_there_is_an_estimate_only() -> None:
    """Since no p could be at most 5 %."""
    for count in range(1, FEWEST):
        one = paired(np.linspace(0.1, 0.2, count))
        two = unpaired(np.zeros(9), np.linspace(0.1, 0.2, count))
        assert one.estimate == pytest.approx(0.15 if count > 1 else 0.1)
        assert (one.p, one.low, one.high, one.least_p) == (two.p, two.low, two.high, two.least_p) == (None,) * 4
    assert statistics.least_p_paired(FEWEST - 1) > ALPHA >= statistics.least_p_paired(FEWEST)


def test_many_repeats_are_drawn_from_with_a_fixed_seed() -> None:
    """The same p whenever it is asked for, and never 0."""
    values = np.random.default_rng(3).normal(0.5, 0.1, size=300)
    first, again = paired(values), paired(values)

    assert first == again
    assert first.p == first.least_p == 2 / (statistics.RESAMPLES + 1)
    assert unpaired(values, values + 1).p == 2 / (statistics.RESAMPLES + 1)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_only_ever_raises_a_p(p_values: list[float]) -> None:
    """Up to 1, in the same order; by at most as many times as there are tests."""
    corrected = holm(p_values)

    for before, after in zip(p_values, corrected, strict=True):
        assert before <= after <= 1
        assert after <= max(1, len(p_values)) * max(p_values)
    assert [corrected[at] for at in sorted(range(len(p_values)), key=lambda at: p_values[at])] == sorted(corrected)


def test_holm_by_the_example() -> None:
    """The least by all of them, the next by one fewer, and so on."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@pytest.mark.parametrize(
    ("ratio", "low", "high", "p", "said"),
    [
        (1.2, 1.1, 1.3, 0.01, SLOWER),
        (0.8, 0.7, 0.9, 0.01, FASTER),
        (1.2, 1.1, 1.3, 0.06, "no detectable difference below 30 %"),
        (1.02, 0.95, 1.094, 0.2, "no detectable difference below 9.4 %"),
        (0.9, 0.877, 1.001, 0.04, "no detectable difference below 13 %"),
        # Certain, and too small to be of any interest.
        (1.009, 1.008, 1.0095, 0.001, "no detectable difference below 1 %"),
        (1 / 1.009, 0.99, 0.995, 0.001, "no detectable difference below 1 %"),
    ],
)
def test_what_is_said_of_a_latency(ratio: float, low: float, high: float, p: float, said: str) -> None:
    """A claim takes a corrected p, an interval that leaves out 1, and 1 %."""
    assert conclusion(ratio, low, high, p) == said


def test_how_many_repeats_can_lead_to_a_claim() -> None:
    """More tests take more blocks: 8 for the four metrics of one setup, 10 for those of four."""
    needed = [statistics.repeats_needed(tests, statistics.least_p_paired) for tests in (1, 4, 8, 16, 10_000)]

    assert needed == [6, 8, 9, 10, None]
    assert statistics.repeats_needed(4, lambda each: statistics.least_p_unpaired(each, each)) == 6
