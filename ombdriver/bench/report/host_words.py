"""What the hosts of a run took, in cells of a table; terminal and page show the same. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from ombdriver.bench.report import units
from ombdriver.bench.results.result import Result
from ombdriver.bench.units import format_size

COLUMNS = ("cores", "CPU", "waited", "stall", "memory left", "clock", "engine")
EXPLAINED = (
    "CPU: of all processes on the cores; waited: how long its workers waited for a core, together; stall: the longest"
    " of a worker; clock: how wrong it may be; engine: the CPU of what has placed the workers"
)
MOST_HOSTS = 12
"""Of more hosts those are shown whose workers waited most; the file has them all."""


def rows(result: Result) -> list[tuple[str, tuple[str, ...]]]:
    """The name of each host and a cell for each of `COLUMNS`; none for a run on this machine."""
    taken: Sequence[Mapping[str, Any]] = (result.telemetry or {}).get("hosts") or ()
    clocks = {each.get("name"): each.get("clock") or {} for each in result.environment.get("hosts") or ()}
    workers: Sequence[Mapping[str, Any]] = result.environment.get("workers") or ()
    found = []
    for host in taken:
        own = [each for each in workers if each.get("host") == host["name"]]
        waited_ms = sum(each["runDelayMs"] for each in own)
        error_ms = clocks.get(host["name"], {}).get("errorMs")
        left = host["leastAvailableBytes"]
        cells = (
            units.count(host["cores"]),
            units.percent(host["cpu"]["mean"]),
            units.percent(waited_ms / 1000 / result.window_s if result.window_s else None),
            units.latency(max((each["longestStallMs"] for each in own), default=None)),
            units.NOTHING if left is None else format_size(left),
            units.NOTHING if error_ms is None else units.latency(error_ms),
            units.percent(host["engineCpu"]["mean"]),
        )
        name = f"{host['name']} (server)" if "serversCpu" in host else str(host["name"])
        found.append((waited_ms, name, cells))
    if len(found) > MOST_HOSTS:
        found = sorted(found, reverse=True)[:MOST_HOSTS]
    return [(name, cells) for _, name, cells in found]


def left_out(result: Result) -> str:
    """How many hosts `rows` leaves out, as a sentence; empty for none."""
    count = len((result.telemetry or {}).get("hosts") or ()) - MOST_HOSTS
    return f"the {MOST_HOSTS} whose workers waited most; the other {units.count(count)} are in the result" * (count > 0)
