"""Workers as processes of this machine, each at the end of a pipe (`launcher`).

The only importer of multiprocessing and uvloop. Processes are spawned, not forked; nothing is given to them but a pipe,
on which both sides greet each other before the parent says what the worker is for. A worker ends by itself when this
process is gone, since its pipe closes.
"""

import asyncio
import contextlib
import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeAlias, TypeVar

import uvloop

from ombdriver.bench.hosts.launcher import OnFrame, OnGone, OnMessage, opening, reading
from ombdriver.bench.limits import limit_reached
from ombdriver.bench.worker import protocol, wire_format
from ombdriver.bench.worker.worker import serve
from ombdriver.errors import OmbdriverError, RunError

Returned = TypeVar("Returned")
Pipe: TypeAlias = "Connection[bytes, bytes]"

OF_OTHER_VERSION = 70
"""Exit code of a worker that was started by another version of this program, which knows that by itself."""
_SAFE_PATH = "PYTHONSAFEPATH"
_PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when its parent ends."""


# -- in the worker -----------------------------------------------------------------------------------------------------


class PipeLink:
    """A worker's end of its pipe (`worker.Link`)."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def send(self, message: protocol.WorkerMessage) -> None:
        """Writes `message`; the parent reads all the time, so this does not wait for long."""
        frame = wire_format.encode(message)
        with contextlib.suppress(BrokenPipeError):  # the parent is gone, which `listen` notices
            self._pipe.send_bytes(frame)

    def listen(self, on_command: Callable[[protocol.Command], None], on_end: Callable[[str], None]) -> None:
        """Reads commands as they come."""

        def on_frame(frame: bytes) -> None:
            try:
                command = wire_format.decode(frame)
            except OmbdriverError as error:
                on_end(str(error))
            else:
                on_command(command)

        _listen(self._pipe, on_frame, lambda: on_end("the parent is gone"))


def _main(pipe: Pipe, parents_signals: Sequence[int]) -> None:
    """A worker process."""
    for number in parents_signals:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, parents_signals)
    try:
        pipe.send_bytes(wire_format.greeting())
        wire_format.check_greeting(pipe.recv_bytes())
        job = wire_format.decode(pipe.recv_bytes())
    except (EOFError, OSError):  # the parent is gone
        return
    except OmbdriverError:  # which the parent finds out by itself
        raise SystemExit(OF_OTHER_VERSION) from None
    if job.plan.faults:
        _go_on_without_parent()
    link = PipeLink(pipe)
    try:
        uvloop.run(serve(job, link))
    except (OSError, RuntimeError, MemoryError) as error:
        if (limit := limit_reached(error)) is None:
            raise
        link.send(protocol.Failed(limit, known=True))
    gc.disable()  # the process ends: nothing to collect


def _go_on_without_parent() -> None:
    """When the parent is gone, a worker that is stopped goes on, so that it sees the end of its pipe. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)


# -- in the parent -----------------------------------------------------------------------------------------------------


def run_fast(main: Coroutine[Any, Any, Returned]) -> Returned:
    """`asyncio.run` on the workers' kind of loop."""
    return uvloop.run(main)


class LocalLauncher:
    """Starts workers as processes of this machine (`launcher.Launcher`).

    Args:
        parents_signals: what may reach the whole group of processes, and is for the parent alone to act on.
    """

    def __init__(self, parents_signals: Sequence[int] = ()) -> None:
        self._parents_signals = tuple(int(each) for each in parents_signals)

    def __repr__(self) -> str:
        return "<LocalLauncher>"

    def launch(self, job: protocol.Job, on_message: OnMessage, on_gone: OnGone) -> "WorkerProcess":
        """See `launcher.Launcher.launch`."""
        return self.start(job.worker.index, opening(job), reading(on_message), on_gone)

    def start(self, number: int, frames: Sequence[bytes], on_frame: OnFrame, on_gone: OnGone) -> "WorkerProcess":
        """Starts a worker whose frames nobody reads here: they may be another host's.

        Args:
            number: names the process.
            frames: what it is given first; see `launcher.opening`.
            on_frame: is called with each frame of it, the greeting first.
            on_gone: see `launcher.OnGone`.
        """
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_main,
            args=(theirs, self._parents_signals),
            name=f"ombdriver-worker-{number}",
            daemon=True,
        )
        # Inherited, so that no signal hits the worker's start-up; and none that comes meanwhile is lost to us.
        with _safe_path():
            resource_tracker.ensure_running()  # it unblocks SIGINT when it starts
            before = signal.pthread_sigmask(signal.SIG_BLOCK, self._parents_signals)
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        try:
            worker = WorkerProcess(process, ours, on_frame, on_gone)
        except BaseException:  # no thread to listen with: nobody else knows of this process, which heeds no SIGTERM
            process.kill()
            process.join()
            ours.close()
            raise
        for frame in frames:
            worker.send_frame(frame)
        return worker


class WorkerProcess:
    """The parent's end of the pipe to a worker process (`launcher.Endpoint`)."""

    def __init__(self, process: BaseProcess, pipe: Pipe, on_frame: OnFrame, on_gone: OnGone) -> None:
        self._process, self._pipe, self._on_gone = process, pipe, on_gone
        self._pid = process.pid or 0
        self._loop = asyncio.get_running_loop()
        self._read_to_the_end = asyncio.Event()
        _listen(pipe, on_frame, self._on_pipe_end)

    def __repr__(self) -> str:
        return f"<WorkerProcess {self._pid}>"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._pid

    def send(self, command: protocol.Command) -> None:
        """See `launcher.Endpoint.send`."""
        self.send_frame(wire_format.encode(command))

    def send_frame(self, frame: bytes) -> None:
        """Writes a frame to the worker, if it is there."""
        with contextlib.suppress(OSError):  # dead, which the end of its pipe shows
            self._pipe.send_bytes(frame)

    def _on_pipe_end(self) -> None:
        """The pipe ends when the process does, after its last words."""
        self._pipe.close()
        self._read_to_the_end.set()
        self._on_gone()

    def signal(self, number: int) -> None:
        """See `launcher.Endpoint.signal`."""
        if self._process.is_alive():
            os.kill(self._pid, number)

    def fate(self) -> str:
        """See `launcher.Endpoint.fate`."""
        self._process.join(timeout=1.0)
        return f"died with exit code {self._process.exitcode}"

    async def end(self, deadline: float) -> None:
        """See `launcher.Endpoint.end`."""
        process = self._process
        if not await self._exited(deadline):
            process.kill()
        if not await self._exited(self._loop.time() + 2.0):
            raise RunError(f"worker process {self._pid} can't be ended; end it by hand")
        await self._read_to_the_end.wait()
        process.join()
        process.close()

    async def _exited(self, deadline: float) -> bool:
        process = self._process
        while process.is_alive() and self._loop.time() < deadline:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.005)
        return not process.is_alive()


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


# -- on both sides -----------------------------------------------------------------------------------------------------


def _listen(pipe: Pipe, on_frame: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
    """Calls `on_frame` in the running loop with each frame that comes, and `on_end` at the end of the pipe.

    In a thread: uvloop makes a pipe that it watches non-blocking, and then frames larger than the pipe's buffer would
    be written and read in part. The thread does not touch the pipe after `on_end`, and nobody may close it before.
    """
    loop = asyncio.get_running_loop()

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            try:
                with contextlib.suppress(EOFError, OSError):
                    while True:
                        loop.call_soon_threadsafe(on_frame, pipe.recv_bytes())
            finally:
                loop.call_soon_threadsafe(on_end)

    threading.Thread(target=read, name="pipe", daemon=True).start()
