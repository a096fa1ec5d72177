"""Workers as processes of this machine, each at the end of a pipe (`launcher`).

A fork server imports what they need once and forks them, so that each costs some hundredths of a second in place of
some tenths. A worker ends by itself when this process is gone, since its pipe closes.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Self

from ombdriver.bench.hosts.fork_server import ForkedProcess, ForkServer
from ombdriver.bench.hosts.launcher import OnFrame, OnGone, OnMessage, opening, reading
from ombdriver.bench.hosts.pipe import Pipe, listen, pair
from ombdriver.bench.worker import protocol, wire_format
from ombdriver.errors import RunError

KILL_TIMEOUT_S = 2.0
"""How long a worker that was killed may take to end."""


class LocalLauncher:
    """Starts workers as processes of this machine (`launcher.Launcher`); a context manager, which ends its fork server.

    Args:
        parents_signals: what may reach the whole group of processes, and is for the parent alone to act on.
        driver: the registered name of the driver that they will have; with another they start more slowly.
    """

    def __init__(self, parents_signals: Sequence[int] = (), driver: str = "redis-streams") -> None:
        self._parents_signals = tuple(int(each) for each in parents_signals)
        self._driver = driver
        self._fork_server: ForkServer | None = None

    def __repr__(self) -> str:
        return f"<LocalLauncher {self._fork_server}>"

    def prepare(self) -> None:
        """Starts the fork server, if it does not run; it is ready some tenths of a second later.

        Raises:
            OSError: if it can't be started.
        """
        if self._fork_server is None or self._fork_server.has_ended:
            self.close()
            self._fork_server = ForkServer(self._parents_signals, self._driver)

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
        self.prepare()
        assert self._fork_server is not None
        ours, theirs = pair()
        try:
            with theirs:
                process = self._fork_server.fork(number, theirs.fileno())
            try:
                worker = WorkerProcess(process, ours, on_frame, on_gone)
            except BaseException:  # no thread to listen with
                process.close()
                raise
        except BaseException:
            ours.close()  # by which it ends
            raise
        for frame in frames:
            worker.send_frame(frame)
        return worker

    def close(self) -> None:
        """Ends the fork server. Workers that are left end by themselves, with their pipes."""
        if self._fork_server is not None:
            self._fork_server.close()
            self._fork_server = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class WorkerProcess:
    """The parent's end of the pipe to a worker process (`launcher.Endpoint`)."""

    def __init__(self, process: ForkedProcess, pipe: Pipe, on_frame: OnFrame, on_gone: OnGone) -> None:
        self._process, self._pipe, self._on_gone = process, pipe, on_gone
        self._loop = asyncio.get_running_loop()
        self._read_to_the_end = asyncio.Event()
        listen(pipe, on_frame, self._on_pipe_end)

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.pid}>"

    @property
    def pid(self) -> int:
        """The process id; 0 until it has said something."""
        return self._process.pid

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
        self._process.signal(number)

    def fate(self) -> str:
        """See `launcher.Endpoint.fate`."""
        self._process.wait(timeout_s=1.0)
        return self._process.fate()

    async def end(self, deadline: float) -> None:
        """See `launcher.Endpoint.end`."""
        if not await self._exited(deadline):
            self._process.kill()
        if not await self._exited(self._loop.time() + KILL_TIMEOUT_S):
            raise RunError(f"worker process {self.pid} can't be ended; end it by hand")
        self._process.close()

    async def _exited(self, deadline: float) -> bool:
        """Whether the process has ended, and what it said last was read."""
        while not self._has_exited() and self._loop.time() < deadline:  # noqa: ASYNC110 - nothing to wait for
            await asyncio.sleep(0.005)
        return self._has_exited()

    def _has_exited(self) -> bool:
        return self._process.has_ended and self._read_to_the_end.is_set()
