"""Builds a backlog and drains it: consumers pause, producers go on, consumers resume, and it is seen how they catch up.

The backlog is a phase of its own with as many messages as are asked for, so what is sent from the resume on, in the
phase that is measured, is told from it by the phase alone. That phase goes on until the backlog is drained.
"""

import logging
import time

from ombdriver.bench.accounts import Accounts
from ombdriver.bench.catching_up import CatchingUp
from ombdriver.bench.collector import Collector
from ombdriver.bench.draining import DrainFigures
from ombdriver.bench.measurements import BacklogMeasurements
from ombdriver.bench.plan import Plan
from ombdriver.bench.stages import SECOND, Stage, Stages
from ombdriver.bench.targets import Phase
from ombdriver.bench.window import Window
from ombdriver.errors import RunError

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

    def __init__(self, plan: Plan, stages: Stages, accounts: Accounts, collector: Collector) -> None:
        assert plan.backlog is not None
        self.plan, self._run = plan.backlog, plan
        self._stages, self._accounts, self._collector = stages, accounts, collector
        self.built: Phase | None = None
        self.build_ns = 0
        self.catching_up: CatchingUp | None = None

    def __repr__(self) -> str:
        return f"<Backlog {self.built and self.built.name} {self.catching_up}>"

    async def build(self) -> None:
        """Consumers pause, and as many messages are sent as they are to have before them.

        Raises:
            RunError: if they can't be.
        """
        stages = self._stages
        await stages.pause()
        if stages.interrupted:
            return
        self._accounts.open_backlog()
        self.built = stages.begin("build", self.plan.build_ns, self._run.rate)
        await stages.run(Stage.BUILD, self.built)
        if not stages.interrupted:
            await stages.settle(Stage.BUILD, received=False)
        self.build_ns = time.monotonic_ns() - self.built.start_ns
        least = min(self._stages.missing().values())
        if not stages.interrupted and least < LEAST_BUILT * self.plan.messages:
            errors = self._collector.errors().most_common(1)
            why = f"messages met the error: {errors[0][0]}" if errors else "the server did not take more in time"
            raise RunError(
                f"the backlog was not built: {least:,} of {self.plan.messages:,} messages were acknowledged, {why};"
                " lower the producerRate or consumerBacklogSizeGB, or give a longer drainTimeout"
            )

    def resume(self, measured: Phase) -> None:
        """Consumers read again when `measured` begins; it has been ordered, and lies ahead."""
        built = self._accounts.on_its_way()
        self._stages.resume(measured.start_ns)
        self.catching_up = CatchingUp(built, self._collector.received(), self.plan.level)
        logger.info("a backlog of %s messages", built)

    def look(self, measured: Phase) -> bool:
        """Whether all have caught up, by what the last poll brought."""
        assert self.catching_up is not None
        elapsed_ns = max(0, self._stages.polled_ns - measured.start_ns)
        return self.catching_up.look(elapsed_ns, self._accounts.behind(), self._collector.received())

    def measurements(self, window: Window) -> BacklogMeasurements | None:
        """What came of it, when the window has been made; None when it was not drained at all."""
        if self.catching_up is None or self.built is None:
            return None
        figures = DrainFigures(window, self._collector, self.built, self.catching_up)
        return figures.measurements(self.plan, self._run.payload.size, self.build_ns, self._accounts.backlog)

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
