"""The run's own servers on one of its hosts, as the run sees them: what `servers.managed` is on this machine.

An agent starts and ends them (`agent_servers`). Their password is made here, for one run, and goes to that agent and to
drivers alone, on the agents' own connections.
"""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from ombdriver.bench.hosts import agent_protocol
from ombdriver.bench.hosts.carried_files import PlacedFiles
from ombdriver.bench.servers.reaper import save_log
from ombdriver.bench.servers.topology import ServerPlan, cannot_serve, places
from ombdriver.bench.servers.url import with_files
from ombdriver.errors import ServerError

START_S, START_EACH_S = 40.0, 4.0
"""How long servers may take until they are a whole, and more for each: what they may take by themselves, and a bit."""
LOGS_S, STOP_S = 5.0, 20.0
PASSWORD = "requirepass"


class ServerHost(Protocol):
    """The host of the servers, as they need it (`coordinator.Host`)."""

    name: str
    gone: str | None

    def send(self, message: agent_protocol.Message) -> None: ...  # noqa: D102

    def serve(self, servers: "HostServers") -> None:
        """From now on `servers` are given what the agent says of them, and hear when the host is gone."""
        ...


class HostServers:
    """The servers of one run on `host`; made by `start`.

    Attributes:
        plan: what they were started by, with the password and the limit of memory as far as these are known here.
        url: what clients in this process connect to until `stop`, without a password.
        servers: each of them.
        has_limit: whether the host has given them a limit of memory.
    """

    def __init__(self, host: ServerHost, plan: ServerPlan) -> None:
        self._host = host
        self.plan = replace(plan, config={**_plain(plan), PASSWORD: secrets.token_urlsafe(32)})
        self.url = ""
        self.servers: Sequence[agent_protocol.ServerProcess] = ()
        self.has_limit = False
        self._ended: dict[str, str] = {}
        self._files = PlacedFiles({})
        self._stopping = False
        self._kinds: tuple[type, ...] = ()
        self._answer: asyncio.Future[agent_protocol.FromServers] | None = None

    def __repr__(self) -> str:
        return f"<HostServers on {self._host.name}: {len(self.servers) - len(self._ended)} running>"

    @classmethod
    async def start(cls, host: ServerHost, plan: ServerPlan) -> "HostServers":
        """Starts the servers of `plan` on `host`, and returns when they are a whole.

        Raises:
            ServerError: if they could not be started, with the reason and the name of the host.
        """
        made = cls(host, plan)
        host.serve(made)
        patience_s = START_S + START_EACH_S * len(places(plan))
        kinds = (agent_protocol.ServersStarted, agent_protocol.ServersFailed)
        answer = await made._ask(agent_protocol.StartServers(made.plan), kinds, patience_s)
        if isinstance(answer, agent_protocol.ServersFailed):
            raise ServerError(f"host {host.name}: {answer.reason}")
        if not isinstance(answer, agent_protocol.ServersStarted):
            raise ServerError(f"host {host.name}: {host.gone or 'its servers did not start in time; run again'}")
        made._files = PlacedFiles(answer.files)
        made.url, made.servers, made.has_limit = (
            with_files(answer.url, made._files.paths),
            answer.servers,
            answer.has_limit,
        )
        return made

    async def _ask(
        self, order: agent_protocol.Message, kinds: tuple[type, ...], timeout_s: float
    ) -> agent_protocol.FromServers | None:
        """The answer, which is of one of these kinds; None where none comes in time, or the host is gone."""
        if self._host.gone is not None:
            return None
        self._kinds = kinds
        self._answer = asyncio.get_running_loop().create_future()
        self._host.send(order)
        await asyncio.wait([self._answer], timeout=timeout_s)
        answer, self._answer = self._answer, None
        return answer.result() if answer.done() and not answer.cancelled() else None

    def on_message(self, message: agent_protocol.FromServers) -> None:
        """Takes what the agent says of them."""
        if isinstance(message, agent_protocol.ServerEnded):
            if not self._stopping:
                self._ended[message.name] = message.how
        elif isinstance(message, self._kinds) and self._answer is not None and not self._answer.done():
            self._answer.set_result(message)

    def on_host_gone(self) -> None:
        """Nothing more can come."""
        if self._answer is not None and not self._answer.done():
            self._answer.cancel()

    def ended(self) -> list[str]:
        """The names of those that have ended by themselves so far."""
        return list(self._ended)

    def check(self) -> None:
        """Does nothing while the servers that are left can serve.

        Raises:
            ServerError: if they can't any more; it names the host.
        """
        where = f"host {self._host.name}"
        if self._host.gone is not None:
            raise ServerError(f"the run's own server was on {where}, which is gone: {self._host.gone}")
        if (name := cannot_serve(self.plan, self._ended)) is not None:
            raise ServerError(f"the private server {name} on {where} {self._ended[name]}")

    async def keep_logs(self) -> Path | None:
        """Writes the ends of their logs to a file on this machine that stays; None where there is nothing to be had."""
        answer = await self._ask(agent_protocol.TellLogs(), (agent_protocol.ServerLogs,), LOGS_S)
        return save_log(answer.text) if isinstance(answer, agent_protocol.ServerLogs) and answer.text else None

    async def stop(self) -> None:
        """Ends them all; on a host that is gone its agent does.

        Raises:
            ServerError: if that is not seen to happen.
        """
        self._stopping = True
        self._files.close()
        answer = await self._ask(agent_protocol.StopServers(), (agent_protocol.ServersStopped,), STOP_S)
        if answer is None and self._host.gone is None:
            pids = ", ".join(str(each.pid) for each in self.servers)
            raise ServerError(
                f"the servers on host {self._host.name} (pid {pids}) were not seen to end; see whether they are there"
            )


def _plain(plan: ServerPlan) -> dict[str, str | Sequence[str]]:
    """The options as they cross: those of several values as tuples."""
    return {name: value if isinstance(value, str) else tuple(value) for name, value in plan.config.items()}
