"""The course of one run on workers that are connected: ready, warm-up, clean cut, measure, drain.

Knows phases, orders and figures; no server, file or terminal. Everything is asked of the workers by polls, each of
which brings a report of all of them; between polls this process sleeps.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum

from ombdriver.bench import orders
from ombdriver.bench.accounts import Accounts
from ombdriver.bench.collector import Collector
from ombdriver.bench.driver import Driver
from ombdriver.bench.ensemble import Ensemble
from ombdriver.bench.figures import Phase
from ombdriver.bench.interrupt import Interrupt
from ombdriver.bench.judgement import INTERRUPTED, RUN_FAILED, THRESHOLD_FAILED, WORKER_DIED, Ending
from ombdriver.bench.plan import Plan
from ombdriver.errors import OmbdriverError, RunError, WorkerError

logger = logging.getLogger(__name__)

SECOND = 10**9
LEAD_NS = 300_000_000
"""From an order to the first message of its phase: time for every worker to get ready."""
READY_TIMEOUT_S = 60.0
READY_POLL_S = 0.02
SETTLE_POLL_S = 0.05
LONGEST_POLL_NS = SECOND
"""Polls are at most so far apart, so that trimming is held in time when a subscription falls behind."""
EMPTY_READS = 2
"""When every consumer has waited in vain so often, the server is asked whether anything is left for anybody."""
INTERRUPTED_DRAIN_NS = 5 * SECOND
ASK_S = 2.0
"""How long the drain waits for an answer to whether anything is left."""


class Stage(Enum):
    """Where a run is."""

    READY = "ready"
    WARM_UP = "warm-up"
    CUT = "clean cut"
    MEASURE = "measure"
    DRAIN = "drain"


Show = Callable[[Stage, Phase | None, int], None]
"""`show(stage, phase, interval)`: something can be displayed; `interval` is the last one that is complete, or -1."""


class Course:
    """Runs the phases.

    Args:
        plan: the run.
        ensemble: its workers.
        driver: is asked for backlogs.
        stop: is listened to all the time.
        collector: takes the reports.
        show: is called whenever there is something new.
        check: raises when what the run stands on is gone; called with every poll.
        failed: tells why the measurement should end now, if it should; given its phase, and how much of it has passed.
    """

    def __init__(
        self,
        plan: Plan,
        ensemble: Ensemble,
        driver: Driver,
        stop: Interrupt,
        collector: Collector,
        show: Show,
        check: Callable[[], None] = lambda: None,
        failed: Callable[[Phase, int], str | None] = lambda _phase, _elapsed_ns: None,
    ) -> None:
        self._plan, self._ensemble, self._driver, self._stop = plan, ensemble, driver, stop
        self._show, self._check, self._failed = show, check, failed
        self.collector = collector
        self.accounts = Accounts(plan, collector, driver.inspector())
        self.ending: Ending | None = None
        self.begin_time: datetime | None = None
        self._polled_ns = self._length_ns = 0

    def __repr__(self) -> str:
        return f"<Course {self.collector}>"

    async def run(self) -> None:
        """The table of contents of a run.

        Raises:
            WorkerError: if a worker dies or fails; so does
            RunError: if not every subscription receives from every partition, or `check` raised it. After a failure in
                the measurement there is a window of what was measured until then.
        """
        try:
            await self._run()
        except OmbdriverError as error:
            if (cause := self._cause(error)) is not error:
                raise cause from error
            raise

    async def _run(self) -> None:
        await self._ready()
        if self._stop.asked:
            return
        if self._plan.warmup_ns:
            await self._phase(Stage.WARM_UP, self._begin(0, "warm-up", self._plan.warmup_ns))
        await self._settle(Stage.CUT)
        if self._stop.asked:
            return
        await self.accounts.open_window()
        measured = self._begin(1, "measure", self._plan.test_ns)
        self.begin_time = datetime.now(UTC) + timedelta(microseconds=LEAD_NS // 1000)
        try:
            await self._measure(measured)
        except OmbdriverError as error:
            self._break_off(measured, self._cause(error))
            raise

    async def _measure(self, measured: Phase) -> None:
        await self._phase(Stage.MEASURE, measured)
        self.accounts.tell_workers()
        self._length_ns = min(measured.duration_ns, time.monotonic_ns() - measured.start_ns)
        if self._length_ns <= 0:
            return  # asked to stop before the first message was due
        await self._settle(Stage.DRAIN)
        await self._poll(orders.Conclude())
        if self._stop.asked:
            self.ending = Ending.after(INTERRUPTED, f"interrupted by {self._stop.name}", self._length_ns)
        await self.accounts.close(measured, self._length_ns, time.monotonic_ns(), hurried=self._stop.asked)

    def _break_off(self, measured: Phase, cause: OmbdriverError) -> None:
        """Keeps what was measured until the last poll."""
        length_ns = self._length_ns or min(measured.duration_ns, self._polled_ns - measured.start_ns)
        if length_ns > 0:
            kind = WORKER_DIED if isinstance(cause, WorkerError) else RUN_FAILED
            self.ending = Ending.after(kind, str(cause).splitlines()[0], length_ns)
            self.accounts.break_off(measured, length_ns, self._polled_ns)

    def _cause(self, error: OmbdriverError) -> OmbdriverError:
        """What the run stands on may be gone, which then is the cause."""
        try:
            self._check()
        except OmbdriverError as cause:
            return cause
        return error

    # -- phases ----------------------------------------------------------------------------------------------------

    async def _ready(self) -> None:
        """Every subscription receives a probe from every partition of every topic."""
        plan = self._plan
        topic_of = {each.index: each.topic.name for worker in plan.workers for each in worker.producers}
        wanted = {
            (name, topic.name, partition)
            for name in self.accounts.reading
            for topic in plan.topics
            for partition in range(topic.partitions)
        }
        self._ensemble.order(orders.Probe())
        deadline_ns = time.monotonic_ns() + int(READY_TIMEOUT_S * SECOND)
        while not self._stop.asked:
            self._show(Stage.READY, None, -1)
            await self._poll()
            seen = {(name, topic_of[producer], partition) for name, producer, partition in self.collector.probed()}
            missing = wanted - seen
            if errors := self.collector.errors():
                raise RunError(f"a probe was refused: {errors.most_common(1)[0][0]}")
            if not missing and not self.collector.in_flight:
                logger.info("ready: %d pairs of subscription and partition have had a probe", len(wanted))
                return
            if time.monotonic_ns() > deadline_ns:
                name, topic, partition = min(missing, default=("-", "-", 0))
                raise RunError(
                    f"not ready after {READY_TIMEOUT_S:g} s: {len(missing)} of {len(wanted)} pairs of subscription and"
                    f" partition got no probe, {name} on partition {partition} of {topic} among them;"
                    " use fewer topics, partitions or consumers, or a faster machine"
                )
            await self._sleep(READY_POLL_S)

    def _begin(self, index: int, name: str, duration_ns: int) -> Phase:
        phase = Phase(index, name, time.monotonic_ns() + LEAD_NS, duration_ns, self._plan.rate)
        if not self._stop.asked:
            self._ensemble.order(orders.Begin(phase))
        return phase

    async def _phase(self, stage: Stage, phase: Phase) -> None:
        """Polls until the last message of `phase` is due, or somebody asks to stop."""
        step_ns = min(self.collector.interval_ns, LONGEST_POLL_NS)
        shown = -1
        self._show(stage, phase, shown)
        logger.info("%s: %d msg/s for %g s", phase.name, phase.rate, phase.duration_ns / SECOND)
        next_ns = phase.start_ns + step_ns
        while not self._stop.asked and time.monotonic_ns() < phase.end_ns:
            await self._sleep((min(next_ns, phase.end_ns) - time.monotonic_ns()) / SECOND)
            await self._poll()
            now_ns = time.monotonic_ns()
            complete = (now_ns - phase.start_ns) // self.collector.interval_ns - 1
            if complete > shown:
                shown = complete
                self._show(stage, phase, shown)
            if stage is Stage.MEASURE and (reason := self._failed(phase, now_ns - phase.start_ns)):
                self.ending = Ending.after(THRESHOLD_FAILED, reason, now_ns - phase.start_ns)
                self._ensemble.order(orders.Halt())
                return
            next_ns = max(next_ns + step_ns, now_ns - (now_ns - phase.start_ns) % step_ns + step_ns)

    async def _settle(self, stage: Stage) -> None:
        """Waits until nothing is unsent, in flight or not received; at most for the drain's time-out."""
        deadline_ns = time.monotonic_ns() + self._plan.drain_timeout_ns
        hurried, asked_ns = False, 0
        while True:
            if self._stop.asked and not hurried:
                hurried = True
                self._ensemble.order(orders.Halt())
                deadline_ns = min(deadline_ns, time.monotonic_ns() + INTERRUPTED_DRAIN_NS)
            self._show(stage, None, -1)
            await self._poll()
            collector = self.collector
            sending = collector.unsent + collector.in_flight
            if not sending and self.accounts.all_delivered:
                break
            if (now_ns := time.monotonic_ns()) > deadline_ns:
                break
            if not sending and collector.empty_reads() >= EMPTY_READS and now_ns > asked_ns + SECOND:
                asked_ns = now_ns
                if not await self._anything_left():
                    break  # the server has nothing more for anybody: waiting longer changes nothing
            await self._ensemble.watch(SETTLE_POLL_S)
        self._ensemble.order(orders.Halt())
        await self._poll()
        logger.info("%s ends: %s", stage.value, self.collector)

    async def _anything_left(self) -> bool:
        """Whether the system holds anything for anybody; also when it can't tell, or does not in time."""
        try:
            async with asyncio.timeout(ASK_S):
                for name in self.accounts.reading:
                    if await self._driver.backlog(self._plan.topics, name) != 0:  # None: it can't tell
                        return True
        except (TimeoutError, OmbdriverError) as error:
            logger.warning("what is left can't be asked for: %s", error or "no answer in time")
            return True
        return False

    # -- pieces ----------------------------------------------------------------------------------------------------

    async def _sleep(self, seconds: float) -> None:
        """Sleeps, but not past a signal; a dead worker is noticed by the poll that follows."""
        await self._stop.wait(seconds)

    async def _poll(self, order: orders.Conclude | None = None) -> None:
        self._check()
        asked_ns = time.monotonic_ns()
        reports = await self._ensemble.poll(order)
        self._polled_ns = asked_ns  # what a worker did after that may be missing
        if (keep := self.accounts.take(reports)) is not None:
            self._ensemble.order(orders.Keep(keep))
