"""A group that is to be there: made where the topic is joined, and made again at the right place when it is gone.

One member of a group: its names, its counts, and its way to ask the server. What all parts of a consumer share.

What a consumer knows of one partition: which of its entries it has, and how far it was given them. No I/O.

How far a group is behind: messages that nobody in it was given yet, and what is pending. Asks, changes nothing.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from ombdriver.messaging.streams.entry_ids import is_after
from ombdriver.messaging.streams.resumption import Mark, make_again, mark_at
from ombdriver.messaging.transport.connection import Argument, pack
from ombdriver.messaging.transport.router import Router

if TYPE_CHECKING:
    from ombdriver.messaging.topics.consumer.message import Message


@dataclass(slots=True)
class ConsumerCounts:
    """What a consumer has done, counted as it happens; see `ConsumerStatistics` for what each one means."""

    received: int = 0
    redelivered: int = 0
    replayed: int = 0
    repeated: int = 0
    acknowledged: int = 0
    late_acknowledgements: int = 0
    nacked: int = 0
    rejected: int = 0
    deleted: int = 0
    given_back: int = 0
    reclaimed: int = 0
    lost: int = 0
    groups_made: int = 0
    reconnects: int = 0
    faults: int = 0


@dataclass(slots=True)
class GroupMember:
    """A member of a group.

    Attributes:
        router: the connections of its client.
        group: the group's name.
        name: the member's own.
        is_passing: nobody will have that name again.
        visibility_ms: a message that is pending for so long without a sign of life may go to another member.
        counts: see `ConsumerCounts`.
    """

    router: Router
    group: bytes
    name: bytes
    is_ephemeral: bool
    visibility_ms: int
    counts: ConsumerCounts

    def ask(self, key: bytes, *words: Argument) -> "asyncio.Future[Any]":
        """A small command on `key` that may be carried out twice; its reply as it is, in bytes.

        It finds its server, and is sent again for up to 30 s while connections get lost.

        Raises:
            redis.exceptions.RedisError: when awaited, what the server answers, or what the last attempt met.
            ClosedError: at once, if the client was closed.
        """
        return self.router.send(key, pack(words), bulk=False, idempotent=True)


Entry = tuple[bytes, list[bytes]] | list[Any]
"""An id, and the names and values of its fields in turn, as the server gives them."""


BUFFER_BYTES = 1 << 24
"""As much may be buffered by a consumer, but at least a message of what is read together."""
FIRST = 32
"""The first read asks for no more: nothing is known yet of how large messages are."""


class FlowControl:
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
        last: the last entry that the group was given, as far as this member knows; a lost reply held only higher ones.
        highest: the highest id that this member was ever given; what is above is not known here.
        generation: how often the stream turned out to be another one than before.
        paused: nothing is read or handed out.
        room: how much more may be buffered, of it and those that are read with it.
    """

    __slots__ = (
        "aside",
        "generation",
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
        self.last, self.highest = Mark(), b"0-0"
        self.generation = 0
        self.paused = False
        self.room = FlowControl(1)

    def __repr__(self) -> str:
        return f"<Partition {self.stream} held={len(self.held)}{' paused' if self.paused else ''}>"

    def begin_anew(self) -> None:
        """The stream is another one now: what is known of the old one counts no more, though ids may be the same."""
        self.generation += 1
        self.held, self.noted = set(), []
        self.nacked.clear()
        self.last, self.highest = Mark(), b"0-0"

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


logger = logging.getLogger(__name__)


def is_group_missing(error: Exception) -> bool:
    """Whether the group, or its stream, is not there. Within a script the word stands somewhere in the text."""
    return isinstance(error, ResponseError) and "NOGROUP" in str(error)


async def join(member: GroupMember, partitions: Iterable[Partition], start: bytes) -> None:
    """Makes the group on each partition where it is not there, at `start`; learns how far it was given entries.

    Raises:
        redis.exceptions.RedisError: if a server can't be reached, or refuses.
    """

    async def one(partition: Partition) -> None:
        group = await group_info(member, partition)
        if group is None:
            await _create(member, partition, start)
            group = await group_info(member, partition)
        if group is not None:
            partition.last = await mark_at(member.router, partition.key, group[b"last-delivered-id"])

    await asyncio.gather(*(one(partition) for partition in partitions))


async def heal(member: GroupMember, partitions: Iterable[Partition]) -> None:
    """Makes the group again where it is gone: what this member has not acknowledged and what nobody was given comes.

    Everything comes where the stream is a new one, or can't be told from one; see `resumption`.

    What other members had not acknowledged is theirs to finish: it is pending no more.

    Raises:
        redis.exceptions.RedisError: as `join`.
    """
    for partition in partitions:
        held = partition.held | partition.nacked
        made = await make_again(member.router, partition.key, member.group, partition.last, held)
        if made.is_new_stream:
            partition.begin_anew()
        if made.place is not None:
            member.counts.groups_made += 1
            logger.warning(
                "group %r was gone from stream %r; it was made again, after id %s",
                member.group.decode(errors="replace"),
                partition.stream,
                made.place.decode(),
            )


async def group_info(member: GroupMember, partition: Partition) -> dict[bytes, Any] | None:
    """What XINFO GROUPS says of the group; None if it is not there, or its stream."""
    try:
        groups = await member.ask(partition.key, "XINFO", "GROUPS", partition.key)
    except ResponseError as error:
        if "no such key" in str(error):
            return None
        raise
    infos = (dict(zip(reply[::2], reply[1::2], strict=True)) for reply in groups)
    return next((info for info in infos if info[b"name"] == member.group), None)


async def stream_info(member: GroupMember, partition: Partition) -> dict[bytes, Any] | None:
    """What XINFO STREAM says; None if there is no stream."""
    try:
        reply = await member.ask(partition.key, "XINFO", "STREAM", partition.key)
    except ResponseError as error:
        if "no such key" in str(error):
            return None
        raise
    return dict(zip(reply[::2], reply[1::2], strict=True))


async def _create(member: GroupMember, partition: Partition, place: bytes) -> None:
    try:
        await member.ask(partition.key, "XGROUP", "CREATE", partition.key, member.group, place, "MKSTREAM")
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


COUNTED = 1_000
"""Where the server can't tell, so many entries are counted at most."""

_COUNT = "return #redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])"


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """How far the group is behind on one partition.

    Attributes:
        messages: stored and not given to any member yet.
        is_exact: False if there are at least so many: the server can't tell, and only some were counted.
        pending: given to a member and not acknowledged.
    """

    messages: int
    is_exact: bool
    pending: int


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the group is behind on all partitions of a topic.

    Attributes:
        messages: as for `PartitionLag`, all together; so are the next two.
        is_exact: whether it is so for each partition.
        pending: all together.
        partitions: by number.
    """

    messages: int
    is_exact: bool
    pending: int
    partitions: dict[int, PartitionLag]

    @classmethod
    def of(cls, partitions: dict[int, PartitionLag]) -> "Lag":
        """The sum."""
        parts = partitions.values()
        return cls(
            sum(each.messages for each in parts),
            all(each.is_exact for each in parts),
            sum(each.pending for each in parts),
            partitions,
        )


def observer(router: Router, group: bytes) -> GroupMember:
    """Somebody who asks about a group without being in it."""
    return GroupMember(router, group, b"", is_ephemeral=True, visibility_ms=0, counts=ConsumerCounts())


async def read_lags(member: GroupMember, partitions: Sequence[Partition]) -> Lag:
    """Of all of them, each as `read_lag`, which says what is raised."""
    found = await asyncio.gather(*(read_lag(member, partition) for partition in partitions))
    return Lag.of({partition.number: each for partition, each in zip(partitions, found, strict=True)})


async def read_lag(member: GroupMember, partition: Partition) -> PartitionLag:
    """Of one partition, by the server's own figure (Redis 7 and later, Valkey) unless it has none, as after XDEL.

    Raises:
        redis.exceptions.RedisError: if the server can't be asked.
    """
    group = await group_info(member, partition)
    if group is None:
        return PartitionLag(0, False, 0)
    pending, last = group[b"pending"], group[b"last-delivered-id"]
    told = group.get(b"lag")
    if told is not None:
        return PartitionLag(told, True, pending)
    stream = await stream_info(member, partition)
    if stream is None or stream[b"last-generated-id"] == last:
        return PartitionLag(0, True, pending)
    words = ("EVAL", _COUNT, 1, partition.key, last, COUNTED)
    counted = await member.ask(partition.key, *words)
    return PartitionLag(counted, counted < COUNTED, pending)
