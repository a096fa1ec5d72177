"""The course of one run on workers that are connected: ready, warm-up, clean cut, measure, drain.

Knows phases, orders and figures; no server, file or terminal. Everything is asked of the workers by polls, each of
which brings a report of all of them; between polls this process sleeps.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum

from ombdriver.bench import orders, remarks
from ombdriver.bench.audit import Audit
from ombdriver.bench.collector import Collector
from ombdriver.bench.driver import Driver
from ombdriver.bench.ensemble import Ensemble
from ombdriver.bench.figures import Phase
from ombdriver.bench.interrupt import Interrupt
from ombdriver.bench.judgement import INTERRUPTED, THRESHOLD_FAILED, WORKER_DIED, Ending
from ombdriver.bench.ledger import Ledger
from ombdriver.bench.plan import Plan
from ombdriver.bench.result import Caveat
from ombdriver.bench.trimming import TrimmingHold
from ombdriver.bench.window import Account, Window
from ombdriver.bench.worker_figures import told_workers
from ombdriver.errors import RunError, WorkerError

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
AUDIT_S, HURRIED_AUDIT_S = 60.0, 5.0
"""How long what is missing may be looked for; and when somebody has asked to stop."""


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
        reading = {each.subscription for worker in plan.workers for each in worker.consumers}
        self._reading = [name for name in plan.subscriptions if name in reading]
        self._ledger = Ledger(plan.lanes, self._reading, exclusive=not plan.shared, checksums=plan.payload.checksums)
        self._audit = Audit(plan, self._ledger, driver.inspector())
        self.caveats: list[Caveat] = []
        self.window: Window | None = None
        self.ending: Ending | None = None
        self.workers: list[dict[str, object]] = []
        self.begin_time: datetime | None = None
        self._trimming = TrimmingHold(plan.max_entries)
        self._polled_ns = 0

    def __repr__(self) -> str:
        return f"<Course {self.collector}>"

    async def run(self) -> None:
        """The table of contents of a run.

        Raises:
            WorkerError: if a worker dies or fails; when that was in the measurement, there is a window of what was
                measured until then.
            RunError: if not every subscription receives from every partition.
        """
        await self._ready()
        if self._stop.asked:
            return
        if self._plan.warmup_ns:
            await self._phase(Stage.WARM_UP, self._begin(0, "warm-up", self._plan.warmup_ns))
        await self._settle(Stage.CUT)
        if self._stop.asked:
            return
        carried_in = self._behind()
        self._ledger.open_window()
        if self._plan.warmup_ns:
            self.caveats += remarks.on_warm_up(sum(carried_in.values()) + self.collector.in_flight)
        before, counters, errors = self.collector.processes(), self.collector.counters(), self.collector.errors()
        measured = self._begin(1, "measure", self._plan.test_ns)
        self.begin_time = datetime.now(UTC) + timedelta(microseconds=LEAD_NS // 1000)
        length_ns = 0
        try:
            await self._phase(Stage.MEASURE, measured)
            self.workers = told_workers(self._plan.workers, before, self.collector.processes())
            length_ns = max(1, min(measured.duration_ns, time.monotonic_ns() - measured.start_ns))
            await self._settle(Stage.DRAIN)
            await self._poll(orders.Conclude())
        except WorkerError as error:
            until_ns = length_ns or min(measured.duration_ns, self._polled_ns - measured.start_ns)
            if until_ns > 0:
                self.ending = Ending.after(WORKER_DIED, str(error).splitlines()[0], until_ns)
                self.workers = self.workers or told_workers(self._plan.workers, before, self.collector.processes())
                self.window = Window(self.collector, measured, until_ns, carried_in, self._polled_ns, counters)
            raise
        if self._stop.asked:
            self.ending = Ending.after(INTERRUPTED, f"interrupted by {self._stop.name}", length_ns)
        end_ns = time.monotonic_ns()
        findings = await self._audit.conclude(HURRIED_AUDIT_S if self._stop.asked else AUDIT_S)
        ledger = self._ledger
        account = Account(ledger.deliveries(findings), ledger.indeterminate(), ledger.gone_before(findings))
        window = self.window = Window(self.collector, measured, length_ns, carried_in, end_ns, counters, account)
        self.caveats += remarks.on_loop(self._plan.max_in_flight)
        self.caveats += remarks.on_trimming(self._trimming.furthest_behind, self._plan.max_entries)
        self.caveats += remarks.on_delivery(account.deliveries, self._audit.incomplete)
        self.caveats += remarks.on_drain(
            window.histogram("unsent").count,
            window.histogram("unanswered").count,
            self.collector.counters(counters),
            self.collector.errors() - errors,
        )

    # -- phases ----------------------------------------------------------------------------------------------------

    async def _ready(self) -> None:
        """Every subscription receives a probe from every partition of every topic."""
        plan = self._plan
        topic_of = {each.index: each.topic.name for worker in plan.workers for each in worker.producers}
        wanted = {
            (name, topic.name, partition)
            for name in self._reading
            for topic in plan.topics
            for partition in range(topic.partitions)
        }
        self._show(Stage.READY, None, -1)
        self._ensemble.order(orders.Probe())
        deadline_ns = time.monotonic_ns() + int(READY_TIMEOUT_S * SECOND)
        while not self._stop.asked:
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
        self._show(stage, None, -1)
        deadline_ns = time.monotonic_ns() + self._plan.drain_timeout_ns
        hurried, asked_ns = False, 0
        while True:
            if self._stop.asked and not hurried:
                hurried = True
                self._ensemble.order(orders.Halt())
                deadline_ns = min(deadline_ns, time.monotonic_ns() + INTERRUPTED_DRAIN_NS)
            await self._poll()
            collector = self.collector
            sending = collector.unsent + collector.in_flight
            if not sending and not any(self._ledger.outstanding().values()):
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
        for name in self._reading:
            if await self._driver.backlog(self._plan.topics, name) != 0:  # None: it can't tell
                return True
        return False

    def _behind(self) -> dict[str, int]:
        """Backlogs of the subscriptions that somebody reads, by counts alone."""
        return {name: count for name, count in self.collector.backlog().items() if name in self._reading}

    # -- pieces ----------------------------------------------------------------------------------------------------

    async def _sleep(self, seconds: float) -> None:
        """Sleeps, but not past a signal; a dead worker is noticed by the poll that follows."""
        await self._stop.wait(seconds)

    async def _poll(self, order: orders.Conclude | None = None) -> None:
        self._check()
        reports = await self._ensemble.poll(order)
        self.collector.take(reports)
        self._polled_ns = time.monotonic_ns()
        self._ledger.take((each.answered for each in reports), (some for each in reports for some in each.arrived))
        self._audit.glance()
        if (keep := self._trimming.look(max(self._behind().values(), default=0))) is not None:
            self._ensemble.order(orders.Keep(keep))
