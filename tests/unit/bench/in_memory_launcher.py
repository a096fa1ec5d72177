"""Workers in this process, at the ends of a link in memory: all but the process and the pipe is that of a run.

What crosses is encoded and decoded as in a run, so nothing but its form can get across.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ombdriver.bench.hosts.launcher import OnGone, OnMessage
from ombdriver.bench.worker import protocol, wire_format
from ombdriver.bench.worker.worker import Link, serve

Serve = Callable[[protocol.Job, Link], Coroutine[Any, Any, None]]


class InMemoryEndpoint:
    """Both ends of a link: `launcher.Endpoint` for the parent, `worker.Link` for the worker."""

    def __init__(self, job: protocol.Job, on_message: OnMessage, on_gone: OnGone, work: Serve) -> None:
        self._on_message, self._on_command = on_message, lambda _command: None
        self._loop = asyncio.get_running_loop()
        self.pid = 1000 + job.worker.index
        self.frames: list[bytes] = [wire_format.encode(job)]
        self.task = self._loop.create_task(work(wire_format.decode(self.frames[0]), _WorkersEnd(self)))
        self.task.add_done_callback(lambda _: on_gone())

    def send(self, command: protocol.Command) -> None:
        """See `launcher.Endpoint.send`."""
        frame = wire_format.encode(command)
        self._loop.call_soon(lambda: self._on_command(wire_format.decode(frame)))

    def fate(self) -> str:
        """See `launcher.Endpoint.fate`."""
        return "was cancelled" if self.task.cancelled() else "ended"

    async def end(self, deadline: float) -> None:
        """See `launcher.Endpoint.end`."""
        await asyncio.wait([self.task], timeout=max(0.0, deadline - self._loop.time()))
        self.task.cancel()
        await asyncio.wait([self.task])
        await asyncio.sleep(0)  # `on_gone` has its turn

    def take(self, message: protocol.WorkerMessage) -> None:
        """The worker says something."""
        self.frames.append(frame := wire_format.encode(message))
        self._loop.call_soon(lambda: self._on_message(wire_format.decode(frame)))

    def listen(self, on_command: Callable[[Any], None]) -> None:
        """The worker listens."""
        self._on_command = on_command


class _WorkersEnd:
    def __init__(self, endpoint: InMemoryEndpoint) -> None:
        self._endpoint = endpoint

    def send(self, message: protocol.WorkerMessage) -> None:
        self._endpoint.take(message)

    def listen(self, on_command: Callable[[protocol.Command], None], on_end: Callable[[str], None]) -> None:
        self._endpoint.listen(on_command)


class InMemoryLauncher:
    """Starts workers as tasks of the running loop (`launcher.Launcher`).

    Args:
        work: what a worker does; the real thing, if nothing is said.

    Attributes:
        endpoints: all that were launched.
    """

    def __init__(self, work: Serve = serve) -> None:
        self._work = work
        self.endpoints: list[InMemoryEndpoint] = []

    def launch(self, job: protocol.Job, on_message: OnMessage, on_gone: OnGone) -> InMemoryEndpoint:
        """See `launcher.Launcher.launch`."""
        self.endpoints.append(InMemoryEndpoint(job, on_message, on_gone, self._work))
        return self.endpoints[-1]
