"""Starts the worker processes of a run, gives orders to all of them, and gathers what they report.

Knows no phase, driver or result. The only importer of multiprocessing and uvloop. A worker that dies or fails ends
every wait with an error that names it; workers end by themselves when this process is gone, since their pipe closes.
"""

import asyncio
import contextlib
import gc
import logging
import multiprocessing
import signal
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import uvloop

from ombdriver.bench.metrics.report import Report
from ombdriver.bench.plan.plan import Plan, WorkerPlan
from ombdriver.bench.worker import protocol
from ombdriver.bench.worker.worker import serve
from ombdriver.errors import RunError, WorkerError

logger = logging.getLogger(__name__)

Returned = TypeVar("Returned")

CONNECT_TIMEOUT_S = 60.0
POLL_TIMEOUT_S = 30.0
LEAVE_TIMEOUT_S = 10.0
_OF_THE_PARENT = (signal.SIGINT, signal.SIGTERM)


class PipeLink:
    """A worker's end of its pipe (`worker.Link`)."""

    def __init__(self, pipe: "Connection[protocol.Message, protocol.Order]") -> None:
        self._pipe = pipe

    def send(self, message: protocol.Message) -> None:
        """Writes `message`; the parent reads all the time, so this does not wait for long."""
        try:
            self._pipe.send(message)
        except BrokenPipeError:  # the parent is gone; `listen` tells
            return

    def listen(self, on_order: Callable[[protocol.Order], None], on_gone: Callable[[], None]) -> None:
        """Reads orders as they come."""
        _listen(self._pipe, on_order, on_gone)


def _listen(pipe: "Connection[Any, Any]", on_message: Callable[[Any], None], on_gone: Callable[[], None]) -> None:
    """Calls `on_message` in the running loop with each object that comes, and `on_gone` at the end of the pipe.

    In a thread: uvloop makes a pipe that it watches non-blocking, and then objects larger than the pipe's buffer would
    be written and read in part.
    """
    loop = asyncio.get_running_loop()

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            try:
                while True:
                    loop.call_soon_threadsafe(on_message, pipe.recv())
            except (EOFError, OSError):
                loop.call_soon_threadsafe(on_gone)

    threading.Thread(target=read, name="pipe", daemon=True).start()


def _main(pipe: "Connection[protocol.Message, protocol.Order]", job: protocol.Job) -> None:
    """A worker process. Ctrl-C and SIGTERM may reach the whole group; only the parent acts on them."""
    for number in _OF_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OF_THE_PARENT)
    uvloop.run(serve(job, PipeLink(pipe)))
    gc.disable()  # the process ends: nothing to collect


def run_fast(main: Coroutine[Any, Any, Returned]) -> Returned:
    """`asyncio.run` on the workers' kind of loop."""
    return uvloop.run(main)


class _Member:
    """One worker as the parent sees it."""

    def __init__(
        self, plan: WorkerPlan, process: BaseProcess, pipe: "Connection[protocol.Order, protocol.Message]"
    ) -> None:
        self.plan, self.process, self.pipe = plan, process, pipe
        self.name = f"worker {plan.index} ({plan.role})"
        self.awaited: asyncio.Future[protocol.Message] | None = None
        self.leaving = False


class Workers:
    """The workers of one run; an async context manager."""

    def __init__(self, plan: Plan, driver: str, options: Mapping[str, object]) -> None:
        self._plan, self._driver, self._options = plan, driver, options
        self._members: list[_Member] = []
        self._loop = asyncio.get_running_loop()
        self._failure: asyncio.Future[None] = self._loop.create_future()

    def __repr__(self) -> str:
        return f"<Workers {[member.name for member in self._members]}>"

    @property
    def pids(self) -> list[int]:
        """The workers' process ids, in the plan's order."""
        return [member.process.pid or 0 for member in self._members]

    async def __aenter__(self) -> "Workers":
        """Spawns the workers and waits until each has connected.

        Raises:
            WorkerError: if one of them can't.
        """
        try:
            for worker in self._plan.workers:
                self._members.append(self._spawn(worker))
            await self._gather("connect", CONNECT_TIMEOUT_S)
            logger.info("connected: %s", ", ".join(f"{m.name}, pid {m.process.pid}" for m in self._members))
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _spawn(self, worker: WorkerPlan) -> _Member:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        job = protocol.Job(self._plan, worker, self._driver, self._options)
        process = context.Process(
            target=_main, args=(theirs, job), name=f"ombdriver-worker-{worker.index}", daemon=True
        )
        resource_tracker.ensure_running()  # it unblocks SIGINT when it starts
        # Inherited, so that no signal hits the worker's start-up; and none that comes meanwhile is lost to us.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_THE_PARENT)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        member = _Member(worker, process, ours)
        _listen(ours, lambda message: self._heard(member, message), lambda: self._silent(member))
        return member

    # -- what the workers say --------------------------------------------------------------------------------------

    def _heard(self, member: _Member, message: protocol.Message) -> None:
        if isinstance(message, protocol.Failed):
            text = message.message if message.known else f"an unexpected fault:\n{message.message}"
            self._fail(WorkerError(f"{member.name}: {text}"))
        elif isinstance(message, protocol.Left):
            member.leaving = True
        elif member.awaited is not None and not member.awaited.done():
            member.awaited.set_result(message)

    def _silent(self, member: _Member) -> None:
        """The pipe ends when the process does, after its last words."""
        if not member.leaving:
            member.process.join(timeout=1.0)
            code = member.process.exitcode
            self._fail(WorkerError(f"{member.name}, pid {member.process.pid}, died with exit code {code}"))

    def _fail(self, error: WorkerError) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)

    # -- orders ----------------------------------------------------------------------------------------------------

    def order(self, order: protocol.Order) -> None:
        """Gives `order` to all workers."""
        logger.debug("order to all workers: %s", order)
        for member in self._members:
            try:
                member.pipe.send(order)
            except OSError:  # dead: the end of its pipe tells
                continue

    async def poll(self, order: protocol.Poll | protocol.Conclude | None = None) -> Sequence[Report]:
        """A report of each worker, of now; or the last one, with the order to conclude.

        Raises:
            WorkerError: if a worker died or failed, or does not answer.
        """
        gathering = self._gather("report", POLL_TIMEOUT_S, order or protocol.Poll())
        return [message for message in await gathering if isinstance(message, Report)]

    async def _gather(self, what: str, timeout_s: float, order: protocol.Order | None = None) -> list[protocol.Message]:
        for member in self._members:
            member.awaited = self._loop.create_future()
        if order is not None:
            self.order(order)
        awaited = [member.awaited for member in self._members if member.awaited]
        everyone = asyncio.gather(*awaited)
        first: list[asyncio.Future[Any]] = [everyone, self._failure]
        await asyncio.wait(first, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if everyone.done():
            return everyone.result()
        everyone.cancel()
        await asyncio.wait([everyone])
        if not everyone.cancelled():
            everyone.exception()
        if self._failure.done():
            self._failure.result()
        silent = ", ".join(m.name for m in self._members if m.awaited is None or m.awaited.cancelled())
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
        """Lets the workers leave, and ends those that don't."""
        self.order(protocol.Leave())
        deadline = self._loop.time() + LEAVE_TIMEOUT_S
        for member in self._members:
            await self._end(member, deadline)
        self._members.clear()
        if self._failure.done():
            self._failure.exception()  # whoever waited has been told

    async def _end(self, member: _Member, deadline: float) -> None:
        process = member.process
        if not await self._exited(process, deadline):
            process.kill()
        if not await self._exited(process, self._loop.time() + 2.0):
            raise RunError(f"{member.name}, pid {process.pid}, can't be ended; end it by hand")
        member.leaving = True
        member.pipe.close()
        process.join()
        process.close()

    async def _exited(self, process: BaseProcess, deadline: float) -> bool:
        while process.is_alive() and self._loop.time() < deadline:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.005)
        return not process.is_alive()
