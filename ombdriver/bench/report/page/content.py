"""Results -> all that a page shows, as plain data: the one structure that HTML and Markdown are made of. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ombdriver.bench.metrics.families import TABLE
from ombdriver.bench.report import backlog, chaos, fault_words, host_words
from ombdriver.bench.report.marks import sentences
from ombdriver.bench.report.page.comparison import NO_COMPARISON, ComparisonSection, RatioBar, RatioRow, ratio_table
from ombdriver.bench.report.page.curves import curves
from ombdriver.bench.report.page.load import load_lines
from ombdriver.bench.report.page.plots import Plot, bar_plot, curve_plot, load_plot, sweep_plot, timeline_plot
from ombdriver.bench.report.page.runs import Repeats, Run, group_runs, without_logins
from ombdriver.bench.report.page.summary import (
    ResultRow,
    VerdictSummary,
    legends,
    result_row,
    shared_caveats,
    summarise_verdict,
    tally,
)
from ombdriver.bench.report.page.sweep import SweepSection, sweep_of
from ombdriver.bench.report.page.timeline import Annotation, timeline

if TYPE_CHECKING:
    from ombdriver.bench.results.store import ResultFile


LATENCIES = {
    each.name: each.title
    for each in sorted(
        TABLE, key=lambda one: (one.ends == "actual send", one.begins == "actual send", not one.of_groups)
    )
}
"""What the families are called on a page, in the order of importance to who reads it: responses first."""

POINTS_OF_ALL = 4800
"""In the series of one kind, over all results: of one result more than a screen has columns, of twenty still 240."""
MOST_POINTS, FEWEST_POINTS = 600, 120
MOST_GROUPS = 12
"""In the table of a backlog; of more the slowest are shown."""
_MOST_NAMES = 6
"""Of more runs their number is shown."""


@dataclass(frozen=True, slots=True)
class Document:
    """A title, and a text with lines of its own."""

    title: str
    text: str


def documents(setups: Sequence[Repeats]) -> list[Document]:
    """Texts that a page folds away: setups, workloads, then the fingerprint of each run.

    What is alike in several results stands once, under the names of all its runs.
    """
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


@dataclass(frozen=True, slots=True)
class BacklogTable:
    """How one run drained a backlog: its name, what became of it in words, and by group a cell for each column.

    The name has the verdict with it unless that is VALID.
    """

    run: str
    notes: tuple[str, ...]
    rows: tuple[tuple[str, Sequence[str]], ...]


def backlog_tables(runs: Sequence[Run]) -> tuple[BacklogTable, ...]:
    """Of the runs that have drained a backlog."""
    return tuple(
        BacklogTable(
            run.label,
            (backlog.describe_drain(drain), backlog.publish_latencies(drain)),
            tuple(backlog.rows(drain, MOST_GROUPS)),
        )
        for run in runs
        if (drain := run.result.backlog_drain) is not None
    )


@dataclass(frozen=True, slots=True)
class FaultTable:
    """What the faults of one run did.

    Attributes:
        run: its name, with the verdict unless that is VALID.
        rows: of each injection that is shown: its time in seconds, what was done to whom, and a cell for each of
            `fault_words.COLUMNS`.
        notes: what became of the messages of each of them, and what an acknowledgement means.
    """

    run: str
    rows: tuple[tuple[str, str, Sequence[str]], ...]
    notes: tuple[str, ...]


def fault_tables(runs: Sequence[Run]) -> tuple[FaultTable, ...]:
    """Of the runs that had faults."""
    found = []
    for run in runs:
        if run.result.faults is None:
            continue
        every = run.result.faults["injections"]
        shown = fault_words.shown_of(every)
        notes = [fault_words.sentence(each) for each in shown]
        if len(shown) < len(every):
            notes.append(f"the {len(shown)} with the longest outages of {len(every)}; the others are in the result")
        notes.append(f"acknowledged means here: {run.result.faults['acknowledged']}")
        rows = ((f"{each['injectedSeconds']:g}", fault_words.hit(each), fault_words.figures(each)) for each in shown)
        found.append(FaultTable(run.label, tuple(rows), tuple(notes)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class HostTable:
    """What the hosts of one run took: its name, and by host a cell for each of `host_words.COLUMNS`.

    `note` tells of hosts that are left out; empty for none.
    """

    run: str
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    note: str


def host_tables(runs: Sequence[Run]) -> tuple[HostTable, ...]:
    """Of the runs whose workers were on hosts of a scheduler."""
    found = ((run, host_words.rows(run.result)) for run in runs)
    return tuple(HostTable(run.label, tuple(rows), host_words.left_out(run.result)) for run, rows in found if rows)


@dataclass(frozen=True, slots=True)
class ChaosTable:
    """What setups lost by standard faults.

    Attributes:
        rows: of each fault on each setup, a cell for each of `chaos.HEAD`.
        notes: what is not in the rows, and why.
    """

    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def chaos_table(runs: Sequence[Run]) -> ChaosTable | None:
    """Of the runs that `ombdriver chaos` made; None without any."""
    met = chaos.runs_of(run.result for run in runs)
    return ChaosTable(tuple(chaos.rows(met)), tuple(chaos.notes(met))) if met else None


@dataclass(frozen=True, slots=True)
class RunSection:
    """A run over time: its name and verdict, the plot, what the numbers in it mean, and how it was downsampled."""

    run: str
    status: str
    plot: Plot
    annotations: tuple[Annotation, ...]
    phases: str
    note: str


@dataclass(frozen=True, slots=True)
class Content:
    """What a page shows, in its order.

    Attributes:
        title: of the page.
        tally: how many results of what status.
        has_invalid: whether one is not VALID, so that marks are explained.
        shared_caveats: kind and message of those that all results have, when there are several.
        verdicts: of every result, with the caveats that are its own.
        rows: of the table of all results.
        legends: what the marks in the table mean.
        bars: of the comparison; empty without one.
        ratios: the metrics of these, and the same as a table.
        bar_plot: the same as a plot; None without a comparison.
        comparison_notes: what was compared with what, or why nothing was.
        sweep: what was swept, with its table; None when nothing was.
        sweep_plot: the same over the setting with the most values.
        load_plot: latency against load, of runs that searched their rate; None when there is none.
        load_legends: what the marks at its points mean.
        backlogs: that runs have drained.
        chaos: what setups lost by standard faults; None where no run has one.
        faults: what was broken on cue, and what came of it.
        hosts: what the hosts of runs took.
        curves: by family the plots `setup` and, where groups have that latency, `group`.
        sections: every run over time.
        documents: the texts that are folded away.
    """

    title: str
    tally: str
    has_invalid: bool
    shared_caveats: tuple[tuple[str, str], ...]
    verdicts: tuple[VerdictSummary, ...]
    rows: tuple[ResultRow, ...]
    legends: tuple[str, ...]
    bars: tuple[RatioBar, ...]
    ratios: tuple[tuple[str, ...], tuple[RatioRow, ...]]
    bar_plot: Plot | None
    comparison_notes: tuple[str, ...]
    sweep: SweepSection | None
    sweep_plot: Plot | None
    load_plot: Plot | None
    load_legends: tuple[str, ...]
    backlogs: tuple[BacklogTable, ...]
    chaos: ChaosTable | None
    faults: tuple[FaultTable, ...]
    hosts: tuple[HostTable, ...]
    curves: dict[str, dict[str, Plot]]
    sections: tuple[RunSection, ...]
    documents: tuple[Document, ...]


def content(files: Sequence["ResultFile"], comparison: ComparisonSection = NO_COMPARISON) -> Content:
    """Everything that a page shows of the results.

    Args:
        files: the results, in the order of time.
        comparison: of their setups, when there is one.

    Raises:
        InputError: if a histogram of a result can't be read.
    """
    setups = group_runs(files)
    runs = [run for setup in setups for run in setup.runs]
    rows = tuple(result_row(run) for run in runs)
    loads, sweep = load_lines(runs), sweep_of(runs)
    bars = tuple(without_logins(bar) for bar in comparison.bars)
    most = max(FEWEST_POINTS, min(MOST_POINTS, POINTS_OF_ALL // max(len(runs), 1)))
    return Content(
        _title(setups),
        tally(setups),
        not all(run.valid for run in runs),
        *shared_caveats([summarise_verdict(run) for run in runs]),
        rows,
        tuple(legends(rows)),
        bars,
        ratio_table(bars),
        bar_plot(bars) if bars else None,
        tuple(without_logins(note) for note in comparison.notes),
        sweep,
        sweep_plot(sweep) if sweep and sweep.lines else None,
        load_plot(loads) if loads else None,
        tuple(sentences(sign for line in loads for sign in (*line.marks, *line.failed_marks))),
        backlog_tables(runs),
        chaos_table(runs),
        fault_tables(runs),
        host_tables(runs),
        _curves(setups),
        tuple(_section(run, most) for run in runs),
        tuple(documents(setups)),
    )


def summary(
    files: Sequence["ResultFile"],
) -> tuple[str, tuple[VerdictSummary, ...], tuple[ResultRow, ...], ChaosTable | None]:
    """What a short form shows: the tally, the verdicts, the rows of the table, and what was lost by standard faults."""
    setups = group_runs(files)
    runs = [run for setup in setups for run in setup.runs]
    return tally(setups), tuple(map(summarise_verdict, runs)), tuple(map(result_row, runs)), chaos_table(runs)


def _title(setups: Sequence[Repeats]) -> str:
    workloads = dict.fromkeys(run.result.workload for setup in setups for run in setup.runs)
    names = dict.fromkeys(str(run.result.setup.get("name", run.result.driver)) for each in setups for run in each.runs)
    return f"{_some(list(workloads), 'workloads')} on {_some(list(names), 'setups')}"


def _some(names: Sequence[str], noun: str) -> str:
    return f"{len(names)} {noun}" if len(names) > 3 else ", ".join(names)


def _curves(setups: Sequence[Repeats]) -> dict[str, dict[str, Plot]]:
    found = curves(setups)
    labels = [setup.name for setup in setups]
    plots = {}
    for family in LATENCIES:
        own = [curve for curve in found if curve.family == family]
        drawn = {"setup": curve_plot(own, labels, by_group=False)} if own else {}
        if any(curve.group is not None for curve in own):
            drawn["group"] = curve_plot(own, labels, by_group=True)
        if drawn:
            plots[family] = drawn
    return plots


def _section(run: Run, most_points: int) -> RunSection:
    line = timeline(run.result, most_points)
    shaded = [phase.name for phase in line.phases if phase.name != "measurement"]
    if line.faults:
        shaded.append("faults, darker until each was healed and lighter until all was as before")
    plot = timeline_plot(line, valid=run.valid)
    return RunSection(run.name, run.status, plot, line.annotations, " and ".join(shaded), line.note)
