"""Servers that run become a topology: what they are told, and how it is waited for until it is whole.

Talks to running nodes only; starts and ends none.

What servers that stand together still lack, from what they say of themselves. Pure.

Each function returns one phrase, or None when nothing is lacking.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from ombdriver.bench.servers.engine import HOST
from ombdriver.bench.servers.launch import LostError, Node
from ombdriver.bench.servers.resp_client import RefusedError
from ombdriver.bench.servers.topology import MASTER_NAME, SENTINELS, SLOTS, slot_ranges

_FILE_JOBS = ("rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled")


def info_fields(text: str) -> dict[str, str]:
    """The fields of INFO or CLUSTER INFO."""
    found = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, mark, value in found if mark}


def pairs(flat: object) -> dict[str, str]:
    """The fields of a reply that lists names and values in turn."""
    words = [str(word) for word in flat] if isinstance(flat, list) else []
    return dict(zip(words[::2], words[1::2], strict=False))


def replication_lack(primary: Mapping[str, str], replicas: Mapping[str, Mapping[str, str]]) -> str | None:
    """What a primary and its replicas, by name, lack to be linked, from INFO of each.

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


def sentinel_lack(master: Mapping[str, str], replicas: Sequence[Mapping[str, str]], wanted: int) -> str | None:
    """What one Sentinel lacks to know all others, from SENTINEL MASTER and SENTINEL REPLICAS; `wanted` replicas."""
    if master.get("flags") != "master":
        return f"takes its master for {master.get('flags')}"
    if master.get("num-other-sentinels") != str(SENTINELS - 1):
        return f"knows {master.get('num-other-sentinels')} of {SENTINELS - 1} other Sentinels"
    linked = [one for one in replicas if one.get("flags") == "slave" and one.get("master-link-status") == "ok"]
    return None if len(linked) == len(replicas) == wanted else f"knows {len(linked)} of {wanted} replicas to be linked"


def cluster_lack(info: Mapping[str, str], nodes: str, listed: int, servers: int, primaries: int) -> str | None:
    """What one node's view lacks to be that of a whole cluster.

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
    sound = [flags for _, _, flags, _, _, _, _, link, *_ in lines if link == "connected" and _sound(flags)]
    if len(sound) != servers or len(lines) != servers:
        return f"is connected to {len(sound)} of {servers} nodes"
    known = sum("master" in flags.split(",") for flags in sound)
    if known != primaries:
        return f"takes {known} of {servers} nodes for primaries, in place of {primaries}"
    # While replicas are primaries still, they have no slots.
    return None if listed == servers or known == servers else f"tells clients of {listed} of {servers} nodes"


def _sound(flags: str) -> bool:
    return not {"fail", "fail?", "handshake", "noaddr"} & set(flags.split(","))


_POLL_S = 0.03
_FINAL = ("NOAUTH", "WRONGPASS", "NOPERM")

Lack = Callable[[], Awaitable[str | None]]


class NotReadyError(Exception):
    """The servers did not come together; the text says what was lacking.

    Attributes:
        node: the one that has ended by itself, if that was it.
    """

    def __init__(self, what: str, node: Node | None = None) -> None:
        super().__init__(what)
        self.node = node


async def until(lack: Lack, nodes: Sequence[Node], timeout_s: float) -> None:
    """Asks again and again until nothing is lacking.

    Raises:
        NotReadyError: if that takes longer, a node ends, or one will not be asked by us.
    """
    said: str | None = "did not answer"
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                for node in nodes:
                    if node.ended:
                        raise NotReadyError(node.server.last_words(), node)
                try:
                    said = await lack()
                except RefusedError as error:
                    said = f"one of them says {error}"
                    if str(error).startswith(_FINAL):
                        raise NotReadyError(
                            f"{said}; give them requirepass, or masteruser and masterauth of a user who may all"
                        ) from error
                except LostError as error:
                    said = str(error)
                if said is None:
                    return
                await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        raise NotReadyError(f"after {timeout_s:g} s {said}; run again when this machine has less to do") from error


async def link_replicas(primary: Node, replicas: Sequence[Node], timeout_s: float) -> None:
    """Returns when every replica of `primary` is linked to it, and it knows them all.

    Raises:
        NotReadyError: as `until` does.
    """
    await until(lambda: _replication(primary, replicas), [primary, *replicas], timeout_s)


async def watch(sentinels: Sequence[Node], data: Sequence[Node], timeout_s: float) -> None:
    """Returns when every Sentinel knows the primary, its replicas and the other Sentinels.

    Raises:
        NotReadyError: as `until` does.
    """

    async def lack() -> str | None:
        for sentinel in sentinels:
            master, replicas = await sentinel.ask(
                ("SENTINEL", "MASTER", MASTER_NAME), ("SENTINEL", "SLAVES", MASTER_NAME)
            )
            known = [pairs(one) for one in replicas] if isinstance(replicas, list) else []
            found = sentinel_lack(pairs(master), known, len(data) - 1)
            if found:
                return f"{sentinel.name} {found}"
        return None

    await until(lack, [*data, *sentinels], timeout_s)


async def form_cluster(nodes: Sequence[Node], timeout_s: float) -> None:
    """Makes a cluster of nodes that know nothing yet, and returns when every node sees all of it in order.

    Raises:
        NotReadyError: as `until` does.
        RefusedError: if a node refuses its part.
        LostError: if a node goes away before it has its part.
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
            await node.ask(("CLUSTER", "MEET", HOST, str(other.port), str(other.server.bus_port)))

    await until(lambda: _cluster(nodes, len(nodes)), nodes, timeout_s)
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
        await until(all_in_order, nodes, timeout_s)


@contextlib.asynccontextmanager
async def _pinging(primary: Node) -> AsyncIterator[None]:
    """Lets `primary` ping its replicas every second for a while, in place of every ten.

    Nodes tell clients of a replica only once it has received something, and an empty primary sends nothing else.
    """
    name = "repl-ping-replica-period"
    (before,) = await primary.ask(("CONFIG", "GET", name))
    await primary.ask(("CONFIG", "SET", name, "1"))
    yield
    await primary.ask(("CONFIG", "SET", name, str(before[1] if isinstance(before, list) else before)))


async def _cluster(nodes: Sequence[Node], primaries: int) -> str | None:
    for node in nodes:
        info, known, slots = await node.ask(("CLUSTER", "INFO"), ("CLUSTER", "NODES"), ("CLUSTER", "SLOTS"))
        # First slot, last slot, then whoever has them.
        listed = sum(len(entry) - 2 for entry in slots if isinstance(entry, list)) if isinstance(slots, list) else 0
        found = cluster_lack(info_fields(str(info)), str(known), listed, len(nodes), primaries)
        if found:
            return f"{node.name} {found}"
    return None


async def _replication(primary: Node, replicas: Sequence[Node]) -> str | None:
    infos = {node.name: info_fields(str(*await node.ask(("INFO",)))) for node in (primary, *replicas)}
    return replication_lack(infos.pop(primary.name), infos)
