"""The servers of one run: started, joined, checked, watched and ended as one thing.

Knows the order of a start and of an end, and words their errors; checks that running servers are what their plan says.
That nothing is left when we are killed is the reapers' work.
"""

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ombdriver.bench.limits import limit_reached
from ombdriver.bench.servers.certificates import make_certificates
from ombdriver.bench.servers.configuration import TlsFiles
from ombdriver.bench.servers.formation import (
    LaunchError,
    NodeLostError,
    NotReadyError,
    ServerNode,
    form_cluster,
    link_replicas,
    slot_owner,
    start_nodes,
    watch_primary,
)
from ombdriver.bench.servers.linked_ports import LinkedPorts
from ombdriver.bench.servers.links import LinkError, Links
from ombdriver.bench.servers.options import (
    PASSWORD_OPTIONS,
    UNTOLD_OPTIONS,
    ServerConfig,
    difference,
    is_same,
    joined,
    unquoted,
)
from ombdriver.bench.servers.own_address import own_address
from ombdriver.bench.servers.private_server import describe, find_binary
from ombdriver.bench.servers.reaper import Reaper, StartError, save_log
from ombdriver.bench.servers.resp_client import RefusedError
from ombdriver.bench.servers.topology import (
    MASTER_NAME,
    Place,
    ServerPlan,
    cannot_serve,
    connect_url,
    places,
    plan_errors,
)
from ombdriver.errors import LINE, InputError, ServerError

ROLE_S = 1.0
"""How long a server may take to say what it is."""
FAILOVER_S = 15.0
"""How long a failover that was ordered may take."""


class ManagedServers:
    """All servers of a plan, running. Made by `start`; `async with` stops them.

    It belongs to no event loop: `start` and `stop` may run in different ones.

    Attributes:
        plan: what they were started by.
        nodes: all of them: primaries, then replicas, then Sentinels.
        url: what a driver connects to; without a password, whatever the configuration says.
        linked: the links by which they are reached too; None without any.
    """

    linked: LinkedPorts | None = None

    def __init__(self, plan: ServerPlan) -> None:
        self.plan = plan
        self.nodes: list[ServerNode] = []
        self.url = ""
        self._tls: TlsFiles | None = None
        self._directory: Reaper | None = None
        self._links: Links | None = None
        self._of_servers: dict[str, Sequence[int]] = {}
        self._roles: dict[str, str] = {}  # by name, when they were asked last
        self._ended: list[str] | None = None  # once they are being stopped: what had ended before

    def __repr__(self) -> str:
        running = sum(not node.ended for node in self.nodes)
        return f"<ManagedServers {self.plan.topology}: {running} of {len(self.nodes)} running>"

    @classmethod
    async def start(cls, plan: ServerPlan, *, timeout_s: float = 20.0, with_links: bool = False) -> Self:
        """Starts the servers of `plan`, and returns when they are a whole and are what it says.

        Args:
            plan: which servers.
            timeout_s: how long one server may take to answer; to become a whole, 2 s more for each of them.
            with_links: clients may reach those with data by links (`linked`). So they may, and servers reach each
                other by links, where the plan gives these addresses of their own.

        Raises:
            InputError: if the plan can't be, see `plan_errors`.
            ServerError: if an engine is missing, or a server ends, stays silent or is not what the plan says; with the
                last words of its log, and the name of the file in which all of the log is kept.
        """
        errors = plan_errors(plan, range(os.cpu_count() or 1))
        if errors:
            raise InputError(errors)
        if plan.cpus and not hasattr(os, "sched_setaffinity"):
            raise ServerError("this system can't keep a server on given processors; leave cpus out")
        servers, binary = cls(plan), find_binary(plan.engine)
        try:
            if with_links or plan.equipment.own_address:
                servers._links = Links.start()
            await servers._start(binary, timeout_s)
        except BaseException as error:
            try:
                message = await servers._failure(binary, error)  # while all logs are there
            finally:
                await asyncio.shield(servers.stop())
            if message is None:
                raise
            raise ServerError(message) from error
        return servers

    async def _start(self, binary: Path, timeout_s: float) -> None:
        plan = self.plan
        if plan.tls:
            self._directory = await Reaper.folder()
            # Not in a thread: one that a cancel leaves behind would write into a folder that is being removed.
            self._tls = make_certificates(self._directory.directory or Path(), plan.address)
        wanted = places(plan)
        data = [place for place in wanted if place.role != "sentinel"]
        # The first alone: what is wrong with it is wrong with all, and others need its port.
        await self._start_nodes(binary, dict.fromkeys(data[:1]), timeout_s)
        await self._start_nodes(binary, dict.fromkeys(data[1:], self.nodes[0].port), timeout_s)
        self.nodes.sort(key=lambda node: data.index(node.place))
        patience_s = timeout_s + 2.0 * len(wanted)
        primary, *replicas = running = list(self.nodes)
        if plan.topology == "cluster":
            await form_cluster(running, patience_s)
        elif replicas:
            await link_replicas(primary, replicas, patience_s)
        if plan.topology == "sentinel":
            # Not earlier: a Sentinel looks for replicas every ten seconds only.
            sentinels = dict.fromkeys(wanted[len(data) :], primary.port)
            await self._start_nodes(binary, sentinels, timeout_s)
            self.nodes.sort(key=lambda node: wanted.index(node.place))
            await watch_primary(self.nodes[len(data) :], running, patience_s)
        async with asyncio.timeout(timeout_s):
            await self._check_configuration(running)
        self.url = self._url([node.port for node in running])
        if self._links is not None:
            self.linked = await self._link(self._links, running)

    async def _start_nodes(self, binary: Path, chosen: Mapping[Place, int | None], timeout_s: float) -> None:
        """See `start_nodes`; where servers have addresses of their own, links stand where they are taken to be."""
        await start_nodes(self.plan, binary, chosen, self._tls, timeout_s, self.nodes.append)
        if self._links is None or not self.plan.equipment.own_address:
            return
        callers = [own_address(place) for place in range(len(places(self.plan)))]
        for node in self.nodes:
            if node.name not in self._of_servers:
                ports = [port for port in (node.port, node.server.bus_port) if port]
                self._of_servers[node.name] = ports
                for port in ports:
                    await self._links.open(port, node.address, at=port, callers=callers)

    async def _link(self, links: Links, data: Sequence[ServerNode]) -> LinkedPorts:
        of_clients = {node.name: await links.open(node.port, node.address) for node in data}
        ports = {node.port: of_clients[node.name] for node in data}
        return LinkedPorts(links, of_clients, ports, self._of_servers, self._url([*ports.values()]))

    async def _check_configuration(self, data: list[ServerNode]) -> None:
        found = [sentence for node in data for sentence in await config_differences(node, self.plan.config)]
        if self.plan.cpus:
            found += [sentence for node in self.nodes for sentence in pinning_differences(node, self.plan.cpus)]
        if found:
            raise ServerError("the servers are not what the setup says:\n" + "\n".join(found))

    def _url(self, ports: Sequence[int]) -> str:
        """What leads to the servers with data, which are at these ports; to the Sentinels, if there are any."""
        if self.plan.unix_socket:
            return self.nodes[0].server.unix_url
        sentinels = [node.port for node in self.nodes if node.role == "sentinel"]
        return connect_url(self.plan, sentinels or ports, self._tls.authority if self._tls else None)

    async def _failure(self, binary: Path, error: BaseException) -> str | None:
        """The message of a failed start; None if it has one already, or is no failure of the servers."""
        match error:
            case LaunchError():
                return f"{error.name}: {describe(binary, error.cause)}"
            case StartError():
                return describe(binary, error)
            case NotReadyError(node=ServerNode(name=name)):
                what = f"{name} {error}"
            case NodeLostError(node=node):
                what = f"{node.name} {node.server.exit_message()}" if await _ends(node) else f"{error}; run again"
            case NotReadyError() | RefusedError():
                what = f"the servers did not come together: {error}"
            case TimeoutError():
                what = "the servers did not tell their options in time; run again when this machine has less to do"
            case LinkError():
                what = f"{error}; run again"
            case OSError():
                limit = limit_reached(error)
                what = limit or f"the servers could not be started ({error}); see what this machine is short of"
            case _:
                return None
        path = self.keep_logs()
        return f"{what}{LINE}(all their logs are kept in {path})" if path else what

    @property
    def data_nodes(self) -> list[ServerNode]:
        """Those that hold data: all but the Sentinels."""
        return [node for node in self.nodes if node.role != "sentinel"]

    @property
    def pids(self) -> list[int]:
        """The process ids of those that hold data."""
        return [node.pid for node in self.data_nodes]

    def node(self, name: str) -> ServerNode:
        """The node called so.

        Raises:
            KeyError: if there is none.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def ended(self) -> list[str]:
        """The names of those that have ended by themselves so far: each worth a word, none an error yet."""
        return [node.name for node in self.nodes if node.ended] if self._ended is None else list(self._ended)

    def check(self) -> None:
        """Does nothing while the servers that are left can serve, if need be after a failover.

        Raises:
            ServerError: if it can't any more, with the end of the log of one whose end was too much.
        """
        name = cannot_serve(self.plan, self.ended())
        if name is not None:
            raise ServerError(f"the private server {name} {self.node(name).server.exit_message()}")

    # -- by what they are now --------------------------------------------------------------------------------------

    async def with_role(self, role: str) -> list[ServerNode]:
        """Those that are a `primary` or a `replica` now, shard by shard; all Sentinels; all with data (`node`).

        A shard is a primary of the plan with its replicas, whichever of them is the primary now. One that is down by
        order is nothing; one that hangs is what it was when it was asked last, and comes after those that answer.
        Behind Sentinels the primary is whom they name: one that has come back after a failover takes itself for it too,
        until they have told it.
        """
        if role == "sentinel":
            return [node for node in self.nodes if node.role == "sentinel"]
        if role == "node":
            return self.data_nodes
        up = [node for node in self.data_nodes if not node.server.is_down]
        answered = dict(zip(up, await asyncio.gather(*map(self._ask_role, up)), strict=True))
        if self.plan.topology == "sentinel" and (named := await self._named_primary(up)):
            self._roles |= {node.name: "primary" if node is named else "replica" for node in up}
        found = [node for node in up if self._roles.get(node.name, node.role) == role]
        shards = [place.name for place in places(self.plan) if place.role == "primary"]
        return sorted(found, key=lambda node: (shards.index(node.place.follows or node.name), not answered[node]))

    async def _ask_role(self, node: ServerNode) -> bool:
        """Notes what a server is now; whether it answered."""
        with contextlib.suppress(NodeLostError, RefusedError):
            (reply,) = await node.ask(("ROLE",), timeout_s=ROLE_S)
            if isinstance(reply, list):
                self._roles[node.name] = "primary" if reply[0] == "master" else "replica"
                return True
        return False

    async def _named_primary(self, up: Sequence[ServerNode]) -> ServerNode | None:
        """The one of `up` that a Sentinel of the latest epoch takes for the primary; None where that is another.

        It may be the only one that knows yet.
        """
        sentinels = [node for node in self.nodes if node.role == "sentinel" and not node.server.is_down]
        _, port = max(await asyncio.gather(*map(_named_port, sentinels)), default=(0, 0))
        return next((node for node in up if node.port == port), None)

    async def primary_with_streams(self) -> ServerNode | None:
        """The first primary that holds a stream, so that whoever hits it is felt; the first one where none does."""
        primaries = await self.with_role("primary")
        for node in primaries if len(primaries) > 1 else ():
            with contextlib.suppress(NodeLostError, RefusedError):
                (reply,) = await node.ask(("SCAN", "0", "COUNT", "1000", "TYPE", "stream"), timeout_s=ROLE_S)
                if isinstance(reply, list) and reply[1]:
                    return node
        return primaries[0] if primaries else None

    async def primary_of_key(self, key: str) -> ServerNode | None:
        """The primary that has a key, or would have it, now; None where nobody says who that is.

        Whoever says so of itself is believed first; of one that hangs, the others tell.
        """
        primaries = await self.with_role("primary")
        if self.plan.topology != "cluster" or not primaries:
            return primaries[0] if primaries else None
        told: int | None = None
        for node in primaries:
            with contextlib.suppress(NodeLostError, RefusedError):
                slot, nodes = await node.ask(("CLUSTER", "KEYSLOT", key), ("CLUSTER", "NODES"), timeout_s=ROLE_S)
                port, is_self = slot_owner(str(nodes), int(str(slot)))
                if is_self:
                    return node
                told = told or port
        return next((node for node in self.data_nodes if node.port == told), None)

    async def slots_of(self, primary: ServerNode, keys: Sequence[str]) -> list[int]:
        """The slots of `keys` that a primary of a cluster has now, in order.

        Raises:
            RefusedError: if it does not let us ask.
            NodeLostError: if it can't be asked.
        """
        nodes, *found = await primary.ask(("CLUSTER", "NODES"), *(("CLUSTER", "KEYSLOT", key) for key in keys))
        slots = sorted({slot for slot in found if isinstance(slot, int)})
        return [slot for slot in slots if slot_owner(str(nodes), slot)[1]]

    async def fail_over(self, primary: ServerNode, timeout_s: float = FAILOVER_S) -> ServerNode:
        """Has a replica take over from `primary` in order; returns the new primary.

        Raises:
            ServerError: if nobody can be asked, whoever is refuses, or nobody takes over in time.
        """
        before = {node.name for node in await self.with_role("primary")}
        try:
            await self._order_failover(primary)
        except (NodeLostError, RefusedError) as error:
            raise ServerError(f"{primary.name} can't be failed over: {error}") from error
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    for node in await self.with_role("primary"):
                        if node.name not in before:
                            return node
                    await asyncio.sleep(0.02)
        raise ServerError(f"the failover of {primary.name} was ordered, and nobody took over within {timeout_s:g} s")

    async def _order_failover(self, primary: ServerNode) -> None:
        if self.plan.topology == "sentinel":
            await (await self.with_role("sentinel"))[0].ask(("SENTINEL", "FAILOVER", MASTER_NAME))
            return
        for replica in await self.with_role("replica"):
            with contextlib.suppress(NodeLostError):
                (role,) = await replica.ask(("ROLE",), timeout_s=ROLE_S)
                if isinstance(role, list) and role[2:4] == [primary.port, "connected"]:
                    await replica.ask(("CLUSTER", "FAILOVER"))
                    return
        raise ServerError(f"{primary.name} can't be failed over: it has no replica that is connected")

    def keep_logs(self) -> Path | None:
        """Writes the ends of all logs, without passwords, to one file that stays; None if there is nothing in them.

        May be called while the servers run and after they were stopped.
        """
        text = self.logs()
        return save_log(text) if text else None

    def logs(self) -> str:
        """The ends of all logs, without passwords; empty if there is nothing in them."""
        logs = [(node, node.server.log_end().strip()) for node in self.nodes]
        if not any(log for _, log in logs):
            return ""
        return "\n".join(f"== {node.name}, port {node.port}, pid {node.pid}\n{log}\n" for node, log in logs)

    async def stop(self) -> None:
        """Ends all servers and removes what they left. Harmless when done; a cancel leaves it to the reapers."""
        self._ended = self.ended()  # from now on they do not end by themselves
        for node in self.nodes:
            node.server.close()  # all of them before the first is waited for
        if self._directory:
            self._directory.close()
        if self._links:
            self._links.close()
        for node in self.nodes:
            await node.server.stop()
        if self._links:
            await self._links.aclose()
        if self._directory:
            await asyncio.to_thread(self._directory.finish)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


async def _named_port(sentinel: ServerNode) -> tuple[int, int]:
    """The port of whom a Sentinel takes for the primary, after the epoch of that; (0, 0) where it does not answer."""
    with contextlib.suppress(NodeLostError, RefusedError):
        known, address = await sentinel.ask(
            ("SENTINEL", "MASTER", MASTER_NAME),
            ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME),
            timeout_s=ROLE_S,
        )
        if isinstance(known, list) and isinstance(address, list):
            fields = dict(zip(map(str, known[::2]), map(str, known[1::2]), strict=True))
            return int(fields["config-epoch"]), int(str(address[1]))
    return 0, 0


async def _ends(node: ServerNode) -> bool:
    """Whether a server that can't be asked has ended; its reaper may need a moment to see that."""
    for _ in range(100):
        if node.ended:
            return True
        await asyncio.sleep(0.01)
    return False


# -- is a server what its plan says? ---------------------------------------------------------------------------------


async def config_differences(node: ServerNode, options: ServerConfig) -> list[str]:
    """What of `options` the server has not taken, as sentences; changes nothing that is as it should be.

    Where the text differs and may still mean the same, the server itself says: what it is told to have, and then has
    as before, it had.

    Raises:
        RefusedError: if the server does not let us ask.
        NodeLostError: if it can't be asked.
    """
    found = []
    for name, wanted in options.items():
        if name.lower() in UNTOLD_OPTIONS:
            continue
        value = await _value(node, name)
        if value is None or not (
            _is_same(name, wanted, value) or await _is_same_to_the_server(node, name, wanted, value)
        ):
            found.append(f"{node.name} {difference(name.lower(), wanted, value)}")
    return found


def pinning_differences(node: ServerNode, cpus: Sequence[int]) -> list[str]:
    """Sentence, if the server does not stay on the processors `cpus`. Linux only."""
    found = os.sched_getaffinity(node.pid)
    if found == set(cpus):
        return []
    there, wanted = (", ".join(map(str, sorted(numbers))) for numbers in (found, cpus))
    return [f"{node.name} is on the processors {there}, not on {wanted}; use those that this process may have"]


async def _value(node: ServerNode, name: str) -> str | None:
    (reply,) = await node.ask(("CONFIG", "GET", name))
    return str(reply[1]) if isinstance(reply, list) and len(reply) == 2 else None


def _is_same(name: str, wanted: str | Sequence[str], found: str) -> bool:
    if name.lower() in PASSWORD_OPTIONS:
        return isinstance(wanted, str) and unquoted(wanted) in (found, found.strip())
    return is_same(wanted, found)


async def _is_same_to_the_server(node: ServerNode, name: str, wanted: str | Sequence[str], before: str) -> bool:
    if name.lower() in PASSWORD_OPTIONS:
        return False
    try:
        await node.ask(("CONFIG", "SET", name, joined(wanted)))
    except RefusedError:  # it can't be changed while the server runs, or not to this
        return False
    return await _value(node, name) == before
