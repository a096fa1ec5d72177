"""What differs between runs that are to be compared, and must not: the load, the machine, what measures. Pure.

Runs of one workload must have the same load, machine and versions; those of one setup also the same setup, server and
number of processes. A fact that only some of the runs have is no difference, since older versions knew fewer facts and
OMB knows hardly any; but what a setup leaves out is its default, so there it is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ombdriver.bench.results.compare.trial import OF_FAULTS, Trial

NOT_SET = "not set"
_HASH = "workloadSha256"
_LOAD = "workload."
_MOST_VALUES = 4
_MOST_OF_VALUE, _MOST_OF_FAULTS = 40, 300
"""Letters of a value; lists of faults often differ in their last entry alone."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact that is not the same in all runs.

    Attributes:
        key: its dotted name.
        values: each value, and the sources of the runs that have it; in the order of the runs.
        setup: the setup within which it differs; None for one that differs among all runs.
    """

    key: str
    values: tuple[tuple[Any, tuple[str, ...]], ...]
    setup: str | None = None

    def __str__(self) -> str:
        most = _MOST_OF_FAULTS if self.key == OF_FAULTS else _MOST_OF_VALUE
        shown = [f"{_shown(value, most)} in {_of(sources)}" for value, sources in self.values[:_MOST_VALUES]]
        more = len(self.values) - len(shown)
        within = f"within {self.setup}, " if self.setup is not None else ""
        return f"{within}{self.key} is {', '.join(shown)}{f', and {more} other values' if more > 0 else ''}"


def differences(trials: Sequence[Trial]) -> list[Difference]:
    """Everything that differs among the runs of one workload and must not; empty when they can be compared."""
    found = _differing([(trial.source, trial.facts) for trial in trials])
    hashes = {trial.facts.get(_HASH) for trial in trials}
    if len(hashes) == 1 and None not in hashes:  # the same load, be its file of another name
        found = [each for each in found if not each.key.startswith(_LOAD)]
    elif any(each.key.startswith(_LOAD) for each in found):
        found = [each for each in found if each.key != _HASH]  # it would only say again that they differ
    for setup in dict.fromkeys(trial.setup for trial in trials):
        own = [(trial.source, trial.setup_facts) for trial in trials if trial.setup == setup]
        found += _differing(own, setup)
    return found


def _differing(runs: Sequence[tuple[str, Mapping[str, Any]]], setup: str | None = None) -> list[Difference]:
    found = []
    for key in dict.fromkeys(key for _, facts in runs for key in facts):
        by: dict[str, tuple[Any, list[str]]] = {}
        for source, facts in runs:
            if key in facts:
                value = facts[key]
            elif key.startswith("setup."):
                value = None
            else:
                continue
            by.setdefault(repr(value), (value, []))[1].append(source)
        if len(by) > 1:
            values = tuple((value, tuple(sources)) for value, sources in by.values())
            found.append(Difference(key, values, setup))
    return found


def _shown(value: Any, most: int) -> str:
    text = NOT_SET if value is None else str(value)
    return text if len(text) <= most else text[: most - 28] + "..."


def _of(sources: Sequence[str]) -> str:
    return sources[0] if len(sources) == 1 else f"{len(sources)} results ({sources[0]} ...)"
