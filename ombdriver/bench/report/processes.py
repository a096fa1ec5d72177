"""The block on the server and the processes in the report at the end of a run: a few lines of its telemetry.

Knows a Result and rich. Older results have no telemetry, and some drivers no server: what is not there is left out.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ombdriver.bench.report import units
from ombdriver.bench.result import Result
from ombdriver.bench.text import format_size


def block(result: Result, table: Table) -> Iterator[RenderableType]:
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
    counts = [*_of_the_server(summary), *_of_the_workers(result.environment.get("workers", ()))]
    if counts:
        yield Text("; ".join(counts))


def _of_the_server(summary: Mapping[str, Any]) -> Iterator[str]:
    if summary["evictedKeys"] is not None:
        yield units.many(summary["evictedKeys"], "eviction")
    if summary["forks"] is not None:
        longest = "" if summary["longestForkMs"] is None else f" of {units.latency(summary['longestForkMs'])} at most"
        yield units.many(summary["forks"], "fork") + longest


def _of_the_workers(workers: Any) -> Iterator[str]:
    stalls = sum(each.get("loopStalls", 0) for each in workers)
    if stalls:
        longest = max(each.get("longestStallMs", 0.0) for each in workers)
        yield f"{units.many(stalls, 'worker stall')} of {units.latency(longest)} at most"
    elif workers:
        yield "no worker stalled"
