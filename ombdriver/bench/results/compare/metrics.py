"""Which figures of runs are compared, and which of them are tested. Pure.

Latencies are in ms, lower is better; rates in messages per second, higher is better.
"""

from collections.abc import Sequence

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.metrics.latency import COMPARED
from ombdriver.bench.metrics.summary import GROUP_FAMILIES

FAMILIES = ("publish", "endToEnd", "publishResponse", "endToEndResponse")
RATES = ("publishRate", "consumeRate")
GROUP_RATES = ("consumeRate",)
GRAMMAR = {**dict.fromkeys(FAMILIES, COMPARED), **dict.fromkeys(RATES, ())}
DECLARED = tuple(
    Figure(family, statistic) for family in ("publishResponse", "endToEndResponse") for statistic in ("p50", "p99")
)
"""The figures that are tested. They were chosen before there were any results; all others are exploratory."""
UNTESTED = "max"
"""One sample of a whole run: never tested, and given no interval."""


def parse(text: str) -> Figure:
    """Reads a figure that is compared.

    Raises:
        ValueError: if there is none of that name; the message tells what there is.
    """
    return Figure.parse(text, GRAMMAR, noun="metric")


def overall() -> list[Figure]:
    """The figures over all groups together, in the order in which they are shown."""
    return [Figure(rate) for rate in RATES] + _latencies(FAMILIES)


def of_groups(groups: Sequence[str]) -> list[Figure]:
    """The figures of each of these groups."""
    found = []
    for group in groups:
        found += [Figure(rate, "", group) for rate in GROUP_RATES] + _latencies(GROUP_FAMILIES, group)
    return found


def _latencies(families: Sequence[str], group: str | None = None) -> list[Figure]:
    return [Figure(family, statistic, group) for family in families for statistic in COMPARED]
