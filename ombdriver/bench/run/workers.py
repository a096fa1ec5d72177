"""Starts the worker processes of a run, sends commands to all of them, and gathers what they report.

Knows no phase, driver or result. The only importer of multiprocessing and uvloop. A worker that dies or fails ends
every wait with an error that names it; workers end by themselves when this process is gone, since their pipe closes.
"""

import asyncio
import contextlib
import gc
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import uvloop

from ombdriver.bench.metrics.report import Report
from ombdriver.bench.plan.plan import Plan, WorkerPlan
from ombdriver.bench.run.signals import ENDING
from ombdriver.bench.worker import protocol
from ombdriver.bench.worker.worker import serve
from ombdriver.errors import RunError, WorkerError

logger = logging.getLogger(__name__)

Returned = TypeVar("Returned")

CONNECT_TIMEOUT_S = 60.0
POLL_TIMEOUT_S = 30.0
EXIT_TIMEOUT_S = 10.0
_PARENTS_SIGNALS = tuple(each for each in ENDING if each is not signal.SIGXCPU)
"""What may reach the whole group of processes; a limit on processor time is each process's own."""
_SAFE_PATH = "PYTHONSAFEPATH"


class PipeLink:
    """A worker's end of its pipe (`worker.Link`)."""

    def __init__(self, pipe: "Connection[protocol.WorkerMessage, protocol.Command]") -> None:
        self._pipe = pipe

    def send(self, message: protocol.WorkerMessage) -> None:
        """Writes `message`; the parent reads all the time, so this does not wait for long."""
        try:
            self._pipe.send(message)
        except BrokenPipeError:  # the parent is gone, which `listen` notices
            return

    def listen(self, on_command: Callable[[protocol.Command], None], on_end: Callable[[], None]) -> None:
        """Reads commands as they come."""
        _listen(self._pipe, on_command, on_end)


def _listen(pipe: "Connection[Any, Any]", on_message: Callable[[Any], None], on_end: Callable[[], None]) -> None:
    """Calls `on_message` in the running loop with each object that comes, and `on_end` at the end of the pipe.

    In a thread: uvloop makes a pipe that it watches non-blocking, and then objects larger than the pipe's buffer would
    be written and read in part. The thread does not touch the pipe after `on_end`, and nobody may close it before.
    """
    loop = asyncio.get_running_loop()

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            try:
                with contextlib.suppress(EOFError, OSError):
                    while True:
                        loop.call_soon_threadsafe(on_message, pipe.recv())
            finally:
                loop.call_soon_threadsafe(on_end)

    threading.Thread(target=read, name="pipe", daemon=True).start()


def _main(pipe: "Connection[protocol.WorkerMessage, protocol.Command]", job: protocol.Job) -> None:
    """A worker process; only the parent acts on signals that reach the whole group."""
    for number in _PARENTS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PARENTS_SIGNALS)
    uvloop.run(serve(job, PipeLink(pipe)))
    gc.disable()  # the process ends: nothing to collect


def run_fast(main: Coroutine[Any, Any, Returned]) -> Returned:
    """`asyncio.run` on the workers' kind of loop."""
    return uvloop.run(main)


class _WorkerProcess:
    """One worker as the parent sees it."""

    def __init__(
        self, plan: WorkerPlan, process: BaseProcess, pipe: "Connection[protocol.Command, protocol.WorkerMessage]"
    ) -> None:
        self.plan, self.process, self.pipe = plan, process, pipe
        self.name = f"worker {plan.index} ({plan.role})"
        self.awaited: asyncio.Future[protocol.WorkerMessage] | None = None
        self.exiting = False
        self.read_to_the_end = asyncio.Event()


@contextlib.contextmanager
def _safe_path() -> Iterator[None]:
    """Processes that start in this block take no module from the working directory, where a `signal.py` may lie."""
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before


class Workers:
    """The workers of one run; an async context manager.

    Args:
        plan: the run.
        driver: the registered name of the workers' driver.
        options: what its factory is given.
    """

    def __init__(self, plan: Plan, driver: str, options: Mapping[str, object]) -> None:
        self._plan, self._driver, self._options = plan, driver, options
        self._workers: list[_WorkerProcess] = []
        self._loop = asyncio.get_running_loop()
        self._failure: asyncio.Future[None] = self._loop.create_future()

    def __repr__(self) -> str:
        return f"<Workers {[worker.name for worker in self._workers]}>"

    @property
    def pids(self) -> list[int]:
        """The workers' process ids, in the plan's order."""
        return [worker.process.pid or 0 for worker in self._workers]

    async def __aenter__(self) -> "Workers":
        """Spawns the workers and waits until each has connected.

        Raises:
            WorkerError: if one of them can't.
        """
        try:
            for plan in self._plan.workers:
                self._workers.append(self._spawn(plan))
            await self._gather("connect", CONNECT_TIMEOUT_S)
            logger.info("connected: %s", ", ".join(f"{m.name}, pid {m.process.pid}" for m in self._workers))
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _spawn(self, plan: WorkerPlan) -> _WorkerProcess:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        job = protocol.Job(self._plan, plan, self._driver, self._options)
        process = context.Process(target=_main, args=(theirs, job), name=f"ombdriver-worker-{plan.index}", daemon=True)
        # Inherited, so that no signal hits the worker's start-up; and none that comes meanwhile is lost to us.
        with _safe_path():
            resource_tracker.ensure_running()  # it unblocks SIGINT when it starts
            before = signal.pthread_sigmask(signal.SIG_BLOCK, _PARENTS_SIGNALS)
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        worker = _WorkerProcess(plan, process, ours)
        _listen(ours, lambda message: self._on_message(worker, message), lambda: self._on_pipe_end(worker))
        return worker

    # -- what the workers say --------------------------------------------------------------------------------------

    def _on_message(self, worker: _WorkerProcess, message: protocol.WorkerMessage) -> None:
        if isinstance(message, protocol.Failed):
            text = message.message if message.known else f"an unexpected fault:\n{message.message}"
            self._fail(WorkerError(f"{worker.name}: {text}"))
        elif isinstance(message, protocol.Exiting):
            worker.exiting = True
        elif worker.awaited is not None and not worker.awaited.done():
            worker.awaited.set_result(message)

    def _on_pipe_end(self, worker: _WorkerProcess) -> None:
        """The pipe ends when the process does, after its last words."""
        worker.pipe.close()
        worker.read_to_the_end.set()
        if not worker.exiting:
            worker.process.join(timeout=1.0)
            code = worker.process.exitcode
            self._fail(WorkerError(f"{worker.name}, pid {worker.process.pid}, died with exit code {code}"))

    def _fail(self, error: WorkerError) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)

    # -- commands --------------------------------------------------------------------------------------------------

    def send(self, command: protocol.Command) -> None:
        """Sends `command` to all workers."""
        logger.debug("order to all workers: %s", command)
        for worker in self._workers:
            try:
                worker.pipe.send(command)
            except OSError:  # dead, which the end of its pipe shows
                continue

    async def poll(self, command: protocol.Poll | protocol.Finish | None = None) -> Sequence[Report]:
        """A report of each worker, of now; or its last one, with the command to finish.

        Raises:
            WorkerError: if a worker died or failed, or does not answer.
        """
        gathering = self._gather("report", POLL_TIMEOUT_S, command or protocol.Poll())
        return [message for message in await gathering if isinstance(message, Report)]

    async def _gather(
        self, what: str, timeout_s: float, command: protocol.Command | None = None
    ) -> list[protocol.WorkerMessage]:
        """The next message of each worker."""
        for worker in self._workers:
            worker.awaited = self._loop.create_future()
        if command is not None:
            self.send(command)
        awaited = [worker.awaited for worker in self._workers if worker.awaited]
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
        silent = ", ".join(m.name for m in self._workers if m.awaited is None or m.awaited.cancelled())
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

    # -- the end ---------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Lets the workers end, and kills those that don't."""
        self.send(protocol.Exit())
        deadline = self._loop.time() + EXIT_TIMEOUT_S
        for worker in self._workers:
            await self._end(worker, deadline)
        self._workers.clear()
        if self._failure.done():
            self._failure.exception()  # whoever waited has got it

    async def _end(self, worker: _WorkerProcess, deadline: float) -> None:
        process = worker.process
        if not await self._exited(process, deadline):
            process.kill()
        if not await self._exited(process, self._loop.time() + 2.0):
            raise RunError(f"{worker.name}, pid {process.pid}, can't be ended; end it by hand")
        worker.exiting = True
        await worker.read_to_the_end.wait()
        process.join()
        process.close()

    async def _exited(self, process: BaseProcess, deadline: float) -> bool:
        while process.is_alive() and self._loop.time() < deadline:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.005)
        return not process.is_alive()
