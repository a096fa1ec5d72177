"""The end of a run as a table for the terminal: verdict, latencies per group, rates against their target, caveats.

Knows a Result and rich; must not know how it came about. Reads the same at 80 columns, without colour and in a pipe.
What is said of the figures comes before them. Of these, what a user of a busy system feels comes first: response times,
counted from the intended send.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ombdriver.bench.measurements import Delivery
from ombdriver.bench.profile_form import described
from ombdriver.bench.report import draining, latencies, processes, searching, stretches, units
from ombdriver.bench.report.headline import headline
from ombdriver.bench.result import Result
from ombdriver.bench.result_parts import Subscription

MOST_GROUPS = 12
"""Of more groups than that the slowest are told; the file has them all."""

NARROWEST = 80
"""Columns that the tables need."""


def show(result: Result, path: Path | None, stream: TextIO, width: int | None = None, *, brief: bool = False) -> None:
    """Prints the report of `result` to `stream`.

    Args:
        result: what to tell.
        path: where the result lies; None when it was not stored.
        stream: a terminal, or anything else: then without colour, 80 columns wide.
        width: columns, when they shall not be found out. Below 80 lines run over rather than lose a figure.
        brief: only what is said of the whole, and the response times; for one of many.
    """
    console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
    console.width = max(console.width, NARROWEST)
    with console.capture() as captured:
        for part in _in_brief(result) if brief else _parts(result):
            console.print(part)
        if path is not None:
            console.print(Text(f"Result: {path}"), soft_wrap=True)  # in one piece, to be copied
    lines = (line.rstrip(" ") for line in captured.get().splitlines(keepends=False))
    stream.write(units.fit_for(stream, "\n".join(lines) + "\n"))
    stream.flush()


def _in_brief(result: Result) -> Iterator[RenderableType]:
    yield Text()  # the run before it stands above
    yield from headline(result)
    yield Text(_title(result), style="bold")
    yield latencies.response_times(result)


def _title(result: Result) -> str:
    return f"{result.workload} on {result.setup.get('name', result.driver)}, run {result.run_id}"


def _parts(result: Result) -> Iterator[RenderableType]:
    groups = _told(result.subscriptions)
    yield from headline(result)
    yield Text(_title(result), style="bold")
    yield Text(_described(result))
    if result.search is not None:
        yield from searching.block(result.search)
    if result.backlog_drain is not None:
        yield from draining.block(result.backlog_drain, MOST_GROUPS)
    if result.target_publish_rate:
        yield from latencies.blocks(result, groups)
    if result.stretches:
        yield from stretches.block(result.stretches)
    yield _heading("Rates and messages of the measured window")
    yield _rates(result, groups)
    if result.delivery:
        yield _heading("Delivery of the messages of the measured window")
        yield _delivery(result.delivery)
    left_out = len(result.subscriptions) - len(groups)
    if left_out:
        yield Text(f"(the slowest {len(groups)} groups by p99; the other {left_out} are in the result)")
    if result.telemetry is not None:
        yield _heading("Server and processes of the measured window, CPU as a share of one core")
        yield from processes.block(result, _table("", "mean", "peak"))
    if result.caveats:
        yield _heading("Caveats")
        for caveat in result.caveats:
            yield Padding(Text(f"{caveat.kind}: {caveat.message}"), (0, 0, 0, 2), expand=False)
    yield Text()


def _told(groups: Sequence[Subscription]) -> Sequence[Subscription]:
    """The groups to tell: all, in their order, or the slowest, the slowest first."""
    if len(groups) <= MOST_GROUPS:
        return groups
    return sorted(groups, key=lambda group: group.end_to_end_response.p99 or 0.0, reverse=True)[:MOST_GROUPS]


def _described(result: Result) -> str:
    messages = f"messages of {units.count(result.message_size)} bytes{_on_average(result)}"
    topics = f"{_many(result.topics, 'topic')} of {_many(result.partitions, 'partition')}"
    producers = _many(result.producers_per_topic, "producer")
    groups = f"{_many(result.subscriptions_per_topic, 'group')} of {_many(result.consumers_per_topic, 'consumer')}"
    measured = f"{units.duration(result.window_s)} measured from {result.begin_time}"
    return f"{measured}, {messages}, {topics}, per topic {producers} and {groups}{_loop(result)}{_load(result)}"


def _on_average(result: Result) -> str:
    return " on average" if result.workload_spec.get("messageSizeDistribution") else ""


def _load(result: Result) -> str:
    random = ", random arrivals (Poisson)" if result.workload_spec.get("arrivals") == "poisson" else ""
    if not result.rate_profile:
        return random
    return f"{random}, rate: {described(result.rate_profile)}"


def _loop(result: Result) -> str:
    most = result.workload_spec.get("maxInFlight")
    if most is None:
        return ""
    return ", closed loop" if most == 1 else f", at most {units.count(most)} in flight per producer"


def _rates(result: Result, groups: Sequence[Subscription]) -> Table:
    table = _table("", "target", "achieved", "messages")
    target, totals = result.target_publish_rate, result.totals
    if target:
        told = units.rate(target), units.rate(result.mean_rate("publishRate")), _n(totals["published"])
        table.add_row("published", *told)
        errors = units.rate(result.mean_rate("publishErrorRate"))
        table.add_row("publish errors", "", errors, _n(totals["publishErrors"]))
    if totals.get("indeterminate"):
        table.add_row("  outcome unknown", "", "", _n(totals["indeterminate"]))
    if totals.get("underReplicated"):
        table.add_row("    on too few replicas", "", "", _n(totals["underReplicated"]))
    if target:
        table.add_row("never sent", "", "", _n(totals["unsent"]))
    if totals.get("unanswered"):
        table.add_row("no reply", "", "", _n(totals["unanswered"]))
    each = units.rate(target) if target else ""  # where nothing is sent there is no target
    received = units.rate(target * len(result.subscriptions)) if target else ""
    table.add_row("received", received, units.rate(result.mean_rate("consumeRate")), _n(totals["received"]))
    for group in groups:
        table.add_row(Text(f"  {group.name}"), each, units.rate(group.consume_rate), units.count(group.received))
    if target and totals.get("receivedOfOthers"):
        table.add_row("messages of others", "", "", _n(totals["receivedOfOthers"]))
    return table


_FATES = ("lost", "trimmed", "undelivered", "recovered")
_COURSES = ("redelivered", "duplicated", "repeated", "reordered", "corrupt")


def _delivery(deliveries: Sequence[Delivery]) -> Table:
    """One row per group; what a column has no count for in any group is left out, but for `lost`."""
    told = [name for name in (*_FATES, *_COURSES) if name == "lost" or any(getattr(each, name) for each in deliveries)]
    table = _table("", "acked", "received", *told)
    for each in deliveries:
        counts = (_fate(each, name) for name in ("acknowledged", "received", *told))
        table.add_row(Text(each.subscription), *counts)
    return table


def _fate(delivery: Delivery, name: str) -> str:
    count = getattr(delivery, name)
    if count is None:
        return "-"
    at_least = name == "reordered" and count and not delivery.order_exact
    return f"{'>=' if at_least else ''}{units.count(count)}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    name, *figures = columns
    table.add_column(name, min_width=16, overflow="fold")  # a long name is broken, a figure never
    for figure in figures:
        table.add_column(figure, justify="right", no_wrap=True, min_width=8)
    return table


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


_many = units.many
_n = units.count
