"""Comparisons as tables for the terminal: first what is claimed, then all figures.

Knows comparisons and rich; must not know how one is made. Reads the same at 80 columns, without colour and in a pipe.
"""

from collections.abc import Iterator, Sequence
from typing import TextIO

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ombdriver.bench.report import comparison as text
from ombdriver.bench.report import units
from ombdriver.bench.report.console import print_all
from ombdriver.bench.results.compare.comparison import Comparison, Effect, SetupComparison
from ombdriver.bench.results.compare.conditions import Outcome
from ombdriver.bench.results.compare.metrics import DECLARED
from ombdriver.bench.results.compare.statistics import FASTER, SLOWER
from ombdriver.bench.results.compare.trial import Trial

_STYLES = {FASTER: "bold green", SLOWER: "bold red"}


def show(
    comparisons: Sequence[Comparison],
    left_out: Sequence[Trial],
    outcomes: Sequence[Outcome],
    stream: TextIO,
    width: int | None = None,
) -> None:
    """Prints comparisons.

    Args:
        comparisons: what was found.
        left_out: the runs that were not compared.
        outcomes: of the conditions.
        stream: a terminal, or anything else: then without colour, 80 columns wide.
        width: columns, when they shall not be found out.
    """
    parts = [part for comparison in comparisons for part in _parts(comparison)]
    lines = [*(text.NOTES if comparisons else ()), *text.left_out_lines(left_out), *map(text.outcome, outcomes)]
    print_all([*parts, *map(Text, lines)], stream, width)


def _parts(comparison: Comparison) -> Iterator[RenderableType]:
    for compared in comparison.setups:
        yield Text(f"\n{text.title(comparison, compared)}", style="bold")
        yield Text(text.basis(compared))
        if compared.no_claim is not None:
            yield Text(compared.no_claim, style="bold")
        else:
            yield Padding(_findings(compared), (0, 0, 0, 2), expand=False)
        yield Text()
        yield _figures(compared.effects)
        if compared.faults:
            yield Text(f"\n{text.fault_title(compared)}")
            yield _faults(compared)
    for line in (*text.marks_of(comparison), *text.caveats_of(comparison)):
        yield Text(line)
    yield Text()


def _findings(compared: SetupComparison) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    words = {str(each.figure): each.conclusion for each in compared.effects}
    for name, finding in text.findings(compared):
        table.add_row(name, Text(finding, style=_STYLES.get(words[name] or "", "")))
    return table


def _faults(compared: SetupComparison) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for at, column in enumerate(text.FAULT_COLUMNS):
        table.add_column(column, justify="right" if at else "left", no_wrap=True)
    for row in text.fault_rows(compared):
        table.add_row(*row)
    return table


def _figures(effects: Sequence[Effect]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("", overflow="fold")
    for column in ("baseline", "spread", "setup", "spread", "ratio", "95 % interval"):
        table.add_column(column, justify="right", no_wrap=True, min_width=9 if column in ("baseline", "setup") else 0)
    for above, of_it in text.families(effects):
        if above:
            table.add_row(Text(above))
        for effect in of_it:
            name = str(effect.figure) if not above else f"  {effect.figure.statistic}"
            table.add_row(
                Text(name, style="bold" if effect.figure in DECLARED else ""),
                text.median_of(effect.figure, effect.baseline),
                units.percent(effect.baseline.relative),
                text.median_of(effect.figure, effect.other),
                units.percent(effect.other.relative),
                Text(text.ratio(effect.ratio), style=_STYLES.get(effect.conclusion or "", "")),
                text.interval(effect),
            )
    return table
