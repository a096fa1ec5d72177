"""A run's events become `Progress`, for whoever shows it: of the last sample interval, and of the phase so far."""

import time
from collections.abc import Callable

from ombdriver.bench.drivers.sample import ServerStatus
from ombdriver.bench.metrics.latency import LatencySummary
from ombdriver.bench.metrics.phase_view import PhaseView
from ombdriver.bench.metrics.summary import FAMILIES, GROUP_FAMILIES
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.report.live import LiveView
from ombdriver.bench.report.progress import GroupProgress, Progress, ServerProgress, TotalsProgress
from ombdriver.bench.run.events import Finished, IntervalClosed, PhaseBegan, RunEvent, RunState, Waiting
from ombdriver.bench.run.measurement import Measurement
from ombdriver.bench.units import SECOND
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


class ProgressReporter:
    """Updates a display; a subscriber of a run's events.

    Args:
        display: what to show it on.
        plan: the run.
        measurement: of the run.
        server_now: the server as it was sampled last; None when it was not.
    """

    def __init__(
        self, display: LiveView, plan: Plan, measurement: Measurement, server_now: Callable[[], ServerStatus | None]
    ) -> None:
        self._display, self._plan, self._server_now = display, plan, server_now
        self._measurement, self._collector = measurement, measurement.collector
        self._verdict = RunningVerdict(plan, self._collector.processes, lambda: measurement.debts.usual_growth())
        self._waits_since: dict[RunState, float] = {}
        self._next_wait = 0.0
        self._latest: PhaseView | None = None

    def on_event(self, event: RunEvent) -> None:
        """Shows each sample interval, and once a second what is waited for; until the result is there."""
        match event:
            case PhaseBegan(state) if state.is_measured:
                self._verdict.begin()
            case IntervalClosed(state, view):
                self._latest = view
                self._waits_since.clear()
                self._display.update(self._interval(state, view))
            case Waiting(state):
                now = time.monotonic()
                since = self._waits_since.setdefault(state, now)
                if since == now or now >= self._next_wait:
                    self._next_wait = now + WAITING_EVERY_S
                    self._display.update(self._waiting(state, now - since))
            case Finished():
                self._display.end()

    def _waiting(self, state: RunState, elapsed_s: float) -> Progress:
        later_ns = self._plan.build_ns + self._plan.test_ns
        left_ns = {
            RunState.READY: self._plan.warmup_ns + later_ns,
            RunState.CUT: later_ns,
            RunState.BUILD: self._plan.test_ns,
        }
        now = self._server_now()
        return Progress(
            state.value,
            elapsed_s,
            left_s=left_ns[state] / SECOND if state in left_ns else None,
            message=_CONNECTING if state is RunState.READY and self._plan.existing else _WAITING[state],
            groups={} if self._latest is None else self._groups(None, now),
            server=_server(now),
            verdict=self._verdict.latest if state is RunState.DRAIN else None,
            own_parts=self._verdict.own_parts if state is RunState.DRAIN else {},
            totals=self._totals(),
        )

    def _interval(self, state: RunState, view: PhaseView) -> Progress:
        later_ns = {RunState.WARM_UP: self._plan.build_ns + self._plan.test_ns, RunState.BUILD: self._plan.test_ns}
        left_ns = view.phase.duration_ns - view.length_ns + later_ns.get(state, 0)
        now, searching, last = self._server_now(), state is RunState.SEARCH, view.last
        return Progress(
            phase=state.value,
            elapsed_s=view.length_ns / SECOND,
            phase_total_s=None if searching else view.phase.duration_ns / SECOND,
            left_s=None if searching else left_ns / SECOND,
            message=view.phase.name if searching else self._drained() if state is RunState.CATCH_UP else None,
            target_rate=last.target_rate if self._plan.producers else None,
            publish_rate=last.rate("publishRate") or 0.0,
            publish_error_rate=last.rate("publishErrorRate") or 0.0,
            publish=_latency(last, "publishResponse"),
            end_to_end=_latency(last, "endToEndResponse"),
            groups=self._groups(last, now),
            server=_server(now),
            verdict=self._verdict.update(view) if state.is_measured else None,
            own_parts=self._verdict.own_parts if state.is_measured else {},
            totals=self._totals(),
        )

    def _drained(self) -> str:
        """How far the backlog that was built is drained."""
        assert self._plan.backlog is not None
        built = self._plan.backlog.messages * len(self._plan.reading)
        left = sum(self._measurement.backlog().values())
        return f"{max(0.0, 1 - left / built):.0%} drained"

    def _groups(self, last: PhaseView | None, now: ServerStatus | None) -> dict[str, GroupProgress]:
        """How each subscription stands; with what it did in an interval, if one is given."""
        backlog = self._measurement.backlog()
        return {
            name: GroupProgress(
                rate=0.0 if last is None else last.rate("consumeRate", name) or 0.0,
                backlog=backlog.get(name, self._collector.acknowledged),  # nobody reads one that is not in it
                lag=None if now is None else now.lag.get(name),
                end_to_end=None if last is None else _latency(last, "endToEndResponse", name),
            )
            for name in self._plan.subscriptions
        }

    def _totals(self) -> TotalsProgress:
        """The phase that was shown last, so far."""
        view = self._latest
        if view is None:
            return TotalsProgress()
        events = [("published", None), ("failed", None), *(("received", name) for name in view.subscriptions)]
        latencies = [
            (family, group)
            for family in FAMILIES
            for group in (view.subscriptions if family in GROUP_FAMILIES else (None,))
        ]
        return TotalsProgress(
            view.phase.name,
            {(kind, group): view.total_events(kind, group) for kind, group in events},
            {(family, group): view.histogram(family, group) for family, group in latencies},
        )


def _latency(view: PhaseView, family: str, group: str | None = None) -> LatencySummary | None:
    latency = view.latency(family, group)
    return latency if latency.count else None


def _server(now: ServerStatus | None) -> ServerProgress | None:
    return None if now is None else ServerProgress(now.cpu, now.memory_bytes)
