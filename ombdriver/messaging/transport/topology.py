"""Which primary of a cluster has which slots: read from CLUSTER SLOTS, kept fresh when something shows it is stale.

`SlotMap` is pure. `Topology` asks over connections of its own, so that a server that hangs holds nothing up. Knows no
channel of a caller.
"""

import asyncio
import logging
import random
import time
from array import array
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from redis.asyncio.connection import AbstractConnection
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AuthenticationError, RedisError

from ombdriver.messaging.errors import ClosedError, NotSentError
from ombdriver.messaging.transport.background import shared
from ombdriver.messaging.transport.channel import connect_error
from ombdriver.messaging.transport.retry import UNKNOWN_HOSTS, AskError, Backoff, MovedError

logger = logging.getLogger(__name__)

ConnectTo = Callable[[str, int], Awaitable[AbstractConnection]]
"""As `channel.Connect`, to a host and port."""
NODE_TIMEOUT_S = 2.0
"""How long one server may take to answer, connecting included, before the next one is asked."""
CALM_S = 1.0
"""A refresh that starts sooner after the last one waits longer before it asks."""
SLOTS = REDIS_CLUSTER_HASH_SLOTS
"""Slots of a cluster: 16384."""
_NOBODY = 0xFFFF


class Node(NamedTuple):
    """Where a server of a cluster is reached."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def slot_of(key: bytes) -> int:
    """The slot of `key`: of what stands between its first braces, if anything does."""
    return key_slot(key)


class SlotMap:
    """Slots and their primaries, as one server of the cluster told at one time. Never changes.

    Attributes:
        primaries: the servers that have slots, in the order of the lowest slot of each: the same for whoever asks.
        replicas: servers that are no primaries; not part of equality.
    """

    __slots__ = ("_owner", "primaries", "replicas")

    def __init__(self, nodes: Sequence[Node], owner: "array[int]", replicas: frozenset[Node] = frozenset()) -> None:
        used = [number for number in dict.fromkeys(owner) if number != _NOBODY]  # by the lowest slot of each
        self.primaries = tuple(nodes[number] for number in used)
        if used != list(range(len(used))):
            place = {number: rank for rank, number in enumerate(used)}
            owner = array("H", [place.get(number, _NOBODY) for number in owner])
        self._owner, self.replicas = owner, replicas

    def __repr__(self) -> str:
        primaries = ", ".join(map(str, self.primaries))
        return f"<SlotMap {primaries}{'' if self.is_complete else ', not all slots'}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SlotMap):
            return NotImplemented
        return self.primaries == other.primaries and self._owner == other._owner

    __hash__ = None  # type: ignore[assignment]  # compared, never looked up

    def node_of(self, slot: int) -> Node | None:
        """The primary of `slot`; None when nobody has it."""
        owner = self._owner[slot]
        return None if owner == _NOBODY else self.primaries[owner]

    @property
    def is_complete(self) -> bool:
        """Whether each slot has a primary."""
        return _NOBODY not in self._owner

    def moved(self, slot: int, node: Node) -> "SlotMap":
        """This map with `slot` at `node`."""
        nodes = self.primaries if node in self.primaries else (*self.primaries, node)
        owner = self._owner[:]
        owner[slot] = nodes.index(node)
        return SlotMap(nodes, owner, self.replicas - {node})


def parse_slots(reply: Sequence[Any], asked: str, remap: Callable[[Node], Node] = lambda node: node) -> SlotMap:
    """The map that a reply of CLUSTER SLOTS holds, strings as bytes or str.

    Args:
        reply: `[[first, last, [host, port, ...], [host, port, ...] ...] ...]`, primaries first.
        asked: the host that was asked, which stands for a host that the server does not tell.
        remap: where a server is reached, from where it says that it is.

    Raises:
        ValueError: if the reply has another shape.
    """
    owner = array("H", [_NOBODY]) * SLOTS
    numbers: dict[Node, int] = {}
    replicas: set[Node] = set()
    try:
        for first, last, primary, *others in reply:
            number = numbers.setdefault(remap(_node(primary, asked)), len(numbers))
            owner[int(first) : int(last) + 1] = array("H", [number]) * (int(last) + 1 - int(first))
            replicas.update(remap(_node(other, asked)) for other in others)
    except (TypeError, IndexError, AttributeError, ValueError) as error:
        raise ValueError(f"CLUSTER SLOTS was answered in a shape that is not known: {error}") from error
    if len(owner) != SLOTS:
        raise ValueError(f"CLUSTER SLOTS told of slots beyond {SLOTS - 1}")
    return SlotMap(list(numbers), owner, frozenset(replicas - numbers.keys()))


def _node(told: Sequence[Any], asked: str) -> Node:
    """A server as told: [host, port, id, metadata]. A host may be nil or empty (as asked), or ? (look at the ip)."""
    host = _text(told[0])
    if host == "?":
        pairs = told[3] if len(told) > 3 else ()
        metadata = pairs if isinstance(pairs, dict) else dict(zip(pairs[::2], pairs[1::2], strict=True))
        host = next((_text(value) for name, value in metadata.items() if _text(name) == "ip"), "")
    return Node(host or asked, int(told[1]))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")


class Topology:
    """The slot map of one cluster, and one task at most that refreshes it.

    A refresh goes on until each slot has a primary that answers, for `backoff.give_up_s` at most.

    Args:
        seeds: servers to ask first.
        connect_to: makes a connection.
        on_change: called with the old map (None at first) and the new one.
        remap: where a server is reached, from where it says that it is.
        backoff: waits between the looks of a refresh.

    Attributes:
        map: the last map; None before the first look.
        version: rises with each change of the map.
        informant: the server that told the map; None before the first look.
    """

    def __init__(
        self,
        seeds: Sequence[Node],
        connect_to: ConnectTo,
        on_change: Callable[[SlotMap | None, SlotMap], None],
        remap: Callable[[Node], Node] = lambda node: node,
        backoff: Backoff | None = None,
    ) -> None:
        self._seeds = tuple(seeds)
        self._connect_to, self._on_change, self._remap = connect_to, on_change, remap
        self._backoff = backoff or Backoff(first_s=0.05, cap_s=1.0)
        self.map: SlotMap | None = None
        self.version = 0
        self.informant: Node | None = None
        self._suspects: set[Node] = set()
        self._informed: Node | None = None
        self._task: asyncio.Task[None] | None = None
        self._discovery: asyncio.Task[None] | None = None
        self._ended_s = 0.0
        self._quick_refreshes = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<Topology {self.version} {self.map!r}{' refreshing' if self._task else ''}>"

    @property
    def is_asking(self) -> bool:
        """Whether servers are asked for the map at this moment."""
        return self._task is not None or self._discovery is not None

    async def discover(self) -> SlotMap:
        """The map; looked for if there is none yet, which fails fast.

        Raises:
            ClosedError: if this was closed meanwhile.
            NotSentError: if none of the seeds could be asked; its cause says why.
            redis.exceptions.RedisError: if they refused, such as `AuthenticationError`.
        """
        if self.map is None:
            if self._discovery is None:
                self._discovery = asyncio.get_running_loop().create_task(self._ask_servers())
                self._discovery.add_done_callback(self._discovered)
            await shared(self._discovery, lambda: ClosedError("the client was closed while it looked for the servers"))
        assert self.map is not None
        return self.map

    def _discovered(self, task: asyncio.Task[None]) -> None:
        self._discovery = None
        if not task.cancelled():
            task.exception()  # whoever waits has it

    def target(self, error: AskError) -> Node:
        """The server that MOVED or ASK names; without a host it is at the host that was asked."""
        host = "" if error.host in UNKNOWN_HOSTS else error.host
        owner = self.map.node_of(error.slot_id) if self.map is not None and not host else None
        return self._remap(Node(host or (owner.host if owner else "localhost"), error.port))

    def moved(self, error: MovedError) -> None:
        """Learns from MOVED where a slot is now, and looks what else has changed."""
        node = self.target(error)
        if self.map is not None and self.map.node_of(error.slot_id) != node:
            self._adopt(self.map.moved(error.slot_id, node))
            self.suspect(informed=node)

    def suspect(self, node: Node | None = None, *, informed: Node | None = None) -> None:
        """The map may be stale: starts a refresh unless one is under way.

        Args:
            node: does not answer as it should.
            informed: knows more than others.
        """
        if node is not None:
            self._suspects.add(node)
        if informed is not None:
            self._informed = informed
        if self._task is None and not self._closed and self.map is not None:
            self._task = asyncio.get_running_loop().create_task(self._refresh())
            self._task.add_done_callback(self._refreshed)

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._ended_s = time.monotonic()
        if not task.cancelled() and (error := task.exception()):
            logger.warning("the slots of the cluster could not be refreshed: %s", error)

    async def _refresh(self) -> None:
        deadline = time.monotonic() + self._backoff.give_up_s
        self._quick_refreshes = self._quick_refreshes + 1 if time.monotonic() - self._ended_s < CALM_S else 0
        attempt = 0
        if self._quick_refreshes:
            await asyncio.sleep(self._backoff.wait_s(self._quick_refreshes))
        while True:
            try:
                await self._ask_servers()
                if self.map is not None and self.map.is_complete and not self._suspects:
                    return
            except AuthenticationError:
                raise
            except RedisError:
                if time.monotonic() >= deadline:
                    raise
            if time.monotonic() >= deadline:
                silent = ", ".join(map(str, self._suspects)) or "none"
                logger.warning("the cluster is not whole: %r; servers without an answer: %s", self.map, silent)
                self._suspects.clear()
                return
            await asyncio.sleep(self._backoff.wait_s(attempt))
            attempt += 1

    async def _ask_servers(self) -> None:
        """Asks one server after another until one tells the slots; then whether suspects answer again."""
        error: Exception = NotSentError("there is no server of the cluster to ask; give more seeds")
        for node in self._order():
            try:
                found = await self._ask(node)
            except (RedisError, OSError) as fault:
                error = fault
                if isinstance(fault, AuthenticationError):
                    break
                continue
            self.informant = node
            self._adopt(found)
            break
        else:
            raise connect_error(error) from error
        if isinstance(error, AuthenticationError):
            raise error
        assert self.map is not None
        self._suspects &= set(self.map.primaries)
        suspects = list(self._suspects)
        answers = await asyncio.gather(*map(self._ask, suspects), return_exceptions=True)
        self._suspects -= {n for n, answer in zip(suspects, answers, strict=True) if isinstance(answer, SlotMap)}

    def _order(self) -> list[Node]:
        """Whom to ask: who knows more, primaries, replicas, seeds; suspects last."""
        informed, self._informed = self._informed, None
        primaries = list(self.map.primaries) if self.map else []
        random.shuffle(primaries)  # so that not all clients ask the same one
        replicas = list(self.map.replicas) if self.map else []
        order = dict.fromkeys([*([informed] if informed else []), *primaries, *replicas, *self._seeds])
        return sorted(order, key=self._suspects.__contains__)

    async def _ask(self, node: Node) -> SlotMap:
        """The map as `node` tells it. It is asked PING too, which a server that is still loading refuses."""
        try:
            async with asyncio.timeout(NODE_TIMEOUT_S):
                connection = await self._connect_to(*node)
                try:
                    await connection.send_command("PING")
                    await connection.read_response()
                    await connection.send_command("CLUSTER", "SLOTS")
                    reply = await connection.read_response()
                finally:
                    await connection.disconnect(nowait=True)
        except TimeoutError as error:
            raise NotSentError(f"{node} did not answer within {NODE_TIMEOUT_S:g} s") from error
        try:
            found = parse_slots(reply, node.host, self._remap)
        except ValueError as error:
            raise RedisError(f"{node}: {error}") from error
        if not found.primaries:
            raise NotSentError(f"{node} knows of no slots; is it part of a cluster?")
        return found

    def _adopt(self, found: SlotMap) -> None:
        old, self.map = self.map, found
        if old != found:
            self.version += 1
            self._on_change(old, found)

    async def aclose(self) -> None:
        """Ends the refresh."""
        self._closed = True
        tasks = [task for task in (self._task, self._discovery) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
