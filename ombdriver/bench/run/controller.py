"""One run on workers that are connected: ready, warm-up, search, clean cut, build, measure, drain."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.run.backlog import STEP_NS, Backlog
from ombdriver.bench.run.measurement import Measurement
from ombdriver.bench.run.phases import LEAD_NS, Phases, RunState
from ombdriver.bench.run.rate_search import RateSearch
from ombdriver.bench.run.signals import Interrupt
from ombdriver.bench.verdict.model import INTERRUPTED, RUN_FAILED, THRESHOLD_FAILED, WORKER_DIED, Ending
from ombdriver.bench.verdict.probe import Found
from ombdriver.bench.worker import protocol
from ombdriver.errors import OmbdriverError, WorkerError


class Controller:
    """Runs the phases.

    Args:
        plan: the run.
        stages: carries out its parts.
        accounts: of what is measured.
        stop: tells who asked to stop.
        seeking: finds the rate; None when the plan has one.
        backlog: is built before the measurement and drained in it; None for nothing.
        failed: tells why the measurement should end now, if it should; given its phase, and how much of it has passed.

    Attributes:
        backlog: as given.
        rate: messages per second of the measurement; the highest where it changes.
        found: what the search found; None without one.
        ending: why the run ended before its time; None when it did not.
        begin_time: when the first measured message was due; None when it did not come to that.
    """

    def __init__(
        self,
        plan: Plan,
        phases: Phases,
        measurement: Measurement,
        stop: Interrupt,
        seeking: RateSearch | None = None,
        backlog: Backlog | None = None,
        failed: Callable[[Phase, int], str | None] = lambda _phase, _elapsed_ns: None,
    ) -> None:
        self._plan, self._phases, self._stop, self._failed = plan, phases, stop, failed
        self.measurement, self._seeking, self.backlog = measurement, seeking, backlog
        self.rate = plan.rate
        self.found: Found | None = None
        self.ending: Ending | None = None
        self.begin_time: datetime | None = None
        self._length_ns = 0
        self._prolonged: Phase | None = None

    def __repr__(self) -> str:
        return f"<Controller {self.measurement}>"

    async def run(self) -> None:
        """The table of contents of a run.

        Raises:
            WorkerError: if a worker dies or fails; so does
            RunError: if not every subscription receives from every partition, no rate is sustained, or what the run
                stands on is gone. After a failure in the measurement there is a window of what was measured until then.
        """
        try:
            await self._run()
        except OmbdriverError as error:
            if (cause := self._cause(error)) is not error:
                raise cause from error
            raise

    async def _run(self) -> None:
        plan, phases = self._plan, self._phases
        await phases.ready()
        if self._stop.asked:
            return
        if plan.warmup_ns:
            await phases.run(RunState.WARM_UP, phases.begin("warm-up", plan.warmup_ns, plan.warmup_rate))
        if self._seeking is not None and (found := await self._seeking.find()) is not None:
            self.found, self.rate = found, found.sustained
        await phases.settle(RunState.CUT)
        if self._stop.asked:
            return
        await self.measurement.cut()
        if self.backlog is not None:
            await self.backlog.build()
            if self._stop.asked:
                return
        self.measurement.begin_window()
        measured = phases.begin("measure", plan.test_ns, self.rate, plan.profile)
        self.begin_time = datetime.now(UTC) + timedelta(microseconds=LEAD_NS // 1000)
        if self.backlog is not None:
            self.backlog.resume(measured)
        try:
            await self._measure(measured)
        except OmbdriverError as error:
            self._break_off(self._prolonged or measured, self._cause(error))
            raise

    async def _measure(self, measured: Phase) -> None:
        if self.backlog is not None:
            measured = await self._catch_up(self.backlog, measured)
        if self.ending is None and await self._phases.run(RunState.MEASURE, measured, self._failing):
            self._phases.halt()
        self.measurement.note_workers()
        self._length_ns = min(measured.duration_ns, time.monotonic_ns() - measured.start_ns)
        if self._length_ns <= 0:
            return  # asked to stop before the first message was due
        await self._phases.settle(RunState.DRAIN)
        await self._phases.poll(protocol.Finish())
        if self._stop.asked:
            self.ending = Ending.after(INTERRUPTED, f"interrupted by {self._stop.name}", self._length_ns)
        await self.measurement.close(measured, self._length_ns, time.monotonic_ns(), hurried=self._stop.asked)

    async def _catch_up(self, backlog: Backlog, measured: Phase) -> Phase:
        """Follows the drain of a backlog until it is over or has had its time; the phase, which may be longer now."""

        def enough(phase: Phase, elapsed_ns: int) -> bool:
            caught_up = backlog.look(phase)
            return self._failing(phase, elapsed_ns) or caught_up or backlog.more_ns(phase, elapsed_ns) > 0

        while await self._phases.run(RunState.CATCH_UP, measured, enough, STEP_NS):
            assert backlog.catching_up is not None
            if self.ending is not None:
                self._phases.halt()
            if self.ending is not None or backlog.catching_up.done:
                break
            more_ns = backlog.more_ns(measured, time.monotonic_ns() - measured.start_ns)
            self._prolonged = measured = self._phases.prolong(measured, more_ns)
        return measured

    def _failing(self, phase: Phase, elapsed_ns: int) -> bool:
        if reason := self._failed(phase, elapsed_ns):
            self.ending = Ending.after(THRESHOLD_FAILED, reason, elapsed_ns)
            return True
        return False

    def _break_off(self, measured: Phase, cause: OmbdriverError) -> None:
        """Keeps what was measured until the last poll."""
        length_ns = self._length_ns or min(measured.duration_ns, self._phases.polled_ns - measured.start_ns)
        if length_ns > 0:
            kind = WORKER_DIED if isinstance(cause, WorkerError) else RUN_FAILED
            self.ending = Ending.after(kind, str(cause).splitlines()[0], length_ns)
            self.measurement.break_off(measured, length_ns, self._phases.polled_ns)

    def _cause(self, error: OmbdriverError) -> OmbdriverError:
        """What the run stands on may be gone, which then is the cause."""
        try:
            self._phases.check()
        except OmbdriverError as cause:
            return cause
        return error
