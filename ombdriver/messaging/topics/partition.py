"""What a consumer knows of one partition: which of its entries it has, and how far it was given them. No I/O."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ombdriver.messaging.topics.positions import is_after

if TYPE_CHECKING:
    from ombdriver.messaging.topics.message import Message

Entry = tuple[bytes, list[bytes]] | list[Any]
"""An id, and the names and values of its fields in turn, as the server gives them."""


BUFFER_BYTES = 1 << 24
"""As much may be buffered by a consumer, but at least a message of what is read together."""
FIRST = 32
"""The first read asks for no more: nothing is known yet of how large messages are."""


class Room:
    """How much is buffered of what is read together, and how much may be.

    Args:
        most: messages that may be buffered, if they are not large.
        most_bytes: as much may be buffered, by the size of what came last.

    Attributes:
        buffered: messages that are not handed out.
        high: a read asks for no more than what fills it up to here.
        low: the next read is sent when no more than this is buffered, so that reads stay large.
        changed: set when it is worth looking again.
    """

    __slots__ = ("_most", "_most_bytes", "buffered", "changed", "high", "low")

    def __init__(self, most: int, most_bytes: int = BUFFER_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self.buffered = 0
        self.changed = asyncio.Event()
        self.high = min(most, FIRST)
        self.low = self.high // 2

    def fit(self, size: int) -> None:
        """Messages are of `size` bytes now."""
        self.high = max(1, min(self._most, self._most_bytes // max(1, size)))
        self.low = self.high // 2

    def free(self) -> int:
        """How many messages to ask for; 0 as long as enough is buffered."""
        return self.high - self.buffered if self.buffered <= self.low else 0


class Partition:
    """One stream of a topic, as one member of a group sees it.

    Args:
        number: counted from 0.
        stream: its key.

    Attributes:
        key: the stream's key as bytes.
        held: ids of messages that are buffered or handed out, and not settled.
        taking: ids that are being taken again at this moment, so that a replay and a sweep don't both count them.
        nacked: ids given back by `nack` that come again here, in so far as nobody else takes them.
        noted: acknowledged, and not sent yet.
        sent: batches of acknowledgements that were sent and are not answered.
        aside: messages that wait because the partition is paused.
        last: how far the group was given entries, as far as this member knows; a lost reply held only higher ones.
        highest: the highest id that this member was ever given; what is above is not known here.
        paused: nothing is read or handed out.
        room: how much more may be buffered, of it and those that are read with it.
    """

    __slots__ = (
        "aside",
        "held",
        "highest",
        "key",
        "last",
        "nacked",
        "noted",
        "number",
        "paused",
        "room",
        "sent",
        "stream",
        "taking",
    )

    def __init__(self, number: int, stream: str) -> None:
        self.number, self.stream, self.key = number, stream, stream.encode()
        self.held: set[bytes] = set()
        self.taking: set[bytes] = set()
        self.nacked: set[bytes] = set()
        self.noted: list[bytes] = []
        self.sent: list[list[bytes]] = []
        self.aside: list[Message[Any]] = []
        self.last = self.highest = b"0-0"
        self.paused = False
        self.room = Room(1)

    def __repr__(self) -> str:
        return f"<Partition {self.stream} held={len(self.held)}{' paused' if self.paused else ''}>"

    def hold(self, ids: Sequence[bytes]) -> None:
        """Notes ids that were pending before, and are held now."""
        self.held.update(ids)
        self.nacked.difference_update(ids)
        for each in ids:
            if is_after(each, self.highest):
                self.highest = each

    def is_acknowledged(self, entry_id: bytes) -> bool:
        """Whether it was acknowledged here and the server has not answered yet."""
        return entry_id in self.noted or any(entry_id in batch for batch in self.sent)

    def knows(self, entry_id: bytes) -> bool:
        """Whether a pending entry of this member is none that got lost: it is here, or waits to come again."""
        known = entry_id in self.held or entry_id in self.nacked or entry_id in self.taking
        return known or self.is_acknowledged(entry_id)

    def unknown(self, ids: Iterable[bytes]) -> list[bytes]:
        """Those of `ids` that are not known."""
        return [each for each in ids if not self.knows(each)]
