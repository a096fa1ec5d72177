"""Latency against load: what the probes of rate searches showed, as lines over the rate. Pure.

Of a rate that was tried several times the last probe counts, as it did for the search. Rates that held make the line;
those that did not are points beyond it, for their latency grows with the length of the probe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ombdriver.bench.metrics.latency import HEADLINE
from ombdriver.bench.report import units
from ombdriver.bench.report.page.runs import Run


@dataclass(frozen=True, slots=True)
class LoadLine:
    """One percentile of one run over the rate.

    Attributes:
        name: the run's, with the latency's.
        run: its number, from 0, among those that searched.
        part: the number of the latency among those of a run.
        rates: that held, rising, in messages per second.
        values_ms: the latency at each.
        failed_rates, failed_values_ms: the same of those that did not hold.
        valid: whether the run is VALID.
    """

    name: str
    run: int
    part: int
    rates: tuple[float, ...]
    values_ms: tuple[float, ...]
    failed_rates: tuple[float, ...]
    failed_values_ms: tuple[float, ...]
    valid: bool


def load_lines(runs: Sequence[Run]) -> list[LoadLine]:
    """The lines of every run that searched; none of others."""
    lines = []
    searches = [(run, search) for run in runs if (search := run.result.search) is not None]
    latencies = [(family, word, statistic) for family, word in units.RESPONSES.items() for statistic in HEADLINE]
    for number, (run, search) in enumerate(searches):
        last = {probe["rate"]: probe for probe in search["probes"]}
        for part, (family, word, statistic) in enumerate(latencies):
            held, failed = (_points(last, family, statistic, held=held) for held in (True, False))
            if held or failed:
                name = f"{run.label}, {word} {statistic}"
                lines.append(LoadLine(name, number, part, *_split(held), *_split(failed), run.valid))
    return lines


def _points(
    probes: Mapping[int, Mapping[str, Any]], family: str, statistic: str, *, held: bool
) -> list[tuple[float, float]]:
    """Rate and latency of each probe; a statistic that an older result lacks has no point."""
    values = {rate: probe[family].get(statistic) for rate, probe in sorted(probes.items()) if probe["held"] is held}
    return [(rate, value) for rate, value in values.items() if value is not None]


def _split(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(rate for rate, _ in points), tuple(value for _, value in points)
