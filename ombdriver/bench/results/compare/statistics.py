"""By how much do two samples of runs differ, could it be chance, and what may be claimed? The only importer of scipy.

Knows no metric and no setup: numbers in, a `Shift` out. The samples are logarithms of figures, so that a shift is the
logarithm of a ratio.

*Paired* (runs that stand in one block of one series, so that what is slow on a machine meets both alike): the sample is
one difference per block. If the setups were alike, each difference would be as likely to have the other sign; so the
test goes through all signs (Wilcoxon's signed ranks). *Unpaired*: if the setups were alike, each run would be as likely
to be of the other one; so the test goes through all ways to share the runs out (Mann and Whitney's rank sums). Both
go through all permutations up to `RESAMPLES` of them, else through that many drawn with a fixed seed. Neither takes
anything for granted of how the figures are distributed.

Ranks rather than means, since the figures of runs have outliers (a save, a neighbour), and one of ten must not decide;
for normal figures they need some 5 % more runs. And estimate and interval belong to the same test: the estimate is
Hodges and Lehmann's, the median of the means of all pairs of differences (of all differences, when unpaired), which is
where the test finds nothing at all; the interval holds every shift that the test would not reject at 5 %, so it can't
contradict the test. A bootstrap over so few blocks covers too little: its interval would be too short.

Definitions: Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3.1 to 3.3 and 4.1 to 4.3.

Holm's correction (Holm 1979) keeps the chance of any wrong claim among all tests of a comparison below ALPHA, however
they depend on each other; the four declared figures depend on each other closely.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.05
"""How often chance alone may make a claim; intervals hold the truth in at least 1 - ALPHA of all cases."""
FEWEST = 6
"""With fewer repeats there is neither test nor interval: of 5 blocks even the most extreme has a p of 2/32 > 5 %."""
RESAMPLES = 9_999
"""Up to so many permutations all are gone through, else so many are drawn."""
SEED = 20_260_301

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shift:
    """By how much one sample lies above another.

    Attributes:
        estimate: Hodges and Lehmann's.
        low, high: the ends of the interval at 1 - ALPHA, by itself; None with fewer than `FEWEST`.
        p: how likely so great a shift to either side is by chance, in (0, 1]; None with fewer than `FEWEST`.
        least_p: the least that `p` could have been with so many runs.
    """

    estimate: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    least_p: float | None = None


def paired(differences: Floats) -> Shift:
    """Of the differences within blocks, shape (blocks,), at least one of them."""
    n = len(differences)
    first, second = np.triu_indices(n)
    walsh = np.sort((differences[first] + differences[second]) / 2)
    estimate = float(np.median(walsh))
    if n < FEWEST:
        return Shift(estimate)
    ranks = _ranks(np.abs(differences))
    signed = float((np.sign(differences) * ranks).sum())
    # The sum of the positive ranks, at which the interval's ends are counted, is (signed sum + all ranks) / 2.
    spread = (_flips(tuple(range(1, n + 1))) + n * (n + 1) / 2) / 2
    low, high = _ends(walsh, spread)
    return Shift(estimate, low, high, _p(_flips(tuple(np.sort(ranks).tolist())), signed), least_p_paired(n))


def unpaired(baseline: Floats, other: Floats) -> Shift:
    """Of `other`, shape (m,), above `baseline`, shape (n,); at least one of each."""
    n, m = len(baseline), len(other)
    apart = np.sort((other[:, None] - baseline[None, :]).ravel())
    estimate = float(np.median(apart))
    if min(n, m) < FEWEST:
        return Shift(estimate)
    ranks = _ranks(np.concatenate((other, baseline)))
    # Mann and Whitney's U, at which the interval's ends are counted, is the rank sum less its least value.
    spread = _shares(tuple(range(1, n + m + 1)), m) - m * (m + 1) / 2
    low, high = _ends(apart, spread)
    null = _shares(tuple(np.sort(ranks).tolist()), m)
    return Shift(estimate, low, high, _p(null, float(ranks[:m].sum())), least_p_unpaired(n, m))


def least_p_paired(blocks: int) -> float:
    """The least p that so many blocks can have."""
    return _least_p(2**blocks)


def least_p_unpaired(baseline: int, other: int) -> float:
    """The least p that so many runs can have."""
    return _least_p(comb(baseline + other, other))


def _least_p(permutations: int) -> float:
    return 2 / permutations if permutations <= RESAMPLES else 2 / (RESAMPLES + 1)


def _p(null: Floats, found: float) -> float:
    """Of both sides: twice that of the side on which `found` lies. Drawn permutations count `found` as one more."""
    more = 1 if len(null) == RESAMPLES else 0
    below = (np.count_nonzero(null <= found) + more) / (len(null) + more)
    above = (np.count_nonzero(null >= found) + more) / (len(null) + more)
    return float(min(1.0, 2 * min(below, above)))


def _ends(shifts: Floats, null: Floats) -> tuple[float, float]:
    """The least and the greatest of the sorted `shifts` that the test, whose statistic counts them, keeps.

    `null` is the distribution of how many of the shifts are positive.
    """
    # The least count with a chance of more than ALPHA / 2 for it or fewer: from there on the test keeps a shift.
    skipped = max(1, round(float(np.sort(null)[int(ALPHA / 2 * len(null))])))
    return float(shifts[skipped - 1]), float(shifts[len(shifts) - skipped])


def _ranks(values: Floats) -> Floats:
    """1 for the least; what is equal shares the mean of its ranks."""
    from scipy.stats import rankdata  # here, since it takes half a second to load

    ranks: Floats = rankdata(values)
    return ranks


@lru_cache(maxsize=256)
def _flips(ranks: tuple[float, ...]) -> Floats:
    """The sum of the ranks under all (or many) choices of their signs."""
    return _null((np.array(ranks, np.float64),), "samples")


@lru_cache(maxsize=256)
def _shares(ranks: tuple[float, ...], count: int) -> Floats:
    """The sum of `count` of the ranks under all (or many) choices of them."""
    values = np.array(ranks, np.float64)
    return _null((values[:count], values[count:]), "independent")


def _null(data: tuple[Floats, ...], kind: str) -> Floats:
    from scipy.stats import permutation_test

    def first_sum(first: Any, *_: Any, axis: int) -> Any:
        return np.sum(first, axis=axis)

    statistic: Callable[..., Any] = first_sum
    found = permutation_test(
        data,
        statistic,
        permutation_type=kind,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=1_000,
        rng=np.random.default_rng(SEED),
    )
    null: Floats = np.asarray(found.null_distribution, np.float64)
    return null


LEAST_EFFECT = 0.01
"""No claim is made of a smaller change, however certain: nobody feels it, and no machine repeats itself so well."""
FASTER, SLOWER = "faster", "slower"
GOOD_REPEATS = 10
"""What is asked for: at a variation of 8 % from run to run so many find a change of 20 % nearly always."""
SPARE_REPEATS = 2
"""Asked for beyond those that a claim needs, since a run may come out not VALID."""
_MOST_REPEATS = 100


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values corrected by Holm, in their order; each at least what it was, at most 1."""
    corrected = [1.0] * len(p_values)
    before = 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        before = max(before, min(1.0, (len(p_values) - rank) * p_values[at]))
        corrected[at] = before
    return corrected


def conclusion(ratio: float, low: float, high: float, corrected_p: float) -> str:
    """`faster`, `slower`, or `no detectable difference below X %`, of a latency.

    X is how far the interval reaches from 1: a greater change is not likely, a smaller one could not be told from
    chance. A claim wants a corrected p of at most ALPHA, a change of at least LEAST_EFFECT, and an interval without 1.

    Args:
        ratio: to the baseline.
        low: the lower end of its interval.
        high: the upper end.
        corrected_p: by Holm.
    """
    if corrected_p <= ALPHA and not low <= 1 <= high and max(ratio, 1 / ratio) >= 1 + LEAST_EFFECT:
        return FASTER if ratio < 1 else SLOWER
    return f"no detectable difference below {at_most(max(high - 1, 1 - low))}"


def at_most(change: float) -> str:
    """A change as a percentage that is not below it: `1 %`, `3.4 %`, `12 %`; never less than LEAST_EFFECT."""
    tenths = math.ceil(round(max(change, LEAST_EFFECT) * 1000, 6))
    return f"{tenths / 10:g} %" if tenths < 100 else f"{math.ceil(tenths / 10)} %"


def repeats_needed(tests: int, least_p: Callable[[int], float]) -> int | None:
    """From how many repeats on `tests` tests can lead to a claim at all; None when no number of them is enough.

    Args:
        tests: how many there are.
        least_p: the least p that so many repeats can have.
    """
    enough = (repeats for repeats in range(FEWEST, _MOST_REPEATS) if least_p(repeats) * tests <= ALPHA)
    return next(enough, None)
