"""The servers of a plan, started and joined into its topology: each as what it is there, until together they are whole.

Talks to servers that it has started, and ends none. Why they are no whole yet is for pure functions, from what the
servers say of themselves.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ombdriver.bench.servers.configuration import TlsFiles, data_configuration, login_of, sentinel_configuration
from ombdriver.bench.servers.equipment import NOTHING
from ombdriver.bench.servers.options import ServerConfig
from ombdriver.bench.servers.own_address import own_address
from ombdriver.bench.servers.private_server import Kind, PrivateServer
from ombdriver.bench.servers.reaper import StartError
from ombdriver.bench.servers.resp_client import Login, RefusedError, Reply, ask
from ombdriver.bench.servers.topology import (
    MASTER_NAME,
    SENTINELS,
    SLOTS,
    Place,
    Role,
    ServerPlan,
    places,
    slot_ranges,
)

_ANSWER_S = 10.0
"""How long a server may take to answer: it may be loading or saving, but nobody else asks it anything yet."""


class NodeLostError(Exception):
    """A node did not answer what it was asked: it has ended, or is about to.

    Attributes:
        node: which.
    """

    def __init__(self, node: "ServerNode", why: Exception) -> None:
        super().__init__(f"{node.name} can't be asked ({why or 'no answer'})")
        self.node = node


@dataclass(frozen=True, slots=True, eq=False)
class ServerNode:
    """A running server and its place.

    Attributes:
        place: its name, its role at the start, and its primary.
        server: the server itself.
        login: the user for commands to it.
    """

    place: Place
    server: PrivateServer
    login: Login | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """`primary-1`, `replica-1-1`, `sentinel-1`."""
        return self.place.name

    @property
    def role(self) -> Role:
        """At the start: a failover changes it."""
        return self.place.role

    @property
    def port(self) -> int:
        """The TCP port on the address of the plan."""
        return self.server.port

    @property
    def address(self) -> str:
        """Where it listens on that port, if a link stands where it is reached in its place."""
        return self.server.address

    @property
    def pid(self) -> int:
        """The process id of the server itself."""
        return self.server.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended, by itself or since it was stopped."""
        return self.server.exit_code is not None

    def kill(self) -> None:
        """Ends the server by SIGKILL, as a crash would. Harmless when it has ended."""
        if not self.ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def ask(self, *commands: Sequence[str], timeout_s: float = _ANSWER_S) -> list[Reply]:
        """The replies to `commands`, in their order.

        Raises:
            RefusedError: if one of them is answered with an error.
            NodeLostError: if the server is not there, goes away or is silent.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await ask(self.server.socket, *commands, login=self.login)
        except (OSError, EOFError) as error:
            raise NodeLostError(self, error) from error


class LaunchError(Exception):
    """One server could not be started.

    Attributes:
        name: of the server.
        cause: what happened, with its log.
    """

    def __init__(self, name: str, cause: StartError) -> None:
        super().__init__(f"{name} {cause}")
        self.name = name
        self.cause = cause


async def start_nodes(
    plan: ServerPlan,
    binary: Path,
    chosen: Mapping[Place, int | None],
    tls: TlsFiles | None,
    timeout_s: float,
    keep: Callable[[ServerNode], None],
) -> None:
    """Starts the servers `chosen` from `plan` at the same time, and returns when each answers.

    Args:
        plan: what they belong to.
        binary: their program.
        chosen: which of them, each with the port of what replicas and Sentinels follow.
        tls: certificates, if their ports are to speak TLS.
        timeout_s: how long each may take to answer.
        keep: is given every server that runs, also when another one fails or this is cancelled.

    Raises:
        LaunchError: if one of them does not start; the others are given up.
    """
    every = places(plan)

    async def one(place: Place, primary_port: int | None) -> None:
        kind, config = _part(plan, place, primary_port)
        try:
            server = await PrivateServer.launch(
                binary,
                config,
                kind=kind,
                tls=tls,
                processors=plan.cpus,
                equipment=NOTHING if kind == "sentinel" else plan.equipment,
                address=own_address(every.index(place)) if plan.equipment.own_address else plan.address,
                reached_at=plan.address,
                timeout_s=timeout_s,
            )
        except StartError as error:
            raise LaunchError(place.name, error) from error
        keep(ServerNode(place, server, None if kind == "sentinel" else login_of(plan.config)))

    try:
        async with asyncio.TaskGroup() as group:
            for place, primary_port in chosen.items():
                group.create_task(one(place, primary_port))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None  # the first; the others were cancelled for it, or say the same


def _part(plan: ServerPlan, place: Place, primary_port: int | None) -> tuple[Kind, ServerConfig]:
    if place.role == "sentinel":
        assert primary_port is not None  # Sentinels come last
        return "sentinel", sentinel_configuration(plan, primary_port)
    if plan.topology == "cluster":
        return "cluster", data_configuration(plan, place)
    return "data", data_configuration(plan, place, primary_port)


# -- joined into a topology ------------------------------------------------------------------------------------------

_POLL_S = 0.03
_FINAL = ("NOAUTH", "WRONGPASS", "NOPERM")

Check = Callable[[], Awaitable[str | None]]


class NotReadyError(Exception):
    """The servers did not come together; the text says what was missing.

    Attributes:
        node: the one that has ended by itself, if that was it.
    """

    def __init__(self, what: str, node: ServerNode | None = None) -> None:
        super().__init__(what)
        self.node = node


async def wait_until(check: Check, nodes: Sequence[ServerNode], timeout_s: float) -> None:
    """Repeats `check` until nothing is missing.

    Raises:
        NotReadyError: if that takes longer, a node ends, or one will not be asked by us.
    """
    said: str | None = "did not answer"
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                for node in nodes:
                    if node.ended:
                        raise NotReadyError(node.server.exit_message(), node)
                try:
                    said = await check()
                except RefusedError as error:
                    said = f"one of them says {error}"
                    if str(error).startswith(_FINAL):
                        raise NotReadyError(
                            f"{said}; give them requirepass, or masteruser and masterauth of a user who may all"
                        ) from error
                except NodeLostError as error:
                    said = str(error)
                if said is None:
                    return
                await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        raise NotReadyError(f"after {timeout_s:g} s {said}; run again when this machine has less to do") from error


async def link_replicas(primary: ServerNode, replicas: Sequence[ServerNode], timeout_s: float) -> None:
    """Returns when every replica of `primary` is linked to it, and it knows them all.

    Raises:
        NotReadyError: as `wait_until` does.
    """
    await wait_until(lambda: _replication(primary, replicas), [primary, *replicas], timeout_s)


async def watch_primary(sentinels: Sequence[ServerNode], data: Sequence[ServerNode], timeout_s: float) -> None:
    """Returns when every Sentinel knows the primary, its replicas and the other Sentinels.

    Raises:
        NotReadyError: as `wait_until` does.
    """

    async def check() -> str | None:
        for sentinel in sentinels:
            master, replicas = await sentinel.ask(
                ("SENTINEL", "MASTER", MASTER_NAME), ("SENTINEL", "SLAVES", MASTER_NAME)
            )
            known = [pairs(one) for one in replicas] if isinstance(replicas, list) else []
            found = why_not_watching(pairs(master), known, len(data) - 1)
            if found:
                return f"{sentinel.name} {found}"
        return None

    await wait_until(check, [*data, *sentinels], timeout_s)


async def form_cluster(nodes: Sequence[ServerNode], timeout_s: float) -> None:
    """Makes a cluster of nodes that know nothing yet, and returns when every node sees all of it in order.

    Raises:
        NotReadyError: as `wait_until` does.
        RefusedError: if a node refuses its part.
        NodeLostError: if a node goes away before it has its part.
    """
    primaries = [node for node in nodes if node.role == "primary"]
    replicas = [node for node in nodes if node.role == "replica"]
    ids = {}
    for epoch, node in enumerate(nodes, 1):
        # With epochs of their own they need not settle by chance who is right.
        ids[node.name], _ = await node.ask(("CLUSTER", "MYID"), ("CLUSTER", "SET-CONFIG-EPOCH", str(epoch)))
    for node, slots in zip(primaries, slot_ranges(len(primaries)), strict=True):
        # One by one: ADDSLOTSRANGE came with 7.0 only.
        await node.ask(("CLUSTER", "ADDSLOTS", *map(str, slots)))
    for number, node in enumerate(nodes):
        for other in nodes[:number]:
            await node.ask(("CLUSTER", "MEET", other.server.reached_at, str(other.port), str(other.server.bus_port)))

    await wait_until(lambda: _cluster(nodes, len(nodes)), nodes, timeout_s)
    for node in replicas:
        await node.ask(("CLUSTER", "REPLICATE", str(ids[node.place.follows])))

    async def all_in_order() -> str | None:
        lack = await _cluster(nodes, len(primaries))
        for primary in primaries:
            followers = [node for node in replicas if node.place.follows == primary.name]
            lack = lack or await _replication(primary, followers)
        return lack

    async with contextlib.AsyncExitStack() as stack:
        for primary in primaries if replicas else ():
            await stack.enter_async_context(_pinging(primary))
        await wait_until(all_in_order, nodes, timeout_s)


@contextlib.asynccontextmanager
async def _pinging(primary: ServerNode) -> AsyncIterator[None]:
    """Lets `primary` ping its replicas every second for a while, in place of every ten.

    Nodes tell clients of a replica only once it has received something, and an empty primary sends nothing else.
    """
    name = "repl-ping-replica-period"
    (before,) = await primary.ask(("CONFIG", "GET", name))
    await primary.ask(("CONFIG", "SET", name, "1"))
    yield
    await primary.ask(("CONFIG", "SET", name, str(before[1] if isinstance(before, list) else before)))


async def _cluster(nodes: Sequence[ServerNode], primaries: int) -> str | None:
    for node in nodes:
        info, known, slots = await node.ask(("CLUSTER", "INFO"), ("CLUSTER", "NODES"), ("CLUSTER", "SLOTS"))
        # First slot, last slot, then whoever has them.
        listed = sum(len(entry) - 2 for entry in slots if isinstance(entry, list)) if isinstance(slots, list) else 0
        found = why_no_cluster(info_fields(str(info)), str(known), listed, len(nodes), primaries)
        if found:
            return f"{node.name} {found}"
    return None


async def _replication(primary: ServerNode, replicas: Sequence[ServerNode]) -> str | None:
    infos = {node.name: info_fields(str(*await node.ask(("INFO",)))) for node in (primary, *replicas)}
    return why_not_replicating(infos.pop(primary.name), infos)


# -- why servers are not a whole yet (pure; None when they are) -------------------------------------------------------

_FILE_JOBS = ("rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled")


def info_fields(text: str) -> dict[str, str]:
    """The fields of INFO or CLUSTER INFO."""
    found = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, mark, value in found if mark}


def pairs(flat: object) -> dict[str, str]:
    """The fields of a reply that lists names and values in turn."""
    words = [str(word) for word in flat] if isinstance(flat, list) else []
    return dict(zip(words[::2], words[1::2], strict=False))


def why_not_replicating(primary: Mapping[str, str], replicas: Mapping[str, Mapping[str, str]]) -> str | None:
    """Why a primary and its replicas, by name, are not linked yet, from INFO of each; None when they are.

    A replica whose first AOF is still being written counts as not ready: the load would meet that, and the server would
    refuse to end.
    """
    for name, fields in replicas.items():
        if fields.get("master_link_status") != "up":
            return f"{name} is not linked to its primary (master_link_status: {fields.get('master_link_status')})"
        if {fields.get(job) for job in _FILE_JOBS} - {"0", None}:
            return f"{name} is still writing what it was sent to its files"
    if primary.get("connected_slaves") != str(len(replicas)):
        return f"the primary has {primary.get('connected_slaves')} of {len(replicas)} replicas"
    online = sum("state=online" in value for name, value in primary.items() if name.startswith("slave"))
    return None if online == len(replicas) else f"{online} of {len(replicas)} replicas are online"


def why_not_watching(master: Mapping[str, str], replicas: Sequence[Mapping[str, str]], wanted: int) -> str | None:
    """Why a Sentinel does not know all others and `wanted` replicas yet; from SENTINEL MASTER and REPLICAS."""
    if master.get("flags") != "master":
        return f"takes its master for {master.get('flags')}"
    if master.get("num-other-sentinels") != str(SENTINELS - 1):
        return f"knows {master.get('num-other-sentinels')} of {SENTINELS - 1} other Sentinels"
    linked = [one for one in replicas if one.get("flags") == "slave" and one.get("master-link-status") == "ok"]
    return None if len(linked) == len(replicas) == wanted else f"knows {len(linked)} of {wanted} replicas to be linked"


def why_no_cluster(info: Mapping[str, str], nodes: str, listed: int, servers: int, primaries: int) -> str | None:
    """Why a node does not see a whole cluster yet.

    Args:
        info: the fields of its CLUSTER INFO.
        nodes: its CLUSTER NODES.
        listed: how many servers its CLUSTER SLOTS lists, where each primary has one range.
        servers: how many there are.
        primaries: how many of these are to be primaries by now.
    """
    if info.get("cluster_state") != "ok":
        return f"says cluster_state:{info.get('cluster_state')}"
    if info.get("cluster_slots_assigned") != str(SLOTS) or info.get("cluster_slots_ok") != str(SLOTS):
        return f"knows who serves {info.get('cluster_slots_ok')} of {SLOTS} slots"
    lines = [line.split() for line in nodes.splitlines()]
    healthy = [flags for _, _, flags, _, _, _, _, link, *_ in lines if link == "connected" and _is_healthy(flags)]
    if len(healthy) != servers or len(lines) != servers:
        return f"is connected to {len(healthy)} of {servers} nodes"
    known = sum("master" in flags.split(",") for flags in healthy)
    if known != primaries:
        return f"takes {known} of {servers} nodes for primaries, in place of {primaries}"
    # While replicas are primaries still, they have no slots.
    return None if listed == servers or known == servers else f"tells clients of {listed} of {servers} nodes"


def slot_owner(nodes: str, slot: int) -> tuple[int | None, bool]:
    """The port of the server that has a slot, by a node's CLUSTER NODES, and whether that is the node itself.

    None where nobody has it, as far as that node knows. What is on its way has not moved yet.
    """
    for line in nodes.splitlines():
        _, address, flags, _, _, _, _, _, *having = line.split()
        for first, _, last in (each.partition("-") for each in having if not each.startswith("[")):
            if int(first) <= slot <= int(last or first):
                return int(address.partition("@")[0].rpartition(":")[2]), "myself" in flags.split(",")
    return None, False


def _is_healthy(flags: str) -> bool:
    return not {"fail", "fail?", "handshake", "noaddr"} & set(flags.split(","))
