"""The end of a run as tables for the terminal: verdict, latencies, rates against their target, delivery, caveats.

Knows a Result and rich; must not know how it came about. Reads the same at 80 columns, without colour and in a pipe.
What is said of the figures comes before them. Of these, what a user of a busy system feels comes first: response times,
counted from the intended send. What an older result lacks is left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ombdriver.bench.metrics.figures import MAIN
from ombdriver.bench.metrics.summary import WindowDelivery
from ombdriver.bench.report import backlog, faults, host_words, latencies, units
from ombdriver.bench.report.console import print_all, unwrapped
from ombdriver.bench.report.marks import legends, marked, threshold_figure
from ombdriver.bench.report.search import (
    GENERATOR,
    NOT_CLAIMED,
    is_of_machine,
    mark_of_probe,
    probes_by_rate,
    shown_probe,
)
from ombdriver.bench.results.result import Result, Subscription
from ombdriver.bench.spec.rate_profile import render_profile
from ombdriver.bench.units import format_size, visible
from ombdriver.bench.verdict.model import Verdict

MOST_GROUPS = 12
"""Of more groups the slowest are shown; the file has them all."""


def show(result: Result, path: Path | None, stream: TextIO, width: int | None = None, *, brief: bool = False) -> None:
    """Prints the report of `result` to `stream`.

    Args:
        result: what to tell.
        path: where the result lies; None when it was not stored.
        stream: a terminal, or anything else: then without colour, 80 columns wide.
        width: columns, when they shall not be found out.
        brief: only what is said of the whole, and the response times; for one of many.
    """
    parts = _in_brief(result) if brief else _parts(result)
    print_all([*parts, *([unwrapped(f"Result: {path}")] if path is not None else [])], stream, width)


def _in_brief(result: Result) -> Iterator[RenderableType]:
    yield Text()  # the run before it stands above
    yield from _headline(result)
    yield Text(_title(result), style="bold")
    yield from latencies.response_times(result)


def _title(result: Result) -> str:
    return f"{result.workload} on {result.setup.get('name', result.driver)}, run {result.run_id}"


def _parts(result: Result) -> Iterator[RenderableType]:
    groups = _shown_groups(result.subscriptions)
    yield from _headline(result)
    yield Text(_title(result), style="bold")
    yield Text(_described(result))
    if result.search is not None:
        yield from _search_block(result.search)
    if result.backlog_drain is not None:
        yield from _drain_block(result.backlog_drain, MOST_GROUPS)
    if result.target_publish_rate:
        yield from latencies.blocks(result, groups)
    if result.stretches:
        yield from _stretches_block(result.stretches)
    yield _heading("Rates and messages of the measured window")
    yield _rates(result, groups)
    if result.delivery:
        yield _heading("Delivery of the messages of the measured window")
        yield _delivery(result.delivery)
    if result.faults is not None and result.faults["injections"]:
        yield from faults.block(result.faults)
    left_out = len(result.subscriptions) - len(groups)
    if left_out:
        yield Text(f"(the slowest {len(groups)} groups by p99; the other {left_out} are in the result)")
    if result.telemetry is not None:
        yield _heading("Server and processes of the measured window, CPU as a share of one core")
        yield from _processes_block(result, _table("", "mean", "peak"))
    yield from _hosts_block(result)
    if result.caveats:
        yield _heading("Caveats")
        for caveat in result.caveats:
            yield Padding(Text(f"{caveat.kind}: {caveat.message}"), (0, 0, 0, 2), expand=False)
    yield Text()


# -- verdict and thresholds ----------------------------------------------------------------------------------------

_STYLES = {"VALID": "bold green", "LOSS": "bold red", "CORRUPT": "bold red", "INVALID": "bold red"}
_OTHERS = "bold yellow"


def _headline(result: Result) -> Iterator[RenderableType]:
    """The verdict first, then why, then the thresholds; nothing for a result that was not judged."""
    if result.verdict is not None:
        yield Text(result.verdict.status, style=_STYLES.get(result.verdict.status, _OTHERS))
        yield from _reasons(result.verdict)
    elif result.partial:
        yield Text(f"PARTIAL: {result.partial_reason}", style=_OTHERS)
    if result.thresholds:
        table, cells = _thresholds(result)
        yield table
        yield from (_indented(Text(each, style="dim")) for each in legends(cells))
    if result.verdict is not None or result.partial or result.thresholds:
        yield Text()


def _reasons(verdict: Verdict) -> Iterator[RenderableType]:
    for reason in verdict.reasons:
        other = "" if reason.status == verdict.status else f"{reason.status}, "
        yield _indented(Text.assemble((f"{other}{reason.rule}: ", "bold"), reason.message))
    if verdict.not_judged:
        rules = ", ".join(each.rule for each in verdict.not_judged)
        yield _indented(Text(f"not judged (why: verdict.notJudged of the result): {rules}", style="dim"))
    if verdict.measured:
        yield _indented(Text.assemble(("this machine: ", "bold"), verdict.measured))
    if verdict.advice:
        yield _indented(Text("for a quiet run:", style="bold"))
        for each in verdict.advice:
            yield Padding(Text(each.message), (0, 0, 0, 4), expand=False)


def _indented(text: Text) -> Padding:
    return Padding(text, (0, 0, 0, 2), expand=False)


def _thresholds(result: Result) -> tuple[Table, list[str]]:
    """The table, and the figures in it with their marks."""
    cells = [threshold_figure(result, check) for check in result.thresholds]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True, justify="right")
    for check, cell in zip(result.thresholds, cells, strict=True):
        word = Text("  pass", style="green") if check.passed else Text("  FAIL", style="bold red")
        table.add_row(word, Text(check.expression), cell)
    return table, cells


# -- what ran, rates and delivery ----------------------------------------------------------------------------------


def _shown_groups(groups: Sequence[Subscription]) -> Sequence[Subscription]:
    """All groups, in their order; of too many the slowest, the slowest first."""
    if len(groups) <= MOST_GROUPS:
        return groups
    return sorted(groups, key=lambda group: group.latency["endToEndResponse"].p99, reverse=True)[:MOST_GROUPS]


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
    return f"{random}, rate: {render_profile(result.rate_profile)}"


def _loop(result: Result) -> str:
    most = result.workload_spec.get("maxInFlight")
    if most is None:
        return ""
    return ", closed loop" if most == 1 else f", at most {units.count(most)} in flight per producer"


def _rates(result: Result, groups: Sequence[Subscription]) -> Table:
    table = _table("", "target", "achieved", "messages")
    target, totals = result.target_publish_rate, result.totals
    if target:
        achieved = units.rate(result.mean_rate("publishRate"))
        table.add_row("published", units.rate(target), achieved, _n(totals["published"]))
        errors = units.rate(result.mean_rate("publishErrorRate"))
        table.add_row("publish errors", "", errors, _n(totals["publishErrors"]))
    if totals.get("indeterminate"):
        table.add_row("  outcome unknown", "", "", _n(totals["indeterminate"]))
    if totals.get("underReplicated"):
        table.add_row("    on too few replicas or disks", "", "", _n(totals["underReplicated"]))
    if target:
        table.add_row("never sent", "", "", _n(totals["unsent"]))
    if totals.get("unanswered"):
        table.add_row("no reply", "", "", _n(totals["unanswered"]))
    each = units.rate(target) if target else ""  # where nothing is sent there is no target
    received = units.rate(target * len(result.subscriptions)) if target else ""
    table.add_row("received", received, units.rate(result.mean_rate("consumeRate")), _n(totals["received"]))
    for group in groups:
        table.add_row(Text(f"  {group.name}"), each, units.rate(group.consume_rate), units.count(group.received))
    if totals.get("receivedFromOtherHosts"):
        table.add_row("  from other hosts", "", "", _n(totals["receivedFromOtherHosts"]))
    if target and totals.get("receivedOfOthers"):
        table.add_row("messages of others", "", "", _n(totals["receivedOfOthers"]))
    return table


_MISSING = ("lost", "trimmed", "undelivered", "recovered")
_ARRIVED = ("redelivered", "duplicated", "repeated", "reordered", "corrupt")


def _delivery(deliveries: Sequence[WindowDelivery]) -> Table:
    """One row per group; what a column has no count for in any group is left out, but for `lost`."""
    columns = [
        name for name in (*_MISSING, *_ARRIVED) if name == "lost" or any(getattr(each, name) for each in deliveries)
    ]
    table = _table("", "acked", "received", *columns)
    for each in deliveries:
        counts = (_count(each, name) for name in ("acknowledged", "received", *columns))
        table.add_row(Text(each.subscription), *counts)
    return table


def _count(delivery: WindowDelivery, name: str) -> str:
    count = getattr(delivery, name)
    if count is None:
        return "-"
    at_least = name == "reordered" and count and not delivery.order_exact
    return f"{'>=' if at_least else ''}{units.count(count)}"


# -- server and processes, search, profile, backlog ----------------------------------------------------------------


def _processes_block(result: Result, table: Table) -> Iterator[RenderableType]:
    """`table`, filled, and a line of counts; nothing when there is no telemetry.

    Args:
        result: what to tell.
        table: an empty one with the columns name, mean, peak.
    """
    if result.telemetry is None:
        return
    summary = result.telemetry["summary"]
    for name, key in (("server CPU", "serverCpu"), ("busiest worker", "busiestWorkerCpu")):
        share = summary.get(key)
        if share is not None and share["peak"] is not None:
            table.add_row(name, units.percent(share["mean"]), units.percent(share["peak"]))
    if summary["usedMemoryPeakBytes"] is not None:
        table.add_row("server memory", "", format_size(summary["usedMemoryPeakBytes"]))
    yield table
    counts = [*_server_counts(summary), *_worker_counts(result.environment.get("workers", ()))]
    if counts:
        yield Text("; ".join(counts))
    unseen = (result.telemetry.get("server") or {}).get("unseen") or ()
    if unseen:
        yield Text(f"the server did not tell: {'; '.join(map(visible, unseen))}")


def _server_counts(summary: Mapping[str, Any]) -> Iterator[str]:
    if summary["evictedKeys"] is not None:
        yield units.many(summary["evictedKeys"], "eviction")
    if summary["forks"] is not None:
        longest = "" if summary["longestForkMs"] is None else f" of {units.latency(summary['longestForkMs'])} at most"
        yield units.many(summary["forks"], "fork") + longest


def _worker_counts(workers: Any) -> Iterator[str]:
    stalls = sum(each.get("loopStalls", 0) for each in workers)
    if stalls:
        longest = max(each.get("longestStallMs", 0.0) for each in workers)
        yield f"{units.many(stalls, 'worker stall')} of {units.latency(longest)} at most"
    elif workers:
        yield "no worker stalled"


def _hosts_block(result: Result) -> Iterator[RenderableType]:
    """The table under its heading; nothing for a run on this machine."""
    rows = host_words.rows(result)
    if not rows:
        return
    yield _heading("Hosts in the measured window, CPU as a share of one core")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("", min_width=10, overflow="fold")
    for column in host_words.COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for name, cells in rows:
        table.add_row(Text(name), *cells)
    yield table
    if told := host_words.left_out(result):
        yield Text(f"({told})")
    yield Text(host_words.EXPLAINED)


LIMITS = {
    GENERATOR: "this machine's generator",
    "serverCpu": "the server's CPU",
    "serverMemory": "the server's memory",
    "publishing": "publishing",
    "consumers": "the consumers",
    "slo": "the SLO",
}
"""What kept a rate from being sustained, in words."""


UNKNOWN_RATE = "not known, by this machine"
"""In place of the highest rate that is sustained."""


def _search_block(search: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The table under its heading.

    Args:
        search: the `search` of a result.
    """
    failing, limit = search["failingRate"], search["limit"]
    sustained = search["sustainedRate"]
    heading = f"\nHighest sustained rate: {UNKNOWN_RATE if sustained is None else units.rate(sustained)}"
    if failing is not None and sustained is not None:
        heading += f"; {units.rate(failing)} is not" + (f", by {LIMITS[limit]}" if limit else "")
    yield Text(heading, style="bold")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for column in ("rate", "sustained", *_MAIN_COLUMNS, "server"):
        table.add_column(column, justify="right", no_wrap=True, min_width=7)
    told: list[str] = []
    for rate, probes in probes_by_rate(search["probes"]).items():
        last = shown_probe(probes)
        held = sum(probe["held"] for probe in probes)
        cpu = last["serverCpu"]
        cells = [
            marked(units.latency(last[figure.family][figure.statistic]), mark_of_probe(last, figure)) for figure in MAIN
        ]
        told += cells
        table.add_row(
            units.rate(rate),
            NOT_CLAIMED if is_of_machine(last) else f"{held} of {len(probes)}",
            *cells,
            units.NOTHING if cpu is None else f"{cpu:.2f}",
        )
    yield table
    yield from map(Text, legends(told))
    for rate, reason in _why(search):
        yield Padding(Text.assemble((f"{units.rate(rate)}: ", "bold"), reason), (0, 0, 0, 2), expand=False)


_MAIN_COLUMNS = [units.title(each) if each.statistic == MAIN[0].statistic else each.statistic for each in MAIN]


def _why(search: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Why the lowest rate that is not sustained is not, and why a lower one could not be judged."""
    for rate, probes in probes_by_rate(search["probes"]).items():
        sustained = search["sustainedRate"]
        unjudged = is_of_machine(shown_probe(probes)) and (sustained is None or rate < sustained)
        if rate == search["failingRate"] or unjudged:
            failed = [probe for probe in probes if not probe["held"]]
            for reason in shown_probe(failed)["reasons"] if failed else ():
                yield rate, reason


def _stretches_block(stretches: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """The table under its heading.

    Args:
        stretches: the `stretches` of a result.
    """
    yield Text("\nStretches of the profile, latencies from the intended send", style="bold")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for column in ("seconds", "target", "published", *_MAIN_COLUMNS, "backlog"):
        table.add_column(column, justify="right", no_wrap=True, min_width=7)
    for each in stretches:
        table.add_row(
            f"{each['beginSeconds']:,.6g}-{each['endSeconds']:,.6g}",
            units.rate(each["targetRate"]),
            units.rate(each["publishRate"]),
            *(units.latency(each[figure.family][figure.statistic]) for figure in MAIN),
            units.count(each["backlog"]),
        )
    yield table


def _drain_block(drain: Mapping[str, Any], most_groups: int) -> Iterator[RenderableType]:
    """The table under its heading.

    Args:
        drain: the `backlogDrain` of a result.
        most_groups: of more groups the slowest are shown.
    """
    yield Text("\nBacklog, drained in the measured window", style="bold")
    yield Text(backlog.describe_drain(drain))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("", min_width=10, overflow="fold")
    for column in backlog.COLUMNS:
        table.add_column(column, justify="right", no_wrap=True, min_width=7)
    for name, cells in backlog.rows(drain, most_groups):
        table.add_row(Text(name), *cells)
    yield table
    if (left_out := len(drain["subscriptions"]) - most_groups) > 0:
        yield Text(f"(the slowest {most_groups} groups; the other {units.count(left_out)} are in the result)")
    yield Text("net: less backlog each second; fresh: due meanwhile; own: of the backlog")
    yield Text(backlog.publish_latencies(drain))


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
