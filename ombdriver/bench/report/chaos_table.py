"""What each setup lost by each standard fault, as a table for the terminal."""

from collections.abc import Mapping, Sequence
from typing import TextIO

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ombdriver.bench.report.chaos import FIGURES, HEAD, ChaosRun, notes, rows
from ombdriver.bench.report.console import print_all


def show(runs: Sequence[ChaosRun], left_out: Mapping[tuple[str, str], str], stream: TextIO) -> None:
    """Prints a row for each fault on each setup.

    Args:
        runs: all of them.
        left_out: why a setup can't have a fault, by setup and fault.
        stream: where to.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(HEAD[0], overflow="fold")
    for name in HEAD[1:]:
        table.add_column(name, justify="right" if name in FIGURES else "left")
    for setup, *told in rows(runs):
        table.add_row(Text(setup), *told)
    parts: list[RenderableType] = [
        Text("\nAcknowledged messages lost, and times, from the least to the most of all runs", style="bold"),
        table,
    ]
    print_all([*parts, *map(Text, notes(runs, left_out))], stream)
