"""Once a second: what the server does, what it says of the streams, and what all processes of the run take.

Knows the driver's seam, a clock and process ids; what becomes of the looks is in `server_series` and `process_series`.
Never fails or holds up a run: one look at a time, and one that can't be had is told. Processes are looked at beside
it, so that a server that stalls is seen from outside meanwhile.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from ombdriver.bench.drivers.api import Driver
from ombdriver.bench.drivers.sample import ServerSample, ServerStatus, TimedSample, TopicPartition
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.report import ProcessUsage
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.telemetry import process
from ombdriver.bench.telemetry.event_loop import GcPauses, LoopStalls
from ombdriver.bench.telemetry.machine import Meter, Meters
from ombdriver.bench.telemetry.processes import ProcessSample, ProcessSeries, Taken
from ombdriver.bench.telemetry.server import MOST_PER_LOOK, ServerSeries, Turns
from ombdriver.errors import OmbdriverError

logger = logging.getLogger(__name__)

SECOND = 10**9
EVERY_NS = SECOND
LAST_LOOK_S = 1.0
"""How long the end waits for a last look, or for the one under way."""
OWN_STALLS_S = 0.05
"""The parent has no message to be late for, so its own loop is watched less often than a worker's."""
SERVER, PARENT = "server", "parent"


class Telemetry:
    """Looks at the server and at the processes of one run, in the parent.

    Args:
        plan: the run.
        driver: gives looks; one without `observe`, or whose looks are None, has no server.
        reports: what each worker last said of its process, in the plan's order.
        workers: process ids, in the plan's order.
        servers: the process ids of servers on this machine that are the run's own; they are told together.
        every_ns: between two looks.
    """

    def __init__(
        self,
        plan: Plan,
        driver: Driver,
        reports: Callable[[], Sequence[ProcessUsage]],
        workers: Sequence[int],
        servers: Sequence[int] = (),
        every_ns: int = EVERY_NS,
    ) -> None:
        self._observe: Callable[[Sequence[TopicPartition]], Awaitable[ServerSample | None]] | None = getattr(
            driver, "observe", None
        )
        self._streams: list[TopicPartition] = [
            (topic.name, p) for topic in plan.topics for p in range(topic.partitions)
        ]
        self._turns = Turns(self._streams)
        self._reports, self._every_ns = reports, every_ns
        self._roles = {f"worker {worker.index}": worker.role for worker in plan.workers}
        self._meters: dict[str, Meter | Meters] = dict(zip(self._roles, map(Meter, workers), strict=True))
        if servers:
            self._meters[SERVER] = Meters(servers)
        self._server, self._processes = ServerSeries(every_ns), ProcessSeries()
        self._start_ns = self._end_ns = 0
        self._missed = self._unanswered = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False
        self._moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stalls: LoopStalls | None = None
        self._collections: GcPauses | None = None

    def __repr__(self) -> str:
        return f"<Telemetry {self._server}, {self._processes}>"

    # -- the course of the run -------------------------------------------------------------------------------------

    def begin_phase(self, phase: Phase) -> None:
        """A phase begins; the last one is the window that counts.

        The first phase starts everything; looks fall on its whole seconds, and on its end.
        """
        self._start_ns, self._end_ns = phase.start_ns, phase.end_ns
        self._server.begin(phase.start_ns, phase.end_ns)
        self._processes.begin(phase.start_ns, phase.end_ns)
        if not self._tasks:
            self._stalls, self._collections = LoopStalls(OWN_STALLS_S), GcPauses()
            self._tasks.append(asyncio.create_task(self._watch_processes()))
            if self._observe is not None:
                self._tasks.append(asyncio.create_task(self._watch_server()))
        else:
            self._move()
        assert self._stalls is not None
        assert self._collections is not None
        self._stalls.reset()
        self._collections.reset()

    def extend_phase(self, phase: Phase) -> None:
        """The phase that began last may end later than it was to."""
        if phase.end_ns > self._end_ns:
            self._end_ns = phase.end_ns
            self._server.prolong(phase.end_ns)
            self._processes.prolong(phase.end_ns)
            self._move()

    def end_phase(self) -> None:
        """The phase that began last is over."""
        now_ns = time.monotonic_ns()
        self._server.end(now_ns)
        self._processes.end(now_ns)

    async def stop(self) -> None:
        """Ends with a last look, for which it waits for a second at most."""
        self._stopped = True
        self._move()
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=LAST_LOOK_S)
            self._unanswered += len(left)
        await self.aclose()

    async def aclose(self) -> None:
        """Ends at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._stalls and self._collections:
            self._stalls.close()
            self._collections.close()
        self._tasks, self._stalls, self._collections = [], None, None

    def _move(self) -> None:
        """Whoever waits for a tick looks again when that is."""
        moved, self._moved = self._moved, asyncio.get_running_loop().create_future()
        moved.set_result(None)

    # -- ticks -----------------------------------------------------------------------------------------------------

    async def _until_tick(self) -> None:
        tick_ns = next_tick(time.monotonic_ns(), self._start_ns, self._end_ns, self._every_ns)
        while not self._stopped and (left_ns := tick_ns - time.monotonic_ns()) > 0:
            moved = self._moved
            await asyncio.wait([moved], timeout=left_ns / SECOND)
            if moved.done():
                tick_ns = next_tick(time.monotonic_ns(), self._start_ns, self._end_ns, self._every_ns)

    async def _watch_processes(self) -> None:
        while True:
            self._processes.take(self._tick())
            if self._stopped:
                return
            await self._until_tick()

    async def _watch_server(self) -> None:
        while True:
            asked_ns = time.monotonic_ns()
            there_is_one = await self._look(asked_ns)
            self._missed += ticks_between(asked_ns, time.monotonic_ns(), self._start_ns, self._every_ns)
            if self._stopped or not there_is_one:
                return
            await self._until_tick()

    async def _look(self, asked_ns: int) -> bool:
        """One look; False when there is no server."""
        assert self._observe is not None
        try:
            look = await self._observe(self._turns.take())
            if look is not None:
                self._server.take(TimedSample(look, asked_ns, time.monotonic_ns()))
        except OmbdriverError as error:
            self._server.fail(asked_ns, str(error))
        except Exception as error:  # a fault of a driver is no reason to lose the run
            logger.warning("telemetry: a look failed", exc_info=True)
            self._server.fail(asked_ns, f"a fault of the driver: {error}")
        else:
            return look is not None
        return True

    def _tick(self) -> ProcessSample:
        taken: dict[str, Taken] = {name: meter.read() for name, meter in self._meters.items()}
        own = dict(zip(self._roles, self._reports(), strict=False))
        parent = self._parent()
        taken[PARENT] = (parent.cpu_ns, parent.rss_bytes)
        return ProcessSample(time.monotonic_ns(), taken, own | {PARENT: parent})

    def _parent(self) -> ProcessUsage:
        stalls, collections = self._stalls, self._collections
        return ProcessUsage(
            cpu_ns=time.process_time_ns(),
            rss_bytes=process.resident_bytes()[0],
            gc_pauses=collections.count if collections else 0,
            gc_ns=collections.total_ns if collections else 0,
            stalls=stalls.count if stalls else 0,
            stalled_ns=stalls.total_ns if stalls else 0,
            since_ns=self._start_ns,
        )

    @property
    def server_now(self) -> ServerStatus | None:
        """The server at the last look; None when there has been none."""
        return self._server.now

    # -- what is told ----------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain data for a result."""
        server, processes = self._server, self._processes
        busiest = max((processes.cpu(name) for name in self._roles), key=lambda each: each["mean"] or 0, default=None)
        return {
            "intervalSeconds": self._every_ns * server.stride / SECOND,
            "summary": {
                **server.summary(),
                "serverProcessCpu": processes.cpu(SERVER),
                "busiestWorkerCpu": busiest,
            },
            "server": self._told_server() if server.looks or server.failed else None,
            "processes": processes.told(SERVER, PARENT, self._roles),
            "cost": {
                "looks": server.looks,
                "late": server.late,
                "missed": self._missed,
                "failed": server.failed,
                "unanswered": self._unanswered,
                "meanMs": round(server.total_ns / server.looks / 1e6, 4) if server.looks else None,
                "longestMs": round(server.longest_ns / 1e6, 4) if server.looks else None,
                "commands": server.commands_sent,
                "parentCpu": processes.cpu(PARENT),
            },
        }

    def _told_server(self) -> Mapping[str, Any]:
        told = self._server.told()
        told["streams"] = {"count": len(self._streams), "perLook": MOST_PER_LOOK} | told["streams"]
        return told


def next_tick(now_ns: int, start_ns: int, end_ns: int, every_ns: int) -> int:
    """When to look next: a whole number of steps after or before `start_ns`, or at `end_ns` if that comes sooner."""
    step_ns = start_ns + ((now_ns - start_ns) // every_ns + 1) * every_ns
    return min(step_ns, end_ns) if now_ns < end_ns else step_ns


def ticks_between(asked_ns: int, answered_ns: int, start_ns: int, every_ns: int) -> int:
    """Looks that did not take place since another one was under way from `asked_ns` to `answered_ns`."""
    return (answered_ns - start_ns) // every_ns - (asked_ns - start_ns) // every_ns
