"""The run's own servers on the host of an agent: started, watched and ended by it, as the coordinator says.

They are those of a run on one machine (`servers.managed`), each with a reaper, so they end also when the agent is
killed. The coordinator hears of them what it would see of its own.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ombdriver.bench.hosts import agent_protocol
from ombdriver.bench.hosts.carried_files import read_files
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.topology import ServerPlan, with_memory_limit
from ombdriver.bench.telemetry.summary import OuterUsage
from ombdriver.errors import OmbdriverError

if TYPE_CHECKING:
    from ombdriver.bench.telemetry.machine import ProcessesMeter

LOOK_S = 0.1


class AgentServers:
    """The servers of one plan; none until `start`.

    Args:
        tell: takes what the coordinator is to hear.
    """

    def __init__(self, tell: Callable[[agent_protocol.FromServers], None]) -> None:
        self._tell = tell
        self._servers: ManagedServers | None = None
        self._meter: ProcessesMeter | None = None
        self._life: asyncio.Task[None] | None = None
        self._asked: asyncio.Queue[agent_protocol.TellLogs | agent_protocol.StopServers] = asyncio.Queue()

    def __repr__(self) -> str:
        return f"<AgentServers: {self._servers}>"

    def start(self, plan: ServerPlan, address: str) -> None:
        """Starts them at `address`, once; how that went is told."""
        if self._life is None:
            self._life = asyncio.get_running_loop().create_task(self._live(replace(plan, address=address)))

    def order(self, order: agent_protocol.TellLogs | agent_protocol.StopServers) -> None:
        """Takes what is asked of them."""
        self._asked.put_nowait(order)

    def usage(self) -> OuterUsage | None:
        """What those that hold data have taken so far; None where there are none."""
        return None if self._meter is None else self._meter.read()

    async def _live(self, plan: ServerPlan) -> None:
        from ombdriver.bench.telemetry.machine import ProcessesMeter, available_memory  # here: few hosts have servers

        memory = available_memory()
        limited = with_memory_limit(plan, memory.available if memory else None)
        try:
            servers = await ManagedServers.start(limited)
        except OmbdriverError as error:
            self._tell(agent_protocol.ServersFailed(str(error)))
            return
        async with servers:
            self._servers, self._meter = servers, ProcessesMeter(servers.pids)
            processes = [agent_protocol.ServerProcess(node.name, node.port, node.pid) for node in servers.nodes]
            has_limit = limited.config != plan.config
            files = read_files(servers.url)
            self._tell(agent_protocol.ServersStarted(servers.url, tuple(processes), has_limit, files))
            await self._watch(servers)
        self._tell(agent_protocol.ServersStopped())

    async def _watch(self, servers: ManagedServers) -> None:
        """Tells of each that ends by itself, until they are to be stopped."""
        told: set[str] = set()
        while True:
            for name in servers.ended():
                if name not in told:
                    told.add(name)
                    self._tell(agent_protocol.ServerEnded(name, servers.node(name).server.exit_message()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    order = await self._asked.get()
                if isinstance(order, agent_protocol.StopServers):
                    return
                self._tell(agent_protocol.ServerLogs(servers.logs()))

    async def aclose(self) -> None:
        """Ends all of them, and returns when nothing of them is left."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
