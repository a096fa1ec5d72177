"""What faults did, as tables for the terminal: a row for each injection, and one for each group that lost something.

Knows the `faults` of a result and rich; nothing of how they were injected.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ombdriver.bench.report import units

MOST_SHOWN = 20
"""Of more injections the worst are shown: those with the longest outages."""
_COLUMNS = ("detect", "outage", "delivery", "recover", "catch-up", "failed", "unknown", "lost")
_COUNTS = {
    "lost": "lost",
    "undelivered": "undelivered",
    "recovered": "recovered",
    "redelivered": "redelivered",
    "duplicated": "duplicated",
    "reordered": "reordered",
}


def block(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The tables under their heading.

    Args:
        found: the `faults` of a result.
    """
    injections: Sequence[Mapping[str, Any]] = found["injections"]
    yield Text("\nFaults in the measured window, seconds from each injection", style="bold")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("at", justify="right", no_wrap=True)
    table.add_column("hit", min_width=10, overflow="fold")
    for column in _COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    shown = shown_of(injections)
    for each in shown:
        table.add_row(f"{each['injectedSeconds']:g}", Text(_hit(each)), *_figures(each))
    yield table
    if len(shown) < len(injections):
        yield Text(f"(the {len(shown)} with the longest outages of {len(injections)}; the others are in the result)")
    for each in shown:
        yield Padding(Text(sentence(each)), (0, 0, 0, 2), expand=False)
    yield Text(f"acknowledged means here: {found['acknowledged']}")


def shown_of(injections: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The injections that are shown, in their order."""
    if len(injections) <= MOST_SHOWN:
        return injections
    worst = sorted(injections, key=lambda each: -each["outageSeconds"])[:MOST_SHOWN]
    return [each for each in injections if each in worst]


def sentence(each: Mapping[str, Any]) -> str:
    """What became of the messages of one injection's time, and what it was."""
    name = f"{each['number']}, {each['fault']}"
    if each["error"]:
        return f"{name}: {each['error']}"
    if not each["hadEffect"]:
        return f"{name}: no effect was seen"
    told = []
    for group in each["groups"]:
        counts = [f"{word} {units.count(group[key])}" for key, word in _COUNTS.items() if key != "lost" and group[key]]
        lost = f"lost {units.count(group['lost'])} of {units.count(group['acknowledged'])} acknowledged"
        told.append(f"{group['name']} {', '.join([lost, *counts])}")
    return f"{name}: {'; '.join(told)}" if told else name


def _hit(each: Mapping[str, Any]) -> str:
    return f"{each['kind']} {', '.join(each['hit'])}" if each["hit"] else each["kind"]


def _figures(each: Mapping[str, Any]) -> list[str]:
    groups = each["groups"]
    if not each["hit"]:
        return [units.NOTHING] * len(_COLUMNS)
    catch_up = [group["catchUpSeconds"] for group in groups]
    return [
        _seconds(each["detectSeconds"]),
        _seconds(each["outageSeconds"]),
        _seconds(max((group["outageSeconds"] for group in groups), default=None)),
        _never(each["recoverSeconds"]),
        _never(None if None in catch_up else max(catch_up, default=0.0)),
        units.count(each["failed"]),
        units.count(each["indeterminate"]),
        units.count(sum(group["lost"] for group in groups)),
    ]


def _seconds(seconds: float | None) -> str:
    return units.NOTHING if seconds is None else f"{seconds:.2f}" if seconds else "0"


def _never(seconds: float | None) -> str:
    return "not yet" if seconds is None else _seconds(seconds)
