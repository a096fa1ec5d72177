"""Carries out the parts of a run on workers that are connected: readiness, a phase, a wait for what is on its way.

Everything is asked of the workers by polls, each of which brings a report of all of them; between polls this process
sleeps. Knows phases, commands and the measurement; no server, file or terminal.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ombdriver.bench.drivers.api import Driver
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.load.profile import Profile
from ombdriver.bench.metrics.phase_view import PhaseView
from ombdriver.bench.metrics.report import ProbeFailure
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.run.events import (
    IntervalClosed,
    PhaseBegan,
    PhaseExtended,
    Polled,
    RunEvents,
    RunState,
    Waiting,
)
from ombdriver.bench.run.measurement import Measurement
from ombdriver.bench.run.memory import MemoryMonitor
from ombdriver.bench.run.signals import Interrupt
from ombdriver.bench.run.workers import Workers
from ombdriver.bench.units import SECOND
from ombdriver.bench.worker import protocol
from ombdriver.errors import OmbdriverError, RunError

logger = logging.getLogger(__name__)

LEAD_NS = 300_000_000
"""From a command to the first message of its phase: time for every worker to get ready."""
READY_TIMEOUT_S = 60.0
READY_POLL_S = 0.02
PROBE_AGAIN_S, PROBE_LOST_S = 0.2, 5.0
"""Until a probe that failed is sent again; and until one that was acknowledged and came nowhere counts as lost."""
PROBE_REFUSED_S = 30.0
"""How long probes may be refused."""
SETTLE_POLL_S = 0.05
LONGEST_POLL_NS = SECOND
"""Polls are at most so far apart, so that trimming is held in time when a subscription falls behind."""
MOST_EMPTY_READS = 2
"""When so many reads in a row have brought no consumer anything, the server is asked whether a group has some left."""
PAUSE_NS = 60 * SECOND
"""Besides the drain's time-out: a read that is under way when consumers are to pause waits as long as its BLOCK."""
INTERRUPTED_DRAIN_NS = 5 * SECOND
ASK_S = 2.0
"""How long the drain waits for an answer to whether anything is left."""


class _Probes:
    """Which probes are to arrive yet, and which are to be sent again. Pure.

    Args:
        producers: the topic of each, by its number.
        missing: (subscription, topic, partition) that have to receive one.

    Attributes:
        wanted: how many these are.
        refused_s: for how long some were refused or lost, in seconds.
    """

    def __init__(self, producers: Mapping[int, str], missing: set[tuple[str, str, int]]) -> None:
        self._producers, self._missing = producers, missing
        self.wanted = len(missing)
        self.refused_s = 0.0
        self._failed: set[tuple[int, int]] = set()
        self._error: str | None = None
        self._refused_since_s: float | None = None
        self._begun_s: float | None = None
        self._sent_s = self._progress_s = 0.0

    @property
    def is_ready(self) -> bool:
        """Whether all have arrived, and none has failed."""
        return not self._missing and not self._failed

    def add(self, now_s: float, arrived: Iterable[tuple[str, int, int]], failures: Iterable[ProbeFailure]) -> None:
        """Takes in (subscription, producer, partition) of those that came, and those that failed.

        Raises:
            RunError: if one was refused for good, or for too long, or they have taken too long.
        """
        if self._begun_s is None:
            self._begun_s = self._sent_s = self._progress_s = now_s
        before = len(self._missing)
        self._missing -= {(name, self._producers[producer], at) for name, producer, at in arrived}
        if len(self._missing) < before:
            self._progress_s = now_s
        for each in failures:
            if self._refused_since_s is None:
                self._refused_since_s = now_s
                logger.warning("trying again for %g s, since a probe met %s", PROBE_REFUSED_S, each.error)
            if not each.may_pass or now_s > self._refused_since_s + PROBE_REFUSED_S:
                raise RunError(f"a probe was refused: {each.error}")
            self._failed.add((each.producer, each.partition))
            self._error = each.error
            self.refused_s = now_s - self._refused_since_s + PROBE_AGAIN_S
        if now_s > self._begun_s + READY_TIMEOUT_S:
            name, topic, partition = min(self._missing, default=("-", "-", 0))
            why = f" (one met {self._error})" if self._error else ""
            raise RunError(
                f"not ready after {READY_TIMEOUT_S:g} s: {len(self._missing)} of {self.wanted} pairs of subscription"
                f" and partition got no probe, {name} on partition {partition} of {topic} among them{why};"
                " use fewer topics, partitions or consumers, or a faster machine"
            )

    def again(self, now_s: float, is_idle: bool) -> frozenset[tuple[int, int]]:
        """(producer, partition) of the probes that are to be sent again now: those that failed, soon; and where all
        were acknowledged and none has arrived for a while, one for each partition that misses one.
        """
        chosen = self._failed
        if not chosen and is_idle and now_s > max(self._progress_s, self._sent_s) + PROBE_LOST_S:
            first = {topic: number for number, topic in sorted(self._producers.items(), reverse=True)}
            chosen = {(first[topic], partition) for _, topic, partition in self._missing if topic in first}
        if not chosen or now_s < self._sent_s + PROBE_AGAIN_S:
            return frozenset()
        self._sent_s, self._failed = now_s, set()
        return frozenset(chosen)


class Phases:
    """Carries out the parts of one run, one after the other.

    Args:
        plan: the run.
        workers: send and receive.
        driver: is asked for backlogs.
        stop: is listened to all the time.
        measurement: takes the reports.
        events: publishes what happens.
        check: raises when what the run stands on is gone; called with every poll.
        memory: ends a phase before there is no memory left; None when nobody looks.

    Attributes:
        check: as given.
        shortage: what memory was short, which ended the phase that ran last; None when that is not what ended it.
        refused_s: for how long probes were refused, or lost, before the run was ready, in seconds.
        polled_ns: when the workers were last asked; what they did after that may be missing.
    """

    def __init__(
        self,
        plan: Plan,
        workers: Workers,
        driver: Driver,
        stop: Interrupt,
        measurement: Measurement,
        events: RunEvents,
        check: Callable[[], None] = lambda: None,
        memory: MemoryMonitor | None = None,
    ) -> None:
        self._plan, self._workers, self._driver, self._stop = plan, workers, driver, stop
        self._measurement, self._events, self.check = measurement, events, check
        self._memory = memory
        self.shortage: str | None = None
        self.refused_s = 0.0
        self._collector = measurement.collector
        self._begun = 0  # so many phases
        self._published: Phase | None = None  # the last one that an event was about
        self.polled_ns = 0

    def __repr__(self) -> str:
        return f"<Phases {self._begun} begun, {self._collector}>"

    @property
    def interrupted(self) -> bool:
        """Whether somebody asked to stop."""
        return self._stop.asked

    # -- readiness -------------------------------------------------------------------------------------------------

    async def ready(self) -> None:
        """Every subscription receives a probe from every partition of every topic; topics of others get no probes.

        There it is enough that the groups were made and the consumers have connected.

        A probe that was lost, or refused for a while, is sent again.

        Raises:
            RunError: if that does not come about.
        """
        plan = self._plan
        if plan.existing:
            self._events.publish(Waiting(RunState.READY))
            await self.poll()
            return
        producers = {each.index: each.topic.name for worker in plan.workers for each in worker.producers}
        probes = _Probes(
            producers,
            {
                (name, topic.name, partition)
                for name in self._measurement.reading
                for topic in plan.topics
                for partition in range(topic.partitions)
            },
        )
        self._workers.send(protocol.SendProbes())
        while not self._stop.asked:
            self._events.publish(Waiting(RunState.READY))
            await self.poll()
            collector, now_s = self._collector, time.monotonic_ns() / SECOND
            probes.add(now_s, collector.take_probed(), collector.take_probe_failures())
            is_idle = not collector.in_flight and not collector.unsent
            if is_idle and probes.is_ready:
                logger.info("ready: %d pairs of subscription and partition have had a probe", probes.wanted)
                self.refused_s = probes.refused_s
                return
            if again := probes.again(now_s, is_idle):
                self._workers.send(protocol.SendProbes(again))
            await self._sleep(READY_POLL_S)

    # -- a phase ---------------------------------------------------------------------------------------------------

    def begin(self, name: str, duration_ns: int, rate: int, profile: Profile | None = None) -> Phase:
        """Orders a phase, which begins a little later; the one before has come to its end."""
        start_ns = time.monotonic_ns() + LEAD_NS
        phase = Phase(self._begun, name, start_ns, duration_ns, rate, profile, self._plan.poisson)
        self._begun += 1
        self.shortage = None
        if not self._stop.asked:
            self._workers.send(protocol.BeginPhase(phase))
        return phase

    async def run(
        self,
        state: RunState,
        phase: Phase,
        enough: Callable[[PhaseView], bool] = lambda _view: False,
        step_ns: int = LONGEST_POLL_NS,
    ) -> bool:
        """Polls until the last message of `phase` is due, or somebody asks to stop; or it has to end before its time.

        That is when `enough` says so, or when memory is short (`shortage`), after which nothing is sent any more; it
        returns whether one of these is why it ended.

        Args:
            state: what the phase is for.
            phase: has been ordered; some of it may have passed.
            enough: called after each poll with the phase up to now.
            step_ns: the time between two polls, if it is less than a sample interval.
        """
        step_ns = min(self._collector.interval_ns, step_ns)
        if self._published is None or phase.index != self._published.index:
            self._events.publish(PhaseBegan(state, phase))
        elif phase != self._published:
            self._events.publish(PhaseExtended(phase))
        self._published = phase
        closed_ns = self._closed_ns(time.monotonic_ns() - phase.start_ns)
        next_ns = phase.start_ns + step_ns * (1 + max(0, time.monotonic_ns() - phase.start_ns) // step_ns)
        while not self._stop.asked and time.monotonic_ns() < phase.end_ns:
            await self._sleep_unless_short((min(next_ns, phase.end_ns) - time.monotonic_ns()) / SECOND)
            if self._memory is not None and self._memory.shortage is not None:
                self.shortage = self._memory.shortage
                self.stop_sending()
            await self.poll()
            self._measurement.look(phase, self.polled_ns - phase.start_ns)
            now_ns = time.monotonic_ns()
            elapsed_ns = now_ns - phase.start_ns
            if self._closed_ns(elapsed_ns) > closed_ns:
                closed_ns = self._closed_ns(elapsed_ns)
                self._events.publish(IntervalClosed(state, PhaseView(self._collector, phase, closed_ns)))
            view = PhaseView(self._collector, phase, elapsed_ns)
            self._events.publish(Polled(state, view))
            if enough(view) or self.shortage is not None:
                return True
            next_ns = max(next_ns + step_ns, now_ns - elapsed_ns % step_ns + step_ns)
        return False

    def _closed_ns(self, elapsed_ns: int) -> int:
        """How much of a phase its complete sample intervals make up."""
        return max(0, elapsed_ns) // self._collector.interval_ns * self._collector.interval_ns

    def settled(self) -> None:
        """What held workers up in the phase so far is not of what is looked at."""
        self._workers.send(protocol.Settled())

    def stop_sending(self) -> None:
        """Ends the sending of a phase."""
        self._workers.send(protocol.StopSending())

    def extend(self, phase: Phase, by_ns: int) -> Phase:
        """`phase`, which is under way, ends so much later; call it before it ends."""
        longer = replace(phase, duration_ns=phase.duration_ns + by_ns)
        self._workers.send(protocol.ExtendPhase(longer))
        return longer

    # -- consumers -------------------------------------------------------------------------------------------------

    async def pause_consumers(self) -> None:
        """Every consumer reads what there is, and then no more.

        Raises:
            RunError: if one of them does not come to an end with that in the drain's time-out.
        """
        self._workers.send(protocol.PauseConsumers())
        deadline_ns = time.monotonic_ns() + self._plan.drain_timeout_ns + PAUSE_NS
        while not self._stop.asked:
            self._events.publish(Waiting(RunState.BUILD))
            await self.poll()
            if not (active := self._collector.active_consumers):
                return
            if time.monotonic_ns() > deadline_ns:
                raise RunError(
                    f"{active} consumers did not pause: they had not read what there was, or streams.blockMs is long;"
                    " give a longer drainTimeout, or a lower rate"
                )
            await self._sleep(SETTLE_POLL_S)

    def resume_consumers(self, at_ns: int) -> None:
        """Consumers read again, from then on."""
        self._workers.send(protocol.ResumeConsumers(at_ns))

    # -- waiting for what is on its way ----------------------------------------------------------------------------

    async def settle(self, state: RunState, *, received: bool = True) -> None:
        """Waits until nothing is unsent or in flight, or not `received`; at most for the drain's time-out."""
        deadline_ns = time.monotonic_ns() + self._plan.drain_timeout_ns
        hurried, asked_ns = False, 0
        while True:
            if self._stop.asked and not hurried:
                hurried = True
                self.stop_sending()
                deadline_ns = min(deadline_ns, time.monotonic_ns() + INTERRUPTED_DRAIN_NS)
            self._events.publish(Waiting(state))
            await self.poll()
            collector = self._collector
            sending = collector.unsent + collector.in_flight
            if not sending and (not received or self._measurement.all_delivered):
                break
            if (now_ns := time.monotonic_ns()) > deadline_ns:
                break
            if not sending and collector.empty_reads() >= MOST_EMPTY_READS and now_ns > asked_ns + SECOND:
                asked_ns = now_ns
                if not await self._anything_left():
                    break  # the server has nothing more for anybody: waiting longer changes nothing
            await self._workers.watch(SETTLE_POLL_S)
        self.stop_sending()
        await self.poll()
        logger.info("%s ends: %s", state.value, self._collector)

    async def _anything_left(self) -> bool:
        """Whether the system holds anything for anybody; also when it can't say, or does not in time."""
        try:
            async with asyncio.timeout(ASK_S):
                for name in self._measurement.reading:
                    if await self._driver.backlog(self._plan.topics, name) != 0:  # None: it can't say
                        return True
        except (TimeoutError, OmbdriverError) as error:
            logger.warning("what is left can't be asked for: %s", error or "no answer in time")
            return True
        return False

    # -- polls -----------------------------------------------------------------------------------------------------

    async def _sleep(self, seconds: float) -> None:
        """Sleeps, but not past a signal; a dead worker is noticed by the poll that follows."""
        await self._stop.wait(seconds)

    async def _sleep_unless_short(self, seconds: float) -> None:
        """As `_sleep`, and not past the time when memory is short."""
        if self._memory is None or seconds <= 0:
            await self._sleep(seconds)
            return
        waiting = [asyncio.ensure_future(each) for each in (self._sleep(seconds), self._memory.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def poll(self, command: protocol.Finish | None = None) -> None:
        """Asks the workers for what they have done; or for the last time, with the command to finish."""
        self.check()
        asked_ns = time.monotonic_ns()
        reports = await self._workers.poll(command)
        self.polled_ns = asked_ns
        if (hold := self._measurement.add(reports, asked_ns)) is not None:
            self._workers.send(protocol.HoldTrimming(hold))
