"""The figures of a run as `Progress` for whoever shows it."""

import time

from ombdriver.bench.collector import Collector
from ombdriver.bench.course import Stage
from ombdriver.bench.figures import Phase
from ombdriver.bench.measurements import LatencySummaryNs
from ombdriver.bench.plan import Plan
from ombdriver.bench.report.live import LiveView
from ombdriver.bench.report.progress import Progress
from ombdriver.bench.window import summarise

_WAITING = {
    Stage.READY: "until every group has received from every partition",
    Stage.CUT: "until nothing of the warm-up is on its way",
    Stage.DRAIN: "until everything sent has been received",
}


class Viewing:
    """Turns what a `Course` tells into updates of a view.

    Args:
        view: what to show it on.
        plan: the run.
    """

    def __init__(self, view: LiveView, plan: Plan, collector: Collector) -> None:
        self._view, self._plan, self._collector = view, plan, collector
        self._since: dict[Stage, float] = {}

    def show(self, stage: Stage, phase: Phase | None, interval: int) -> None:
        """`course.Show`."""
        if phase is None:
            since = self._since.setdefault(stage, time.monotonic())
            self._view.update(Progress(stage.value, time.monotonic() - since, message=_WAITING[stage]))
        elif interval >= 0:
            self._view.update(self._interval(stage, phase, interval))

    def _interval(self, stage: Stage, phase: Phase, interval: int) -> Progress:
        collector = self._collector
        return Progress(
            phase=stage.value,
            elapsed_s=(interval + 1) * collector.interval_ns / 1e9,
            phase_total_s=phase.duration_ns / 1e9,
            target_rate=phase.rate,
            publish_rate=self._rate(phase, "published", None, interval),
            publish_error_rate=self._rate(phase, "failed", None, interval),
            consume_rates={name: self._rate(phase, "received", name, interval) for name in self._plan.subscriptions},
            backlog=collector.backlog(),
            publish=self._latency(phase, "publishResponse", interval),
            end_to_end=self._latency(phase, "endToEndResponse", interval),
        )

    def _rate(self, phase: Phase, kind: str, group: str | None, interval: int) -> float:
        return self._collector.count(phase, kind, group, interval) * 1e9 / self._collector.interval_ns

    def _latency(self, phase: Phase, family: str, interval: int) -> LatencySummaryNs | None:
        histogram = self._collector.histogram(phase, family, None, interval)
        return summarise(histogram) if histogram.count else None
