"""Ends a run as soon as a threshold of it can't be met, or is not met by what there is so far (`abortOnFail`).

Looks at the collector's figures; pure: told how much of the window has passed. Merging all intervals of a long run
takes a while, so it looks once a second at first, and later each time that the window has grown by a twentieth.
"""

from collections.abc import Sequence

from ombdriver.bench.collector import Collector
from ombdriver.bench.figures import Phase
from ombdriver.bench.measurements import LatencySummaryNs
from ombdriver.bench.thresholds import BEYOND, ENOUGH_BEYOND, Threshold
from ombdriver.bench.window import summarise

SECOND = 10**9
LEAST_ELAPSED_NS = 5 * SECOND
"""Before that, a percentile, an average or a rate says little of the run."""
GROWTH = 1.05
_RISING = ("max",)
_FALLING = ("min",)
_COUNTED = {"published": "publish", "publish_errors": "failed", "received": "endToEnd"}
"""Totals that are known while the run runs, and the histogram that counts them."""


class Guard:
    """Watches the thresholds of one run.

    Args:
        thresholds: what to watch; none when the run is not to be ended by them.
        collector: holds the figures.
    """

    def __init__(self, thresholds: Sequence[Threshold], collector: Collector) -> None:
        self._thresholds, self._collector = thresholds, collector
        self._next_ns = 0

    def __repr__(self) -> str:
        return f"<Guard of {len(self._thresholds)} thresholds>"

    def failed(self, phase: Phase, elapsed_ns: int) -> str | None:
        """Which threshold fails, with the figure so far; None when none does, or when it is not time to look.

        What can still come right is not looked at: a maximum that is to be above something, a count that is to be
        reached. Percentiles, averages and rates are looked at from 5 s on, and with enough samples.
        """
        if elapsed_ns < self._next_ns or not self._thresholds:
            return None
        self._next_ns = max(elapsed_ns + SECOND, round(elapsed_ns * GROWTH))
        sofar = _SoFar(self._collector, phase, elapsed_ns)
        for threshold in self._thresholds:
            if self._in_time(threshold, sofar, elapsed_ns) and not threshold.holds(threshold.value(sofar)):
                check = threshold.check(sofar)
                told = "no sample" if check.value is None else f"{check.value:.4g} {check.unit}".strip()
                return f"the threshold {threshold.expression} failed ({told})"
        return None

    def _in_time(self, threshold: Threshold, sofar: "_SoFar", elapsed_ns: int) -> bool:
        figure, at_most = threshold.figure, threshold.operator in ("<", "<=")
        if figure.kind == "count":
            return (
                at_most and figure.name == "totals" and figure.statistic in ("published", "publishErrors", "received")
            )
        if figure.statistic in _RISING or figure.statistic in _FALLING:
            final = at_most if figure.statistic in _RISING else not at_most
            return final and sofar.latency(figure.name, figure.group).count > 0
        if elapsed_ns < LEAST_ELAPSED_NS:
            return False
        if figure.kind == "rate":
            return sofar.rate(figure.name, figure.group) is not None
        beyond = BEYOND.get(figure.statistic, BEYOND["p50"])
        return sofar.latency(figure.name, figure.group).count * beyond >= ENOUGH_BEYOND


class _SoFar:
    """The figures up to now (`thresholds.Source`): of messages that have been answered, or have arrived."""

    def __init__(self, collector: Collector, phase: Phase, elapsed_ns: int) -> None:
        self._collector, self._phase, self._elapsed_ns = collector, phase, elapsed_ns
        self._summaries: dict[tuple[str, str | None], LatencySummaryNs] = {}

    def latency(self, name: str, group: str | None) -> LatencySummaryNs:
        """See `Source`."""
        if (name, group) not in self._summaries:
            self._summaries[name, group] = summarise(self._collector.histogram(self._phase, name, group))
        return self._summaries[name, group]

    def count(self, name: str, group: str | None, attribute: str) -> int | None:
        """See `Source`."""
        return self._collector.histogram(self._phase, _COUNTED[attribute], group).count

    def rate(self, name: str, group: str | None) -> float | None:
        """See `Source`. Over the intervals that are complete."""
        intervals = self._elapsed_ns // self._collector.interval_ns
        if not intervals:
            return None
        kind = {"publishRate": "published", "publishErrorRate": "failed", "consumeRate": "received"}[name]
        every = range(intervals)
        groups = [group] if kind != "received" or group else self._collector.subscriptions
        counted = sum(self._collector.count(self._phase, kind, each, at) for each in groups for at in every)
        return counted * 1e9 / (intervals * self._collector.interval_ns)
