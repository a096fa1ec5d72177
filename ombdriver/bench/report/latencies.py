"""The latencies of a result as tables: response beside service time, and where the time went."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ombdriver.bench.metrics.confidence import TOLD
from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.metrics.latency import HEADLINE
from ombdriver.bench.report import units
from ombdriver.bench.report.marks import legends, mark, marked
from ombdriver.bench.results.result import Result, Subscription

_COLUMNS = (*HEADLINE, "max")
_PAIRS = (("publish", "publishResponse", "publish"), ("end-to-end", "endToEndResponse", "endToEnd"))
"""The name of a row, its response time and its service time."""
_WIDTH = 7
"""Of a figure, as `99.9 ms`."""
_NAME = 14


def blocks(result: Result, groups: Sequence[Subscription]) -> Iterator[RenderableType]:
    """The tables, each under its heading.

    Args:
        result: what to tell.
        groups: those of its groups that are shown.
    """
    yield Text("\nLatency", style="bold")
    half = len(_COLUMNS) * (_WIDTH + 1) - 1
    yield Text(f"{'':<{_NAME}}{'response: from the intended send':>{half}}  {'service: from the actual send':>{half}}")
    yield from _with_legends(*_side_by_side(result, groups))
    without = _sends_without_latency(result)
    if without:
        yield Text(without)
    if result.confidence:
        yield Text("\nHow well it is known: 95 % intervals", style="bold")
        yield _intervals(result)
    yield Text("\nWhere the time went", style="bold")
    yield _time_parts(result)
    if result.messages_per_write is not None:
        yield Text(f"messages per write: {messages_per_write(result.messages_per_write)}")


def response_times(result: Result) -> Iterator[RenderableType]:
    """From the intended send, over all groups; a table of two rows."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("response time", min_width=_NAME + 3, no_wrap=True)
    for column in _COLUMNS:
        table.add_column(column, justify="right", no_wrap=True, min_width=_WIDTH)
    rows = {
        "publish": _figures(result, "publishResponse"),
        "end-to-end": _figures(result, "endToEndResponse"),
    }
    for label, row in rows.items():
        table.add_row(Text(label), *row)
    yield from _with_legends(table, list(chain(*rows.values())))


def _with_legends(table: Table, cells: Sequence[str]) -> Iterator[RenderableType]:
    """The table, and what the marks in its cells mean."""
    yield table
    yield from map(Text, legends(cells))


def _side_by_side(result: Result, groups: Sequence[Subscription]) -> tuple[Table, list[str]]:
    """The table, and the figures in it."""
    cells: list[str] = []
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("", min_width=_NAME - 1, overflow="fold")  # a long name is broken, a figure never
    for at, column in enumerate([*_COLUMNS, *_COLUMNS]):
        table.add_column(column, justify="right", no_wrap=True, min_width=_WIDTH + (at == len(_COLUMNS)))
    for label, *families in _PAIRS:
        for group in (None, *(groups if label == "end-to-end" else ())):
            name = None if group is None else group.name
            row = list(chain(*(_figures(result, each, name) for each in families)))
            table.add_row(Text(label if name is None else f"  {name}"), *row)
            cells += row
    return table, cells


def _figures(result: Result, family: str, group: str | None = None) -> list[str]:
    """The figures of one half of a row, with their marks."""
    figures = [Figure(family, column, group) for column in _COLUMNS]
    return [marked(units.latency(result.value(each)), mark(result, each)) for each in figures]


def _intervals(result: Result) -> Table:
    """Those of response and service times over all groups."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("", min_width=_NAME - 1)
    for side in ("response", "service"):
        for name in TOLD:
            table.add_column(f"{side} {name}", justify="right", no_wrap=True, min_width=2 * _WIDTH)
    for label, *families in _PAIRS:
        spans = [units.span(result.confidence.get(f"{each}.{name}", ())) for each in families for name in TOLD]
        if set(spans) != {units.NOTHING}:
            table.add_row(Text(label), *spans)
    return table


def _sends_without_latency(result: Result) -> str:
    """Sends that no service time contains, since they failed or their outcome is unknown."""
    unknown = result.totals.get("indeterminate", 0)
    failed = result.totals["publishErrors"] - unknown
    counts = [f"{units.count(failed)} failed"] if failed else []
    counts += [f"{units.count(unknown)} with an unknown outcome"] if unknown else []
    return f"sends without a latency: {', '.join(counts)}" if counts else ""


def messages_per_write(told: Mapping[str, float]) -> str:
    """How bunched the load was: `1.02 on average, p99 2`."""
    return f"{told['mean']:,.2f} on average, p99 {told['p99']:,.0f}"


def _time_parts(result: Result) -> Table:
    """Where the time of a message went, one row for each part."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("", min_width=_NAME - 1)
    for column in ("avg", *_COLUMNS):
        table.add_column(column, justify="right", no_wrap=True, min_width=_WIDTH)
    delay = result.delay_parts
    rows = (
        ("schedule lag, the harness's", delay.get("scheduleLag")),
        ("blocked, until there was room", delay.get("blocked")),
        ("publish, from the actual send", result.latency["publish"]),
        ("end-to-end, from the actual send", result.latency["endToEnd"]),
        ("consumer's ack, from the arrival", delay.get("consumerAck")),
    )
    for label, summary in rows:
        if summary is not None and summary.count:
            table.add_row(Text(label), *(units.latency(summary.ms(each)) for each in ("avg", *_COLUMNS)))
    return table
