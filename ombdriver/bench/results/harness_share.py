"""Which figures say more of the harness than of the system: of one result, and of several together. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.results.result import Result

HarnessShare = Literal["floor", "own"]
"""`floor`: no higher than what the harness shows with no server; `own`: more than a third may be the harness's."""
FLOOR: HarnessShare = "floor"
OWN: HarnessShare = "own"


def harness_share(result: Result, figure: Figure) -> HarnessShare | None:
    """Why a figure says more of the harness; None when it does not. One at the floor is the harness's in any case."""
    name = str(figure)
    return FLOOR if name in result.at_harness_floor else OWN if name in result.own_parts else None


def harness_shares(result: Result, figures: Iterable[Figure]) -> dict[str, HarnessShare]:
    """Those of `figures`, by name, that say more of the harness, and why."""
    return {str(each): kind for each in figures if (kind := harness_share(result, each)) is not None}


def harness_share_of_median(kinds: Sequence[HarnessShare | None]) -> HarnessShare | None:
    """The same of a median over runs: it is the harness's where it was in half of them at least."""
    counts = Counter(each for each in kinds if each is not None)
    if not kinds or 2 * counts.total() < len(kinds):
        return None
    return max((FLOOR, OWN), key=lambda each: counts[each])
