"""Which primary of a cluster has which slots: read from CLUSTER SLOTS, asked by key, changed by MOVED.

Pure: knows no connection.
"""

from array import array
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

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
