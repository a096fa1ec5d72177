"""Hosts from a scheduler of Dask: chosen, compared, and given an agent each. Only importer of distributed.

Dask places the agents, and has no part in what they do: orders, reports and clocks cross on connections of the agents'
own. When the scheduler goes away while a run goes on, the run goes on too.
"""

import asyncio
import contextlib
import logging
import socket
import time
import warnings
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ombdriver.bench.hosts import agent_protocol
from ombdriver.bench.hosts.agent_process import AgentProcess, host_facts
from ombdriver.bench.hosts.cluster import Cluster, is_loopback
from ombdriver.bench.hosts.coordinator import Coordinator, Host, OwnClock
from ombdriver.bench.hosts.kernel_clock import read_wall
from ombdriver.bench.load.host_clock import ServerTime
from ombdriver.bench.telemetry.hosts import HostSample, HostSeries
from ombdriver.errors import InputError, RunError

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S, CALL_TIMEOUT_S, END_TIMEOUT_S, CLOSE_TIMEOUT_S = 10.0, 30.0, 15.0, 4.0
LOOK_S = 0.2
WATCH_EVERY_S, WATCH_TIMEOUT_S = 1.0, 5.0


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts of a run that goes on.

    Attributes:
        coordinator: launches workers on them.
        facts: what each of them is, in the coordinator's order.
        scheduler: what the scheduler takes, as long as it can be asked.
        server_host: the one that the run's own servers are to be on; None for none.
    """

    coordinator: Coordinator
    facts: Sequence[Mapping[str, Any]]
    scheduler: HostSeries
    server_host: Host | None = None

    def series(self, servers: int = 0) -> list[HostSeries]:
        """Takes what each of them tells of itself from now on, once a second.

        Args:
            servers: how many servers were started on `server_host`.
        """
        found = []
        for host, facts in zip(self.coordinator.hosts, self.facts, strict=True):
            series = HostSeries(host.name, facts, servers if host is self.server_host else 0)
            host.on_sample = series.add
            found.append(series)
        return found

    def contradictions(self, server_times: Sequence[ServerTime]) -> list[tuple[str, str, int]]:
        """Host, witness, and by how much (ns) that contradicts what exchanges prove; `server_times` as asked here."""
        own = OwnClock(read_wall(), server_times)
        each = self.coordinator.hosts
        return [(host.name, witness, ns) for host in each for witness, ns in host.contradictions(own).items()]

    def to_json(self, server_times: Sequence[ServerTime]) -> list[dict[str, Any]]:
        """The `environment.hosts` of a result; `server_times` as asked here."""
        own = OwnClock(read_wall(), server_times)
        hosts = zip(self.coordinator.hosts, self.facts, strict=True)
        return [
            {
                **facts,
                "name": host.name,
                "clock": host.clock_to_json(own),
                **({"hasServer": True, "hasWorkers": host.has_workers} if host is self.server_host else {}),
            }
            for host, facts in hosts
        ]


@contextlib.asynccontextmanager
async def connected(cluster: Cluster) -> AsyncIterator[Hosts]:
    """The hosts that `cluster` asks for, each with an agent that has dialled in; nothing of them is left afterwards.

    Raises:
        InputError: if Dask is not installed here.
        RunError: if there is no scheduler, too few hosts, one of another version, or one that can't be reached.
    """
    address = cluster.scheduler
    assert address is not None  # only plans do without
    async with contextlib.AsyncExitStack() as stack:
        client = await _client(address, stack)
        try:
            offered = (await client.scheduler.identity(n_workers=-1))["workers"]
        except OSError as error:
            raise RunError(f"the scheduler at {address} is gone: {error}") from error
        choice = chosen_hosts(
            {worker: str(told.get("name", "")) for worker, told in offered.items()},
            cluster.layout.hosts,
            address,
            cluster.server_host,
        )
        chosen = choice.workers
        nannies = [bool(offered[worker].get("nanny")) for worker in chosen]
        facts = await _side_by_side([_facts(client, worker) for worker in chosen], [])
        names = names_of([str(each["name"]) for each in facts], [_host_of(worker) for worker in chosen])
        _compare_versions(names, facts)
        agents: list[Any] = []
        stack.push_async_callback(_end, agents)
        coordinator = await stack.enter_async_context(
            Coordinator(names, _address_towards(peer_elsewhere(address, chosen)))
        )
        places = zip(chosen, nannies, coordinator.hosts, strict=True)
        await _side_by_side([_agent(client, *place, coordinator) for place in places], agents)
        looking = asyncio.create_task(_look(agents, coordinator))
        try:
            await coordinator.connected()
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        logger.info("connected: %s", ", ".join(names))
        scheduler = HostSeries(address, {})
        watching = asyncio.create_task(_watch_scheduler(client, scheduler))
        try:
            server_host = None if choice.server is None else coordinator.hosts[choice.server]
            yield Hosts(coordinator, facts, scheduler, server_host)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _client(scheduler: str, stack: contextlib.AsyncExitStack) -> Any:
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise InputError("--scheduler: Dask is not installed; install it: pip install 'ombdriver[cluster]'") from error
    if not logger.isEnabledFor(logging.INFO):
        for name in ("distributed", "distributed.client"):  # what matters of what they say is told by our errors
            logging.getLogger(name).setLevel(logging.CRITICAL)
        warnings.filterwarnings("ignore", module=r"distributed\b")
    make: Any = distributed.Client  # which has no types
    client = None
    try:
        client = make(  # reads the certificates that Dask's settings name
            scheduler, asynchronous=True, set_as_default=False, timeout=CONNECT_TIMEOUT_S, name="ombdriver"
        )
        await client
    except Exception as error:  # of any kind: of files, TLS, addresses, versions, time
        if client is not None:
            await _close(client)
        raise RunError(
            f"no scheduler of Dask answers at {scheduler} ({_in_a_line(error)}); see whether it is up, and for"
            " tls:// whether Dask's own settings (distributed.comm.tls) name the certificates"
        ) from error
    stack.push_async_callback(_close, client)
    return client


async def _close(client: Any) -> None:
    """Whatever becomes of it, the run has ended by then, and may have ended with an error of its own."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await client.close(timeout=CLOSE_TIMEOUT_S / 2)
    except Exception as error:  # of any kind: a scheduler that has no time is waited for with a TimeoutError
        logger.info("the connection to the scheduler was not closed in order: %r", error)


def _in_a_line(error: BaseException) -> str:
    """What an error of Dask says first, which may be nothing, and its kind."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


@dataclass(frozen=True, slots=True)
class Choice:
    """The hosts that were chosen.

    Attributes:
        workers: a worker of Dask on each of them, by its address: those for workers of the run, in the order of the
            plan, and after them the one for servers alone, if there is one.
        server: which of them the run's own servers are to be on; None for none.
    """

    workers: Sequence[str] = field(default_factory=list)
    server: int | None = None


FIRST = "first"


def chosen_hosts(workers: Mapping[str, str], wanted: int, scheduler: str, server_host: str | None = None) -> Choice:
    """`wanted` hosts for workers, and the one for servers, which has no workers where there are hosts enough.

    Args:
        workers: those that the scheduler has: what Dask calls each, by its address.
        wanted: how many hosts are to have workers.
        scheduler: its address, for messages.
        server_host: see `Cluster`.

    Raises:
        RunError: if there are not so many, or none is called `server_host`.
    """
    found: dict[str, str] = {}
    for worker in sorted(workers):
        found.setdefault(_host_of(worker), worker)
    if not found:
        raise RunError(f"the scheduler at {scheduler} has no workers; start `dask worker {scheduler}` on each host")
    if len(found) < wanted:
        raise RunError(
            f"--hosts: {wanted} asked for, and the scheduler has workers on {len(found)} ({', '.join(found)}); start"
            " a worker of Dask on each host, or ask for fewer"
        )
    if server_host is None:
        return Choice(list(found.values())[:wanted])
    named = [
        _host_of(worker)
        for worker in sorted(workers)
        if server_host in (FIRST, worker, _host_of(worker), workers[worker])
    ]
    if not named:
        raise RunError(
            f"--server-host: the scheduler has no host or worker called {server_host}; write one of"
            f" {', '.join(found)}, or {FIRST}"
        )
    server = found[named[0]]
    others = [worker for worker in found.values() if worker != server]
    if len(others) >= wanted:
        return Choice([*others[:wanted], server], wanted)
    every = list(found.values())
    return Choice(every, every.index(server))


def _host_of(worker: str) -> str:
    return urlsplit(worker).hostname or worker


def names_of(names: Sequence[str], addresses: Sequence[str]) -> list[str]:
    """What messages call the hosts: by their own names where these differ, and else by their addresses."""
    return list(names) if len(set(names)) == len(names) else list(addresses)


async def _result(future: Any, host: str, what: str) -> Any:
    """What became of a call on a worker of Dask, whose errors may be of any kind; `what` has failed then."""
    try:
        async with asyncio.timeout(CALL_TIMEOUT_S) as waiting:
            return await future
    except Exception as error:
        if waiting.expired():
            raise RunError(
                f"host {host}: its worker of Dask did not answer within {CALL_TIMEOUT_S:g} s; see whether it is there,"
                " and has nothing else to do"
            ) from error
        raise RunError(f"host {host}: {what} ({_in_a_line(error)})") from error


async def _side_by_side(calls: Sequence[Coroutine[Any, Any, Any]], found: list[Any]) -> list[Any]:
    """What the calls return, which is added to `found` also when one of them fails.

    Raises:
        RunError: the first that any of them raised, when all are over.
    """
    ended = await asyncio.gather(*calls, return_exceptions=True)
    found += [each for each in ended if not isinstance(each, BaseException)]
    for each in ended:
        if isinstance(each, BaseException):
            raise each
    return found


async def _agent(client: Any, worker: str, has_nanny: bool, host: Host, coordinator: Coordinator) -> Any:
    future = client.submit(AgentProcess, workers=[worker], allow_other_workers=False, actor=True, pure=False)
    agent = await _result(future, host.name, what := "its agent could not be started")
    with client.as_current():  # by which an actor finds the client for this call, and keeps it for all later ones
        started = agent.start(dict(coordinator.orders(host)), has_nanny=has_nanny)
    await _result(started, host.name, what)
    return agent


async def _facts(client: Any, worker: str) -> Mapping[str, Any]:
    future = client.submit(host_facts, workers=[worker], allow_other_workers=False, pure=False)
    found: Mapping[str, Any] = await _result(
        future, _host_of(worker), f"it has no {agent_protocol.OWN} with the extra cluster; install it there"
    )
    return found


def _compare_versions(names: Sequence[str], facts: Sequence[Mapping[str, Any]]) -> None:
    own = str(agent_protocol.OWN)
    found = {name: each["version"] for name, each in zip(names, facts, strict=True)}
    others = [f"{name} has {version}" for name, version in found.items() if version != own]
    if others:
        raise RunError(f"host {', '.join(others)}, and this machine {own}; install one version on all hosts")


def peer_elsewhere(scheduler: str, workers: Sequence[str]) -> str:
    """Of these addresses, the one towards which this machine has the address that hosts reach it by.

    The scheduler's; or, where that is a loopback address, the first of a worker that is elsewhere.
    """
    if not is_loopback(urlsplit(scheduler).hostname or ""):
        return scheduler
    return next((each for each in workers if not is_loopback(_host_of(each))), scheduler)


def _address_towards(peer: str) -> str:
    """The address of this machine on the way to `peer`; connecting a socket for datagrams sends nothing."""
    parts = urlsplit(peer)
    try:
        family, _, _, _, address = socket.getaddrinfo(parts.hostname, parts.port or 8786, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise RunError(f"the hosts can't be told an address of this machine: {error.strerror}") from error


async def _look(agents: Sequence[Any], coordinator: Coordinator) -> None:
    """An agent that ends before it has dialled in is not waited for."""
    while True:
        for agent, host in zip(agents, coordinator.hosts, strict=True):
            if host.gone is None and (fate := await agent.ended()) is not None:
                host.lose(fate)
        await asyncio.sleep(LOOK_S)


async def _watch_scheduler(client: Any, series: HostSeries) -> None:
    """Asks the scheduler once a second for its processor time; one that is gone, or does not tell, not again."""
    with contextlib.suppress(Exception):  # of any kind: a run goes on without its scheduler
        while True:
            async with asyncio.timeout(WATCH_TIMEOUT_S):
                cpu_ns = await client.run_on_scheduler(time.process_time_ns)
            series.add(HostSample(time.monotonic_ns(), engine_cpu_ns=cpu_ns))
            await asyncio.sleep(WATCH_EVERY_S)


async def _end(agents: Sequence[Any]) -> None:
    """Agents end by their connections, which are closed; what is left of one on a host that answers is ended there."""

    async def end(agent: Any) -> None:
        async with asyncio.timeout(END_TIMEOUT_S):
            logger.debug("%s", await agent.end(END_TIMEOUT_S / 2))

    for error in await asyncio.gather(*map(end, agents), return_exceptions=True):
        if error is not None:  # its host is gone: the agent ends by itself
            logger.info("an agent could not be seen to end: %r", error)
