"""Ends a run as soon as a threshold of it can't be met, or is not met by what there is so far (`abortOnFail`).

Looks at the collector's figures; pure: told how much of the window has passed.
"""

from collections.abc import Sequence

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.collector import Collector
from ombdriver.bench.metrics.latency import STATISTICS
from ombdriver.bench.metrics.phase_view import LEAST_ELAPSED_NS, SoFar, next_look_ns
from ombdriver.bench.spec.thresholds import Threshold

_RISING = ("max",)
_FALLING = ("min",)


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
        reached. Percentiles, averages and rates are looked at from 5 s on, and with enough samples; not while the rate
        is one that changes, since the rest of it may change them.
        """
        if elapsed_ns < self._next_ns or not self._thresholds:
            return None
        self._next_ns = next_look_ns(elapsed_ns)
        sofar = SoFar(self._collector, phase, elapsed_ns)
        for threshold in self._thresholds:
            if self._in_time(threshold, sofar, phase) and not threshold.is_met(threshold.figure.value(sofar)):
                check = threshold.check(sofar)
                told = "no sample" if check.value is None else f"{check.value:.4g} {check.unit}".strip()
                return f"the threshold {threshold.expression} failed ({told})"
        return None

    def _in_time(self, threshold: Threshold, sofar: SoFar, phase: Phase) -> bool:
        figure, at_most = threshold.figure, threshold.operator in ("<", "<=")
        if figure.kind == "count":
            return (
                at_most and figure.family == "totals" and figure.statistic in ("published", "publishErrors", "received")
            )
        if figure.statistic in _RISING or figure.statistic in _FALLING:
            final = at_most if figure.statistic in _RISING else not at_most
            return final and sofar.latency(figure.family, figure.group).count > 0
        if sofar.elapsed_ns < LEAST_ELAPSED_NS or phase.profile is not None:
            return False
        if figure.kind == "rate":
            return sofar.rate(figure.family, figure.group) is not None
        return sofar.latency(figure.family, figure.group).count >= STATISTICS[figure.statistic].least_count
