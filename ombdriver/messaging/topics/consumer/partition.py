"""What a consumer knows of one partition: which of its entries it has, and how far the group was given them. No I/O."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ombdriver.messaging.streams.entry_ids import is_after
from ombdriver.messaging.streams.resumption import EntryMark
from ombdriver.messaging.transport.blocking import BOUND_REPLIES

if TYPE_CHECKING:
    from ombdriver.messaging.topics.consumer.message import Message

BUFFER_BYTES = 1 << 24
"""As much may be buffered by a consumer, but at least one message of what is read together."""
FIRST_CREDIT = 4
"""The first read asks for no more: nothing is known yet of how large messages are."""
FADES = 0.8
"""How a size that was large fades with each reply of smaller messages: it is forgotten after some twenty."""
UNBOUND = 1 << 40


class FlowControl:
    """How many messages are buffered, and how many more may be asked for.

    Nobody knows how large messages are before they come, nor what a reply may hold before the server closes the
    connection for it. So the first read asks for a few messages, each later one for twice as many at most, up to what
    the bounds allow by the size of late messages; after a reply that was lost it begins with one, up to half of that.

    Whatever makes room where there was none sets `changed`: what is buffered sinks to the low water mark, or the mark
    rises to it.

    Args:
        most: messages that may be buffered, if they are not large.
        most_bytes: as much may be buffered, by the size of late messages.
        low_water: more are asked for when no more than this are left; None for half of what may be buffered, which
            then follows the size of messages.

    Attributes:
        bound: no reply is to have more messages, since one that had was lost; `UNBOUND` if there is no such bound.
        buffered: messages that are here.
        is_asking: a read is on its way, or waits on the server.
        high_water: a read asks for no more than what fills it up to here.
        low_water: more are asked for when no more than this are buffered, so that reads stay large.
        changed: set when it is worth looking again; see `wait_for_change`.
    """

    __slots__ = (
        "_most",
        "_most_bytes",
        "_replies",
        "_size",
        "bound",
        "buffered",
        "changed",
        "high_water",
        "is_asking",
        "low_water",
    )

    def __init__(self, most: int, most_bytes: int = BUFFER_BYTES, low_water: int | None = None) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._size, self.bound, self._replies = 0.0, UNBOUND, 0
        self.buffered = 0
        self.is_asking = False
        self.changed = asyncio.Event()
        self.high_water = most if low_water is not None else min(most, FIRST_CREDIT)
        self.low_water = low_water if low_water is not None else self.high_water // 2

    def __repr__(self) -> str:
        asks = ", asks" if self.is_asking else ""
        return f"<FlowControl {self.buffered} of {self.high_water}, more at {self.low_water}{asks}>"

    def adapt(self, message_size: float) -> None:
        """A reply has come, with messages of `message_size` bytes on average, and they are buffered."""
        self._size = max(message_size, FADES * self._size)
        self._replies += 1
        if self._replies % BOUND_REPLIES == 0:
            self.bound = min(UNBOUND, 2 * self.bound)
        fit = int(self._most_bytes // max(1.0, self._size))
        self.high_water = max(1, min(self._most, self.bound, 2 * max(self.high_water, self.buffered), fit))
        self.low_water = self.high_water // 2
        if self.buffered <= self.low_water:  # the mark has risen above what is here, and nothing will sink to it
            self.changed.set()

    def lose(self, asked: int) -> None:
        """The reply to a read of `asked` messages was lost: it may have been more than the server lets anybody have."""
        self.bound, self._replies = max(1, asked // 2), 0
        self.high_water, self.low_water = 1, 0

    def credit(self) -> int:
        """How many messages to ask for; 0 as long as enough are buffered."""
        return self.high_water - self.buffered if self.buffered <= self.low_water else 0

    async def wait_for_change(self) -> None:
        """Returns when it is worth looking again."""
        self.changed.clear()
        await self.changed.wait()

    def remove(self, count: int) -> None:
        """So many messages are no longer buffered."""
        self.buffered -= count
        if self.buffered <= self.low_water:
            self.changed.set()


class Partition:
    """One stream of a topic, as one member of a group sees it.

    Args:
        number: counted from 0.
        stream: its key.

    Attributes:
        key: the stream's key as bytes.
        leased: ids of messages that are buffered or handed out, and not settled.
        claiming: ids that are being claimed at this moment, so that no other part of the consumer claims them too.
        nacked: ids given back by `nack` that come again here, unless another member takes them.
        acks_pending: acknowledged, and not sent yet.
        acks_in_flight: batches of acknowledgements that were sent and are not answered.
        paused_buffer: messages that wait because the partition is paused.
        last_delivered: the last entry that the group was given, as far as this member knows; a lost reply had only
            higher ids.
        highest: the highest id that this member was ever given; what is above is not known here.
        generation: how often the stream turned out to be another one than before.
        paused: nothing is read or handed out.
        flow: of what is read together with this partition.
    """

    __slots__ = (
        "acks_in_flight",
        "acks_pending",
        "claiming",
        "flow",
        "generation",
        "highest",
        "key",
        "last_delivered",
        "leased",
        "nacked",
        "number",
        "paused",
        "paused_buffer",
        "stream",
    )

    def __init__(self, number: int, stream: str) -> None:
        self.number, self.stream, self.key = number, stream, stream.encode()
        self.leased: set[bytes] = set()
        self.claiming: set[bytes] = set()
        self.nacked: set[bytes] = set()
        self.acks_pending: list[bytes] = []
        self.acks_in_flight: list[list[bytes]] = []
        self.paused_buffer: list[Message[Any]] = []
        self.last_delivered, self.highest = EntryMark(), b"0-0"
        self.generation = 0
        self.paused = False
        self.flow = FlowControl(1)

    def __repr__(self) -> str:
        return f"<Partition {self.stream} leased={len(self.leased)}{' paused' if self.paused else ''}>"

    def begin_anew(self) -> None:
        """The stream is another one now: what is known of the old one is void, though ids may be the same."""
        self.generation += 1
        self.leased, self.acks_pending = set(), []
        self.nacked.clear()
        self.last_delivered, self.highest = EntryMark(), b"0-0"

    def lease(self, entry_id: bytes) -> None:
        """Notes an id that was pending before, and is leased now."""
        self.leased.add(entry_id)
        self.nacked.discard(entry_id)
        if is_after(entry_id, self.highest):
            self.highest = entry_id

    def is_acknowledged(self, entry_id: bytes) -> bool:
        """Whether it was acknowledged here and the server has not answered yet."""
        return entry_id in self.acks_pending or any(entry_id in batch for batch in self.acks_in_flight)

    def is_known(self, entry_id: bytes) -> bool:
        """Whether an entry that is pending for this member is here or expected, so that no reply with it was lost."""
        known = entry_id in self.leased or entry_id in self.nacked or entry_id in self.claiming
        return known or self.is_acknowledged(entry_id)

    def unknown(self, ids: Iterable[bytes]) -> list[bytes]:
        """Those of `ids` that are not known."""
        return [each for each in ids if not self.is_known(each)]
