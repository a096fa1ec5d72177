"""The marks of percentiles that say more of the harness than of the system, and what they mean, for all texts."""

from collections.abc import Iterable

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.results.result import Result

HOLLOW = "○"
"""Stands at the figures of a run that is not VALID, as hollow marks do in plots."""
AT_FLOOR = "*"
OWN_PART = "†"
LEGENDS = {
    AT_FLOOR: "at the harness floor, what `ombdriver calibrate` found with no server",
    OWN_PART: "more than a third of it may be the harness's own: schedule lag, and event loops that came late",
}
"""What each mark means, in one line."""


def mark(result: Result, figure: Figure) -> str:
    """The mark of a figure; empty for one that has none. One at the floor is the harness's in any case."""
    name = str(figure)
    return AT_FLOOR if name in result.at_harness_floor else OWN_PART if name in result.own_parts else ""


def marks_in(cells: Iterable[str]) -> list[str]:
    """The marks that stand in these cells and have to be explained."""
    texts = list(cells)
    return [each for each in LEGENDS if any(each in text for text in texts)]
