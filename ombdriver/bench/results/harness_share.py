"""Which figures say more of the harness than of the system: of one result, and of several together. Pure.

The clocks of its hosts belong to it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.metrics.summary import GROUP_FAMILIES
from ombdriver.bench.results.result import Result

HarnessShare = Literal["clock", "floor", "own"]
"""`clock`: no higher than what the clocks of the hosts may be wrong by; `floor`: no higher than what the harness shows
with no server; `own`: more than a third may be the harness's."""
CLOCK: HarnessShare = "clock"
FLOOR: HarnessShare = "floor"
OWN: HarnessShare = "own"


def harness_share(result: Result, figure: Figure) -> HarnessShare | None:
    """Why a figure says more of the harness; None when it does not. The first reason counts, of those above."""
    name = str(figure)
    if is_below_clocks(result, figure):
        return CLOCK
    return FLOOR if name in result.at_harness_floor else OWN if name in result.own_parts else None


def is_below_clocks(result: Result, figure: Figure) -> bool:
    """Whether an end-to-end latency is no higher than what the clocks of the hosts may be wrong by."""
    if result.clock_error_ms is None or figure.family not in GROUP_FAMILIES or figure.kind != "latency":
        return False
    value = result.value(figure)
    return value is not None and value <= result.clock_error_ms


def harness_shares(result: Result, figures: Iterable[Figure]) -> dict[str, HarnessShare]:
    """Those of `figures`, by name, that say more of the harness, and why."""
    return {str(each): kind for each in figures if (kind := harness_share(result, each)) is not None}


def harness_share_of_median(kinds: Sequence[HarnessShare | None]) -> HarnessShare | None:
    """The same of a median over runs: it is the harness's where it was in half of them at least."""
    counts = Counter(each for each in kinds if each is not None)
    if not kinds or 2 * counts.total() < len(kinds):
        return None
    return max((CLOCK, FLOOR, OWN), key=lambda each: counts[each])
