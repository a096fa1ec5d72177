"""The hold on messages: renewed while they are buffered or handled, and a delivery counted when its handling begins.

A hold is a pending entry of this member whose idle time is kept below the visibility time-out.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ombdriver.messaging.topics import own
from ombdriver.messaging.topics.member import Member
from ombdriver.messaging.topics.partition import Partition
from ombdriver.messaging.topics.scripts import Script

_BEGIN = Script("""
local row = held(ARGV[3])
if not row or row[2] ~= ARGV[2] then return false end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'RETRYCOUNT', row[4] + 1, 'JUSTID')
return row[4] + 1
""")


@dataclass(frozen=True, slots=True)
class Claimed:
    """A pending entry that this member now holds.

    Attributes:
        id: the entry's.
        deliveries: how often its handling was begun so far; claiming it did not count.
        fields: names and values in turn.
    """

    id: bytes
    deliveries: int
    fields: list[bytes]


async def begin(member: Member, partition: Partition, entry_id: bytes) -> int | None:
    """Counts one more delivery of an entry and renews the hold; gives the count, None if it is no longer ours."""
    count: int | None = await _BEGIN.run_for(member, [partition.key], entry_id)
    return count


async def renew(member: Member, partition: Partition, ids: Sequence[bytes]) -> list[bytes]:
    """Renews the hold on `ids`; gives those that are no longer this member's: settled, or claimed by another."""
    kept = set(await own.keep(member, partition, ids)) if ids else set()
    return [each for each in ids if each not in kept]


async def renew_all(member: Member, partitions: Iterable[Partition], lost: Callable[[Partition, bytes], None]) -> None:
    """Renews the hold on all that is held of `partitions`, and tells of what is not ours any more."""
    for partition in partitions:
        for gone in await renew(member, partition, list(partition.held)):
            lost(partition, gone)
