"""The marks of percentiles that say more of the harness than of the system, and what they mean, for all texts."""

from collections.abc import Iterable

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.report import units
from ombdriver.bench.results.harness_share import CLOCK, FLOOR, OWN, HarnessShare, harness_share
from ombdriver.bench.results.result import Result
from ombdriver.bench.spec.thresholds import Check

HOLLOW = "○"
"""Stands at the figures of a run that is not VALID, as hollow marks do in plots."""
AT_FLOOR = "*"
OWN_PART = "†"
BELOW_CLOCKS = "‡"
LEGENDS = {
    BELOW_CLOCKS: "not resolved: the clocks of the hosts may be wrong by as much",
    AT_FLOOR: "at the harness floor, what `ombdriver calibrate` found with no server",
    OWN_PART: "more than a third of it may be the harness's own: schedule lag, and event loops that came late",
}
"""What each mark means, in one line."""


_MARKS = {CLOCK: BELOW_CLOCKS, FLOOR: AT_FLOOR, OWN: OWN_PART, None: ""}


def mark_of(kind: HarnessShare | None) -> str:
    """The mark for that; empty for none."""
    return _MARKS[kind]


def mark(result: Result, figure: Figure) -> str:
    """The mark of a figure; empty for one that has none."""
    return mark_of(harness_share(result, figure))


def threshold_figure(result: Result, check: Check) -> str:
    """The figure of a threshold that was checked, with its mark."""
    try:
        sign = mark(result, Figure.parse(check.expression.split()[0]))
    except ValueError:  # of a later version, or of somebody else
        sign = ""
    return marked(units.figure(check.value, check.unit), sign)


def marked(latency: str, mark: str) -> str:
    """A latency as `units.latency` writes it, with its mark in place of the space: no column becomes wider by it."""
    return latency.replace(" ", mark or " ")


def marks_in(cells: Iterable[str]) -> list[str]:
    """The marks that stand in these cells and have to be explained."""
    texts = list(cells)
    return [each for each in LEGENDS if any(each in text for text in texts)]


def legends(cells: Iterable[str]) -> list[str]:
    """What the marks before the units of these cells mean, a line each."""
    return [f"{each} before a unit: {LEGENDS[each]}" for each in marks_in(cells)]


def sentences(cells: Iterable[str]) -> list[str]:
    """The same as sentences, for marks that stand anywhere in a cell."""
    return [f"{each}: {LEGENDS[each]}." for each in marks_in(cells)]
