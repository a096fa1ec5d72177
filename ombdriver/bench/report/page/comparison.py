"""Results -> the comparison of their setups as bars with their intervals, and the notes beside them. Pure.

The comparison is that of `ombdriver compare`, of the tested figures alone; what it refuses, a page says in its place.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ombdriver.bench.report import comparison as comparison_text
from ombdriver.bench.results.compare.comparison import Comparison, Effect, SetupComparison, compare, shown
from ombdriver.bench.results.compare.comparison import left_out as left_out_of
from ombdriver.bench.results.compare.metrics import DECLARED
from ombdriver.bench.results.compare.trial import Trial, trial_of
from ombdriver.errors import NotComparable

if TYPE_CHECKING:
    from ombdriver.bench.results.store import ResultFile


@dataclass(frozen=True, slots=True)
class RatioBar:
    """How one figure of a setup relates to that of the baseline.

    Attributes:
        metric: which figure, as `endToEndResponse.p99`.
        setup: which setup, by its label.
        ratio: to the baseline; 1 is alike, 1.2 is 20 % higher.
        low, high: the ends of the interval of the ratio; None where there are too few repeats for one.
        words: what can be said of it, as `no detectable difference below 8 %`.
        valid: whether both setups have VALID runs, so that the figures are of these.
    """

    metric: str
    setup: str
    ratio: float
    low: float | None
    high: float | None
    words: str
    valid: bool = True


@dataclass(frozen=True, slots=True)
class RatioRow:
    """A setup in the table of ratios: its label, whether its figures are of VALID runs, and a cell for each metric."""

    setup: str
    valid: bool
    cells: tuple[str, ...]


def ratio_table(bars: Sequence[RatioBar]) -> tuple[tuple[str, ...], tuple[RatioRow, ...]]:
    """The metrics of some bars, and a row for each setup with what is said of each of them; empty where nothing is."""
    metrics = tuple(dict.fromkeys(bar.metric for bar in bars))
    setups: dict[str, dict[str, RatioBar]] = {}
    for bar in bars:
        setups.setdefault(bar.setup, {})[bar.metric] = bar
    return metrics, tuple(
        RatioRow(
            setup,
            all(bar.valid for bar in own.values()),
            tuple(own[metric].words if metric in own else "" for metric in metrics),
        )
        for setup, own in setups.items()
    )


@dataclass(frozen=True, slots=True)
class ComparisonSection:
    """What a page shows of a comparison.

    Attributes:
        bars: of each setup and tested metric; empty when nothing can be compared.
        notes: what was compared with what, what can't be claimed, who was left out; empty with one setup alone.
    """

    bars: tuple[RatioBar, ...] = ()
    notes: tuple[str, ...] = ()


NO_COMPARISON = ComparisonSection()


def comparison_section(files: Sequence["ResultFile"], baseline: str | None = None) -> ComparisonSection:
    """The comparison of all setups of the results with the first, or with `baseline`.

    Args:
        files: the results, in the order of time.
        baseline: a setup's name.

    Raises:
        InputError: if no VALID result is of the setup that `baseline` names.
    """
    trials = [trial_of(each.result, each.source) for each in files]
    left_out = tuple(comparison_text.left_out_lines(left_out_of(trials)))
    if baseline is None and not _have_two_setups(trials):
        return NO_COMPARISON
    if baseline is None and not _have_two_setups(shown(trials)):
        return ComparisonSection(notes=("No comparison: no workload has whole runs of two setups.", *left_out))
    try:
        found = compare(trials, baseline)
    except NotComparable as error:
        return ComparisonSection(
            notes=("No comparison, since what should be alike is not:", *error.messages, *left_out)
        )
    several = len(found) > 1
    bars = tuple(bar for each in found for compared in each.setups for bar in _bars(each, compared, several))
    return ComparisonSection(bars, (*(note for each in found for note in _notes(each)), *left_out))


def _have_two_setups(trials: Iterable[Trial]) -> bool:
    """Whether some workload has been run on two."""
    pairs = {(trial.workload, trial.setup) for trial in trials}
    return len(pairs) > len({workload for workload, _ in pairs})


def _bars(comparison: Comparison, compared: SetupComparison, several: bool) -> Iterable[RatioBar]:
    setup = f"{comparison.workload} on {compared.setup}" if several else compared.setup
    for each in compared.effects:
        if each.figure in DECLARED and each.ratio is not None:
            yield RatioBar(str(each.figure), setup, each.ratio, each.low, each.high, _words(each), compared.fit)


def _words(effect: Effect) -> str:
    times = comparison_text.times(effect)
    return f"{effect.conclusion}: {times}" if effect.conclusion is not None else f"{times}, not claimed"


def _notes(comparison: Comparison) -> Iterable[str]:
    said: dict[str, list[str]] = {}
    for compared in comparison.setups:
        claim = f"; {compared.no_claim}" if compared.no_claim is not None else ""
        said.setdefault(f"{comparison_text.basis(compared)}{claim}.", []).append(compared.setup)
    for text, setups in said.items():
        yield f"{comparison.workload}: {', '.join(setups)} against {comparison.baseline}: {text}"
    yield from (*comparison_text.caveats_of(comparison), *comparison_text.marked_medians(comparison))
