"""Percentile curves: of each setup, and of each group on it, over its repeats. Pure.

Histograms of repeats are merged, of those that are VALID where any is; percentiles are never averaged. The steps of a
curve are those of HdrHistogram's plots, five for each halving of what is left to 100 %.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.summary import FAMILIES, GROUP_FAMILIES
from ombdriver.bench.report.page.runs import Repeats, Run
from ombdriver.bench.results.export.hdr_histogram import percentile_rows
from ombdriver.bench.results.histograms import encoded_total
from ombdriver.errors import InputError

MOST_GROUPS = 8
"""Of more groups the slowest are drawn: no more can be distinguished."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The distribution of one latency.

    Attributes:
        family: which latency.
        setup: the number of its setup among all, from 0.
        group: the consumer group; None for all together.
        tails: 1/(1-p) of each point, rising from 1; p is the share of samples (0 to 1) that are no higher.
        values_ms: the latency at each point.
        count: samples.
        valid: whether it is of VALID runs.
    """

    family: str
    setup: int
    group: str | None
    tails: tuple[float, ...]
    values_ms: tuple[float, ...]
    count: int
    valid: bool


def curves(setups: Sequence[Repeats]) -> list[Curve]:
    """Every curve with a sample: by family, then setup, then group.

    Raises:
        InputError: if a result holds something else than a histogram.
    """
    drawn = groups(setups)
    found = []
    for family in FAMILIES:
        for number, setup in enumerate(setups):
            for group in (None, *(drawn if family in GROUP_FAMILIES else ())):
                merged = Histogram.total(_histograms(setup.told, family, group))
                if merged.count:
                    found.append(_curve(family, number, group, merged, setup.valid))
    return found


def groups(setups: Sequence[Repeats]) -> list[str]:
    """The names of the groups that are drawn, in their order; of too many the slowest, by the p99 of any run."""
    worst: dict[str, int] = {}
    for setup in setups:
        for run in setup.told:
            for each in run.result.subscriptions:
                worst[each.name] = max(worst.get(each.name, 0), each.latency["endToEndResponse"].p99)
    chosen = set(sorted(worst, key=lambda name: worst[name], reverse=True)[:MOST_GROUPS])
    return [name for name in worst if name in chosen]


def _histograms(runs: Sequence[Run], family: str, group: str | None) -> Iterator[Histogram]:
    for run in runs:
        if group is not None and group not in run.result.histograms.get("subscriptions", {}):
            continue
        try:
            yield Histogram.decode(encoded_total(run.result, family, group))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{run.source}: the histogram of {family} can't be read ({error}); the file is damaged, run again"
            ) from error


def _curve(family: str, setup: int, group: str | None, histogram: Histogram, valid: bool) -> Curve:
    points = [
        (1 / (1 - level / 100), value_ns / 1e6) for value_ns, level, _ in percentile_rows(histogram) if level < 100
    ]
    tails, values = zip(*points, strict=True)
    return Curve(
        family,
        setup,
        group,
        tuple(_digits(tail) for tail in tails),
        tuple(_digits(value) for value in values),
        histogram.count,
        valid,
    )


def _digits(value: float) -> float:
    """To the six digits that a plot can show."""
    return float(f"{value:.6g}")
