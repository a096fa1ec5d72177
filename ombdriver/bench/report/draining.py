"""How a backlog was drained, as a table: for each group how fast, and how late messages were meanwhile."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ombdriver.bench.report import drain_words, units


def block(drain: Mapping[str, Any], most_groups: int) -> Iterator[RenderableType]:
    """The table under its heading.

    Args:
        drain: the `backlogDrain` of a result.
        most_groups: of more groups the slowest are told.
    """
    yield Text("\nBacklog, drained in the measured window", style="bold")
    yield Text(drain_words.sentence(drain))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("", min_width=10, overflow="fold")
    for column in drain_words.COLUMNS:
        table.add_column(column, justify="right", no_wrap=True, min_width=7)
    for name, cells in drain_words.rows(drain, most_groups):
        table.add_row(Text(name), *cells)
    yield table
    if (left_out := len(drain["subscriptions"]) - most_groups) > 0:
        yield Text(f"(the slowest {most_groups} groups; the other {units.count(left_out)} are in the result)")
    yield Text("net: less backlog each second; fresh: due meanwhile; own: of the backlog")
    yield Text(drain_words.publishing(drain))
