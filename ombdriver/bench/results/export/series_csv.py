"""The series of a result as CSV (RFC 4180): one row per sample interval, the unit of each column in its name. Pure."""

import csv
import io
from collections.abc import Sequence

from ombdriver.bench.results.omb_keys import SERIES
from ombdriver.bench.results.result import RATES, Result

_TARGET = "targetRate"
_RATE_UNITS = {"backlog": "messages"}


def render(result: Result) -> str:
    """When each interval starts and how long it is in seconds, then every rate and latency; empty without a sample.

    Where what was asked for changed, that is the last column.
    """
    names = [*RATES, *SERIES]
    columns: list[Sequence[float | None]] = [result.rates[name] for name in RATES]
    columns += [result.series[name] for name in SERIES]
    if result.target_rates:
        names.append(_TARGET)
        columns.append(result.target_rates)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["start_s", "length_s", *(f"{name}_{unit(name)}" for name in names)])
    for at, length_s in enumerate(result.interval_lengths_s()):
        start_s = round(at * result.sample_interval_seconds, 6)
        writer.writerow([start_s, round(length_s, 6), *(column[at] for column in columns)])
    return text.getvalue()


def unit(name: str) -> str:
    """Of a series."""
    if name in RATES or name == _TARGET:
        return _RATE_UNITS.get(name, "per_s")
    return "us" if name.startswith("publishDelay") else "ms"
