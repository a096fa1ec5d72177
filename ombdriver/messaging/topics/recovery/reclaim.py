"""Takes over what other consumers of a group left pending, and removes consumers that are gone and hold nothing.

What members of a group that died, or let go of messages, have pending is claimed by one script. A group has one sweeper
per stream at a time, by a lease that ends by itself.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable

from redis.exceptions import ResponseError

from ombdriver.messaging.topics.consumer.group import POSTPONED, GroupMember, group_script, is_group_missing
from ombdriver.messaging.topics.consumer.leases import Claim, make_claim
from ombdriver.messaging.topics.consumer.partition import Partition
from ombdriver.messaging.topics.record import helper_key
from ombdriver.messaging.topics.recovery.delayed import delayed_key

logger = logging.getLogger(__name__)

COUNT = 100
"""Entries that one script claims; the server scans ten times as many."""
START = b"0-0"

# KEYS: stream, lease of the sweeper, delayed retries. ARGV: group, member, idle time in ms from which an entry is left,
# cursor, count, duration of the lease in ms, the consumer of delayed retries. Gives the next cursor, the entries with
# their deliveries, the ids without content; nothing while another member sweeps.
_SWEEP = group_script("""
local group, me = ARGV[1], ARGV[2]
local sweeper = redis.call('GET', KEYS[2])
if sweeper and sweeper ~= me then return false end
redis.call('SET', KEYS[2], me, 'PX', ARGV[6])
local reply = redis.call('XAUTOCLAIM', KEYS[1], group, me, ARGV[3], ARGV[4], 'COUNT', ARGV[5], 'JUSTID')
local delayed = redis.call('EXISTS', KEYS[3]) == 1
local found, gone = {}, reply[3] or {}
for _, id in ipairs(reply[2]) do
  local entry = fields(id)
  local due = delayed and redis.call('ZSCORE', KEYS[3], id)
  if not entry then
    redis.call('XACK', KEYS[1], group, id)
    gone[#gone + 1] = id
  elseif due and tonumber(due) > now() then
    redis.call('XCLAIM', KEYS[1], group, ARGV[7], 0, id, 'JUSTID')
  else
    found[#found + 1] = {id, pending_row(id)[4], entry}
  end
end
return {reply[1], found, gone}
""")

_RELEASE = group_script("""
if redis.call('GET', KEYS[2]) == ARGV[2] then redis.call('DEL', KEYS[2]) end
""")


class Reclaimer:
    """Sweeps streams for entries whose lease was not renewed for the visibility time-out.

    Args:
        member: for whom.
        credit: waits until the member can take more of a partition, and gives how many; 0 to leave it.
        take_over: gets what was claimed of a partition.
        lease_ms: for how long after a step no other member sweeps that partition; None for an eighth of the visibility
            time-out.

    Attributes:
        sweeps: steps that were this member's to make.
    """

    def __init__(
        self,
        member: GroupMember,
        credit: Callable[[Partition], Awaitable[int]],
        take_over: Callable[[Partition, Claim], object],
        *,
        lease_ms: int | None = None,
    ) -> None:
        self._member = member
        self._cursors: dict[Partition, bytes] = {}
        self._credit, self._take_over = credit, take_over
        self._lease_ms = max(1, member.visibility_ms // 8) if lease_ms is None else lease_ms
        self.sweeps = 0

    async def sweep(self, partitions: Iterable[Partition]) -> None:
        """One round over partitions, each from where the last round of it stopped."""
        for partition in partitions:
            while (credit := await self._credit(partition)) and await self._step(partition, min(COUNT, credit)):
                pass

    async def release(self) -> None:
        """Lets others of the group sweep at once what this member has swept."""
        for partition in self._cursors:
            await self._member.run(_RELEASE, (partition.key, self._lease_key(partition)))

    def _lease_key(self, partition: Partition) -> bytes:
        return helper_key(partition.key, "sweep", self._member.group)

    async def _step(self, partition: Partition, count: int) -> bool:
        """Claims up to `count` entries of one partition; whether there may be more to take now."""
        member = self._member
        keys = (partition.key, self._lease_key(partition), delayed_key(member, partition))
        cursor = self._cursors.get(partition, START)
        try:
            reply = await member.run(_SWEEP, keys, member.visibility_ms, cursor, count, self._lease_ms, POSTPONED)
        except ResponseError as error:
            if not is_group_missing(error):
                raise
            return False  # the fetcher creates it again
        if reply is None:
            return False
        self._cursors[partition], rows, gone = reply
        self.sweeps += 1
        if rows or gone:
            self._take_over(partition, make_claim(partition, rows, gone))
        return self._cursors[partition] != START


# Looking and removing are one step, since XGROUP DELCONSUMER throws away what is pending. What a dead consumer holds is
# reclaimed first; then it is empty, and is removed.
_REMOVE = group_script("""
local removed = {}
for _, row in ipairs(attempt('XINFO', 'CONSUMERS', KEYS[1], ARGV[1]) or {}) do
  local consumer = {}
  for i = 1, #row, 2 do consumer[row[i]] = row[i + 1] end
  if consumer.name ~= ARGV[2] and consumer.pending == 0 and consumer.idle >= tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    removed[#removed + 1] = consumer.name
  end
end
return removed
""")


async def remove_dead(member: GroupMember, partition: Partition, dead_after_ms: int) -> list[bytes]:
    """Removes the other consumers that have nothing pending and have asked for nothing in `dead_after_ms`.

    One that was only quiet comes back with its next read, and has lost nothing.
    """
    removed: list[bytes] = await member.run(_REMOVE, [partition.key], dead_after_ms)
    return removed
