"""The results of a page, without passwords: which are repeats of each other, and what each is called. Pure.

Results of the same workload and setup are repeats. The name of a setup says which it is, as long as two of the same
name are not different ones; then its hash comes with it, and so with workloads. A result holds no password; but what
is shown to others is looked through once more, since a caveat or a tag may come from anywhere.

Figures of a run that is not VALID are shown with a hollow mark; where repeats are told together they are left out, as
comparisons do.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ombdriver.bench.results.result import Result
from ombdriver.bench.verdict.model import VALID
from ombdriver.secrets import redact_text

if TYPE_CHECKING:
    from ombdriver.bench.results.store import ResultFile

NOT_JUDGED = "NOT JUDGED"
"""The status of a result of a version that had no verdicts."""
_HASH_DIGITS = 6
_NUMBERS = frozenset({"histograms", "rates", "series", "quantiles"})
"""Attributes of a result without free text; among them its largest."""

Data = TypeVar("Data")


@dataclass(frozen=True, slots=True)
class Run:
    """One result.

    Attributes:
        name: what it is called, unlike all others: its setup's label, and its number where there are several.
        source: the name of its file.
        result: without passwords.
    """

    name: str
    source: str
    result: Result

    @property
    def status(self) -> str:
        """The verdict in a word."""
        if self.result.verdict is not None:
            return self.result.verdict.status
        return "PARTIAL" if self.result.partial else NOT_JUDGED

    @property
    def valid(self) -> bool:
        """Whether its figures can be trusted."""
        return self.status == VALID

    @property
    def label(self) -> str:
        """Its name, with the verdict unless that is VALID: for a plot, where no column has it."""
        return self.name if self.valid else f"{self.name} ({self.status})"


def told(runs: Sequence[Run]) -> Sequence[Run]:
    """Those of some repeats whose figures are told: the VALID ones; all of them where none is."""
    return [run for run in runs if run.valid] or runs


def statuses(runs: Sequence[Run]) -> str:
    """Their verdicts: `VALID` when all have that one, else with counts: `2 VALID, 1 INVALID`."""
    counts = Counter(run.status for run in runs)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{count} {status}" for status, count in counts.most_common())


@dataclass(frozen=True, slots=True)
class Repeats:
    """The results of one workload on one setup, in the order of time, and the label of both together."""

    label: str
    runs: tuple[Run, ...]

    @property
    def told(self) -> Sequence[Run]:
        """Those whose figures are told together."""
        return told(self.runs)

    @property
    def valid(self) -> bool:
        """Whether these are VALID."""
        return self.told[0].valid

    @property
    def name(self) -> str:
        """The label, with the verdicts where none is VALID."""
        return self.label if self.valid else f"{self.label} ({statuses(self.runs)})"


def group_runs(files: Sequence["ResultFile"]) -> tuple[Repeats, ...]:
    """The results by workload and setup, in the order in which they first come."""
    results = [(each.source, redacted(each.result)) for each in files]
    setups = _labels((_setup(result), result.setup_sha256) for _, result in results)
    workloads = _labels((result.workload, result.workload_sha256) for _, result in results)
    groups: dict[str, list[tuple[str, Result]]] = {}
    for source, result in results:
        label = setups[_setup(result), result.setup_sha256]
        if len(workloads) > 1:
            label = f"{workloads[result.workload, result.workload_sha256]} on {label}"
        groups.setdefault(label, []).append((source, result))
    return tuple(Repeats(label, tuple(_runs(label, group))) for label, group in groups.items())


def _runs(label: str, results: Sequence[tuple[str, Result]]) -> Iterable[Run]:
    for number, (source, result) in enumerate(results, start=1):
        yield Run(label if len(results) == 1 else f"{label} ({number})", source, result)


def _setup(result: Result) -> str:
    return str(result.setup.get("name", result.driver))


def _labels(pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A label for each name and hash; the hash is in it where a name has several."""
    known = dict.fromkeys(pairs)
    names = [name for name, _ in known]
    return {
        (name, digest): name if names.count(name) == 1 else f"{name} ({digest[:_HASH_DIGITS]})"
        for name, digest in known
    }


def redacted(result: Result) -> Result:
    """The same result, every text and every key in it without the login of a URL."""
    texts = [each.name for each in fields(result) if each.name not in _NUMBERS]
    return replace(result, **{name: without_logins(getattr(result, name)) for name in texts})


def without_logins(value: Data) -> Data:
    """`value` with the login hidden in every URL of every text in it, however deep."""
    hidden: Any = value
    if isinstance(value, str):
        hidden = redact_text(value)
    elif isinstance(value, Mapping):
        hidden = {without_logins(key): without_logins(one) for key, one in value.items()}
    elif isinstance(value, list):
        hidden = [without_logins(one) for one in value]
    elif isinstance(value, tuple):
        hidden = tuple(without_logins(one) for one in value)
    elif is_dataclass(value) and not isinstance(value, type):
        hidden = replace(value, **{each.name: without_logins(getattr(value, each.name)) for each in fields(value)})
    done: Data = hidden
    return done
