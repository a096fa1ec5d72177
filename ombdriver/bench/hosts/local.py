"""Workers as processes of this machine, each at the end of a pipe (`launcher`).

They are spawned by multiprocessing, and children of this process; nothing is given to them but a pipe. A worker ends by
itself when this process is gone, since its pipe closes.
"""

import asyncio
import contextlib
import os
from collections.abc import Sequence

from ombdriver.bench.hosts.launcher import OnFrame, OnGone, OnMessage, opening, reading
from ombdriver.bench.hosts.pipe import Pipe, Process, listen, spawn
from ombdriver.bench.hosts.worker_process import run
from ombdriver.bench.worker import protocol, wire_format
from ombdriver.errors import RunError

KILL_TIMEOUT_S = 2.0
"""How long a worker that was killed may take to end."""


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

        Raises:
            OSError, RuntimeError: if there is no room for it.
        """
        process, pipe = spawn(run, f"ombdriver-worker-{number}", self._parents_signals)
        try:
            worker = WorkerProcess(process, pipe, on_frame, on_gone)
        except BaseException:  # no thread to listen with: nobody else knows of this process, which heeds no SIGTERM
            process.kill()
            process.join()
            pipe.close()
            raise
        for frame in frames:
            worker.send_frame(frame)
        return worker


class WorkerProcess:
    """The parent's end of the pipe to a worker process (`launcher.Endpoint`)."""

    def __init__(self, process: Process, pipe: Pipe, on_frame: OnFrame, on_gone: OnGone) -> None:
        self._process, self._pipe, self._on_gone = process, pipe, on_gone
        self._pid = process.pid or 0
        self._loop = asyncio.get_running_loop()
        self._read_to_the_end = asyncio.Event()
        listen(pipe, on_frame, self._on_pipe_end)

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
        if not await self._exited(self._loop.time() + KILL_TIMEOUT_S):
            raise RunError(f"worker process {self._pid} can't be ended; end it by hand")
        await self._read_to_the_end.wait()
        process.join()
        process.close()

    async def _exited(self, deadline: float) -> bool:
        process = self._process
        while process.is_alive() and self._loop.time() < deadline:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.005)
        return not process.is_alive()
