"""Ends a run as soon as a threshold of it can't be met, or is not met by what there is so far (`abortOnFail`). Pure."""

from collections.abc import Sequence

from ombdriver.bench.metrics.figures import OF_FAULTS
from ombdriver.bench.metrics.latency import STATISTICS
from ombdriver.bench.metrics.phase_view import LEAST_ELAPSED_NS, PhaseView, next_check_ns
from ombdriver.bench.run.events import Polled, RunEvent
from ombdriver.bench.spec.thresholds import Threshold
from ombdriver.bench.verdict.model import THRESHOLD_FAILED, Ending


class AbortOnFail:
    """Watches the thresholds of one run; a subscriber of its events.

    Args:
        thresholds: what to watch; none when the run is not to be ended by them.

    Attributes:
        ending: which threshold failed, with the figure and the time; None as long as none has.
    """

    def __init__(self, thresholds: Sequence[Threshold]) -> None:
        self._thresholds = thresholds
        self._next_ns = 0
        self.ending: Ending | None = None

    def __repr__(self) -> str:
        return f"<AbortOnFail of {len(self._thresholds)} thresholds>"

    def on_event(self, event: RunEvent) -> None:
        """Checks the thresholds, when it is time for that in the measured phase."""
        if isinstance(event, Polled) and event.state.is_measured and self.ending is None:
            failed = self.failed(event.view)
            if failed is not None:
                self.ending = Ending.after(THRESHOLD_FAILED, failed, event.view.length_ns)

    def failed(self, view: PhaseView) -> str | None:
        """Which threshold fails, with the figure so far; None when none does, or when it is not time to look.

        What can still come right is not looked at: a maximum that is to be above something, a count that is to be
        reached. Percentiles, averages and rates are looked at from 5 s on, and with enough samples; not while the rate
        is one that changes, since the rest of it may change them.
        """
        if view.length_ns < self._next_ns or not self._thresholds:
            return None
        self._next_ns = next_check_ns(view.length_ns)
        for threshold in self._thresholds:
            if _is_decided(threshold, view) and not threshold.is_met(threshold.figure.value(view)):
                check = threshold.check(view)
                value = "no sample" if check.value is None else f"{check.value:.4g} {check.unit}".strip()
                return f"the threshold {threshold.expression} failed ({value})"
        return None


def _is_decided(threshold: Threshold, view: PhaseView) -> bool:
    """Whether a threshold that fails now fails for good, or by enough samples to tell."""
    figure, at_most = threshold.figure, threshold.operator in ("<", "<=")
    if figure.family in OF_FAULTS:
        return False  # known at the end only
    if figure.kind == "count":
        return at_most and figure.family == "totals" and figure.statistic in ("published", "publishErrors", "received")
    if figure.statistic in ("max", "min"):
        only_gets_worse = at_most if figure.statistic == "max" else not at_most
        return only_gets_worse and view.latency(figure.family, figure.group).count > 0
    if view.length_ns < LEAST_ELAPSED_NS or view.phase.profile is not None:
        return False
    if figure.kind == "rate":
        return view.rate(figure.family, figure.group) is not None
    return view.latency(figure.family, figure.group).count >= STATISTICS[figure.statistic].least_count
