"""The stretches of a profile as a table: what each asked for, what was published, and how long it took."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ombdriver.bench.report import units

_FAMILIES = ("publishResponse", "endToEndResponse")


def block(stretches: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """The table under its heading.

    Args:
        stretches: the `stretches` of a result.
    """
    yield Text("\nStretches of the profile, latencies from the intended send", style="bold")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for column in ("seconds", "target", "published", "publish p50", "p99", "end-to-end p50", "p99", "backlog"):
        table.add_column(column, justify="right", no_wrap=True, min_width=7)
    for each in stretches:
        table.add_row(
            f"{each['beginSeconds']:,.6g}-{each['endSeconds']:,.6g}",
            units.rate(each["targetRate"]),
            units.rate(each["publishRate"]),
            *(units.latency(each[family][at]) for family in _FAMILIES for at in ("p50", "p99")),
            units.count(each["backlog"]),
        )
    yield table
