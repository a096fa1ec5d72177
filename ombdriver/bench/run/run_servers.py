"""The servers of a run: those that its setup names, or that are started for it, on this machine or on one of its hosts.

Whatever is started is stopped by the stack of the run; when the run fails, what it has said is kept in a file here.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ombdriver.bench.faults.api import Fault
from ombdriver.bench.hosts.host_servers import HostServers, ServerHost
from ombdriver.bench.servers.equipment import Equipment
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.topology import with_memory_limit
from ombdriver.bench.spec.credentials import connect_url, started_url
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.telemetry.machine import available_memory
from ombdriver.errors import LINE, RunError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunServers:
    """The servers of one run.

    Attributes:
        url: what a driver connects to, with the password; None where it needs none.
        here: those that were started on this machine.
        elsewhere: those that were started on one of the hosts.
        has_limit: whether they were given a limit of memory that the setup does not say.
    """

    url: str | None = None
    here: ManagedServers | None = None
    elsewhere: HostServers | None = None
    has_limit: bool = False

    @property
    def _own(self) -> ManagedServers | HostServers | None:
        return self.here or self.elsewhere

    @property
    def count(self) -> int:
        """How many were started on one of the hosts."""
        return 0 if self.elsewhere is None else len(self.elsewhere.servers)

    def ended(self) -> Sequence[str]:
        """The names of those that were started and have ended by themselves."""
        return () if self._own is None else self._own.ended()

    def check(self) -> None:
        """Does nothing while those that were started can serve.

        Raises:
            ServerError: if they can't any more.
        """
        if self._own is not None:
            self._own.check()


async def start_servers(
    setup: Setup, stack: AsyncExitStack, faults: Sequence[Fault], host: ServerHost | None = None
) -> RunServers:
    """The servers of `setup`, ready for these faults.

    Args:
        setup: which.
        stack: stops what is started.
        faults: that break them in the run.
        host: where they are started; None for this machine.

    Raises:
        InputError: if what is needed to connect to a server that runs already is not there.
        ServerError: if they can't be started.
    """
    if setup.server is None:
        return RunServers()
    if setup.server.url is not None:
        return RunServers(connect_url(setup.server))
    plan = setup.server.plan
    if host is not None:
        there = await HostServers.start(host, plan)
        stack.push_async_callback(there.stop)
        await stack.enter_async_context(_keeping_logs(there.keep_logs))
        _log(f" on host {host.name}", {each.name: (each.port, each.pid) for each in there.servers})
        url = started_url(there.url, there.plan.config)
        return RunServers(url, elsewhere=there, has_limit=there.has_limit)
    memory = available_memory()
    limited = with_memory_limit(plan, memory.available if memory else None)
    servers = await ManagedServers.start(
        replace(limited, equipment=Equipment.of(fault.equipment for fault in faults)),
        with_links=any(fault.needs_links for fault in faults),
    )
    stack.push_async_callback(servers.stop)

    async def keep_logs() -> Path | None:
        return servers.keep_logs()

    await stack.enter_async_context(_keeping_logs(keep_logs))
    _log("", {node.name: (node.port, node.pid) for node in servers.nodes})
    return RunServers(started_url(servers.url, plan.config), here=servers, has_limit=limited.config != plan.config)


def _log(where: str, servers: Mapping[str, tuple[int, int]]) -> None:
    started = ", ".join(f"{name} (port {port}, pid {pid})" for name, (port, pid) in servers.items())
    logger.info("started%s %s", where, started)


@asynccontextmanager
async def _keeping_logs(keep: Callable[[], Awaitable[Path | None]]) -> AsyncIterator[None]:
    """When a run fails, what its servers have said is worth keeping."""
    try:
        yield
    except RunError as error:
        if (path := await keep()) is None:
            raise
        raise RunError(f"{error}{LINE}(the logs of the servers are kept in {path})") from error
