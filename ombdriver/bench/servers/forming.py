"""Servers that run become a topology: what they are told, and how it is waited for until it is whole.

Talks to running nodes only; starts and ends none.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from ombdriver.bench.ask import RefusedError
from ombdriver.bench.engine import HOST
from ombdriver.bench.servers.node import LostError, Node
from ombdriver.bench.servers.readiness import cluster_lack, info_fields, pairs, replication_lack, sentinel_lack
from ombdriver.bench.servers.topology import MASTER_NAME, slot_ranges

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
