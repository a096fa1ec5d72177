"""What each setup lost by each standard fault, and for how long it was away: rows of a table, and Markdown. Pure.

Knows the `faults` of results; nothing of how they were injected. Ranges are over the repeats.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ombdriver.bench.faults.standard import TAG
from ombdriver.bench.report import units
from ombdriver.bench.results.result import Result

NEVER = "not yet"
"""In place of a time: when the window ended it was not as before."""
HEAD = ("setup", "fault", "runs", "lost", "unknown", "outage s", "recover s", "promise")
"""The columns of the table."""
ORDER = (
    "Messages that were acknowledged and lost, of unknown outcome, and times: from the least to the most of all runs."
)
"""What a row tells."""
FIGURES = HEAD[2:-1]
"""Those that are figures."""


@dataclass(frozen=True, slots=True)
class ChaosRun:
    """One run with one fault.

    Attributes:
        setup: its name.
        fault: the name of the standard fault.
        status: of its verdict.
        error: why the fault could not be injected or healed; None when it could.
        lost: messages that were acknowledged and are gone, over all groups.
        acknowledged: messages of the fault's time that were acknowledged, over all groups.
        unknown: messages of that time of which nobody knows whether they were stored.
        outage_s: the longest time with messages due and none acknowledged.
        recover_s: until all was as before; None when it was not.
        promises: whether an acknowledgement of this setup promises that such a fault loses nothing.
    """

    setup: str
    fault: str
    status: str
    error: str | None
    lost: int
    acknowledged: int
    unknown: int
    outage_s: float
    recover_s: float | None
    promises: bool

    @classmethod
    def of(cls, result: Result, fault: str) -> "ChaosRun | None":
        """Of a result; None where it was over before the fault."""
        injections: Sequence[Mapping[str, Any]] = result.faults["injections"] if result.faults else ()
        if not injections:
            return None
        one = injections[0]
        return cls(
            setup=str(result.setup["name"]),
            fault=fault,
            status=result.verdict.status if result.verdict else units.NOTHING,
            error=one["error"],
            lost=sum(group["lost"] for group in one["groups"]),
            acknowledged=sum(group["acknowledged"] for group in one["groups"]),
            unknown=one["indeterminate"],
            outage_s=one["outageSeconds"],
            recover_s=one["recoverSeconds"],
            promises=one["promisesNoLoss"],
        )


def runs_of(results: Iterable[Result]) -> list[ChaosRun]:
    """Those of the results that have a standard fault, which their tag names."""
    tagged = (ChaosRun.of(result, str(result.tags[TAG])) for result in results if TAG in result.tags)
    return [run for run in tagged if run is not None]


@dataclass(frozen=True, slots=True)
class ChaosCell:
    """All runs of one fault on one setup.

    Attributes:
        runs: those whose fault was injected and healed.
        failed: so many others.
    """

    runs: Sequence[ChaosRun]
    failed: int

    @property
    def lost(self) -> str:
        """Messages, from the fewest to the most."""
        return _range([run.lost for run in self.runs], units.count)

    @property
    def outage(self) -> str:
        """Seconds."""
        return _range([run.outage_s for run in self.runs], _seconds)

    @property
    def recover(self) -> str:
        """Seconds."""
        known = [run.recover_s for run in self.runs if run.recover_s is not None]
        told = _range(known, _seconds)
        return told if len(known) == len(self.runs) else f"{told}, {NEVER}" if known else NEVER

    @property
    def unknown(self) -> str:
        """Messages."""
        return _range([run.unknown for run in self.runs], units.count)

    @property
    def promise(self) -> str:
        """Whether the setup promises that nothing is lost, and keeps it."""
        if not all(run.promises for run in self.runs):
            return "none"
        return "broken" if any(run.lost for run in self.runs) else "kept"


def cells(runs: Iterable[ChaosRun]) -> dict[tuple[str, str], ChaosCell]:
    """By setup and fault, in the order in which they come."""
    found: dict[tuple[str, str], list[ChaosRun]] = {}
    for run in runs:
        found.setdefault((run.setup, run.fault), []).append(run)
    return {
        key: ChaosCell(good, len(some) - len(good))
        for key, some in found.items()
        for good in [[run for run in some if run.error is None]]
    }


def rows(runs: Iterable[ChaosRun]) -> list[tuple[str, ...]]:
    """A row for each fault on each setup, by setup: a cell for each of `HEAD`."""
    return [
        (setup, fault, str(len(cell.runs)), *_figures(cell))
        for (setup, fault), cell in sorted(cells(runs).items(), key=lambda each: each[0][0])
    ]


def _figures(cell: ChaosCell) -> tuple[str, ...]:
    if not cell.runs:
        return (units.NOTHING,) * 5
    return cell.lost, cell.unknown, cell.outage, cell.recover, cell.promise


def notes(runs: Iterable[ChaosRun], left_out: Mapping[tuple[str, str], str] = MappingProxyType({})) -> list[str]:
    """What is not in the rows, and why.

    Args:
        runs: all of them.
        left_out: why a setup can't have a fault, by setup and fault.
    """
    found = [f"{fault} on {setup}: not injected, {why}" for (setup, fault), why in left_out.items()]
    return found + [
        f"{fault} on {setup}: {units.many(cell.failed, 'run')} left out, the fault could not be injected or healed"
        for (setup, fault), cell in cells(runs).items()
        if cell.failed
    ]


def to_markdown(runs: Sequence[ChaosRun], left_out: Mapping[tuple[str, str], str] = MappingProxyType({})) -> str:
    """The same as Markdown."""
    lines = [f"| {' | '.join(HEAD)} |", f"|{'|'.join('--:' if name in FIGURES else '---' for name in HEAD)}|"]
    lines += [f"| `{setup}` | {' | '.join(told)} |" for setup, *told in rows(runs)]
    if found := notes(runs, left_out):
        lines += ["", *(f"- {each}" for each in found)]
    return "\n".join(lines) + "\n"


def _range(values: Sequence[Any], told: Any) -> str:
    if not values:
        return units.NOTHING
    least, most = told(min(values)), told(max(values))
    return str(least) if least == most else f"{least}-{most}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds else "0"
