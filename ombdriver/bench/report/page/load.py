"""Latency against load: what the probes of rate searches showed, as lines over the rate. Pure.

Of a rate that was tried several times the last probe is shown that this machine did not spoil. Rates that held make the
line; those that did not are points beyond it, for their latency grows with the length of the probe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.metrics.latency import HEADLINE
from ombdriver.bench.report import units
from ombdriver.bench.report.page.runs import Run
from ombdriver.bench.report.search import failed_as, mark_of_probe, probes_by_rate, shown_probe


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
        failed_as: what is said of each of those.
        valid: whether the run is VALID.
        marks, failed_marks: of each of these latencies; empty for one that says no more of the harness.
    """

    name: str
    run: int
    part: int
    rates: tuple[float, ...]
    values_ms: tuple[float, ...]
    failed_rates: tuple[float, ...]
    failed_values_ms: tuple[float, ...]
    failed_as: tuple[str, ...]
    valid: bool
    marks: tuple[str, ...]
    failed_marks: tuple[str, ...]


def load_lines(runs: Sequence[Run]) -> list[LoadLine]:
    """The lines of every run that searched; none of others."""
    lines = []
    searches = [(run, search) for run in runs if (search := run.result.search) is not None]
    latencies = [(family, word, statistic) for family, word in units.RESPONSES.items() for statistic in HEADLINE]
    for number, (run, search) in enumerate(searches):
        last = {rate: shown_probe(probes) for rate, probes in probes_by_rate(search["probes"]).items()}
        for part, (family, word, statistic) in enumerate(latencies):
            points, failed_points = (_points(last, family, statistic, held=held) for held in (True, False))
            if points or failed_points:
                name = f"{run.label}, {word} {statistic}"
                rates, values, marks = _split(points)
                failed_rates, failed, failed_marks = _split(failed_points)
                words = tuple(failed_as(last[int(rate)]) for rate in failed_rates)
                lines.append(
                    LoadLine(
                        name, number, part, rates, values, failed_rates, failed, words, run.valid, marks, failed_marks
                    )
                )
    return lines


_Point = tuple[float, float, str]
"""Rate, latency in ms, and its mark."""


def _points(probes: Mapping[int, Mapping[str, Any]], family: str, statistic: str, *, held: bool) -> list[_Point]:
    """Of each probe; a statistic that an older result lacks has no point."""
    some = {rate: probe for rate, probe in sorted(probes.items()) if probe["held"] is held}
    found = [(rate, probe[family].get(statistic), probe) for rate, probe in some.items()]
    figure = Figure(family, statistic)
    return [(rate, value, mark_of_probe(probe, figure)) for rate, value, probe in found if value is not None]


def _split(points: Sequence[_Point]) -> tuple[tuple[float, ...], tuple[float, ...], tuple[str, ...]]:
    return tuple(each[0] for each in points), tuple(each[1] for each in points), tuple(each[2] for each in points)
