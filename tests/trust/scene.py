"""One case: a run on a server of its own, to which something known is done at known times of its window."""

import asyncio
import contextlib
import json
import os
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import redis.asyncio

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.report.live import QuietView
from ombdriver.bench.results.result import Result
from ombdriver.bench.run import events, runner
from ombdriver.bench.run.request import Request
from ombdriver.bench.run.signals import Interrupt
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.telemetry.installation import usable_cores
from ombdriver.errors import OmbdriverError
from tests.live.rig import Rig
from tests.trust.truth import Stretch

WORKLOAD = {
    "topics": 1,
    "partitionsPerTopic": 1,
    "messageSize": 100,
    "subscriptionsPerTopic": 1,
    "consumerPerSubscription": 1,
    "producersPerTopic": 1,
    "producerRate": 2000,
    "warmupDuration": "500ms",
    "testDuration": "3s",
    "sampleInterval": "100ms",
    "drainTimeout": "10s",
}
PRODUCING, CONSUMING = 0, 1
MEDDLER = Path(__file__).with_name("meddler.py")


class NotSetUpError(Exception):
    """The situation could not be brought about, so that the verdict says nothing; tells why."""


class StoppedError(Exception):
    """Somebody asked to stop."""


@dataclass
class Meddler:
    """A process that holds others up (`tests.trust.meddler`).

    Attributes:
        held: when it did, once the run is over.
    """

    _process: asyncio.subprocess.Process
    held: list[Stretch] = field(default_factory=list)
    _ended: bool = False

    async def end(self) -> None:
        """Waits until it has ended, and reads what it did.

        Raises:
            NotSetUpError: if it could not do it.
        """
        if self._ended:
            return
        self._ended = True
        told, failed = await self._process.communicate()
        lines = told.decode().splitlines()
        if len(lines) < 2:
            raise NotSetUpError((failed.decode().splitlines() or ["a meddler ended without a word"])[-1])
        self.held[:] = [(first, last) for first, last in json.loads(lines[1])]


@dataclass
class Scene:
    """A run whose window is about to begin.

    Attributes:
        rig: the run, and a client of its server, past any proxy.
        phase: the window.
        server_pid: the server's process; 0 without one.
    """

    rig: Rig
    phase: Phase
    server_pid: int
    meddlers: list[Meddler] = field(default_factory=list)

    def at_ns(self, share: float) -> int:
        """The time of the monotonic clock at a share of the window."""
        return self.phase.start_ns + round(share * self.phase.duration_ns)

    async def until(self, share: float) -> None:
        """Waits for that share of the window."""
        loop_now_s = asyncio.get_running_loop().time()  # the monotonic clock
        await asyncio.sleep(max(0.0, self.at_ns(share) / 1e9 - loop_now_s))

    def passed(self) -> float:
        """The share of the window that has passed; 0 before it and 1 after."""
        now_ns = asyncio.get_running_loop().time() * 1e9
        return min(1.0, max(0.0, (now_ns - self.phase.start_ns) / self.phase.duration_ns))

    def worker(self, number: int) -> int:
        """The process id of a worker: `PRODUCING` or `CONSUMING`; that of both with the memory driver."""
        workers = self.rig.workers()
        return workers[min(number, len(workers) - 1)]

    def pin(self, pid: int, core: int) -> None:
        """Gives a process one core alone.

        Raises:
            NotSetUpError: if that can't be done here.
        """
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(thread), {core})
        except (OSError, AttributeError) as error:
            raise NotSetUpError(f"a process can't be given one core alone: {error}") from error

    async def meddle(
        self,
        *,
        pids: Sequence[int] = (),
        core: int | None = None,
        share: float = 1.0,
        length_ms: float = 10.0,
        real_time: bool = False,
        niceness: int = 0,
        between: tuple[float, float] = (0.0, 1.0),
        seed: int = 0,
    ) -> Meddler:
        """Stops `pids`, or takes `core`, for a share of a part of the window, for so long at once."""
        asked = {
            "pids": list(pids),
            "core": core,
            "share": share,
            "length_ms": length_ms,
            "real_time": real_time,
            "niceness": niceness,
            "seed": seed,
        }
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-ISE", MEDDLER, json.dumps(asked), stdin=pipe, stdout=pipe, stderr=pipe
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps([self.at_ns(at) for at in between]).encode() + b"\n")
        process.stdin.close()
        self.meddlers.append(Meddler(process))
        return self.meddlers[-1]


@dataclass
class Case:
    """One case of a situation, and what is to be said of it.

    Attributes:
        name: to repeat it by.
        random: its chance; the same for the same seed.
        stop: whether somebody wants to end it all.
        must: the statuses of which one must come.
        faults: what is otherwise than it must be, save the status.
        others: the share of the machine's processors that was taken by others in the window.
    """

    name: str
    random: random.Random
    stop: Interrupt
    must: tuple[str, ...]
    faults: list[str] = field(default_factory=list)
    others: float = 0.0
    _result: Result | None = None

    @property
    def result(self) -> Result:
        """What the run found."""
        assert self._result is not None, "the run is not over"
        return self._result

    @property
    def rules(self) -> dict[str, str]:
        """The messages of the verdict, by rule."""
        assert self.result.verdict is not None
        return {each.rule: each.message for each in self.result.verdict.reasons}

    @property
    def caveats(self) -> set[str]:
        """The kinds of the caveats."""
        return {each.kind for each in self.result.caveats}

    def holds(self, condition: object, otherwise: str) -> None:
        """Notes a fault unless `condition`."""
        if not condition:
            self.faults.append(otherwise)

    def near(self, name: str, value: float, least: float, most: float) -> None:
        """Notes a fault unless `value` is in a range."""
        self.holds(least <= value <= most, f"{name} is {value:.4g}, not {least:.4g} to {most:.4g}")

    def names(self, *rules: str) -> None:
        """Notes a fault unless one of `rules` is among the verdict's reasons."""
        self.holds(
            set(rules) & set(self.rules), f"none of {', '.join(rules)} among {', '.join(self.rules) or 'nothing'}"
        )

    @asynccontextmanager
    async def server(self, engine: str | None = None) -> AsyncIterator[PrivateServer]:
        """A server of this case alone; Valkey or Redis by chance."""
        if engine is None:
            engine = self.random.choice(("valkey", "redis"))
        try:
            server = await PrivateServer.start(engine)
        except OmbdriverError as error:
            raise NotSetUpError(str(error).splitlines()[0]) from error
        async with server:
            yield server

    @asynccontextmanager
    async def run(
        self,
        server: PrivateServer | None,
        url: str | None = None,
        *,
        setup: str = "{name: trust, driver: redis-streams, server: {engine: valkey}}",
        **workload: object,
    ) -> AsyncIterator[Scene]:
        """A run on `server`, which it reaches by `url` if that is another one; entered when the window is ordered.

        Without a server it is on what the setup says.

        When it is left, the run is over and judged, and meddlers have told what they did.

        Raises:
            NotSetUpError: if something could not be done.
        """
        lines = [f"{name}: {value}" for name, value in (WORKLOAD | workload).items()]
        parsed = Setup.parse(setup, "trust")
        if server is not None:
            parsed = parsed.with_url(url or server.url)
        began: asyncio.Future[Phase] = asyncio.get_running_loop().create_future()
        stored: list[events.Finished] = []

        def on_event(event: events.RunEvent) -> None:
            if isinstance(event, events.PhaseBegan) and event.state.is_measured:
                began.set_result(event.phase)
            elif isinstance(event, events.Finished):
                stored.append(event)

        async with AsyncExitStack() as stack:
            output = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trust-")))
            request = Request(Workload.parse("\n".join(lines), "trust"), parsed, output, None, cores=usable_cores())
            client = await stack.enter_async_context(redis.asyncio.Redis.from_url(server.url if server else "redis://"))
            running = runner.run(request, QuietView(), self.stop, on_event)
            rig = Rig(client, asyncio.create_task(running))
            stack.push_async_callback(_ended, rig)
            await asyncio.wait([began, rig.finished], return_when=asyncio.FIRST_COMPLETED)
            if not began.done():
                self._check(rig)
                raise NotSetUpError("the run ended before its window")
            scene = Scene(rig, began.result(), server.pid if server else 0)
            stack.push_async_callback(_let_go, scene)
            watching = asyncio.create_task(self._watch(scene))
            stack.callback(watching.cancel)
            yield scene
            await asyncio.wait([rig.finished])
            await watching
            for meddler in scene.meddlers:
                await meddler.end()
            if self.stop.asked:
                raise StoppedError
            if not stored:
                self._check(rig)
            elif not rig.finished.cancelled():
                rig.finished.exception()  # of a run that failed, and whose result was stored
            self._result = stored[0].result

    def _check(self, rig: Rig) -> None:
        if self.stop.asked or rig.finished.cancelled():
            raise StoppedError
        try:
            rig.finished.result()
        except OmbdriverError as error:
            raise NotSetUpError(f"the run failed: {error}") from error

    async def _watch(self, scene: Scene) -> None:
        await scene.until(0)
        before = _processors()
        await asyncio.wait([scene.rig.finished], timeout=(1 - scene.passed()) * scene.phase.duration_ns / 1e9)
        after = _processors()
        cores = os.cpu_count() or 1
        taken_s, own_s = (now - then for then, now in zip(before, after, strict=True))
        self.others = max(0.0, taken_s - own_s) / (cores * scene.phase.duration_ns / 1e9)


async def _let_go(scene: Scene) -> None:
    """Nothing of a case stands still after it: meddlers end by themselves, with the window."""
    for meddler in scene.meddlers:
        with contextlib.suppress(NotSetUpError):
            await meddler.end()


async def _ended(rig: Rig) -> None:
    rig.let_go()
    if not rig.finished.done():
        rig.finished.cancel()
        await asyncio.wait([rig.finished])


def _processors() -> tuple[float, float]:
    """Seconds of all processors that were taken ever, by anybody on this machine or beside it; and by this tree."""
    times: Any = psutil.cpu_times()
    taken_s = times.user + times.nice + times.system + getattr(times, "steal", 0.0)
    own_s = 0.0
    mine = psutil.Process()
    for process in (mine, *mine.children(recursive=True)):
        try:
            each = process.cpu_times()
        except psutil.Error:
            continue
        own_s += each.user + each.system + each.children_user + each.children_system
    return taken_s, own_s
