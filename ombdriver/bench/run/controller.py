"""The phases of one run, in order, on connected workers: ready, warm-up, search, cut, build, measure, drain."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.phase_view import PhaseView
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.run.abort import AbortOnFail
from ombdriver.bench.run.backlog import STEP_NS, Backlog
from ombdriver.bench.run.events import RunState
from ombdriver.bench.run.fault_injector import FaultInjector
from ombdriver.bench.run.measurement import Measurement
from ombdriver.bench.run.phases import LEAD_NS, LONGEST_POLL_NS, Phases
from ombdriver.bench.run.rate_search import RateSearch
from ombdriver.bench.run.signals import Interrupt
from ombdriver.bench.verdict.model import INTERRUPTED, RUN_FAILED, SERVER_MEMORY, WORKER_DIED, Ending
from ombdriver.bench.verdict.probe import SearchResult
from ombdriver.bench.worker import protocol
from ombdriver.errors import OmbdriverError, WorkerError

LEAST_LOOKS = 10
"""The measured window is looked at so often at least: how what is due and not answered grows is told by that."""


class Controller:
    """Runs the phases.

    Args:
        plan: the run.
        phases: carries them out.
        measurement: of the run.
        stop: whether somebody asked to stop.
        abort: ends the measurement when a threshold fails.
        rate_search: finds the rate; None when the plan has one.
        backlog: is built before the measurement and drained in it; None for nothing.
        faults: injects what is to be broken in the measurement; None for nothing.

    Attributes:
        measurement: as given.
        backlog: as given.
        found: what the rate search found; None without one.
        ending: why the run ended before its time; None when it did not.
        begin_time: when the first measured message was due; None when it did not come to that.
    """

    def __init__(
        self,
        plan: Plan,
        phases: Phases,
        measurement: Measurement,
        stop: Interrupt,
        abort: AbortOnFail,
        rate_search: RateSearch | None = None,
        backlog: Backlog | None = None,
        faults: FaultInjector | None = None,
    ) -> None:
        self._faults = faults
        self._plan, self._phases, self._stop, self._abort = plan, phases, stop, abort
        self.measurement, self._rate_search, self.backlog = measurement, rate_search, backlog
        self.found: SearchResult | None = None
        self.ending: Ending | None = None
        self.begin_time: datetime | None = None
        self._length_ns = 0
        self._extended: Phase | None = None

    def __repr__(self) -> str:
        return f"<Controller {self.measurement}>"

    async def run(self) -> None:
        """The whole run.

        Raises:
            WorkerError: if a worker dies or fails; so does
            RunError: if not every subscription receives from every partition, the system sustains no rate, or what it
                stands on is gone. After a failure in the measurement there is a window of what was measured until then.
        """
        try:
            await self._run()
        except OmbdriverError as error:
            if (cause := self._cause(error)) is not error:
                raise cause from error
            raise

    async def _run(self) -> None:
        plan, phases, rate = self._plan, self._phases, self._plan.rate
        await phases.ready()
        if self._stop.asked:
            return
        if plan.warmup_ns and await self._warm_up():
            return
        if self._rate_search is not None and (found := await self._rate_search.find()) is not None:
            self.found, rate = found, found.measured
            self.measurement.facts = replace(self.measurement.facts, rate_unknown=found.unknown)
        await phases.settle(RunState.CUT)
        if self._stop.asked:
            return
        await self.measurement.end_warm_up()
        if self.backlog is not None:
            await self.backlog.build()
            if self._stop.asked:
                return
        self.measurement.begin_window()
        measured = phases.begin("measure", plan.test_ns, rate, plan.profile)
        self._note_begin()
        if self.backlog is not None:
            self.backlog.resume(measured)
        if self._faults is not None:
            self._faults.begin(measured)
        try:
            await self._measure(measured)
        except OmbdriverError as error:
            self._break_off(self._extended or measured, self._cause(error))
            raise
        finally:
            await self._heal()

    async def _warm_up(self) -> bool:
        """Warms up; whether that was the end of the run.

        It is when memory was short, for the measurement would go the same way: then the warm-up is what was measured.
        A search goes on, with lower rates.
        """
        self.measurement.begin_window()
        warm_up = self._phases.begin("warm-up", self._plan.warmup_ns, self._plan.warmup_rate)
        self._note_begin()
        if not await self._phases.run(RunState.WARM_UP, warm_up) or self._rate_search is not None:
            return False
        await self._finish(warm_up, "warm-up")
        return True

    def _note_begin(self) -> None:
        self.begin_time = datetime.now(UTC) + timedelta(microseconds=LEAD_NS // 1000)

    async def _measure(self, measured: Phase) -> None:
        if self.backlog is not None:
            measured = await self._catch_up(self.backlog, measured)
        interval_ns = min(LONGEST_POLL_NS, self.measurement.collector.interval_ns)
        step_ns = interval_ns // max(1, -(-LEAST_LOOKS * interval_ns // self._plan.test_ns))
        if not self._aborted() and await self._phases.run(RunState.MEASURE, measured, self._aborted, step_ns):
            self._phases.stop_sending()
        await self._finish(measured, "measurement")

    async def _finish(self, measured: Phase, what: str) -> None:
        """Waits for what is on its way after the phase that is measured, which messages call `what`."""
        shortage = self._phases.shortage
        self.measurement.note_workers()
        self._length_ns = min(measured.duration_ns, time.monotonic_ns() - measured.start_ns)
        if self._length_ns <= 0:
            return  # asked to stop before the first message was due
        await self._heal()
        await self._phases.settle(RunState.DRAIN)
        await self._phases.poll(protocol.Finish())
        self.ending = self._abort.ending
        if shortage is not None:
            self.ending = Ending.after(SERVER_MEMORY, shortage, self._length_ns, what)
        if self._stop.asked:
            self.ending = Ending.after(INTERRUPTED, f"interrupted by {self._stop.name}", self._length_ns)
        records = self._faults.records if self._faults is not None else ()
        await self.measurement.finish(
            measured, self._length_ns, time.monotonic_ns(), hurried=self._stop.asked, records=records
        )

    async def _heal(self) -> None:
        """No fault outlives the measured phase: the drain and the audit are of a system that is whole."""
        if self._faults is not None:
            await self._faults.end()

    async def _catch_up(self, backlog: Backlog, measured: Phase) -> Phase:
        """Follows the drain of a backlog until it is over or has had its time; the phase, which may be longer now."""

        def enough(view: PhaseView) -> bool:
            caught_up = backlog.update(view.phase)
            return self._aborted() or caught_up or backlog.more_ns(view.phase, view.length_ns) > 0

        while await self._phases.run(RunState.CATCH_UP, measured, enough, STEP_NS):
            if self._aborted():
                self._phases.stop_sending()
                break
            if backlog.drained:
                break
            more_ns = backlog.more_ns(measured, time.monotonic_ns() - measured.start_ns)
            self._extended = measured = self._phases.extend(measured, more_ns)
        return measured

    def _aborted(self, _view: PhaseView | None = None) -> bool:
        return self._abort.ending is not None or self._phases.shortage is not None

    def _break_off(self, measured: Phase, cause: OmbdriverError) -> None:
        """Keeps what was measured until the last poll."""
        length_ns = self._length_ns or min(measured.duration_ns, self._phases.polled_ns - measured.start_ns)
        if length_ns > 0:
            kind = WORKER_DIED if isinstance(cause, WorkerError) else RUN_FAILED
            self.ending = Ending.after(kind, str(cause).splitlines()[0], length_ns)
            records = self._faults.records if self._faults is not None else ()
            self.measurement.break_off(measured, length_ns, self._phases.polled_ns, records)

    def _cause(self, error: OmbdriverError) -> OmbdriverError:
        """What the run stands on may be gone, which then is the cause."""
        try:
            self._phases.check()
        except OmbdriverError as cause:
            return cause
        return error
