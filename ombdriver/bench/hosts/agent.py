"""The agent of a host: a process that starts workers and servers for a coordinator elsewhere, and relays what they say.

`python -m ombdriver.bench.hosts.agent`, with its orders as JSON on standard input. It dials in, so a host needs no port
that is open. What it started ends with it: when the coordinator says so by closing the connection, when that breaks,
and when the coordinator is silent for too long. It answers exchanges of stamps, tells once a second what the host
takes, and reads nothing of what it relays.
"""

import asyncio
import contextlib
import json
import signal
import ssl
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from ombdriver.bench.hosts import agent_protocol
from ombdriver.bench.hosts.agent_servers import AgentServers
from ombdriver.bench.hosts.connection import Connection
from ombdriver.bench.hosts.fast_loop import run_fast
from ombdriver.bench.hosts.kernel_clock import read_wall
from ombdriver.bench.hosts.local import LocalLauncher, WorkerProcess
from ombdriver.bench.limits import limit_reached
from ombdriver.errors import OmbdriverError, RunError

CONNECT_TIMEOUT_S = 10.0
SAMPLE_EVERY_S = 1.0
SERVER_NAME = "coordinator.ombdriver"
"""What the coordinator's certificate is for, wherever it is."""


class Agent:
    """Carries out what the coordinator says; see `main`.

    Attributes:
        ended: done, with the reason, when the coordinator is gone.
    """

    def __init__(self) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.connection = Connection(self._on_message, self._on_lost)
        self._launcher = LocalLauncher()
        self._workers: dict[int, WorkerProcess] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._servers = AgentServers(self.connection.send)

    def __repr__(self) -> str:
        return f"<Agent of {len(self._workers)} workers>"

    def _on_lost(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)

    def _on_message(self, message: Any, arrived_ns: int) -> None:
        match message:
            case agent_protocol.Ask(sent_ns):
                self.connection.send(agent_protocol.Answer(sent_ns, arrived_ns, time.monotonic_ns()))
            case agent_protocol.Launch(worker, frames):
                self._launch(worker, frames)
            case agent_protocol.Forward(worker, frame):
                if (process := self._workers.get(worker)) is not None:
                    process.send_frame(frame)
            case agent_protocol.Signal(worker, number):
                if (process := self._workers.get(worker)) is not None:
                    process.signal(number)
            case agent_protocol.StartServers(plan):
                self._servers.start(plan, self.connection.own_address)
            case agent_protocol.TellLogs() | agent_protocol.StopServers():
                self._servers.order(message)
            case _:
                self.connection.lose(f"the coordinator said {type(message).__name__}")

    def _launch(self, worker: int, frames: tuple[bytes, ...]) -> None:
        try:
            process = self._launcher.start(worker, frames, partial(self._on_frame, worker), partial(self._end, worker))
        except (OSError, RuntimeError, MemoryError) as error:
            self.connection.send(agent_protocol.Gone(worker, f"could not be started: {limit_reached(error) or error}"))
            return
        self._workers[worker] = process
        self.connection.send(agent_protocol.Started(worker, process.pid))

    def _on_frame(self, worker: int, frame: bytes) -> None:
        self.connection.send(agent_protocol.Said(worker, frame))

    def _end(self, worker: int) -> None:
        ending = asyncio.get_running_loop().create_task(self._ended(worker))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def _ended(self, worker: int) -> None:
        """The worker's pipe has ended, so it ends by itself, or not at all."""
        process = self._workers[worker]
        fate = process.fate()
        with contextlib.suppress(RunError):
            await process.end(asyncio.get_running_loop().time() + 1.0)
            del self._workers[worker]
        self.connection.send(agent_protocol.Gone(worker, fate))

    async def sample(self, engine: Sequence[int]) -> None:
        """Tells what the host takes, once a second; `engine`: the processes of the engine here."""
        from ombdriver.bench.telemetry.host_meter import HostMeter

        meter = HostMeter(engine)
        while True:
            self.connection.send(agent_protocol.Sampled(meter.read(self._servers.usage()), read_wall()))
            await asyncio.sleep(SAMPLE_EVERY_S)

    async def aclose(self) -> None:
        """Ends all workers, at once, and then the servers."""
        for process in list(self._workers.values()):
            process.signal(signal.SIGKILL)
        for process in list(self._workers.values()):
            with contextlib.suppress(RunError, ValueError):
                await process.end(asyncio.get_running_loop().time())
        if self._endings:
            await asyncio.wait(self._endings, timeout=5.0)
        await self._servers.aclose()


async def main(orders: dict[str, Any]) -> str:
    """Dials in, serves the coordinator until it is gone, and ends all that it has started; the reason why it ended.

    Args:
        orders: `address` and `port` of the coordinator, `host` (this one's number), `token`, and `authority`, a
            certificate in PEM; `engine`, the process ids of the engine here.

    Raises:
        RunError: if there is no coordinator at the address.
    """
    agent = Agent()
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context(cadata=orders["authority"])
    address, port = orders["address"], orders["port"]
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await loop.create_connection(
                lambda: agent.connection, address, port, ssl=context, server_hostname=SERVER_NAME
            )
    except OSError as error:
        text = f"the coordinator can't be reached at {address}:{port} ({type(error).__name__}: {error})"
        raise RunError(text) from error
    agent.connection.send(agent_protocol.Hello(orders["host"], orders["token"]))
    tasks = [loop.create_task(agent.connection.watch(0.5)), loop.create_task(agent.sample(orders["engine"]))]
    try:
        return await agent.ended
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await agent.aclose()


def _run() -> None:
    orders = json.load(sys.stdin)
    for number in (signal.SIGINT, signal.SIGHUP):  # of the terminal that the engine was started in
        signal.signal(number, signal.SIG_IGN)
    try:
        run_fast(main(orders))
    except OmbdriverError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    _run()
