"""Results -> all that a page shows, as plain data: the one structure that HTML and Markdown are made of. Pure.

The texts that are folded away: setups, workloads, and what each run ran on. Pure.

What is alike in several results stands once, under the names of all its runs.

Backlogs that runs have drained, as rows of a table. Pure.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ombdriver.bench.metrics.summary import FAMILIES
from ombdriver.bench.report import backlog
from ombdriver.bench.report.page.arrangement import Repeats, Run, arrange, without_logins
from ombdriver.bench.report.page.comparison import NOT_COMPARED, Bar, Compared
from ombdriver.bench.report.page.curves import curves
from ombdriver.bench.report.page.figures import (
    Figure,
    bar_figure,
    curve_figure,
    load_figure,
    swept_figure,
    timeline_figure,
)
from ombdriver.bench.report.page.load import Swept, load_lines, swept
from ombdriver.bench.report.page.summary import Row, Verdict, has_floor, row, tally, verdict
from ombdriver.bench.report.page.timeline import Mark, timeline

if TYPE_CHECKING:
    from ombdriver.bench.results.store import Gathered


_MOST_NAMES = 6
"""Of more runs their number is told."""


@dataclass(frozen=True, slots=True)
class Document:
    """A title, and a text with lines of its own."""

    title: str
    text: str


def documents(setups: Sequence[Repeats]) -> list[Document]:
    """Setups first, then workloads, then fingerprints."""
    runs = [run for setup in setups for run in setup.runs]
    return [
        *_once("Setup", {run.name: run.result.setup for run in runs}),
        *_once("Workload", {run.name: run.result.workload_spec for run in runs}),
        *(Document(f"Fingerprint of {run.name}", _text(_fingerprint(run))) for run in runs),
    ]


def _fingerprint(run: Run) -> dict[str, Any]:
    result = run.result
    own = {
        "file": run.source,
        "runId": result.run_id,
        "ombdriver": result.version,
        "beginTime": result.begin_time,
        "endTime": result.end_time,
        "workloadSha256": result.workload_sha256,
        "setupSha256": result.setup_sha256,
        "overrides": list(result.overrides),
        "tags": result.tags,
    }
    return own | {"environment": result.environment}


def _once(kind: str, by_run: Mapping[str, Mapping[str, Any]]) -> list[Document]:
    together: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for run, data in by_run.items():
        text = _text(data)
        together.setdefault(text, []).append(run)
        names.setdefault(text, str(data.get("name", "")))
    return [Document(f"{kind} {names[text]} ({_named(runs)})", text) for text, runs in together.items()]


def _named(runs: Sequence[str]) -> str:
    return ", ".join(runs) if len(runs) <= _MOST_NAMES else f"{len(runs)} runs"


def _text(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False)


MOST_GROUPS = 12


@dataclass(frozen=True, slots=True)
class Drain:
    """The backlog of one run: its name, what became of it in words, and by group a cell for each of the columns."""

    run: str
    notes: tuple[str, ...]
    rows: tuple[tuple[str, Sequence[str]], ...]


def drains(runs: Sequence[Run]) -> tuple[Drain, ...]:
    """Of the runs that have drained one."""
    return tuple(
        Drain(
            run.name,
            (backlog.sentence(drain), backlog.publishing(drain)),
            tuple(backlog.rows(drain, MOST_GROUPS)),
        )
        for run in runs
        if (drain := run.result.backlog_drain) is not None
    )


LATENCIES = {
    "endToEndResponse": "End-to-end response (from the intended send)",
    "publishResponse": "Publish response (from the intended send)",
    "endToEnd": "End-to-end service (from the actual send)",
    "publish": "Publish service (from the actual send)",
    "publishDelay": "Publish delay (intended until actual send)",
}
"""What the families are called on a page, in the order of importance to who reads it."""
assert LATENCIES.keys() == set(FAMILIES)

POINTS_OF_ALL = 4800
"""In the series of one kind, over all results: of one result more than a screen has columns, of twenty still 240."""
MOST_POINTS, FEWEST_POINTS = 600, 120


@dataclass(frozen=True, slots=True)
class Section:
    """A run over time: its name, the figure, what the numbers in it mean, and how it was condensed."""

    run: str
    figure: Figure
    marks: tuple[Mark, ...]
    phases: str
    note: str


@dataclass(frozen=True, slots=True)
class Content:
    """What a page shows, in its order.

    Attributes:
        title: of the page.
        tally: how many results of what status.
        verdicts: of every result.
        rows: of the table of all results.
        floor: True when the mark of the harness floor is in the table.
        bars: of the comparison; empty without one.
        bar_figure: the same as a figure; None without a comparison.
        comparison_notes: what was compared with what, or why nothing was.
        swept: what was swept, with its table; None when nothing was.
        swept_figure: the same over the setting with the most values.
        load_figure: latency against load, of runs that searched their rate; None when there is none.
        drains: backlogs that runs have drained.
        curves: by family the figures `setup` and, where groups have that latency, `group`.
        sections: every run over time.
        documents: the texts that are folded away.
    """

    title: str
    tally: str
    verdicts: tuple[Verdict, ...]
    rows: tuple[Row, ...]
    floor: bool
    bars: tuple[Bar, ...]
    bar_figure: Figure | None
    comparison_notes: tuple[str, ...]
    swept: Swept | None
    swept_figure: Figure | None
    load_figure: Figure | None
    drains: tuple[Drain, ...]
    curves: dict[str, dict[str, Figure]]
    sections: tuple[Section, ...]
    documents: tuple[Document, ...]


def content(gathered: Sequence["Gathered"], comparison: Compared = NOT_COMPARED) -> Content:
    """Everything that a page shows of the results.

    Args:
        gathered: the results, in the order of time.
        comparison: of their setups, when there is one.

    Raises:
        InputError: if a histogram of a result can't be read.
    """
    setups = arrange(gathered)
    runs = [run for setup in setups for run in setup.runs]
    rows = tuple(row(run) for run in runs)
    loads, found = load_lines(runs), swept(runs)
    told = tuple(without_logins(bar) for bar in comparison.bars)
    most = max(FEWEST_POINTS, min(MOST_POINTS, POINTS_OF_ALL // max(len(runs), 1)))
    return Content(
        _title(setups),
        tally(setups),
        tuple(verdict(run) for run in runs),
        rows,
        has_floor(rows),
        told,
        bar_figure(told) if told else None,
        tuple(without_logins(note) for note in comparison.notes),
        found,
        swept_figure(found) if found and found.lines else None,
        load_figure(loads) if loads else None,
        drains(runs),
        _curves(setups),
        tuple(_section(run, most) for run in runs),
        tuple(documents(setups)),
    )


def summary(gathered: Sequence["Gathered"]) -> tuple[str, tuple[Verdict, ...], tuple[Row, ...]]:
    """What a short form shows: the tally, the verdicts, and the rows of the table."""
    setups = arrange(gathered)
    runs = [run for setup in setups for run in setup.runs]
    return tally(setups), tuple(verdict(run) for run in runs), tuple(row(run) for run in runs)


def _title(setups: Sequence[Repeats]) -> str:
    workloads = dict.fromkeys(run.result.workload for setup in setups for run in setup.runs)
    names = dict.fromkeys(str(run.result.setup.get("name", run.result.driver)) for each in setups for run in each.runs)
    return f"{_some(list(workloads), 'workloads')} on {_some(list(names), 'setups')}"


def _some(names: Sequence[str], noun: str) -> str:
    return f"{len(names)} {noun}" if len(names) > 3 else ", ".join(names)


def _curves(setups: Sequence[Repeats]) -> dict[str, dict[str, Figure]]:
    found = curves(setups)
    labels = [setup.label for setup in setups]
    figures = {}
    for family in LATENCIES:
        own = [curve for curve in found if curve.family == family]
        drawn = {"setup": curve_figure(own, labels, by_group=False)} if own else {}
        if any(curve.group is not None for curve in own):
            drawn["group"] = curve_figure(own, labels, by_group=True)
        if drawn:
            figures[family] = drawn
    return figures


def _section(run: Run, most_points: int) -> Section:
    line = timeline(run.result, most_points)
    shaded = [phase.name for phase in line.phases if phase.name != "measurement"]
    return Section(run.name, timeline_figure(line), line.marks, " and ".join(shaded), line.note)
