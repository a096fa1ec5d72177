"""A run within the test's own process, on a server that the test does things to while it goes on."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import redis.asyncio

from ombdriver.bench.metrics.summary import WindowDelivery
from ombdriver.bench.report.live import QuietView
from ombdriver.bench.results.result import Result
from ombdriver.bench.run import runner
from ombdriver.bench.run.events import Finished
from ombdriver.bench.run.request import Request
from ombdriver.bench.run.signals import Interrupt
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload

SETUP = "{name: honesty, driver: redis-streams, server: {engine: valkey}}"
WORKLOAD = {
    "topics": 1,
    "partitionsPerTopic": 1,
    "messageSize": 100,
    "subscriptionsPerTopic": 1,
    "consumerPerSubscription": 1,
    "producersPerTopic": 1,
    "producerRate": 2000,
    "warmupDuration": "0s",
    "testDuration": "2s",
    "sampleInterval": "200ms",
    "drainTimeout": "10s",
}
MESSAGES = 4000
Entry = tuple[bytes, dict[bytes, bytes]]


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """The worker processes of a run that goes on in `process`, in the order of their start."""
    found: list[psutil.Process] = []
    for child in process.children():
        with contextlib.suppress(psutil.NoSuchProcess):  # so is one that has ended and was not waited for yet
            if any("spawn_main" in word for word in child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
    return sorted(found, key=lambda each: each.pid)


@dataclass
class Rig:
    """A run under way.

    Attributes:
        server: a client of the server, past any proxy.
        finished: the run.
    """

    server: "redis.asyncio.Redis[bytes]"
    finished: "asyncio.Task[Finished | None]"
    _stopped: list[int] = field(default_factory=list)

    async def until(self, met: Callable[[], Awaitable[object]]) -> None:
        """Asks again and again until `met`; the run's own failure ends it."""
        while not await met():
            if self.finished.done():
                self.finished.result()
                raise AssertionError("the run ended before it came to that")
            await asyncio.sleep(0.005)

    async def key(self) -> bytes:
        """The one stream, once there is one."""
        keys: list[bytes] = []

        async def there() -> bool:
            keys[:] = [key async for key in self.server.scan_iter(match="{ombdriver-*", _type="stream")]
            return bool(keys)

        await self.until(there)
        return keys[0]

    async def measuring(self, entries: int) -> bytes:
        """The stream, once it holds so many entries."""
        key = await self.key()

        async def long_enough() -> bool:
            return bool(await self.server.xlen(key) >= entries)

        await self.until(long_enough)
        return key

    async def group(self, key: bytes, name: str = "group-1") -> dict[str, Any]:
        """What the server says of a group."""
        groups: list[dict[str, Any]] = await self.server.xinfo_groups(key)
        return next(each for each in groups if each["name"] == name.encode())

    async def not_delivered(self, key: bytes, count: int, name: str = "group-1") -> list[Entry]:
        """Waits until a group that is held up has so many entries before it; all that there are then."""

        async def behind() -> bool:
            return ((await self.group(key, name))["lag"] or 0) >= count

        await self.until(behind)
        reached = (await self.group(key, name))["last-delivered-id"]
        entries: list[Entry] = await self.server.xrange(key, min=b"(" + reached)
        return entries

    def workers(self) -> list[int]:
        """The process ids of the workers, the producing ones first."""
        return [each.pid for each in workers_of(psutil.Process())]

    def hold(self, worker: int) -> None:
        """Stops a worker as Ctrl-Z would."""
        pid = self.workers()[worker]
        self._stopped.append(pid)
        os.kill(pid, signal.SIGSTOP)

    def let_go(self) -> None:
        """What was stopped goes on."""
        for pid in self._stopped:
            os.kill(pid, signal.SIGCONT)
        self._stopped.clear()

    async def result(self) -> Result:
        """What the run found."""
        finished = await self.finished
        assert finished is not None
        return finished.result

    async def deliveries(self) -> list[WindowDelivery]:
        """The account of each subscription, which has to be whole."""
        told = list((await self.result()).delivery)
        for each in told:
            missing = each.lost + each.trimmed + each.undelivered
            assert each.acknowledged + each.recovered == each.received + missing
        return told


OF_THE_MACHINE = {"runDelay", "starved", "serverStarved", "steal", "throttled", "stalls", "coreBusy"}
"""Rules by which a machine that is busy with something else makes any run invalid, and rightly so."""


def reasons(result: Result) -> dict[str, str]:
    """Which rules found something, and the status of each; without what else this machine did meanwhile."""
    assert result.verdict is not None
    return {each.rule: each.status for each in result.verdict.reasons if each.rule not in OF_THE_MACHINE}


@asynccontextmanager
async def running(
    folder: Path,
    server_url: str,
    url: str | None = None,
    workers: int | None = None,
    setup: Setup | None = None,
    **workload: object,
) -> AsyncIterator[Rig]:
    """Starts a run on the server at `server_url`, which it reaches by `url` if that is another one; or on `setup`."""
    lines = [f"{name}: {value}" for name, value in (WORKLOAD | workload).items()]
    setup = setup or Setup.parse(SETUP, "honesty").with_url(url or server_url)
    request = Request(Workload.parse("\n".join(lines), "honesty"), setup, folder, workers, cores=2)
    with Interrupt() as stop:
        async with redis.asyncio.Redis.from_url(server_url) as client:
            rig = Rig(client, asyncio.create_task(runner.run(request, QuietView(), stop)))
            try:
                yield rig
            finally:
                rig.let_go()
                if not rig.finished.done():
                    rig.finished.cancel()
                    await asyncio.wait([rig.finished])
