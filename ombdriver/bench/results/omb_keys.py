"""Latencies under the OpenMessaging Benchmark's flat keys, as `publishLatency99pct`. Pure.

OMB's TestResult has one key for each latency and statistic: a list with one value per interval, or, as `aggregated...`,
the value over the whole window. Both are made here of the same summaries. Units and types are OMB's: ms, but for
`publishDelay` in whole µs, of which the average has decimals. Without a sample the value is None.
"""

from collections.abc import Mapping, Sequence

from ombdriver.bench.metrics.latency import STATISTICS, LatencySummary
from ombdriver.bench.metrics.summary import FAMILIES

ENDINGS = {
    name.capitalize() if each.percentile is None else f"{each.attribute.removeprefix('p')}pct": name
    for name, each in STATISTICS.items()
    if name != "min"
}
"""How the keys end, and the statistic of each: `Avg`, `99pct` (p99), `999pct` (p99.9), `Max`."""
IN_US = "publishDelay"
"""The one family that is not in ms."""


def aggregated(key: str) -> str:
    """The key of the value over the whole window, from that of the list."""
    return f"aggregated{key[0].upper()}{key[1:]}"


SERIES = tuple(f"{family}Latency{ending}" for family in FAMILIES for ending in ENDINGS)
"""Keys of lists with one latency per interval."""
QUANTILES = tuple(aggregated(f"{family}LatencyQuantiles") for family in FAMILIES)
"""Keys of maps from percentile (as text, 0 to 100) to latency over the whole window."""


def series(family: str, summaries: Sequence[LatencySummary]) -> dict[str, list[float | None]]:
    """One latency by interval."""
    return {
        f"{family}Latency{ending}": [
            None if (value_ns := each.ns(name)) is None else _in_unit(family, name, value_ns) for each in summaries
        ]
        for ending, name in ENDINGS.items()
    }


def overall(family: str, summary: LatencySummary) -> dict[str, float | None]:
    """One latency over the whole window."""
    return {aggregated(key): value for key, (value,) in series(family, [summary]).items()}


def quantiles(family: str, curve: Mapping[float, int]) -> dict[str, dict[str, float]]:
    """The curve of one latency: percentile (0 to 100) to nanoseconds."""
    values = {str(float(at)): _in_unit(family, None, value_ns) for at, value_ns in sorted(curve.items())}
    return {aggregated(f"{family}LatencyQuantiles"): values}


def to_ns(family: str, value: float | None) -> int:
    """The value of a key in nanoseconds; 0 for None."""
    return round((value or 0) * (1e3 if family == IN_US else 1e6))


def _in_unit(family: str, statistic: str | None, value_ns: int) -> float:
    if family != IN_US:
        return round(value_ns / 1e6, 6)
    return round(value_ns / 1e3, 3) if statistic == "avg" else round(value_ns / 1e3)
