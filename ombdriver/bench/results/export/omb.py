"""A result as the OpenMessaging Benchmark (OMB) writes its own: exactly the fields of its TestResult. Pure.

OMB's series have one element per 10 s, and its charts take that for granted; so ours are resampled. Where OMB has
a plain number it knows no null: what has no sample is 0 there, as OMB writes it.
"""

import json
import math
from dataclasses import replace
from typing import Any

from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.latency import PERCENTILES, STATISTICS, LatencySummary, summarise
from ombdriver.bench.results import omb_keys
from ombdriver.bench.results.histograms import CLOSE_S, interval_s, intervals, within
from ombdriver.bench.results.omb_keys import aggregated
from ombdriver.bench.results.result import RATES, Result

ELEMENT_S = 10.0
"""What one element of a series stands for."""
HEAD_FIELDS = ("workload", "driver", "messageSize", "topics", "partitions", "producersPerTopic", "consumersPerTopic")
FAMILIES = ("publish", "publishDelay", "endToEnd")
"""OMB's latencies: in ms, the delay in µs, of which all but the average are whole."""
ENDINGS = ("Avg", "50pct", "75pct", "95pct", "99pct", "999pct", "9999pct", "Max")
"""How the keys of latencies end in OMB's own results; its reader fails on any other, as some of its forks have."""

_MEAN_RATES = RATES[:3]


def render(result: Result) -> str:
    """As JSON text, one line per key."""
    lines = (
        f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}"
        for key, value in fields(result).items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def fields(result: Result) -> dict[str, Any]:
    """OMB's fields by their names."""
    own = result.to_json()
    found: dict[str, Any] = {name: own[name] for name in HEAD_FIELDS}
    lengths_s = result.interval_lengths_s()
    starts_s = [at * result.sample_interval_seconds for at in range(len(lengths_s))]
    elements = _elements(sum(lengths_s))
    for name in _MEAN_RATES:
        found[name] = [_mean(result.rates[name], starts_s, lengths_s, *element) for element in elements]
    found["backlog"] = [int(_last(result.rates["backlog"], starts_s, lengths_s, end_s)) for _, end_s in elements]
    for family in FAMILIES:
        found |= _series(result, family, starts_s, elements)
    overall = result.aggregated
    for family in FAMILIES:
        for ending in ENDINGS:
            name = aggregated(f"{family}Latency{ending}")
            found[name] = overall[name] or 0
        name = aggregated(f"{family}LatencyQuantiles")
        found[name] = result.quantiles[name]
    return found


def _elements(whole_s: float) -> list[tuple[float, float]]:
    """When each element begins and ends; the last one may be shorter, and there is one at least."""
    count = max(1, math.ceil((whole_s - CLOSE_S) / ELEMENT_S))
    return [(at * ELEMENT_S, min((at + 1) * ELEMENT_S, whole_s)) for at in range(count)]


def _mean(rates: list[float], starts_s: list[float], lengths_s: list[float], begin_s: float, end_s: float) -> float:
    """The mean over time; a sample interval that lasts over a border counts on both sides with its share."""
    shares = [
        max(0.0, min(start_s + length_s, end_s) - max(start_s, begin_s))
        for start_s, length_s in zip(starts_s, lengths_s, strict=True)
    ]
    weighed = sum(rate * share for rate, share in zip(rates, shares, strict=True))
    return round(weighed / sum(shares), 3) if sum(shares) else 0.0


def _last(values: list[float], starts_s: list[float], lengths_s: list[float], end_s: float) -> float:
    """The value at the end of the last interval that has ended by then; before any has, the first."""
    ended = [at for at, start_s in enumerate(starts_s) if start_s + lengths_s[at] <= end_s + CLOSE_S]
    return values[ended[-1] if ended else 0] if values else 0


def _series(
    result: Result, family: str, starts_s: list[float], elements: list[tuple[float, float]]
) -> dict[str, list[float]]:
    """One latency by element, from merged histograms."""
    found = intervals(result, family)
    histograms = [each.histogram() for each in found]
    finer = (interval_s(result) or math.inf) <= ELEMENT_S
    histogram_starts_s = [each.start_s for each in found]
    greatest = result.series[f"{family}LatencyMax"]
    summaries = []
    for element in elements:
        summary = summarise(Histogram.total(histograms[at] for at in within(histogram_starts_s, *element)))
        known = [value for at in within(starts_s, *element) if finer and (value := greatest[at]) is not None]
        if known:  # the series know the exact maximum, a histogram only its bucket
            summary = _at_most(summary, omb_keys.to_ns(family, max(known)))
        summaries.append(summary)
    series = omb_keys.series(family, summaries)
    return {name: [value or 0 for value in series[name]] for name in (f"{family}Latency{ending}" for ending in ENDINGS)}


def _at_most(summary: LatencySummary, greatest_ns: int) -> LatencySummary:
    """`summary` with a maximum that is known, which no percentile passes."""
    values = {STATISTICS[name].attribute: min(summary.ns(name) or 0, greatest_ns) for name in PERCENTILES}
    return replace(summary, max=greatest_ns, **values)
