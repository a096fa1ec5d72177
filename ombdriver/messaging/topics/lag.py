"""How far a group is behind: messages that nobody in it was given yet, and what is pending. Asks, changes nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from ombdriver.messaging.connection import Channels
from ombdriver.messaging.topics.joining import group_info, stream_info
from ombdriver.messaging.topics.member import Counts, Member
from ombdriver.messaging.topics.partition import Partition

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


def onlooker(channels: Channels, group: bytes) -> Member:
    """Somebody who asks about a group without being in it."""
    return Member(channels, group, b"", is_passing=True, visibility_ms=0, counts=Counts())


async def read_lags(member: Member, partitions: Sequence[Partition]) -> Lag:
    """Of all of them, each as `read_lag`, which says what is raised."""
    found = await asyncio.gather(*(read_lag(member, partition) for partition in partitions))
    return Lag.of({partition.number: each for partition, each in zip(partitions, found, strict=True)})


async def read_lag(member: Member, partition: Partition) -> PartitionLag:
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
