"""How a backlog was drained, in words and figures for people; terminal and page show the same. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from ombdriver.bench.report import units

GIB = 1 << 30
COLUMNS = ("backlog", "drained in", "net", "received", "fresh p50", "fresh p99", "own max")
"""Of `cells`; the latencies are end-to-end response times of fresh messages and of the backlog's own."""


def describe_drain(drain: Mapping[str, Any]) -> str:
    """What was built, and what became of it; `drain` is the `backlogDrain` of a result."""
    built = (
        f"{units.count(drain['messages'])} messages ({drain['bytes'] / GIB:.3g} GiB) over all groups, built in"
        f" {units.duration(drain['buildSeconds'])}"
    )
    if drain["caughtUp"]:
        return f"{built}, drained in {drain_time(drain)}"
    return f"{built}, not drained after {drain_time(drain)}: {units.count(drain['left'])} were left"


def drain_time(drain: Mapping[str, Any]) -> str:
    """How long a drain took, or had; to a tenth of a second, as often as it is polled."""
    seconds: float = drain["drainSeconds"]
    return f"{seconds:.1f} s" if seconds < 59.95 else units.duration(seconds)


def publish_latencies(drain: Mapping[str, Any]) -> str:
    """The producers' own latency while the backlog was drained, and after that."""
    during, after = (drain[name]["publishResponse"] for name in ("publishDuring", "publishAfter"))
    return f"publish response during the drain: {_publish(during)}; after it: {_publish(after)}"


def _publish(figures: Mapping[str, Any]) -> str:
    if not figures["count"]:
        return "nothing was due"
    return f"p50 {units.latency(figures['p50'])}, p99 {units.latency(figures['p99'])}"


def rows(drain: Mapping[str, Any], most_groups: int) -> list[tuple[str, Sequence[str]]]:
    """The name and a cell for each of `COLUMNS`: of all groups, if there are several, and of each of them.

    Of more than `most_groups` the slowest are shown.
    """
    groups = shown = drain["subscriptions"]
    if len(groups) > most_groups:
        shown = sorted(groups, key=lambda each: (each["caughtUp"], -each["drainSeconds"]))[:most_groups]
    every = [("all groups", _cells(drain))] if len(groups) > 1 else []
    return every + [(each["name"], _cells(each)) for each in shown]


def _cells(drain: Mapping[str, Any]) -> Sequence[str]:
    fresh = drain["freshLatency"]["endToEndResponse"]
    net = drain["drainRate"]
    return (
        units.short(drain["messages"]),
        drain_time(drain) if drain["caughtUp"] else f"> {drain_time(drain)}",
        f"{'-' if net < 0 else ''}{units.rate(abs(net))}",
        units.rate(drain["receiveRate"]),
        units.latency(fresh["p50"]),
        units.latency(fresh["p99"]),
        units.latency(drain["backlogLatency"]["endToEndResponse"]["max"]),
    )
