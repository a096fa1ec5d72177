"""Latency against load: what the probes of searches showed, as lines over the rate. Pure.

Of a rate that was tried several times the last probe counts, as it did for the search. Rates that held make the line;
those that did not are marks beyond it, for their latency grows with the length of the probe.

A sweep on a page: a row for each combination of values, matrices over the two settings that have the most, and lines
over the one that has the most. Pure.

Of repeats the median of each figure is told, as comparisons tell it.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ombdriver.bench.metrics.figures import MAIN, Figure
from ombdriver.bench.metrics.latency import HEADLINE
from ombdriver.bench.report import units
from ombdriver.bench.report.page.arrangement import Run


@dataclass(frozen=True, slots=True)
class LoadLine:
    """One percentile of one run over the rate.

    Attributes:
        name: the run's, with the latency's.
        run: its number, from 0, among those that searched.
        part: the number of the latency among those of a run.
        rates: that held, rising, in messages per second.
        values_ms: the latency at each.
        failed_rates, failed_values_ms: the same of those that did not hold.
    """

    name: str
    run: int
    part: int
    rates: tuple[float, ...]
    values_ms: tuple[float, ...]
    failed_rates: tuple[float, ...]
    failed_values_ms: tuple[float, ...]


def load_lines(runs: Sequence[Run]) -> list[LoadLine]:
    """The lines of every run that searched; none of others."""
    found = []
    searched = [run for run in runs if run.result.search is not None]
    for number, run in enumerate(searched):
        assert run.result.search is not None
        last = {probe["rate"]: probe for probe in run.result.search["probes"]}
        part = 0
        for family, word in units.RESPONSES.items():
            for statistic in HEADLINE:
                held, failed = (_points(last, family, statistic, held=held) for held in (True, False))
                if held or failed:
                    found.append(
                        LoadLine(f"{run.name}, {word} {statistic}", number, part, *_split(held), *_split(failed))
                    )
                part += 1
    return found


def _points(
    probes: Mapping[int, Mapping[str, Any]], family: str, statistic: str, *, held: bool
) -> list[tuple[float, float]]:
    of = {rate: probe[family].get(statistic) for rate, probe in sorted(probes.items()) if probe["held"] is held}
    return [(rate, value) for rate, value in of.items() if value is not None]


def _split(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(rate for rate, _ in points), tuple(value for _, value in points)


FIGURES = {units.title(figure): figure for figure in MAIN}
"""What is told of a combination: response times in ms."""
_NOTHING = (None,) * len(FIGURES)


@dataclass(frozen=True, slots=True)
class SweptRow:
    """One combination on one workload and setup.

    Attributes:
        name: workload and setup, without the values.
        values: as texts, in the order of the settings; empty for one that this run did not sweep.
        runs: how many there are.
        rate: messages per second that were published.
        figures: in ms, in the order of `FIGURES`; None without a sample.
    """

    name: str
    values: tuple[str, ...]
    runs: int
    rate: float
    figures: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class SweptLine:
    """One figure over the values of one setting, all else being equal.

    Attributes:
        name: of the line.
        kind: the number of its figure in `FIGURES`.
        values: of the setting, as texts, in the order in which they were swept.
        figures_ms: at each.
    """

    name: str
    kind: int
    values: tuple[str, ...]
    figures_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SweptMatrix:
    """One figure over two settings, all else being equal.

    Attributes:
        title: the figure, and what is equal in all of it where that is not so in all matrices.
        down: the setting whose values are `rows`.
        across: the setting whose values are `columns`.
        rows, columns: values as texts, in the order in which they were swept.
        cells: in ms, by row and column; None where nothing ran or nothing has that figure.
    """

    title: str
    down: str
    across: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Swept:
    """All that was swept.

    Attributes:
        settings: their names.
        rows: every combination.
        matrices: none when fewer than two settings took several values.
        over: the setting of the lines.
        lines: figures over its values.
    """

    settings: tuple[str, ...]
    rows: tuple[SweptRow, ...]
    matrices: tuple[SweptMatrix, ...]
    over: str
    lines: tuple[SweptLine, ...]


def swept(runs: Sequence[Run]) -> Swept | None:
    """What the runs of a sweep tell; None when there is none."""
    own = [run for run in runs if run.result.sweep]
    if not own:
        return None
    settings = tuple(dict.fromkeys(setting for run in own for setting in run.result.sweep))
    rows = _rows(own, settings)
    taken = [len({row.values[at] for row in rows}) for at in range(len(settings))]
    over, *others = sorted(range(len(settings)), key=lambda at: -taken[at])
    matrices = _matrices(rows, settings, others[0], over) if others and taken[others[0]] > 1 else []
    return Swept(settings, rows, tuple(matrices), settings[over], tuple(_lines(rows, settings, over)))


def _rows(runs: Sequence[Run], settings: Sequence[str]) -> tuple[SweptRow, ...]:
    found: dict[tuple[str, tuple[str, ...]], list[Run]] = {}
    for run in runs:
        values = tuple(str(run.result.sweep.get(setting, "")) for setting in settings)
        found.setdefault((" on ".join(run.result.sweep_of.values()), values), []).append(run)
    return tuple(
        SweptRow(
            name,
            values,
            len(some),
            statistics.median(run.result.mean_rate("publishRate") for run in some),
            tuple(_median(some, figure) for figure in FIGURES.values()),
        )
        for (name, values), some in found.items()
    )


def _median(runs: Sequence[Run], figure: Figure) -> float | None:
    known = [value for run in runs if (value := run.result.value(figure)) is not None]
    return statistics.median(known) if known else None


def _matrices(rows: Sequence[SweptRow], settings: Sequence[str], down: int, across: int) -> list[SweptMatrix]:
    found = []
    for told, some in _alike(rows, settings, (down, across)).items():
        lines, columns = (tuple(dict.fromkeys(row.values[at] for row in some)) for at in (down, across))
        by_place = {(row.values[down], row.values[across]): row.figures for row in some}
        for kind, figure in enumerate(FIGURES):
            cells = [[by_place.get((one, other), _NOTHING)[kind] for other in columns] for one in lines]
            title = f"{told}: {figure}" if told else figure
            found.append(SweptMatrix(title, settings[down], settings[across], lines, columns, tuple(map(tuple, cells))))
    return found


def _alike(rows: Sequence[SweptRow], settings: Sequence[str], over: Sequence[int]) -> dict[str, list[SweptRow]]:
    """Rows in which all is equal but the settings numbered `over`, by what is equal in them and not in all rows."""
    names = {row.name for row in rows}
    found: dict[str, list[SweptRow]] = {}
    for row in rows:
        rest = [
            f"{setting.rpartition('.')[2]} {value}"
            for at, (setting, value) in enumerate(zip(settings, row.values, strict=True))
            if at not in over
        ]
        found.setdefault(", ".join([*([row.name] if len(names) > 1 else []), *rest]), []).append(row)
    return found


def _lines(rows: Sequence[SweptRow], settings: Sequence[str], over: int) -> list[SweptLine]:
    found = []
    for told, some in _alike(rows, settings, (over,)).items():
        for kind, figure in enumerate(FIGURES):
            points = [(row.values[over], value) for row in some if (value := row.figures[kind]) is not None]
            if points:
                label = f"{told}: {figure}" if told else figure
                found.append(SweptLine(label, kind, *map(tuple, zip(*points, strict=True))))
    return found
