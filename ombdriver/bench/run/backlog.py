"""Builds a backlog and drains it: consumers pause, producers go on, consumers resume, and it is seen how they catch up.

The backlog is a phase of its own with as many messages as are asked for, so what is sent from the resume on, in the
phase that is measured, is told from it by the phase alone. That phase goes on until the backlog is drained.

When subscriptions have caught up with a backlog: looks at how far behind they are become times and counts. Pure.

The drain of a backlog -> `BacklogMetrics`: of what was due in the build, and later up to its end. Pure.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.collector import Collector
from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.latency import LatencySummary, summarise
from ombdriver.bench.metrics.phase_view import Window
from ombdriver.bench.metrics.summary import (
    GROUP_FAMILIES,
    BacklogDelivery,
    BacklogMetrics,
    DrainMetrics,
)
from ombdriver.bench.plan.backlog import BacklogPlan
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.run.measurement import Measurement
from ombdriver.bench.run.phases import SECOND, Phases, RunState
from ombdriver.errors import RunError


@dataclass(frozen=True, slots=True)
class DrainState:
    """How one subscription stood when it had caught up, or at the last look if it had not.

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
    """Follows the drain of one backlog.

    Args:
        behind: messages before each subscription when its consumers resume, by its name.
        received: messages that each had been given by then.
        level: a subscription has caught up when no more than that are before it.
    """

    def __init__(self, behind: Mapping[str, int], received: Mapping[str, int], level: int) -> None:
        self.begin = dict(behind)
        self._received, self._level = dict(received), level
        self.subscriptions = {name: DrainState(0, count, 0, done=False) for name, count in behind.items()}
        self.total = DrainState(0, sum(behind.values()), 0, done=False)

    def __repr__(self) -> str:
        return f"<DrainTracker {self.left} of {sum(self.begin.values())} left>"

    @property
    def done(self) -> bool:
        """Whether all have caught up, each at some time."""
        return all(each.done for each in self.subscriptions.values())

    @property
    def left(self) -> int:
        """Messages before all of them together at the last look."""
        return self.total.left

    def look(self, elapsed_ns: int, behind: Mapping[str, int], received: Mapping[str, int]) -> bool:
        """Takes in how things stand after `elapsed_ns`; whether all have caught up. After that, nothing changes."""
        if self.done:
            return True
        given = {name: received[name] - self._received[name] for name in self.begin}
        for name, each in self.subscriptions.items():
            if not each.done:
                done = behind[name] <= self._level
                self.subscriptions[name] = DrainState(elapsed_ns, behind[name], given[name], done)
        left = sum(behind[name] for name in self.begin)
        self.total = DrainState(elapsed_ns, left, sum(given.values()), self.done)
        return self.done


PUBLISHED = ("publish", "publishResponse")


class DrainFigures:
    """The figures of one drain.

    Args:
        window: what was measured; it begins with the resume.
        collector: holds the figures.
        built: the phase in which the backlog was built.
        catching_up: how it was drained.
    """

    def __init__(self, window: Window, collector: Collector, built: Phase, catching_up: DrainTracker) -> None:
        self._window, self._collector, self._built, self._catching_up = window, collector, built, catching_up

    def __repr__(self) -> str:
        return f"<DrainFigures {self._catching_up}>"

    def measurements(
        self, plan: BacklogPlan, message_size: int, build_ns: int, delivery: Sequence[BacklogDelivery]
    ) -> BacklogMetrics:
        """Everything.

        Args:
            plan: what was asked for.
            message_size: bytes, on average.
            build_ns: how long it took to build it.
            delivery: the account of its messages.
        """
        drained, total = self._catching_up, self._catching_up.total
        until, end = self._intervals(total), self._window.intervals
        return BacklogMetrics(
            asked_bytes=plan.size_bytes,
            asked_messages=plan.messages,
            level=plan.level,
            message_size=message_size,
            build_ns=build_ns,
            subscriptions={
                name: self._drain(name, each, drained.begin[name]) for name, each in drained.subscriptions.items()
            },
            total=self._drain(None, total, sum(drained.begin.values())),
            publish_during={family: self._summary(family, None, 0, until) for family in PUBLISHED},
            publish_after={family: self._summary(family, None, until, end) for family in PUBLISHED},
            delivery=delivery,
            settled_interval=until if drained.done else None,
        )

    def _intervals(self, each: DrainState) -> int:
        """Sample intervals, from the first, in which it was drained."""
        return min(self._window.intervals, -(-each.elapsed_ns // self._window.interval_ns))

    def _drain(self, name: str | None, each: DrainState, begin: int) -> DrainMetrics:
        until = self._intervals(each)
        return DrainMetrics(
            messages=begin,
            left=each.left,
            drain_ns=each.elapsed_ns,
            caught_up=each.done,
            received=each.received,
            backlog_latency={
                family: summarise(self._collector.histogram(self._built, family, name)) for family in GROUP_FAMILIES
            },
            fresh_latency={family: self._summary(family, name, 0, until) for family in GROUP_FAMILIES},
        )

    def _summary(self, family: str, name: str | None, first: int, end: int) -> LatencySummary:
        """Of what was due in the intervals from `first` on, up to before `end`."""
        return summarise(Histogram.total(self._window.histogram(family, name, at) for at in range(first, end)))


logger = logging.getLogger(__name__)

STEP_NS = SECOND // 10
"""Between two looks at how far behind subscriptions are."""
AHEAD_NS = SECOND // 2
"""The measured phase is prolonged so long before it ends, that workers know in time."""
LEAST_BUILT = 0.99
"""Of what was asked for; a smaller backlog is another experiment."""


class Backlog:
    """The backlog of one run.

    Args:
        plan: the run; it has a backlog.
        stages: carries out what it is made of.
        accounts: of what is measured.
        collector: holds the figures.

    Attributes:
        built: the phase in which it was built; None before that.
        build_ns: how long that took, until everything was acknowledged.
        catching_up: how it is drained; None before that.
    """

    def __init__(self, plan: Plan, phases: Phases, measurement: Measurement, collector: Collector) -> None:
        assert plan.backlog is not None
        self.plan, self._run = plan.backlog, plan
        self._phases, self._measurement, self._collector = phases, measurement, collector
        self.built: Phase | None = None
        self.build_ns = 0
        self.catching_up: DrainTracker | None = None

    def __repr__(self) -> str:
        return f"<Backlog {self.built and self.built.name} {self.catching_up}>"

    async def build(self) -> None:
        """Consumers pause, and as many messages are sent as they are to have before them.

        Raises:
            RunError: if they can't be.
        """
        phases = self._phases
        await phases.pause()
        if phases.interrupted:
            return
        self._measurement.begin_backlog()
        self.built = phases.begin("build", self.plan.build_ns, self._run.rate)
        await phases.run(RunState.BUILD, self.built)
        if not phases.interrupted:
            await phases.settle(RunState.BUILD, received=False)
        self.build_ns = time.monotonic_ns() - self.built.start_ns
        least = min(self._phases.missing().values())
        if not phases.interrupted and least < LEAST_BUILT * self.plan.messages:
            errors = self._collector.errors().most_common(1)
            why = f"messages met the error: {errors[0][0]}" if errors else "the server did not take more in time"
            raise RunError(
                f"the backlog was not built: {least:,} of {self.plan.messages:,} messages were acknowledged, {why};"
                " lower the producerRate or consumerBacklogSizeGB, or give a longer drainTimeout"
            )

    def resume(self, measured: Phase) -> None:
        """Consumers read again when `measured` begins; it has been ordered, and lies ahead."""
        built = self._measurement.on_its_way()
        self._phases.resume(measured.start_ns)
        self.catching_up = DrainTracker(built, self._collector.received(), self.plan.level)
        logger.info("a backlog of %s messages", built)

    def look(self, measured: Phase) -> bool:
        """Whether all have caught up, by what the last poll brought."""
        assert self.catching_up is not None
        elapsed_ns = max(0, self._phases.polled_ns - measured.start_ns)
        return self.catching_up.look(elapsed_ns, self._measurement.behind(), self._collector.received())

    def measurements(self, window: Window) -> BacklogMetrics | None:
        """What came of it, when the window has been made; None when it was not drained at all."""
        if self.catching_up is None or self.built is None:
            return None
        figures = DrainFigures(window, self._collector, self.built, self.catching_up)
        return figures.measurements(self.plan, self._run.payload.size, self.build_ns, self._measurement.backlog)

    def more_ns(self, measured: Phase, elapsed_ns: int) -> int:
        """By how much `measured` is to be prolonged now; 0 for nothing.

        It is as long as the run asks for, and longer by the drain's time-out at most while the backlog is drained.
        """
        if elapsed_ns < measured.duration_ns - AHEAD_NS - STEP_NS:
            return 0
        left_ns = self._run.test_ns + self._run.drain_timeout_ns - measured.duration_ns
        interval_ns = self._collector.interval_ns
        step_ns = interval_ns * -(-SECOND // interval_ns)
        return step_ns if left_ns >= step_ns else max(0, left_ns)
