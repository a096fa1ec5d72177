"""Builds a backlog and drains it: consumers pause, producers go on, consumers resume and catch up.

The backlog is a phase of its own with as many messages as are asked for, so what is sent from the resume on, in the
phase that is measured, differs from it by its phase. That phase goes on until the backlog is drained.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.latency import LatencySummary
from ombdriver.bench.metrics.phase_view import PhaseView
from ombdriver.bench.metrics.summary import GROUP_FAMILIES, BacklogMetrics, DrainMetrics
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.run.events import RunState
from ombdriver.bench.run.measurement import Measurement
from ombdriver.bench.run.phases import Phases
from ombdriver.bench.units import SECOND
from ombdriver.errors import RunError

logger = logging.getLogger(__name__)

STEP_NS = SECOND // 10
"""Between two looks at how far subscriptions lag."""
AHEAD_NS = SECOND // 2
"""The measured phase is extended so long before it ends, that workers know in time."""
LEAST_BUILT = 0.99
"""Of what was asked for; a smaller backlog is another experiment."""
PUBLISH_FAMILIES = ("publish", "publishResponse")


@dataclass(frozen=True, slots=True)
class DrainState:
    """How one subscription stood when it had caught up, or at the last poll if it had not.

    Attributes:
        elapsed_ns: since the resume.
        left: messages before it.
        received: messages that it was given since the resume.
        done: whether it had caught up.
    """

    elapsed_ns: int
    left: int
    received: int
    done: bool


class DrainTracker:
    """Follows the drain of one backlog. Pure.

    Args:
        backlog: messages before each subscription when its consumers resume, by its name.
        received: messages that each had been given by then.
        level: a subscription has caught up when no more than that are before it.

    Attributes:
        backlog: as given.
        subscriptions: how each stands.
        total: all of them together, until the last one has caught up.
    """

    def __init__(self, backlog: Mapping[str, int], received: Mapping[str, int], level: int) -> None:
        self.backlog = dict(backlog)
        self._received, self._level = dict(received), level
        self.subscriptions = {name: DrainState(0, count, 0, done=False) for name, count in backlog.items()}
        self.total = DrainState(0, sum(backlog.values()), 0, done=False)

    def __repr__(self) -> str:
        return f"<DrainTracker {self.total.left} of {sum(self.backlog.values())} left>"

    @property
    def done(self) -> bool:
        """Whether all have caught up, each at some time."""
        return all(each.done for each in self.subscriptions.values())

    def update(self, elapsed_ns: int, lag: Mapping[str, int], received: Mapping[str, int]) -> bool:
        """Takes in how things stand after `elapsed_ns`; whether all have caught up. After that, nothing changes."""
        if self.done:
            return True
        given = {name: received[name] - self._received[name] for name in self.backlog}
        for name, each in self.subscriptions.items():
            if not each.done:
                self.subscriptions[name] = DrainState(elapsed_ns, lag[name], given[name], lag[name] <= self._level)
        left = sum(lag[name] for name in self.backlog)
        self.total = DrainState(elapsed_ns, left, sum(given.values()), self.done)
        return self.done


class Backlog:
    """The backlog of one run.

    Args:
        plan: the run; it has a backlog.
        phases: carries out what it is made of.
        measurement: of the run.

    Attributes:
        built: the phase in which it was built; None before that.
    """

    def __init__(self, plan: Plan, phases: Phases, measurement: Measurement) -> None:
        assert plan.backlog is not None
        self._run, self._plan = plan, plan.backlog
        self._phases, self._measurement, self._collector = phases, measurement, measurement.collector
        self.built: Phase | None = None
        self._build_ns = 0
        self._tracker: DrainTracker | None = None

    def __repr__(self) -> str:
        return f"<Backlog {self.built and self.built.name} {self._tracker}>"

    async def build(self) -> None:
        """Consumers pause, and as many messages are sent as they are to have before them.

        Raises:
            RunError: if they can't be.
        """
        phases = self._phases
        await phases.pause_consumers()
        if phases.interrupted:
            return
        self._measurement.begin_backlog()
        self.built = phases.begin("build", self._plan.build_ns, self._run.rate)
        await phases.run(RunState.BUILD, self.built)
        if not phases.interrupted:
            await phases.settle(RunState.BUILD, received=False)
        self._build_ns = time.monotonic_ns() - self.built.start_ns
        least = min(self._measurement.backlog().values())
        if not phases.interrupted and least < LEAST_BUILT * self._plan.messages:
            errors = self._collector.errors().most_common(1)
            why = f"messages met the error: {errors[0][0]}" if errors else "the server did not take more in time"
            why = phases.shortage or why
            raise RunError(
                f"the backlog was not built: {least:,} of {self._plan.messages:,} messages were acknowledged, {why};"
                " lower the producerRate or consumerBacklogSizeGB, or give a longer drainTimeout"
            )

    # -- the drain -------------------------------------------------------------------------------------------------

    def resume(self, measured: Phase) -> None:
        """Consumers read again when `measured` begins; it has been ordered, and lies ahead."""
        built = self._measurement.backlog()
        self._phases.resume_consumers(measured.start_ns)
        self._tracker = DrainTracker(built, self._collector.received(), self._plan.level)
        logger.info("a backlog of %s messages", dict(built))

    @property
    def drained(self) -> bool:
        """Whether all subscriptions have caught up."""
        return self._tracker is not None and self._tracker.done

    def update(self, measured: Phase) -> bool:
        """Whether all have caught up, by what the last poll brought."""
        assert self._tracker is not None
        elapsed_ns = max(0, self._phases.polled_ns - measured.start_ns)
        return self._tracker.update(elapsed_ns, self._measurement.lag(), self._collector.received())

    def more_ns(self, measured: Phase, elapsed_ns: int) -> int:
        """By how much `measured` is to be extended now; 0 for nothing.

        It is as long as the run asks for, and longer by the drain's time-out at most while the backlog is drained.
        """
        if elapsed_ns < measured.duration_ns - AHEAD_NS - STEP_NS:
            return 0
        left_ns = self._run.test_ns + self._run.drain_timeout_ns - measured.duration_ns
        interval_ns = self._collector.interval_ns
        step_ns = interval_ns * -(-SECOND // interval_ns)
        return step_ns if left_ns >= step_ns else max(0, left_ns)

    def metrics(self) -> BacklogMetrics | None:
        """What came of it, when the measured window has been made; None when it was not drained at all."""
        if self._tracker is None or self.built is None:
            return None
        assert self._measurement.view is not None
        tracker, measured = self._tracker, self._measurement.view
        built = PhaseView(self._collector, self.built, self.built.duration_ns)
        until, end = _intervals(measured, tracker.total), len(measured.intervals)
        return BacklogMetrics(
            asked_bytes=self._plan.size_bytes,
            asked_messages=self._plan.messages,
            level=self._plan.level,
            message_size=self._run.payload.size,
            build_ns=self._build_ns,
            subscriptions={
                name: _drain_metrics(built, measured, name, each, tracker.backlog[name])
                for name, each in tracker.subscriptions.items()
            },
            total=_drain_metrics(built, measured, None, tracker.total, sum(tracker.backlog.values())),
            publish_during=_latencies(measured.part(0, until), PUBLISH_FAMILIES),
            publish_after=_latencies(measured.part(until, end), PUBLISH_FAMILIES),
            delivery=self._measurement.backlog_deliveries,
            settled_interval=until if tracker.done else None,
        )


def _intervals(measured: PhaseView, each: DrainState) -> int:
    """Sample intervals, from the first, in which it was drained."""
    return min(len(measured.intervals), -(-each.elapsed_ns // measured.interval_ns))


def _drain_metrics(
    built: PhaseView, measured: PhaseView, name: str | None, each: DrainState, messages: int
) -> DrainMetrics:
    return DrainMetrics(
        messages=messages,
        left=each.left,
        drain_ns=each.elapsed_ns,
        caught_up=each.done,
        received=each.received,
        backlog_latency=_latencies(built, GROUP_FAMILIES, name),
        fresh_latency=_latencies(measured.part(0, _intervals(measured, each)), GROUP_FAMILIES, name),
    )


def _latencies(view: PhaseView, families: Sequence[str], name: str | None = None) -> dict[str, LatencySummary]:
    return {family: view.latency(family, name) for family in families}
