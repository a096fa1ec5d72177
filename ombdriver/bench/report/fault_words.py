"""What faults did, in words and cells: of each injection, for the terminal and the page alike. Pure.

Knows the `faults` of a result; neither how they are shown nor how they were injected.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ombdriver.bench.report import units

MOST_SHOWN = 20
"""Of more injections the worst are shown: those with the longest outages."""
COLUMNS = ("detect", "outage", "delivery", "recover", "catch-up", "failed", "unknown", "lost")
_COUNTS = {
    "lost": "lost",
    "undelivered": "undelivered",
    "recovered": "recovered",
    "redelivered": "redelivered",
    "duplicated": "duplicated",
    "reordered": "reordered",
}


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


def hit(each: Mapping[str, Any]) -> str:
    """What was done to whom."""
    return f"{each['kind']} {', '.join(each['hit'])}" if each["hit"] else each["kind"]


def figures(each: Mapping[str, Any]) -> list[str]:
    """A cell for each of `COLUMNS`; times are seconds from the injection."""
    groups = each["groups"]
    if not each["hit"]:
        return [units.NOTHING] * len(COLUMNS)
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
