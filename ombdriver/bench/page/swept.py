"""A sweep on a page: a row for each combination of values, and lines over the setting that has the most. Pure.

Of repeats the median of each figure is told, as comparisons tell it.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ombdriver.bench.page.arrangement import Run

FIGURES = {
    "publish p50": ("publishResponse", "p50"),
    "publish p99": ("publishResponse", "p99"),
    "end-to-end p50": ("endToEndResponse", "p50"),
    "end-to-end p99": ("endToEndResponse", "p99"),
}
"""What is told of a combination: response times in ms."""


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
class Swept:
    """All that was swept: the names of the settings, the rows, the setting of the lines, and these."""

    settings: tuple[str, ...]
    rows: tuple[SweptRow, ...]
    over: str
    lines: tuple[SweptLine, ...]


def swept(runs: Sequence[Run]) -> Swept | None:
    """What the runs of a sweep tell; None when there is none."""
    own = [run for run in runs if run.result.sweep]
    if not own:
        return None
    settings = tuple(dict.fromkeys(setting for run in own for setting in run.result.sweep))
    rows = _rows(own, settings)
    distinct = [len({row.values[at] for row in rows}) for at in range(len(settings))]
    over = distinct.index(max(distinct))
    return Swept(settings, rows, settings[over], tuple(_lines(rows, settings, over)))


def _rows(runs: Sequence[Run], settings: Sequence[str]) -> tuple[SweptRow, ...]:
    found: dict[tuple[str, tuple[str, ...]], list[Run]] = {}
    for run in runs:
        values = tuple(str(run.result.sweep.get(setting, "")) for setting in settings)
        found.setdefault((_base_name(run), values), []).append(run)
    return tuple(
        SweptRow(
            name,
            values,
            len(some),
            statistics.median(run.result.mean_rate("publishRate") for run in some),
            tuple(_median(some, family, statistic) for family, statistic in FIGURES.values()),
        )
        for (name, values), some in found.items()
    )


def _median(runs: Sequence[Run], family: str, statistic: str) -> float | None:
    known = [value for run in runs if (value := getattr(run.result.latency[family], statistic)) is not None]
    return statistics.median(known) if known else None


def _base_name(run: Run) -> str:
    """Workload and setup, each without the values that its name ends with."""
    names = {"workload": run.result.workload, "setup": str(run.result.setup.get("name", run.result.driver))}
    for part, name in names.items():
        own = {setting: value for setting, value in run.result.sweep.items() if setting.startswith(f"{part}.")}
        ending = "".join(f"-{setting.rpartition('.')[2]}-{value}" for setting, value in own.items())
        names[part] = name.removesuffix(ending)
    return " on ".join(names.values())


def _lines(rows: Sequence[SweptRow], settings: Sequence[str], over: int) -> list[SweptLine]:
    together: dict[tuple[str, tuple[str, ...]], list[SweptRow]] = {}
    for row in rows:
        words = [f"{setting.rpartition('.')[2]} {value}" for setting, value in zip(settings, row.values, strict=True)]
        together.setdefault((row.name, tuple(words[:over] + words[over + 1 :])), []).append(row)
    found = []
    for (name, rest), some in together.items():
        told = ", ".join([*([name] if len({key[0] for key in together}) > 1 else []), *rest])
        for kind, figure in enumerate(FIGURES):
            points = [(row.values[over], value) for row in some if (value := row.figures[kind]) is not None]
            if points:
                label = f"{told}: {figure}" if told else figure
                found.append(SweptLine(label, kind, *map(tuple, zip(*points, strict=True))))
    return found
