"""How far a group is behind: messages that none of its members was given yet, and what is pending.

Asks the server, and changes nothing.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from ombdriver.messaging.topics.consumer.group import GroupMember, group_info, group_script, stream_info
from ombdriver.messaging.topics.consumer.partition import Partition

COUNTED = 1_000
"""Where the server can't tell, so many entries are counted at most."""

_COUNT = group_script("return #redis.call('XRANGE', KEYS[1], '(' .. ARGV[3], '+', 'COUNT', ARGV[4])")


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


async def read_lag(member: GroupMember, partitions: Sequence[Partition]) -> Lag:
    """The lag of the member's group on all of `partitions`.

    Raises:
        redis.exceptions.RedisError: if a server can't be asked.
    """
    found = await asyncio.gather(*(_partition_lag(member, partition) for partition in partitions))
    return Lag(
        sum(each.messages for each in found),
        all(each.is_exact for each in found),
        sum(each.pending for each in found),
        {partition.number: each for partition, each in zip(partitions, found, strict=True)},
    )


async def _partition_lag(member: GroupMember, partition: Partition) -> PartitionLag:
    """By the server's own figure (Redis 7 and later, Valkey) unless it has none, as after XDEL."""
    group = await group_info(member, partition)
    if group is None:
        return PartitionLag(0, False, 0)
    pending, last = group[b"pending"], group[b"last-delivered-id"]
    lag = group.get(b"lag")
    if lag is not None:
        return PartitionLag(lag, True, pending)
    stream = await stream_info(member, partition)
    if stream is None or stream[b"last-generated-id"] == last:
        return PartitionLag(0, True, pending)
    counted = await member.run(_COUNT, [partition.key], last, COUNTED)
    return PartitionLag(counted, counted < COUNTED, pending)
