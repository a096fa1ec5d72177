"""Runs of one command as people read them: which one begins, and all of them at the end, one line each.

Knows rich and plain words; must not know how a run came about. Reads the same at 80 columns and in a pipe.
"""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.report import units
from ombdriver.bench.report.console import print_all, unwrapped
from ombdriver.bench.report.marks import HOLLOW, legends, mark_of, marked
from ombdriver.bench.results.compare.comparison import NO_WHOLE_RUN
from ombdriver.bench.results.compare.metrics import DECLARED
from ombdriver.bench.results.harness_share import HarnessShare, harness_share_of_median
from ombdriver.bench.results.result import Result, Standing
from ombdriver.bench.verdict.advice import series_advice
from ombdriver.bench.verdict.model import VALID, Verdict

NOT_BEGUN = "not run"
FIGURES = (Figure("publishRate", ""), *DECLARED)
"""What is told of each run: its rate, and the response times that a comparison tests."""
_NAMES = {"publishRate": "published", "publishResponse": "publish", "endToEndResponse": "end-to-end"}

_WHOLE_SETUP = 22
"""A setup's name of so many characters is not broken: the names that ship are no longer."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in the table at the end.

    Attributes:
        workload, setup: names.
        standing: which of the runs it is.
        outcome: its verdict, or what became of it in place of one.
        run_id: of its result; None when there is none.
        failure: what it failed with; None when it did not.
        figures: of its result, by how each of `FIGURES` is written; a figure without a sample is None.
        verdict: of its result; None without one.
        harness_share: those of its figures that say more of the harness than of the system, and why.
    """

    workload: str
    setup: str
    standing: Standing
    outcome: str
    run_id: str | None = None
    failure: str | None = None
    figures: Mapping[str, float | None] | None = None
    verdict: Verdict | None = None
    harness_share: Mapping[str, HarnessShare] = field(default_factory=dict)


def figures_of(result: Result) -> dict[str, float | None]:
    """What the table of figures tells of a result."""
    return {str(figure): result.value(figure) for figure in FIGURES}


def title(workload: str, setup: str, standing: Standing) -> str:
    """`1kb-3groups x embedded, repeat 2`; without the repeat when there is but one."""
    repeat = f", repeat {standing.block}" if standing.repeats > 1 else ""
    attempt = f", attempt {standing.attempt}" if standing.attempt > 1 else ""
    return f"{workload} x {setup}{repeat}{attempt}"


def announcement(workload: str, setup: str, standing: Standing, left_s: float) -> str:
    """`run 3 of 8 (about 5 min 0 s left): 1kb-3groups x embedded, repeat 2`."""
    left = f"about {units.duration(left_s)} left"
    return f"run {standing.run} of {standing.runs} ({left}): {title(workload, setup, standing)}"


def show(rows: Sequence[RunRow], folder: Path, stream: TextIO, width: int | None = None) -> None:
    """Prints the table of all runs of a command.

    A result is shown by the end of its file's name, as a shell completes it; the whole of it is too long for a column.

    Args:
        rows: the runs in their order, also those that were not begun.
        folder: where the results lie.
        stream: a terminal, or anything else: then without colour, 80 columns wide.
        width: columns, when they shall not be found out.
    """
    stored = sum(row.run_id is not None for row in rows)
    head = f"\nSeries {rows[0].standing.series}: {units.many(len(rows), 'run')}, "
    parts: list[RenderableType] = [
        unwrapped(f"{head}{units.many(stored, 'result')} in {folder}/", "bold"),
        _table(rows),
    ]
    for failure, numbers in _failures(rows).items():
        of = f"run{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}: "
        parts.append(Padding(Text.assemble((of, "bold"), failure), (0, 0, 0, 2), expand=False))
    if any(row.figures for row in rows):
        # Of several setups their comparison, which comes next, has medians and spread.
        alone = len({row.setup for row in rows if row.figures}) == 1
        groups = [group for group in _by_workload(rows) if alone]
        table, cells = _figures(rows, groups)
        parts += ["", table, *map(Text, legends(cells)), *(Text(line) for group in groups for line in _basis(group))]
        if any(row.verdict is not None and row.verdict.status != VALID for row in rows):
            parts.append(Text(f"{HOLLOW} before a number: the run is not VALID, so its figures are not what they seem"))
    first, *others = series_advice([(row.standing.run, row.verdict) for row in rows if row.verdict]) or [""]
    if first:
        parts += ["", Text(first, style="bold"), *(Padding(Text(each), (0, 0, 0, 2), expand=False) for each in others)]
    print_all(parts, stream, width)


def _table(rows: Sequence[RunRow]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("run", justify="right", no_wrap=True)
    table.add_column("workload", overflow="fold")
    longest = max(len(row.setup) for row in rows)
    table.add_column("setup", overflow="fold", no_wrap=longest <= _WHOLE_SETUP)
    table.add_column("repeat", justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    table.add_column("result", no_wrap=True)
    for row in rows:
        table.add_row(
            str(row.standing.run),
            Text(row.workload),
            Text(row.setup),
            str(row.standing.block),
            Text(f"{row.outcome}, attempt {row.standing.attempt}" if row.standing.attempt > 1 else row.outcome),
            units.NOTHING if row.run_id is None else f"*-{row.run_id}.json",
        )
    return table


def _by_workload(rows: Sequence[RunRow]) -> list[list[RunRow]]:
    """The runs of each workload that went to their end, of those that several did."""
    found: dict[str, list[RunRow]] = {}
    for row in rows:
        if row.figures is not None and row.verdict is not None and row.verdict.status not in NO_WHOLE_RUN:
            found.setdefault(row.workload, []).append(row)
    return [group for group in found.values() if len(group) > 1]


def _compared(group: Sequence[RunRow]) -> Sequence[RunRow]:
    """Those whose figures count, as in a comparison: the VALID ones; all where none is."""
    return [row for row in group if row.verdict is not None and row.verdict.status == VALID] or group


def _basis(group: Sequence[RunRow]) -> list[str]:
    """Which runs median and spread are of, where not of all, or not of VALID ones."""
    compared = _compared(group)
    workload, count = group[0].workload, len(compared)
    statuses = Counter(row.verdict.status for row in group if row.verdict is not None)
    others = ", ".join(f"{many} {status}" for status, many in statuses.most_common() if status != VALID)
    if not statuses[VALID]:
        return [f"{workload}: median and spread are not claimed, since none of the {count} runs is VALID ({others})"]
    return [f"{workload}: median and spread of {units.many(count, 'VALID run')}; left out: {others}"] if others else []


def _summary_rows(group: Sequence[RunRow]) -> list[list[str]]:
    """Median and spread of each figure over the runs of a workload."""
    median, spread = ["median"], ["spread"]
    for figure in FIGURES:
        told = [(row, row.figures[str(figure)]) for row in _compared(group) if row.figures is not None]
        known = [value for _, value in told if value is not None]
        kind = harness_share_of_median([row.harness_share.get(str(figure)) for row, value in told if value is not None])
        middle = statistics.median(known) if known else None
        median.append(_cell(str(figure), middle, kind))
        spread.append(units.percent((max(known) - min(known)) / middle if middle and len(known) > 1 else None))
    return [median, spread]


def _cell(figure: str, value: float | None, kind: HarnessShare | None) -> str:
    if value is None:
        return units.NOTHING
    return units.rate(value) if figure == "publishRate" else marked(units.latency(value), mark_of(kind))


def _figures(rows: Sequence[RunRow], groups: Sequence[Sequence[RunRow]]) -> tuple[Table, list[str]]:
    """Published messages per second and response times of each run that has a result, and the cells with figures.

    Args:
        rows: the runs in their order.
        groups: of whose runs median and spread are told, after the last of them.
    """
    told: list[str] = []
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("run", *(f"{_NAMES[figure.family]} {figure.statistic}".strip() for figure in FIGURES)):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        if row.figures is not None:
            cells = [_cell(name, value, row.harness_share.get(name)) for name, value in row.figures.items()]
            told += cells
            valid = row.verdict is None or row.verdict.status == VALID
            table.add_row(f"{'' if valid else f'{HOLLOW} '}{row.standing.run}", *cells)
        for group in groups:
            if group[-1] is row:
                for name, *summary in _summary_rows(group):
                    table.add_row(name, *summary, style="bold")
                    told += summary
    return table, told


def _failures(rows: Sequence[RunRow]) -> dict[str, list[int]]:
    """Each failure once, with the runs that it ended."""
    found: dict[str, list[int]] = {}
    for row in rows:
        if row.failure is not None:
            found.setdefault(row.failure, []).append(row.standing.run)
    return found


def describe_order(runs: Sequence[tuple[str, str, Standing]]) -> str:
    """The order of runs that are yet to come, for `ombdriver plan`: a line for each workload, ended by a line feed.

    Args:
        runs: workload, setup and standing of each, in their order.
    """
    facts = [("runs", f"{len(runs):,}, one after the other")]
    starts = [at for at, (_, _, standing) in enumerate(runs) if (standing.block, standing.position) == (1, 1)]
    for start, end in zip(starts, [*starts[1:], len(runs)], strict=True):  # a workload may be given twice
        blocks: dict[int, list[str]] = {}
        for _, setup, standing in runs[start:end]:
            blocks.setdefault(standing.block, []).append(setup)
        shown = [", ".join(block) for block in list(blocks.values())[: len(blocks[1])]]
        more = [f"and so on, {len(blocks):,} blocks in all"] if len(blocks) > len(shown) else []
        facts.append(("order", f"{runs[start][0]}: {'; '.join([*shown, *more])}"))
    return "".join(f"{name:<14} {fact}\n" for name, fact in facts)
