"""What faults did in runs that are compared: the worst of each run, over the runs of two setups. Pure.

Of all runs that went to their end, whatever their verdict: what a fault lost may be the very reason that a run is not
VALID. Nothing is tested: outages are times of the servers' own making, and often alike to the poll.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

FIGURES: Mapping[str, str] = {
    "outage": "s",
    "deliveryOutage": "s",
    "detect": "s",
    "recover": "s",
    "catchUp": "s",
    "faults.lost": "messages",
}
"""The figures, by their names in `expect`, and the unit of each."""
NO_FAULTS = "none"
"""What a load is told to have that has no faults."""


@dataclass(frozen=True, slots=True)
class FaultSpread:
    """A figure over the runs of a setup; seconds or messages.

    Attributes:
        count: runs that have it.
        unended: those of them in which it did not come to an end: it is longer there than any that did.
        median, least, most: over these; None without any, and where it did not come to an end.
    """

    count: int
    unended: int = 0
    median: float | None = None
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class FaultEffect:
    """One figure of one setup beside that of the baseline.

    Attributes:
        name: a key of `FIGURES`.
        baseline, other: over the runs of each.
    """

    name: str
    baseline: FaultSpread
    other: FaultSpread

    @property
    def unit(self) -> str:
        """Of its values."""
        return FIGURES[self.name]


def fault_figures(faults: Mapping[str, Any] | None) -> dict[str, float | None]:
    """The worst of all injections of a run, by the names of `FIGURES`; None for what did not come to an end.

    What was not there to be seen (a detection where nothing was felt, deliveries without groups) has no key.

    Args:
        faults: as a result has them; None for a run without any.
    """
    if faults is None:
        return {}
    injected = [each for each in faults["injections"] if each["hit"]]
    groups = [group for each in injected for group in each["groups"]]
    values: dict[str, Sequence[float | None]] = {
        "outage": [each["outageSeconds"] for each in injected],
        "deliveryOutage": [group["outageSeconds"] for group in groups],
        "detect": [each["detectSeconds"] for each in injected if each["detectSeconds"] is not None],
        "recover": [each["recoverSeconds"] for each in injected],
        "catchUp": [group["catchUpSeconds"] for group in groups],
    }
    worst = {name: _worst(some) for name, some in values.items() if some}
    return {**worst, "faults.lost": faults["totals"]["lost"]} if injected else {}


def effects(
    baseline: Iterable[Mapping[str, float | None]], other: Iterable[Mapping[str, float | None]]
) -> tuple[FaultEffect, ...]:
    """The figures that both sides have.

    Args:
        baseline: what `fault_figures` tells of each of its runs.
        other: the same of the other setup.
    """
    first, second = list(baseline), list(other)
    found = (FaultEffect(name, _spread(first, name), _spread(second, name)) for name in FIGURES)
    return tuple(each for each in found if each.baseline.count and each.other.count)


def faults_in_words(workload: Mapping[str, Any]) -> str:
    """The faults of a workload as a file has them, on one line; `none` without any.

    Args:
        workload: as a result has it.
    """
    return ", ".join(map(_word, workload.get("faults") or ())) or NO_FAULTS


def _word(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_word(each)}' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_word, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _worst(values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return max(known) if len(known) == len(values) else None


def _spread(runs: Sequence[Mapping[str, float | None]], name: str) -> FaultSpread:
    values = [math.inf if run[name] is None else float(run[name] or 0.0) for run in runs if name in run]
    if not values:
        return FaultSpread(0)
    middle, least, most = (each if each < math.inf else None for each in (median(values), min(values), max(values)))
    return FaultSpread(len(values), values.count(math.inf), middle, least, most)
