"""A sweep on a page: a row for each combination of values, matrices and lines over the settings that took most values.

Matrices are over the two settings that took the most values, lines over the one that took the most. Of repeats the
median of each figure is shown, of those that are VALID where any is, as comparisons take it. Pure.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ombdriver.bench.metrics.figures import MAIN, Figure
from ombdriver.bench.report import units
from ombdriver.bench.report.marks import mark_of, sentences
from ombdriver.bench.report.page.runs import Run, statuses, told
from ombdriver.bench.results.harness_share import harness_share, harness_share_of_median

FIGURES = {units.title(figure): figure for figure in MAIN}
"""The figures of a combination, by the heads of their columns: response times in ms."""


@dataclass(frozen=True, slots=True)
class SweepRow:
    """One combination on one workload and setup.

    Attributes:
        name: workload and setup, without the values.
        values: as texts, in the order of the settings; empty for one that this run did not sweep.
        runs: how many there are.
        verdict: theirs, with counts where they differ.
        valid: whether the figures are of VALID runs.
        rate: messages per second that were published.
        figures: in ms, in the order of `FIGURES`; None without a sample.
        marks: of each of these; empty for one that says no more of the harness than of the system.
    """

    name: str
    values: tuple[str, ...]
    runs: int
    verdict: str
    valid: bool
    rate: float
    figures: tuple[float | None, ...]
    marks: tuple[str, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        """The figures with their units and marks."""
        return tuple(f"{units.latency(ms)}{sign}" for ms, sign in zip(self.figures, self.marks, strict=True))


@dataclass(frozen=True, slots=True)
class SweepLine:
    """One figure over the values of one setting, all else being equal.

    Attributes:
        name: of the line.
        kind: the number of its figure in `FIGURES`.
        values: of the setting, as texts, in the order in which they were swept.
        figures_ms: at each.
        valid: whether each is of VALID runs.
        marks: of each, as in a row.
    """

    name: str
    kind: int
    values: tuple[str, ...]
    figures_ms: tuple[float, ...]
    valid: tuple[bool, ...]
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SweepMatrix:
    """One figure over two settings, all else being equal.

    Attributes:
        title: the figure, and what is equal in all of it where that is not so in all matrices.
        down: the setting whose values are `rows`.
        across: the setting whose values are `columns`.
        rows, columns: values as texts, in the order in which they were swept.
        cells: with their units and marks, by row and column; `-` where nothing ran or nothing has that figure.
        valid: whether each is of VALID runs, by row and column.
    """

    title: str
    down: str
    across: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    valid: tuple[tuple[bool, ...], ...]


@dataclass(frozen=True, slots=True)
class SweepSection:
    """All that was swept.

    Attributes:
        settings: their names.
        rows: every combination.
        matrices: none when fewer than two settings took several values.
        over: the setting of the lines.
        lines: figures over its values.
        legends: what the marks mean.
    """

    settings: tuple[str, ...]
    rows: tuple[SweepRow, ...]
    matrices: tuple[SweepMatrix, ...]
    over: str
    lines: tuple[SweepLine, ...]
    legends: tuple[str, ...]


def sweep_of(runs: Sequence[Run]) -> SweepSection | None:
    """The runs of a sweep by what was swept; None when there is none."""
    own = [run for run in runs if run.result.sweep]
    if not own:
        return None
    settings = tuple(dict.fromkeys(setting for run in own for setting in run.result.sweep))
    rows = _rows(own, settings)
    taken = [len({row.values[at] for row in rows}) for at in range(len(settings))]
    over, *others = sorted(range(len(settings)), key=lambda at: -taken[at])
    matrices = _matrices(rows, settings, others[0], over) if others and taken[others[0]] > 1 else []
    legends = tuple(sentences(sign for row in rows for sign in row.marks))
    return SweepSection(settings, rows, tuple(matrices), settings[over], tuple(_lines(rows, settings, over)), legends)


def _rows(runs: Sequence[Run], settings: Sequence[str]) -> tuple[SweepRow, ...]:
    found: dict[tuple[str, tuple[str, ...]], list[Run]] = {}
    for run in runs:
        values = tuple(str(run.result.sweep.get(setting, "")) for setting in settings)
        found.setdefault((" on ".join(run.result.sweep_of.values()), values), []).append(run)
    return tuple(
        SweepRow(
            name,
            values,
            len(some),
            statuses(some),
            told(some)[0].valid,
            statistics.median(run.result.mean_rate("publishRate") for run in told(some)),
            tuple(_median(told(some), figure) for figure in FIGURES.values()),
            tuple(_mark(told(some), figure) for figure in FIGURES.values()),
        )
        for (name, values), some in found.items()
    )


def _median(runs: Sequence[Run], figure: Figure) -> float | None:
    known = [value for run in runs if (value := run.result.value(figure)) is not None]
    return statistics.median(known) if known else None


def _mark(runs: Sequence[Run], figure: Figure) -> str:
    return mark_of(harness_share_of_median([harness_share(run.result, figure) for run in runs]))


def _matrices(rows: Sequence[SweepRow], settings: Sequence[str], down: int, across: int) -> list[SweepMatrix]:
    found = []
    for rest, group in _alike(rows, settings, (down, across)).items():
        lines, columns = (tuple(dict.fromkeys(row.values[at] for row in group)) for at in (down, across))
        by_place = {(row.values[down], row.values[across]): row for row in group}
        rows_of = [[by_place.get((one, other)) for other in columns] for one in lines]
        valid = tuple(tuple(row is None or row.valid for row in line) for line in rows_of)
        for kind, figure in enumerate(FIGURES):
            cells = tuple(tuple(row.cells[kind] if row else units.NOTHING for row in line) for line in rows_of)
            title = f"{rest}: {figure}" if rest else figure
            found.append(SweepMatrix(title, settings[down], settings[across], lines, columns, cells, valid))
    return found


def _alike(rows: Sequence[SweepRow], settings: Sequence[str], over: Sequence[int]) -> dict[str, list[SweepRow]]:
    """Rows in which all is equal but the settings numbered `over`, by what is equal in them and not in all rows."""
    names = {row.name for row in rows}
    found: dict[str, list[SweepRow]] = {}
    for row in rows:
        rest = [
            f"{setting.rpartition('.')[2]} {value}"
            for at, (setting, value) in enumerate(zip(settings, row.values, strict=True))
            if at not in over
        ]
        found.setdefault(", ".join([*([row.name] if len(names) > 1 else []), *rest]), []).append(row)
    return found


def _lines(rows: Sequence[SweepRow], settings: Sequence[str], over: int) -> list[SweepLine]:
    found = []
    for rest, group in _alike(rows, settings, (over,)).items():
        for kind, figure in enumerate(FIGURES):
            known = [(row, value) for row in group if (value := row.figures[kind]) is not None]
            points = [(row.values[over], value, row.valid, row.marks[kind]) for row, value in known]
            if points:
                label = f"{rest}: {figure}" if rest else figure
                found.append(SweepLine(label, kind, *map(tuple, zip(*points, strict=True))))
    return found
