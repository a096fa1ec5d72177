"""What a member does with entries that are pending for it: takes them again, keeps them, lets them go.

XCLAIM by a former owner would steal an entry back from whoever has it by now, so each is looked at first, in a script.
All of these may be carried out twice.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ombdriver.messaging.topics.consumer.group import GroupMember, Partition
from ombdriver.messaging.transport.connection import Argument

AT_ONCE = 500
"""Ids that one script is given: it holds up the server for about a millisecond."""

# ARGV: group, consumer, ids. Gives those that are the consumer's, how often each was delivered before, and what is left
# of them; each counts as one more delivery.
_TAKE = """
local mine, times = {}, {}
for n = 3, #ARGV do
  local found = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[n], ARGV[n], 1, ARGV[2])
  if #found > 0 then
    mine[#mine + 1] = ARGV[n]
    times[#times + 1] = found[1][4]
  end
end
if #mine == 0 then return {mine, times, {}} end
return {mine, times, redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(mine))}
"""

# ARGV: group, consumer, idle time in ms, 1 to take one delivery back, ids. Gives the ids that are the consumer's.
_KEEP = """
local mine = {}
for n = 5, #ARGV do
  local found = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[n], ARGV[n], 1, ARGV[2])
  if #found > 0 then
    mine[#mine + 1] = ARGV[n]
    if ARGV[4] == '1' then
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[n], 'IDLE', ARGV[3], 'RETRYCOUNT',
        math.max(0, found[1][4] - 1), 'JUSTID')
    else
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[n], 'IDLE', ARGV[3], 'JUSTID')
    end
  end
end
return mine
"""


# ARGV: group, consumer. Looking and removing are one step, since XGROUP DELCONSUMER throws away what is pending.
_LEAVE = """
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


class Taken(NamedTuple):
    """Entries that were delivered to the member once more.

    Attributes:
        entries: each as id and fields.
        deliveries: how often each was delivered, this time included.
        gone: ids of those whose content was trimmed or deleted, so that only XACK is left to be done.
    """

    entries: list[Any]
    deliveries: list[int]
    gone: list[bytes]


async def pending(member: GroupMember, partition: Partition, after: bytes | None, count: int) -> list[bytes]:
    """Ids that are pending for the member after the id `after` (None: from the beginning), `count` of them at most."""
    low = b"-" if after is None else b"(" + after
    words = ("XPENDING", partition.key, member.group, low, "+", count, member.name)
    return [row[0] for row in await member.ask(partition.key, *words)]


async def take(member: GroupMember, partition: Partition, ids: Sequence[bytes]) -> Taken:
    """Delivers those of `ids`, `AT_ONCE` at most, to the member once more that are pending for it."""
    key = partition.key
    partition.taking.update(ids)
    try:
        mine, times, found = await member.ask(key, "EVAL", _TAKE, 1, key, member.group, member.name, *ids)
    finally:
        partition.taking.difference_update(ids)
    before = dict(zip(mine, times, strict=True))
    entries = [entry for entry in found if entry is not None and entry[1]]  # None for what is gone, before Redis 7
    there = {entry[0] for entry in entries}
    return Taken(entries, [before[entry[0]] + 1 for entry in entries], [each for each in mine if each not in there])


async def keep(
    member: GroupMember, partition: Partition, ids: Sequence[bytes], idle_ms: int = 0, *, undelivered: bool = False
) -> list[bytes]:
    """Notes for those of `ids` that are pending for the member that they have been so for `idle_ms`.

    With 0 its hold on them is renewed; with the visibility time-out anybody may take them at once.

    Args:
        member: whose they have to be.
        partition: where they are.
        ids: any number of them.
        idle_ms: see above.
        undelivered: take the last delivery back: nothing was done with them.

    Returns:
        those that are the member's; the others were settled, or belong to another member by now.
    """
    key, mine = partition.key, []
    for first in range(0, len(ids), AT_ONCE):
        words: list[Argument] = [member.group, member.name, idle_ms, int(undelivered)]
        words += ids[first : first + AT_ONCE]
        mine += await member.ask(key, "EVAL", _KEEP, 1, key, *words)
    return mine


async def leave(member: GroupMember, partition: Partition) -> bool:
    """Removes the member from the group, unless something is pending for it; whether it did."""
    words = ("EVAL", _LEAVE, 1, partition.key, member.group, member.name)
    return bool(await member.ask(partition.key, *words))
