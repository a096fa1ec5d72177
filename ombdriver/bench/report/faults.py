"""What faults did, as tables for the terminal: a row for each injection, and one for each group that lost something.

Knows the `faults` of a result and rich; nothing of how they were injected.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ombdriver.bench.report.fault_words import COLUMNS, figures, hit, sentence, shown_of


def block(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The tables under their heading.

    Args:
        found: the `faults` of a result.
    """
    injections: Sequence[Mapping[str, Any]] = found["injections"]
    yield Text("\nFaults in the measured window, seconds from each injection", style="bold")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("at", justify="right", no_wrap=True)
    table.add_column("hit", min_width=10, overflow="fold")
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    shown = shown_of(injections)
    for each in shown:
        table.add_row(f"{each['injectedSeconds']:g}", Text(hit(each)), *figures(each))
    yield table
    if len(shown) < len(injections):
        yield Text(f"(the {len(shown)} with the longest outages of {len(injections)}; the others are in the result)")
    for each in shown:
        yield Padding(Text(sentence(each)), (0, 0, 0, 2), expand=False)
    yield Text(f"acknowledged means here: {found['acknowledged']}")
