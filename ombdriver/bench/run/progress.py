"""The figures of a run as `Progress` for whoever shows it."""

import time
from collections.abc import Callable

from ombdriver.bench.drivers.sample import ServerStatus
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.collector import Collector
from ombdriver.bench.metrics.latency import LatencySummary, summarise
from ombdriver.bench.metrics.summary import FAMILIES, GROUP_FAMILIES
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.report.live import LiveView
from ombdriver.bench.report.progress import GroupProgress, Progress, ServerProgress, TotalsProgress
from ombdriver.bench.run.phases import RunState
from ombdriver.bench.verdict.live import RunningVerdict

WAITING_EVERY_S = 1.0
"""How often a wait is shown."""
_CONNECTING = "until every consumer has connected"
_WAITING = {
    RunState.READY: "until every group has received from every partition",
    RunState.SEARCH: "until what the probe has left behind is drained",
    RunState.CUT: "until nothing of the warm-up is on its way",
    RunState.BUILD: "until consumers have paused, and all of the backlog is there",
    RunState.DRAIN: "until everything sent has been received",
}


class Viewing:
    """Turns what a `Phases` tell into updates of a view.

    Args:
        view: what to show it on.
        plan: the run.
        collector: holds its figures.
        server_now: what the server told last; None when it has told nothing.
    """

    def __init__(
        self, view: LiveView, plan: Plan, collector: Collector, server_now: Callable[[], ServerStatus | None]
    ) -> None:
        self._view, self._plan, self._collector, self._server_now = view, plan, collector, server_now
        self._verdict = RunningVerdict(plan, collector)
        self._since: dict[RunState, float] = {}
        self._waits_again = 0.0
        self._phase: Phase | None = None

    def show(self, stage: RunState, phase: Phase | None, interval: int) -> None:
        """`phases.Show`."""
        if phase is None:
            now = time.monotonic()
            since = self._since.setdefault(stage, now)
            if since == now or now >= self._waits_again:
                self._waits_again = now + WAITING_EVERY_S
                self._view.update(self._waiting(stage, now - since))
        elif interval >= 0:
            self._phase = phase
            self._since.clear()
            self._view.update(self._interval(stage, phase, interval))
        elif stage in (RunState.MEASURE, RunState.CATCH_UP):
            self._verdict.begin()

    def _waiting(self, stage: RunState, elapsed_s: float) -> Progress:
        later_ns = self._plan.build_ns + self._plan.test_ns
        left_ns = {
            RunState.READY: self._plan.warmup_ns + later_ns,
            RunState.CUT: later_ns,
            RunState.BUILD: self._plan.test_ns,
        }
        now = self._server_now()
        return Progress(
            stage.value,
            elapsed_s,
            left_s=left_ns[stage] / 1e9 if stage in left_ns else None,
            message=_CONNECTING if stage is RunState.READY and self._plan.existing else _WAITING[stage],
            groups={} if self._phase is None else self._groups(None, 0, now),
            server=_server(now),
            verdict=self._verdict.latest if stage is RunState.DRAIN else None,
            totals=self._totals(),
        )

    def _interval(self, stage: RunState, phase: Phase, interval: int) -> Progress:
        elapsed_ns = (interval + 1) * self._collector.interval_ns
        after_ns = {RunState.WARM_UP: self._plan.build_ns + self._plan.test_ns, RunState.BUILD: self._plan.test_ns}
        later_ns = after_ns.get(stage, 0)
        now, searching = self._server_now(), stage is RunState.SEARCH
        return Progress(
            phase=stage.value,
            elapsed_s=elapsed_ns / 1e9,
            phase_total_s=None if searching else phase.duration_ns / 1e9,
            left_s=None if searching else (phase.duration_ns - elapsed_ns + later_ns) / 1e9,
            message=phase.name if searching else self._caught_up() if stage is RunState.CATCH_UP else None,
            target_rate=self._collector.targets(phase).rate(elapsed_ns - self._collector.interval_ns, elapsed_ns)
            if self._plan.producers
            else None,
            publish_rate=self._rate(phase, "published", None, interval),
            publish_error_rate=self._rate(phase, "failed", None, interval),
            publish=self._latency(phase, "publishResponse", None, interval),
            end_to_end=self._latency(phase, "endToEndResponse", None, interval),
            groups=self._groups(phase, interval, now),
            server=_server(now),
            verdict=self._verdict.look(phase, elapsed_ns) if stage in (RunState.MEASURE, RunState.CATCH_UP) else None,
            totals=self._totals(),
        )

    def _caught_up(self) -> str:
        """How far the backlog that was built is drained."""
        assert self._plan.backlog is not None
        most = self._plan.backlog.messages * len(self._plan.reading)
        left = sum(self._collector.backlog().values())
        return f"{max(0.0, 1 - left / most):.0%} drained"

    def _groups(self, phase: Phase | None, interval: int, now: ServerStatus | None) -> dict[str, GroupProgress]:
        """How each subscription stands; with what it did in `interval`, if a phase is given."""
        backlog = self._collector.backlog()
        return {
            name: GroupProgress(
                rate=0.0 if phase is None else self._rate(phase, "received", name, interval),
                backlog=backlog[name],
                lag=None if now is None else now.lag.get(name),
                end_to_end=None if phase is None else self._latency(phase, "endToEndResponse", name, interval),
            )
            for name in self._plan.subscriptions
        }

    def _totals(self) -> TotalsProgress:
        """The phase that was shown last, so far."""
        phase, collector = self._phase, self._collector
        if phase is None:
            return TotalsProgress()
        counts = [("published", None), ("failed", None), *(("received", name) for name in collector.subscriptions)]
        latencies = [
            (family, group)
            for family in FAMILIES
            for group in (collector.subscriptions if family in GROUP_FAMILIES else (None,))
        ]
        return TotalsProgress(
            phase.name,
            {(kind, group): collector.counted(phase, kind, group) for kind, group in counts},
            {(family, group): collector.histogram(phase, family, group) for family, group in latencies},
        )

    def _rate(self, phase: Phase, kind: str, group: str | None, interval: int) -> float:
        return self._collector.count(phase, kind, group, interval) * 1e9 / self._collector.interval_ns

    def _latency(self, phase: Phase, family: str, group: str | None, interval: int) -> LatencySummary | None:
        histogram = self._collector.histogram(phase, family, group, interval)
        return summarise(histogram) if histogram.count else None


def _server(now: ServerStatus | None) -> ServerProgress | None:
    return None if now is None else ServerProgress(now.cpu, now.memory_bytes)
