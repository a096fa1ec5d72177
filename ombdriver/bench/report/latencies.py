"""The latencies of a result as tables: response beside service time, and where the time went."""

from collections.abc import Iterator, Sequence
from itertools import chain

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ombdriver.bench.metrics.confidence import TOLD
from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.metrics.latency import HEADLINE
from ombdriver.bench.report import units
from ombdriver.bench.results.result import Result, Subscription

AT_FLOOR = "*"
"""Stands within a percentile, before its unit, that says more of the harness than of the system."""

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
    yield _side_by_side(result, groups)
    if result.at_harness_floor:
        yield Text(f"{AT_FLOOR} before a unit: at harness floor, what `ombdriver calibrate` found with no server")
    without = _sends_without_latency(result)
    if without:
        yield Text(without)
    if result.confidence:
        yield Text("\nHow well it is known: 95 % intervals", style="bold")
        yield _intervals(result)
    yield Text("\nWhere the time went", style="bold")
    yield _time_parts(result)


def response_times(result: Result) -> Table:
    """From the intended send, over all groups; a table of two rows."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("intended send to", min_width=_NAME + 3, no_wrap=True)
    for column in _COLUMNS:
        table.add_column(column, justify="right", no_wrap=True, min_width=_WIDTH)
    for label, family in (("acknowledgement", "publishResponse"), ("delivery", "endToEndResponse")):
        table.add_row(Text(label), *_figures(result, family))
    return table


def _side_by_side(result: Result, groups: Sequence[Subscription]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("", min_width=_NAME - 1, overflow="fold")  # a long name is broken, a figure never
    for at, column in enumerate([*_COLUMNS, *_COLUMNS]):
        table.add_column(column, justify="right", no_wrap=True, min_width=_WIDTH + (at == len(_COLUMNS)))
    for label, *families in _PAIRS:
        table.add_row(Text(label), *chain(*(_figures(result, each) for each in families)))
        for group in groups if label == "end-to-end" else ():
            table.add_row(Text(f"  {group.name}"), *chain(*(_figures(result, each, group.name) for each in families)))
    return table


def _figures(result: Result, family: str, group: str | None = None) -> list[str]:
    """The figures of one half of a row, with the marks of those at the harness floor."""
    figures = [Figure(family, column, group) for column in _COLUMNS]
    return [
        units.latency(result.value(each)).replace(" ", AT_FLOOR if str(each) in result.at_harness_floor else " ")
        for each in figures
    ]


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
        ("sent until the acknowledgement", result.latency["publish"]),
        ("sent until the delivery", result.latency["endToEnd"]),
        ("delivery until its own ack", delay.get("consumerAck")),
    )
    for label, summary in rows:
        if summary is not None and summary.count:
            table.add_row(Text(label), *(units.latency(summary.ms(each)) for each in ("avg", *_COLUMNS)))
    return table
