"""Which figures say more of the harness than of the system: of one result, and of several together. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.results.result import Result

OfHarness = Literal["floor", "own"]
"""`floor`: no higher than what the harness shows with no server; `own`: more than a third may be the harness's."""
FLOOR: OfHarness = "floor"
OWN: OfHarness = "own"


def of_harness(result: Result, figure: Figure) -> OfHarness | None:
    """Why a figure says more of the harness; None when it does not. One at the floor is the harness's in any case."""
    name = str(figure)
    return FLOOR if name in result.at_harness_floor else OWN if name in result.own_parts else None


def of_most(kinds: Sequence[OfHarness | None]) -> OfHarness | None:
    """The same of a median over runs: it is the harness's where it was in half of them at least."""
    counts = Counter(each for each in kinds if each is not None)
    if not kinds or 2 * counts.total() < len(kinds):
        return None
    return max((FLOOR, OWN), key=lambda each: counts[each])
