"""Samples, once a second: what the server does, what it says of the streams, and what all processes of the run take.

Never fails or holds up a run: one sample of the server at a time, and one that can't be had becomes an event. Processes
are sampled beside it, so that a server that stalls is seen from outside meanwhile. Knows the driver's seam, a clock and
process ids; what becomes of the samples is in `server` and `processes`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ombdriver.bench.drivers.api import Driver
from ombdriver.bench.drivers.sample import ServerSample, ServerStatus, TimedSample, TopicPartition
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.report import ProcessUsage
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.telemetry import process
from ombdriver.bench.telemetry.contention import read_contention, usable_processors
from ombdriver.bench.telemetry.event_loop import GcPauses, LoopStalls
from ombdriver.bench.telemetry.hosts import HostSeries, HostUsage
from ombdriver.bench.telemetry.machine import ProcessesMeter
from ombdriver.bench.telemetry.processes import MACHINE_CPU, PRESSURE, STEAL, ProcessSample, ProcessSeries
from ombdriver.bench.telemetry.server import MOST_STREAMS, RoundRobin, ServerSeries
from ombdriver.bench.telemetry.summary import OuterUsage, TelemetrySummary
from ombdriver.bench.telemetry.window import Window
from ombdriver.bench.units import SECOND
from ombdriver.errors import OmbdriverError

logger = logging.getLogger(__name__)

EVERY_NS = SECOND
LAST_SAMPLE_S = 1.0
"""How long the end waits for a last sample, or for the one under way."""
PARENT_HEARTBEAT_S = 0.05
"""The parent has no message to be late for, so its own loop is watched less often than a worker's."""
SERVER, PARENT = "server", "parent"


class Telemetry:
    """Samples the server and the processes of one run, in the parent.

    Args:
        plan: the run.
        driver: gives samples; one without `observe`, or whose samples are None, has no server.
        reports: what each worker last said of its process, in the plan's order.
        workers: process ids, in the plan's order; None for one on another host, which only its reports tell of.
        servers: the process ids of servers on this machine that are the run's own; they count as one process.
        hosts: that the workers are on, where these are others; each takes its samples by itself.
        scheduler: what has placed the workers there, as one of these; None on this machine.
        server_host: that of `hosts` on which the run's own servers are, in place of `servers`; None for none.
        every_ns: between two samples.
    """

    def __init__(
        self,
        plan: Plan,
        driver: Driver,
        reports: Callable[[], Sequence[ProcessUsage]],
        workers: Sequence[int | None],
        servers: Sequence[int] = (),
        hosts: Sequence[HostSeries] = (),
        scheduler: HostSeries | None = None,
        server_host: HostSeries | None = None,
        every_ns: int = EVERY_NS,
    ) -> None:
        self._hosts, self._scheduler, self._server_host = hosts, scheduler, server_host
        self._observe: Callable[[Sequence[TopicPartition]], Awaitable[ServerSample | None]] | None = getattr(
            driver, "observe", None
        )
        self._streams: list[TopicPartition] = [
            (topic.name, p) for topic in plan.topics for p in range(topic.partitions)
        ]
        self._next_streams = RoundRobin(self._streams)
        self._reports, self._every_ns = reports, every_ns
        self._roles = {f"worker {worker.index}": worker.role for worker in plan.workers}
        self._meters: dict[str, ProcessesMeter] = {
            name: ProcessesMeter([pid]) for name, pid in zip(self._roles, workers, strict=True) if pid is not None
        }
        if servers:
            self._meters[SERVER] = ProcessesMeter(servers)
        self._server, self._processes = ServerSeries(every_ns), ProcessSeries()
        self._processors = usable_processors()
        self._window = Window()
        self._missed = self._unanswered = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False
        self._rescheduled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stalls: LoopStalls | None = None
        self._gc_pauses: GcPauses | None = None

    def __repr__(self) -> str:
        return f"<Telemetry {self._server}, {self._processes}>"

    # -- phases ----------------------------------------------------------------------------------------------------

    def begin_phase(self, phase: Phase) -> None:
        """A phase begins; the last one is the window that counts.

        The first phase starts everything; samples fall on its whole seconds, and on its end.
        """
        self._window = Window(phase.start_ns, phase.end_ns)
        self._server.begin(self._window)
        self._processes.begin(self._window)
        for series in (*self._hosts, *([self._scheduler] if self._scheduler else [])):
            series.begin(self._window)
        if not self._tasks:
            self._stalls, self._gc_pauses = LoopStalls(PARENT_HEARTBEAT_S), GcPauses()
            self._tasks.append(asyncio.create_task(self._sample_processes()))
            if self._observe is not None:
                self._tasks.append(asyncio.create_task(self._sample_server()))
        else:
            self._reschedule()
        assert self._stalls is not None
        assert self._gc_pauses is not None
        self._stalls.reset()
        self._gc_pauses.reset()

    def extend_phase(self, phase: Phase) -> None:
        """The phase that began last ends later than it was to."""
        self._window.extend(phase.end_ns)
        self._reschedule()

    def end_phase(self) -> None:
        """The phase that began last is over."""
        self._window.end(time.monotonic_ns())

    def add_server(self, pid: int) -> None:
        """A server of the run has been started again, as another process."""
        self._add(SERVER, pid)

    def add_worker(self, index: int, pid: int) -> None:
        """A worker has been started again, as another process."""
        self._add(f"worker {index}", pid)

    def _add(self, name: str, pid: int) -> None:
        if (meter := self._meters.get(name)) is not None:
            meter.add(pid)

    async def stop(self) -> None:
        """Ends with a last sample, for which it waits for a second at most."""
        self._stopped = True
        self._reschedule()
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=LAST_SAMPLE_S)
            self._unanswered += len(left)
        await self.aclose()

    async def aclose(self) -> None:
        """Ends at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._stalls and self._gc_pauses:
            self._stalls.close()
            self._gc_pauses.close()
        self._tasks, self._stalls, self._gc_pauses = [], None, None

    # -- sampling --------------------------------------------------------------------------------------------------

    def _reschedule(self) -> None:
        """Whoever waits for a tick looks again when that is."""
        rescheduled, self._rescheduled = self._rescheduled, asyncio.get_running_loop().create_future()
        rescheduled.set_result(None)

    async def _until_tick(self) -> None:
        tick_ns = self._next_tick()
        while not self._stopped and (left_ns := tick_ns - time.monotonic_ns()) > 0:
            rescheduled = self._rescheduled
            await asyncio.wait([rescheduled], timeout=left_ns / SECOND)
            if rescheduled.done():
                tick_ns = self._next_tick()

    def _next_tick(self) -> int:
        return next_tick(time.monotonic_ns(), self._window.start_ns, self._window.end_ns, self._every_ns)

    async def _sample_processes(self) -> None:
        while True:
            self._processes.add(self._process_sample())
            if self._stopped:
                return
            await self._until_tick()

    def _process_sample(self) -> ProcessSample:
        outer: dict[str, OuterUsage | None] = {name: meter.read() for name, meter in self._meters.items()}
        if self._server_host is not None:
            outer[SERVER] = self._server_host.servers_now
        own = dict(zip(self._roles, self._reports(), strict=False))
        parent = self._parent_usage()
        outer[PARENT] = OuterUsage(parent.cpu_ns, parent.rss_bytes)
        return ProcessSample(time.monotonic_ns(), outer, own | {PARENT: parent}, read_contention(self._processors))

    def _parent_usage(self) -> ProcessUsage:
        stalls, gc_pauses = self._stalls, self._gc_pauses
        return ProcessUsage(
            cpu_ns=time.process_time_ns(),
            rss_bytes=process.resident_bytes()[0],
            gc_pauses=gc_pauses.count if gc_pauses else 0,
            gc_ns=gc_pauses.total_ns if gc_pauses else 0,
            stalls=stalls.count if stalls else 0,
            stalled_ns=stalls.total_ns if stalls else 0,
            since_ns=self._window.start_ns,
        )

    async def _sample_server(self) -> None:
        while True:
            asked_ns = time.monotonic_ns()
            is_there = await self._ask_server(asked_ns)
            self._missed += ticks_between(asked_ns, time.monotonic_ns(), self._window.start_ns, self._every_ns)
            if self._stopped or not is_there:
                return
            await self._until_tick()

    async def _ask_server(self, asked_ns: int) -> bool:
        """One sample; False when there is no server."""
        assert self._observe is not None
        try:
            sample = await self._observe(self._next_streams.next())
            if sample is not None:
                self._server.add(TimedSample(sample, asked_ns, time.monotonic_ns()))
        except OmbdriverError as error:
            self._server.fail(asked_ns, str(error))
        except Exception as error:  # a fault of a driver is no reason to lose the run
            logger.warning("telemetry: a look failed", exc_info=True)
            self._server.fail(asked_ns, f"a fault of the driver: {error}")
        else:
            return sample is not None
        return True

    @property
    def server_now(self) -> ServerStatus | None:
        """The server at the last sample; None when there has been none."""
        return self._server.now

    # -- what it found ---------------------------------------------------------------------------------------------

    def summary(self) -> TelemetrySummary:
        """The measured window in a few figures."""
        processes = self._processes
        shares = [processes.cpu(name) for name in self._roles]
        server_cpu, server_waiting = processes.cpu(SERVER), processes.waiting(SERVER)
        if self._server_host is not None:  # by the times at which its agent has looked
            there = self._server_host.usage()
            server_cpu, server_waiting = there.servers_cpu, there.servers_waiting
        return replace(
            self._server.summary(),
            server_process_cpu=server_cpu,
            server_process_waiting=server_waiting,
            busiest_worker_cpu=max(shares, key=lambda share: share.mean or 0, default=None),
            steal=processes.share(STEAL),
            pressure=processes.share(PRESSURE),
            machine_cpu=processes.share(MACHINE_CPU),
            parent_cpu=processes.cpu(PARENT),
        )

    def hosts(self) -> list[HostUsage]:
        """What each of the other hosts took in the measured window; none on this machine."""
        return [series.usage() for series in self._hosts]

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain data for a result."""
        server, processes = self._server, self._processes
        return {
            "intervalSeconds": self._every_ns * server.stride / SECOND,
            "summary": self.summary().to_json(),
            "server": self._server_json() if server.samples or server.failed else None,
            "processes": processes.to_json(SERVER, PARENT, self._roles),
            **({"hosts": [usage.to_json() for usage in self.hosts()]} if self._hosts else {}),
            **({"schedulerCpu": self._scheduler.usage().engine_cpu.to_json()} if self._scheduler else {}),
            "cost": {
                "looks": server.samples,
                "late": server.late,
                "missed": self._missed,
                "failed": server.failed,
                "unanswered": self._unanswered,
                "meanMs": round(server.total_ns / server.samples / 1e6, 4) if server.samples else None,
                "longestMs": round(server.longest_ns / 1e6, 4) if server.samples else None,
                "commands": server.commands_sent,
                "parentCpu": processes.cpu(PARENT).to_json(),
            },
        }

    def _server_json(self) -> Mapping[str, Any]:
        series = self._server.to_json()
        series["streams"] = {"count": len(self._streams), "perLook": MOST_STREAMS} | series["streams"]
        return series


def next_tick(now_ns: int, start_ns: int, end_ns: int, every_ns: int) -> int:
    """When to sample next: a whole number of steps after or before `start_ns`, or at `end_ns` if that comes sooner."""
    step_ns = start_ns + ((now_ns - start_ns) // every_ns + 1) * every_ns
    return min(step_ns, end_ns) if now_ns < end_ns else step_ns


def ticks_between(asked_ns: int, answered_ns: int, start_ns: int, every_ns: int) -> int:
    """Samples that did not take place since another one was under way from `asked_ns` to `answered_ns`."""
    return (answered_ns - start_ns) // every_ns - (asked_ns - start_ns) // every_ns
