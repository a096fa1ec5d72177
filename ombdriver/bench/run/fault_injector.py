"""Injects the faults of a run when they are due, heals them, and keeps a record; whatever happens, all is healed.

Knows times, faults and the processes of the run by their roles. What the faults did is for `faults.consequences`.
"""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ombdriver.bench.faults.api import Fault, FaultError, FaultServer
from ombdriver.bench.faults.spec import FaultRecord, Injection, schedule
from ombdriver.bench.faults.target import Target
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.plan.plan import Plan, WorkerPlan
from ombdriver.bench.run.workers import Workers
from ombdriver.bench.servers.disk_shape import DiskShape
from ombdriver.bench.servers.formation import NodeLostError, ServerNode
from ombdriver.bench.servers.link_shape import LinkShape
from ombdriver.bench.servers.linked_ports import LinkedPorts
from ombdriver.bench.servers.links import LinkError, Links
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.reaper import StartError
from ombdriver.bench.servers.resp_client import RefusedError
from ombdriver.bench.servers.slot_migration import migrate_at_once, migrate_by_keys
from ombdriver.bench.units import SECOND
from ombdriver.bench.worker import protocol
from ombdriver.errors import OmbdriverError, WorkerError

logger = logging.getLogger(__name__)

FOREVER_NS = 1 << 62
CLOCK_S = 5.0
"""How long a server may take to see that its clock was set."""
CLOCK_NS = 100_000_000
"""A clock is as it was set up to so much: the reply takes a while."""
HEAL_S = 60.0
"""How long the final heal may take: a server may have much to load."""


class NodeOfRun:
    """One of the run's servers (`faults.api.FaultServer`)."""

    def __init__(self, node: ServerNode, on_start: Callable[[int], None]) -> None:
        self._node, self._on_start = node, on_start

    @property
    def name(self) -> str:
        """See `FaultServer.name`."""
        return self._node.name

    async def crash(self) -> None:
        """See `FaultServer.crash`."""
        try:
            await self._node.server.crash()
        except StartError as error:
            raise FaultError(f"{self.name} {error}") from error

    async def start_again(self, *, lose_data: bool = False) -> bool:
        """See `FaultServer.start_again`."""
        try:
            found = await self._node.server.start_again(lose_data=lose_data)
        except StartError as error:
            raise FaultError(f"{self.name} {error}") from error
        self._on_start(self._node.pid)
        return found

    def pause(self) -> None:
        """See `FaultServer.pause`."""
        self._node.server.pause()

    def resume(self) -> None:
        """See `FaultServer.resume`."""
        self._node.server.resume()

    async def lose_power(self) -> int:
        """See `FaultServer.lose_power`."""
        try:
            count = await self._node.server.lose_power()
        except StartError as error:
            raise FaultError(f"{self.name} {error}") from error
        logger.info("%s has lost %d bytes that no fsync had covered", self.name, count)
        return count

    async def shape_disk(self, shape: DiskShape) -> None:
        """See `FaultServer.shape_disk`."""
        before = self._node.pid
        try:
            await self._node.server.shape_disk(shape)
        except StartError as error:
            raise FaultError(f"{self.name} {error}") from error
        if self._node.pid != before:
            self._on_start(self._node.pid)

    async def set_clock(self, offset_ns: int) -> None:
        """See `FaultServer.set_clock`."""
        try:
            await self._node.server.set_clock(offset_ns / SECOND)
        except StartError as error:
            raise FaultError(f"{self.name} {error}") from error
        if self._node.server.is_down:
            return  # it looks when it starts
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOCK_S):
                while abs(await self._ahead_ns() - offset_ns) > CLOCK_NS:  # noqa: ASYNC110 - a server has no event
                    await asyncio.sleep(0.02)
                return
        raise FaultError(f"{self.name} does not tell another time (TIME) within {CLOCK_S:g} s")

    async def _ahead_ns(self) -> int:
        seconds, microseconds = await self.command("TIME")
        return int(seconds) * SECOND + int(microseconds) * 1_000 - time.time_ns()

    async def command(self, *words: str) -> Any:
        """See `FaultServer.command`."""
        try:
            (reply,) = await self._node.ask(words)
        except (NodeLostError, RefusedError) as error:
            raise FaultError(f"{self.name}: {' '.join(words[:2])}: {error}") from error
        return reply


class WorkerOfRun:
    """One of the run's workers (`faults.api.FaultWorker`).

    Args:
        plan: which.
        workers: all of them.
        start_again: starts it in the place of one that was killed.
    """

    def __init__(self, plan: WorkerPlan, workers: Workers, start_again: Callable[[int], Awaitable[None]]) -> None:
        self._plan, self._workers, self._start_again = plan, workers, start_again

    @property
    def name(self) -> str:
        """See `FaultWorker.name`."""
        return f"worker {self._plan.index} ({self._plan.role})"

    def pause(self) -> None:
        """See `FaultWorker.pause`."""
        self._workers.signal(self._plan.index, signal.SIGSTOP)

    def resume(self) -> None:
        """See `FaultWorker.resume`."""
        self._workers.signal(self._plan.index, signal.SIGCONT)

    async def crash(self) -> None:
        """See `FaultWorker.crash`."""
        try:
            await self._workers.kill(self._plan.index)
        except WorkerError as error:
            raise FaultError(str(error)) from error

    async def start_again(self, *, lose_data: bool = False) -> bool:
        """See `FaultWorker.start_again`."""
        try:
            await self._start_again(self._plan.index)
        except WorkerError as error:
            raise FaultError(str(error)) from error
        return True


class ConsumerOfRun:
    """One of the run's consumers (`faults.api.FaultConsumer`).

    Args:
        target: which.
        places: where it is: workers by their number in the plan, and its places among their consumers.
        workers: all of them.
    """

    def __init__(self, target: Target, places: Mapping[int, frozenset[int]], workers: Workers) -> None:
        self._target, self._places, self._workers = target, places, workers

    @property
    def name(self) -> str:
        """See `FaultConsumer.name`."""
        return str(self._target)

    async def crash(self) -> None:
        """See `FaultConsumer.crash`."""
        for index, places in self._places.items():
            self._workers.send_to(index, protocol.CrashConsumers(places))

    async def start_again(self, *, lose_data: bool = False) -> bool:
        """See `FaultConsumer.start_again`."""
        for index, places in self._places.items():
            self._workers.send_to(index, protocol.RestartConsumers(places))
        return True


class LinkOfRun:
    """One of the run's links (`faults.api.FaultLink`).

    Args:
        links: all of them.
        ways: what is shaped together: a port, and who calls there, or an empty text for all that do.
        name: what it lies between.
    """

    def __init__(self, links: Links, ways: Sequence[tuple[int, str]], name: str) -> None:
        self._links, self._ways, self._name = links, ways, name

    @property
    def name(self) -> str:
        """See `FaultLink.name`."""
        return self._name

    async def shape(self, shape: LinkShape) -> None:
        """See `FaultLink.shape`."""
        try:
            for port, caller in self._ways:
                await self._links.shape(port, shape, caller)
        except LinkError as error:
            raise FaultError(f"{self._name}: {error}") from error


class RunSystem:
    """The processes of one run by their roles (`faults.api.FaultSystem`).

    Args:
        plan: the run.
        workers: its worker processes.
        servers: those that it has started; None for none.
        linked: the links by which workers reach servers; None for none.
        on_start: called with the process id of a server that was started again.
        key_of: the server's name of a partition of a topic; None where the driver does not tell.
        sent_before: how many messages of a flow had been sent when the measured phase began.
        on_worker: called with the number and the process id of a worker that was started again.
    """

    def __init__(
        self,
        plan: Plan,
        workers: Workers,
        servers: ManagedServers | None,
        linked: LinkedPorts | None = None,
        on_start: Callable[[int], None] = lambda _: None,
        key_of: Callable[[str, int], str] | None = None,
        sent_before: Callable[[int], int] = lambda _: 0,
        on_worker: Callable[[int, int], None] = lambda _index, _pid: None,
    ) -> None:
        self._plan, self._workers, self._servers, self._on_start = plan, workers, servers, on_start
        self._links = linked
        self._key_of, self._sent_before, self._on_worker = key_of, sent_before, on_worker
        self._measured: Phase | None = None

    async def links(self, client: Target, server: Target) -> Sequence[LinkOfRun]:
        """See `FaultSystem.links`."""
        linked = self._links
        if linked is None:
            raise FaultError("the run has no links")
        if client.is_client:
            of_clients = linked.of_clients
            names = of_clients if self._servers is None else [each.name for each in await self._linked(server)]
            return [LinkOfRun(linked.links, [(of_clients[name], "")], f"clients - {name}") for name in names]
        pairs = {
            tuple(sorted((one.name, other.name))): (one, other)
            for one in await self._linked(client)
            for other in await self._linked(server)
            if one is not other
        }
        if not pairs:
            raise FaultError(f"{client} and {server} are the same server now")
        of_servers = linked.of_servers
        return [
            LinkOfRun(
                linked.links,
                [(port, by.address) for by, to in ((one, other), (other, one)) for port in of_servers[to.name]],
                f"{one.name} - {other.name}",
            )
            for one, other in pairs.values()
        ]

    async def _linked(self, target: Target) -> Sequence[ServerNode]:
        """Who has a role now; where nobody takes over it is who had it at the start, though it be down."""
        assert self._servers is not None
        if self._servers.plan.topology in ("sentinel", "cluster") or target.role not in ("primary", "replica"):
            return await self._nodes(target)
        return [[each for each in self._servers.data_nodes if each.role == target.role][target.place]]

    async def servers(self, target: Target) -> Sequence[FaultServer]:
        """See `FaultSystem.servers`."""
        return [NodeOfRun(node, self._on_start) for node in await self._nodes(target)]

    async def _nodes(self, target: Target) -> Sequence[ServerNode]:
        if self._servers is None:
            raise FaultError("the run has no servers of its own")
        if target.role == "servers":
            return self._servers.data_nodes
        if target.partition is not None:
            return [await self._primary_of(self._servers, target.partition)]
        if target == Target("primary"):
            first = await self._servers.primary_with_streams()
            if first is None:
                raise FaultError("there is no primary now")
            return [first]
        found = await self._servers.with_role(target.role)
        if target.place >= len(found):
            raise FaultError(f"there is no {target} now: {len(found)} have that role")
        return [found[target.place]]

    async def _primary_of(self, servers: ManagedServers, number: int) -> ServerNode:
        """Who is the primary of a partition now; they are counted through all topics."""
        found = await servers.primary_of_key(self._key(number))
        if found is None:
            raise FaultError(f"partition {number} has no primary now")
        return found

    def _key(self, number: int) -> str:
        """The server's name of a partition."""
        if self._key_of is None:
            raise FaultError("the driver does not tell where a partition is")
        at, partition = divmod(number, self._plan.topics[0].partitions)
        return self._key_of(self._plan.topics[at].name, partition)

    async def fail_over(self, target: Target) -> Sequence[str]:
        """See `FaultSystem.fail_over`."""
        primary = (await self._nodes(target))[0]
        assert self._servers is not None
        try:
            after = await self._servers.fail_over(primary)
        except OmbdriverError as error:
            raise FaultError(str(error)) from error
        return [primary.name, after.name]

    async def migrate_slots(self, source: Target, to: Target | None, *, at_once: bool) -> Sequence[str]:
        """See `FaultSystem.migrate_slots`."""
        (giving,) = await self._nodes(source)
        assert self._servers is not None
        primaries = await self._servers.with_role("primary")
        getting = (await self._nodes(to))[0] if to is not None else _next(primaries, giving)
        if getting is None or getting == giving:
            raise FaultError(f"{giving.name} has them, and there is no other primary that they could move to")
        numbers = range(self._plan.partitions) if source.partition is None else [source.partition]
        try:
            slots = await self._servers.slots_of(giving, [self._key(number) for number in numbers])
            if not slots:
                raise FaultError(f"{giving.name} has no partition of the run")
            migrate = migrate_at_once if at_once else migrate_by_keys
            await migrate(giving, getting, primaries, slots)
        except (NodeLostError, RefusedError, OmbdriverError) as error:
            raise FaultError(f"slots of {giving.name} could not be moved to {getting.name}: {error}") from error
        return [giving.name, getting.name]

    def workers(self, target: Target) -> Sequence[WorkerOfRun]:
        """See `FaultSystem.workers`."""
        found = [each for each in self._plan.workers if _does(each, target)]
        return [WorkerOfRun(each, self._workers, self._start_worker) for each in found]

    async def _start_worker(self, index: int) -> None:
        assert self._measured is not None, "faults are of the measured phase"
        pid = await self._workers.restart(index, self._measured, self._sent_before)
        if pid is not None:
            self._on_worker(index, pid)

    def begin(self, measured: Phase) -> None:
        """The measured phase has been ordered."""
        self._measured = measured

    def consumers(self, target: Target) -> Sequence[ConsumerOfRun]:
        """See `FaultSystem.consumers`."""
        places = {worker.index: _places(worker, target) for worker in self._plan.workers}
        return [ConsumerOfRun(target, {index: each for index, each in places.items() if each}, self._workers)]


def _next(primaries: Sequence[ServerNode], one: ServerNode) -> ServerNode | None:
    """The primary after `one`, round about; None where there is no other."""
    at = primaries.index(one) if one in primaries else -1
    return next((node for node in (*primaries[at + 1 :], *primaries[:at]) if node != one), None)


def _does(worker: WorkerPlan, target: Target) -> bool:
    sends = bool(worker.producers)
    reads = any(target.group in (None, each.subscription) for each in worker.consumers)
    return {"producers": sends, "consumers": reads, "clients": sends or reads}[target.role]


def _places(worker: WorkerPlan, target: Target) -> frozenset[int]:
    """Which of a worker's consumers are the one that is meant; one of many streams has several readers."""
    name = f"consumer-{target.number}"
    return frozenset(
        place
        for place, each in enumerate(worker.consumers)
        if each.subscription == target.group and (each.name == name or each.name.startswith(f"{name}-"))
    )


class OnWiped(Protocol):
    """Who is told that data is gone."""

    def __call__(self, *, partly: bool) -> None:
        """Called."""


class FaultInjector:
    """Injects the faults of one run.

    Args:
        plan: the run.
        system: its processes.
        on_wiped: called when a server has come back without data; `partly`: without what no fsync had covered.
        limiting: what lasts as long as a fault by which servers are full.

    Attributes:
        records: what was injected so far, in the order of the injections.
    """

    def __init__(
        self,
        plan: Plan,
        system: RunSystem,
        on_wiped: OnWiped = lambda *, partly: None,
        limiting: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self._injections = schedule(plan.faults, plan.test_ns)
        self._system, self._on_wiped, self._limiting = system, on_wiped, limiting
        self._tasks: list[asyncio.Task[None]] = []
        self._start_ns = 0
        self._over = asyncio.Event()
        self._found: list[FaultRecord | None] = [None] * len(self._injections)

    def __repr__(self) -> str:
        return f"<FaultInjector of {len(self._injections)} injections, {len(self.records)} done>"

    @property
    def records(self) -> Sequence[FaultRecord]:
        """See the class."""
        return sorted((each for each in self._found if each is not None), key=lambda each: each.injected_ns)

    def begin(self, measured: Phase) -> None:
        """The measured phase has been ordered: its faults are injected from its beginning on."""
        self._start_ns = measured.start_ns
        self._system.begin(measured)
        self._tasks = [asyncio.create_task(self._carry_out(number, one)) for number, one in enumerate(self._injections)]

    async def end(self) -> None:
        """The measured phase is over: what is not due yet is left out, and all that is injected is healed."""
        self._over.set()
        if self._tasks:
            tasks, self._tasks = self._tasks, []
            _, left = await asyncio.wait(tasks, timeout=HEAL_S)
            for task in left:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _now_ns(self) -> int:
        return time.monotonic_ns() - self._start_ns

    async def _until(self, at_ns: int) -> bool:
        """Waits; returns whether the phase goes on by then."""
        while (left_ns := at_ns - self._now_ns()) > 0 and not self._over.is_set():
            try:
                await asyncio.wait_for(self._over.wait(), left_ns / SECOND)
            except TimeoutError:
                continue
        return not self._over.is_set()

    async def _carry_out(self, number: int, one: Injection) -> None:
        if not await self._until(one.at_ns):
            return
        fault = one.spec.make()
        with self._limiting() if fault.LIMITS_MEMORY else contextlib.nullcontext():
            await self._inject(number, one, fault)

    async def _inject(self, number: int, one: Injection, fault: Fault) -> None:
        injected_ns, healed_ns = self._now_ns(), None
        hit: Sequence[str] = ()
        errors: list[str] = []

        def note() -> None:
            error = "; ".join(errors) or None
            self._found[number] = FaultRecord(
                one.spec, hit, one.at_ns, injected_ns, healed_ns, error, data_lost=fault.data_lost
            )

        try:
            try:
                hit = tuple(await fault.inject(self._system))
            except FaultError as error:
                errors.append(str(error))
            note()
            logger.info("fault %d, %s: %s", one.spec.number, one.spec, errors[0] if errors else ", ".join(hit))
            if fault.heals and not errors:
                await self._until(FOREVER_NS if one.lasts_ns is None else injected_ns + one.lasts_ns)
        finally:
            if fault.heals:
                healed_ns = self._now_ns()
                await asyncio.shield(self._heal(fault, errors))
                logger.info("fault %d, %s: healed", one.spec.number, one.spec)
            note()

    async def _heal(self, fault: Fault, errors: list[str]) -> None:
        try:
            await fault.heal()
        except FaultError as error:
            errors.append(f"it could not be healed: {error}")
        if fault.data_lost or fault.data_cut:
            self._on_wiped(partly=not fault.data_lost)
