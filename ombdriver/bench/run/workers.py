"""The workers of a run as one: has them started, sends commands to all of them, and gathers what they report.

Knows no phase, driver or result, nor where workers run: a launcher starts them (`hosts.launcher`). A worker that dies
or fails ends every wait with an error that names it.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ombdriver.bench.hosts.launcher import Endpoint, Launcher
from ombdriver.bench.hosts.local import LocalLauncher
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.report import Report, followed, standing
from ombdriver.bench.plan.plan import Plan, WorkerPlan
from ombdriver.bench.run.signals import ENDING
from ombdriver.bench.worker import protocol
from ombdriver.errors import WorkerError

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 60.0
POLL_TIMEOUT_S = 30.0
EXIT_TIMEOUT_S = 10.0
KILL_TIMEOUT_S = 5.0
"""How long a worker that is told to die may take; one that is stopped does not hear it."""
PARENTS_SIGNALS = tuple(each for each in ENDING if each != signal.SIGXCPU)
"""What may reach the whole group of processes; a limit on processor time is each process's own."""


class _Worker:
    """One worker as the parent sees it."""

    endpoint: Endpoint
    """Set when it has been launched; nothing is heard of it before."""

    def __init__(self, plan: WorkerPlan) -> None:
        self.plan, self.index, self.name = plan, plan.index, f"worker {plan.index} ({plan.role})"
        self.reads = bool(plan.consumers)
        self.awaited: asyncio.Future[protocol.WorkerMessage] | None = None
        self.exiting = False
        self.is_up = True  # orders are for it, and it reports
        self.died: asyncio.Future[None] | None = None  # once it was told to die, until it is started again
        self.connected: asyncio.Future[None] | None = None  # once it is started again
        self.before: Report | None = None  # of processes that have died in this place: their totals, and news
        self.flows: Sequence[tuple[int, int]] = ()  # how far they have sent each

    @property
    def is_dead(self) -> bool:
        """Whether its process was killed and is gone, and there is no other one yet."""
        return self.died is not None and self.died.done()

    def report(self, message: Report) -> Report:
        """A report of the process that is there, with that of those before it."""
        return message if self.before is None else followed(self.take_before(), message)

    def take_before(self) -> Report:
        """The report of the processes that have died; what is new in it is told once."""
        found = self.before
        assert found is not None, "it has reported as it died"
        self.before = standing(found)
        return found

    def note_death(self, message: protocol.Dying) -> None:
        """The last words of a process."""
        self.before, self.is_up = self.report(message.report), False
        self.flows = [(flow, sent) for flow, sent, _ in message.report.sent_report.flows.tolist()]


class Workers:
    """The workers of one run; an async context manager.

    Args:
        plan: the run.
        driver: the registered name of the workers' driver.
        options: what its factory is given.
        launcher: starts them; None for processes of this machine.
    """

    def __init__(
        self, plan: Plan, driver: str, options: Mapping[str, object], launcher: Launcher | None = None
    ) -> None:
        self._plan, self._driver, self._options = plan, driver, options
        self._launcher = launcher or LocalLauncher(PARENTS_SIGNALS)
        self._workers: list[_Worker] = []
        self._hold: protocol.HoldTrimming | None = None
        self._stopped: protocol.StopSending | None = None
        self._loop = asyncio.get_running_loop()
        self._failure: asyncio.Future[None] = self._loop.create_future()

    def __repr__(self) -> str:
        return f"<Workers {[worker.name for worker in self._workers]}>"

    @property
    def pids(self) -> list[int]:
        """The workers' process ids, in the plan's order."""
        return [worker.endpoint.pid for worker in self._workers]

    async def __aenter__(self) -> "Workers":
        """Starts the workers and waits until each has connected.

        Raises:
            WorkerError: if one of them can't.
        """
        try:
            for plan in self._plan.workers:
                self._launch(plan)
            await self._gather(self._workers, "connect", CONNECT_TIMEOUT_S)
            connected = zip(self._workers, self.pids, strict=True)
            logger.info("connected: %s", ", ".join(f"{worker.name}, pid {pid}" for worker, pid in connected))
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _launch(self, plan: WorkerPlan) -> None:
        worker = _Worker(plan)
        self._start(worker, protocol.Job(self._plan.for_a_worker(), plan, self._driver, self._options))
        self._workers.append(worker)

    def _start(self, worker: _Worker, job: protocol.Job) -> None:
        worker.endpoint = self._launcher.launch(job, partial(self._on_message, worker), partial(self._on_gone, worker))

    # -- what the workers say --------------------------------------------------------------------------------------

    def _on_message(self, worker: _Worker, message: protocol.WorkerMessage) -> None:
        if isinstance(message, protocol.Failed):
            text = message.message if message.known else f"an unexpected fault:\n{message.message}"
            self._fail(WorkerError(f"{worker.name}: {text}"))
        elif isinstance(message, protocol.Exiting):
            worker.exiting = True
        elif isinstance(message, protocol.Dying):
            worker.note_death(message)
            if worker.awaited is not None and not worker.awaited.done():
                worker.awaited.set_result(worker.take_before())
        elif isinstance(message, protocol.Connected) and worker.connected is not None:
            worker.connected.set_result(None)
        elif worker.awaited is not None and not worker.awaited.done():
            worker.awaited.set_result(worker.report(message) if isinstance(message, Report) else message)

    def _on_gone(self, worker: _Worker) -> None:
        if worker.died is not None and not worker.is_up and not worker.is_dead:
            worker.died.set_result(None)
        elif not worker.exiting:
            self._fail(WorkerError(f"{worker.name}, pid {worker.endpoint.pid}, {worker.endpoint.fate()}"))

    def _fail(self, error: WorkerError) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)

    # -- commands --------------------------------------------------------------------------------------------------

    def send(self, command: protocol.Command) -> None:
        """Sends `command` to all workers that are there."""
        logger.debug("order to all workers: %s", command)
        match command:
            case protocol.HoldTrimming():
                self._hold = command
            case protocol.StopSending():
                self._stopped = command
            case protocol.BeginPhase():
                self._stopped = None
        for worker in self._workers:
            if worker.is_up:
                worker.endpoint.send(command)

    def send_to(self, index: int, command: protocol.Command) -> None:
        """Sends `command` to the worker of that number in the plan, if it is there."""
        logger.debug("order to worker %d: %s", index, command)
        for worker in self._workers:
            if worker.index == index and worker.is_up:
                worker.endpoint.send(command)

    async def poll(self, command: protocol.Poll | protocol.Finish | None = None) -> Sequence[Report]:
        """A report of each worker, of now; or its last one, with the command to finish. In the plan's order.

        Those that consume are asked first, and the others when they have answered: so whatever one was given was sent
        by the time that its producer reports, on whatever hosts and clocks they are. One that was killed reports what
        it had done.

        Raises:
            WorkerError: if a worker died or failed, or does not answer. Then there is no report of any.
        """
        reports: dict[int, Report] = {}
        for reads in (True, False):
            asked = [worker for worker in self._workers if worker.reads is reads]
            messages = await self._gather(asked, "report", POLL_TIMEOUT_S, command or protocol.Poll()) if asked else []
            for worker, message in zip(asked, messages, strict=True):
                if isinstance(message, Report):
                    reports[worker.index] = message
        return [reports[worker.index] for worker in self._workers if worker.index in reports]

    async def _gather(
        self, asked: Sequence[_Worker], what: str, timeout_s: float, command: protocol.Command | None = None
    ) -> list[protocol.WorkerMessage]:
        """The next message of each of these workers, in their order."""
        for worker in asked:
            worker.awaited = self._loop.create_future()
            if not worker.is_up:
                worker.awaited.set_result(worker.take_before())
        if command is not None:
            logger.debug("order to %d workers: %s", len(asked), command)
            for worker in asked:
                if worker.is_up:
                    worker.endpoint.send(command)
        awaited = [worker.awaited for worker in asked if worker.awaited]
        gathered = asyncio.gather(*awaited)
        first: list[asyncio.Future[Any]] = [gathered, self._failure]
        await asyncio.wait(first, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if gathered.done():
            return gathered.result()
        gathered.cancel()
        await asyncio.wait([gathered])
        if not gathered.cancelled():
            gathered.exception()
        if self._failure.done():
            self._failure.result()
        silent = ", ".join(m.name for m in asked if m.awaited is None or m.awaited.cancelled())
        raise WorkerError(f"{silent} did not {what} within {timeout_s:g} s; is the machine overloaded?")

    async def watch(self, sleep_s: float) -> None:
        """Sleeps, but not past the death of a worker.

        Raises:
            WorkerError: if a worker died or failed.
        """
        if sleep_s > 0:
            await asyncio.wait([self._failure], timeout=sleep_s)
        if self._failure.done():
            self._failure.result()

    def signal(self, index: int, number: signal.Signals) -> None:
        """Sends a signal to the worker of that number in the plan, if it is there."""
        for worker in self._workers:
            if worker.index == index:
                worker.endpoint.signal(number)

    # -- killed, and started again ---------------------------------------------------------------------------------

    async def kill(self, index: int) -> None:
        """Ends a worker by SIGKILL, and returns when it is gone; one that is not there is left alone.

        It reports as it dies, so that all that it did is known. What it had in flight has an unknown outcome.

        Raises:
            WorkerError: if it does not obey; as one that is stopped.
        """
        worker = self._workers[index]
        if not worker.is_up:
            return
        worker.died = self._loop.create_future()
        worker.endpoint.send(protocol.Die())
        await asyncio.wait([worker.died, self._failure], timeout=KILL_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if not worker.died.done():
            raise WorkerError(f"{worker.name} did not end within {KILL_TIMEOUT_S:g} s; is it paused?")
        await worker.endpoint.end(self._loop.time() + EXIT_TIMEOUT_S)

    async def restart(self, index: int, phase: Phase, sent_before: Callable[[int], int]) -> int | None:
        """Starts a worker in the place of one that was killed, which goes on with its work; None if that is there.

        What has become due meanwhile it sends late.

        Args:
            index: its number in the plan.
            phase: the one under way.
            sent_before: how many messages of a flow had been sent when that began.

        Returns:
            the process id.

        Raises:
            WorkerError: if it does not connect.
        """
        worker = self._workers[index]
        if worker.is_up:
            return None
        flows = tuple((flow, sent, sent - sent_before(flow)) for flow, sent in worker.flows)
        options = {**self._options, "returns": True}
        job = protocol.Job(self._plan.for_a_worker(), worker.plan, self._driver, options, resume=protocol.Resume(flows))
        worker.died, worker.connected = None, self._loop.create_future()
        self._start(worker, job)
        await asyncio.wait(
            [worker.connected, self._failure], timeout=CONNECT_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        if not worker.connected.done():
            raise WorkerError(f"{worker.name} did not connect within {CONNECT_TIMEOUT_S:g} s")
        worker.connected, worker.is_up = None, True
        for command in (self._hold, protocol.BeginPhase(phase), self._stopped):
            if command is not None:
                worker.endpoint.send(command)
        return worker.endpoint.pid

    # -- the end ---------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Lets the workers end, and kills those that don't."""
        left = [worker for worker in self._workers if not worker.is_dead]  # else it has been seen to its end
        for worker in left:
            worker.endpoint.send(protocol.Exit())
        deadline = self._loop.time() + EXIT_TIMEOUT_S
        for worker in left:
            worker.exiting = True
            await worker.endpoint.end(deadline)
        self._workers.clear()
        if self._failure.done():
            self._failure.exception()  # whoever waited has got it
