"""From p values to words: what may be said of a setup, with all that was tested taken into account. Pure.

Holm's correction (Holm 1979) keeps the chance of any wrong claim among all tests of a comparison below ALPHA, whatever
they have to do with each other; the four declared metrics hang together closely.
"""

import math
from collections.abc import Callable, Sequence

from ombdriver.bench.compare.permutation import ALPHA, FEWEST

LEAST_EFFECT = 0.01
"""No claim is made of a smaller change, however certain: nobody feels it, and no machine repeats itself so well."""
FASTER, SLOWER = "faster", "slower"
GOOD_REPEATS = 10
"""What is asked for: at a variation of 8 % from run to run so many find a change of 20 % nearly always."""
_MOST_REPEATS = 100


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values corrected by Holm, in their order; each at least what it was, at most 1."""
    corrected = [1.0] * len(p_values)
    before = 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        before = max(before, min(1.0, (len(p_values) - rank) * p_values[at]))
        corrected[at] = before
    return corrected


def word(ratio: float, low: float, high: float, corrected_p: float) -> str:
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
