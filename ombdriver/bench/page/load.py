"""Latency against load: what the probes of searches showed, as lines over the rate. Pure.

Of a rate that was tried several times the last probe counts, as it did for the search. Rates that held make the line;
those that did not are marks beyond it, for their latency grows with the length of the probe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ombdriver.bench.page.arrangement import Run

FAMILIES = {"publishResponse": "publish", "endToEndResponse": "end-to-end"}
STATISTICS = ("p50", "p99", "p99.9")


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
    """

    name: str
    run: int
    part: int
    rates: tuple[float, ...]
    values_ms: tuple[float, ...]
    failed_rates: tuple[float, ...]
    failed_values_ms: tuple[float, ...]


def load_lines(runs: Sequence[Run]) -> list[LoadLine]:
    """The lines of every run that searched; none of others."""
    found = []
    searched = [run for run in runs if run.result.search is not None]
    for number, run in enumerate(searched):
        assert run.result.search is not None
        last = {probe["rate"]: probe for probe in run.result.search["probes"]}
        part = 0
        for family, word in FAMILIES.items():
            for statistic in STATISTICS:
                held, failed = (_points(last, family, statistic, held=held) for held in (True, False))
                if held or failed:
                    found.append(
                        LoadLine(f"{run.name}, {word} {statistic}", number, part, *_split(held), *_split(failed))
                    )
                part += 1
    return found


def _points(
    probes: Mapping[int, Mapping[str, Any]], family: str, statistic: str, *, held: bool
) -> list[tuple[float, float]]:
    of = {rate: probe[family][statistic] for rate, probe in sorted(probes.items()) if probe["held"] is held}
    return [(rate, value) for rate, value in of.items() if value is not None]


def _split(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(rate for rate, _ in points), tuple(value for _, value in points)
