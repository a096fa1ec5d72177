"""Takes over what consumers left pending that died, or that let go of it.

One script claims, looks and counts; a group has one sweeper per stream at a time, by a lease that ends by itself.

Removes consumers that are gone and hold nothing.

XGROUP DELCONSUMER throws away what a consumer has pending, so who asks and who removes is one script. What a dead
consumer holds is reclaimed first (`reclaiming`); then it is empty, and goes.

Rounds that are made again and again beside a consumer, and go on past errors.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from redis.exceptions import RedisError, ResponseError

from ombdriver.messaging.errors import ClosedError
from ombdriver.messaging.topics.consumer.group import GroupMember, Partition, is_group_missing
from ombdriver.messaging.topics.consumer.leases import ClaimedEntry
from ombdriver.messaging.topics.record import helper_key
from ombdriver.messaging.topics.recovery.delayed import ASIDE, delayed_key
from ombdriver.messaging.topics.scripts import Script

logger = logging.getLogger(__name__)

COUNT = 100
"""Entries that one script claims; the server scans ten times as many."""
START = b"0-0"

_CLAIM = Script("""
local group, me = ARGV[1], ARGV[2]
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= me then return false end
redis.call('SET', KEYS[2], me, 'PX', ARGV[6])
local reply = redis.call('XAUTOCLAIM', KEYS[1], group, me, ARGV[3], ARGV[4], 'COUNT', ARGV[5], 'JUSTID')
local postponed = redis.call('EXISTS', KEYS[3]) == 1
local found, gone = {}, reply[3] and #reply[3] or 0
for _, id in ipairs(reply[2]) do
  local entry = fields(id)
  local due = postponed and redis.call('ZSCORE', KEYS[3], id)
  if not entry then
    redis.call('XACK', KEYS[1], group, id)
    gone = gone + 1
  elseif due and tonumber(due) > now() then
    redis.call('XCLAIM', KEYS[1], group, ARGV[7], 0, id, 'JUSTID')
  else
    found[#found + 1] = {id, held(id)[4], entry}
  end
end
return {reply[1], found, gone}
""")


_RELEASE = Script("""
if redis.call('GET', KEYS[2]) == ARGV[2] then redis.call('DEL', KEYS[2]) end
""")


@dataclass(slots=True)
class ReclaimStatistics:
    """What sweeps have done.

    Attributes:
        sweeps: steps that were this member's to make.
        reclaimed: entries taken over.
        deleted: pending entries acknowledged because their content was trimmed or deleted.
    """

    sweeps: int = 0
    reclaimed: int = 0
    deleted: int = 0


class Reclaimer:
    """Sweeps streams for entries that nobody has renewed for the visibility time-out.

    Claiming does not count as a delivery: that is counted when the handling begins, so that a message that kills its
    process does not use up the deliveries of those that were claimed along with it.

    Args:
        member: for whom.
        room: waits until this member can take more, and gives how many; 0 to leave the partition.
        accept: is given what was taken of a partition.
        lease_ms: for how long after a step nobody else of the group sweeps that partition; None for an eighth of the
            visibility time-out.
    """

    def __init__(
        self,
        member: GroupMember,
        *,
        room: Callable[[], Awaitable[int]],
        accept: Callable[[Partition, list[ClaimedEntry]], Awaitable[None]],
        lease_ms: int | None = None,
    ) -> None:
        self._member = member
        self._cursors: dict[Partition, bytes] = {}
        self._room, self._accept = room, accept
        self._lease_ms = max(1, member.visibility_ms // 8) if lease_ms is None else lease_ms
        self.statistics = ReclaimStatistics()

    async def sweep(self, partitions: Iterable[Partition]) -> None:
        """One round over partitions, each from where the last round of it stopped."""
        for partition in partitions:
            while (room := await self._room()) and await self._step(partition, min(COUNT, room)):
                pass

    async def release(self) -> None:
        """Lets others of the group sweep at once what this member has swept."""
        for partition in self._cursors:
            await _RELEASE.run_for(self._member, (partition.key, self._lease(partition)))

    def _lease(self, partition: Partition) -> bytes:
        return helper_key(partition.key, "sweep", self._member.group.decode())

    async def _step(self, partition: Partition, count: int) -> bool:
        """Claims up to `count` entries of one partition; whether there may be more to take now."""
        member = self._member
        keys = (partition.key, self._lease(partition), delayed_key(member, partition))
        cursor = self._cursors.get(partition, START)
        arguments = (member.visibility_ms, cursor, count, self._lease_ms, ASIDE)
        try:
            reply = await _CLAIM.run_for(member, keys, *arguments)
        except ResponseError as error:
            if not is_group_missing(error):
                raise
            return False  # whoever reads makes the group
        if reply is None:
            return False
        self._cursors[partition], rows, gone = reply
        self.statistics.sweeps += 1
        self.statistics.reclaimed += len(rows)
        self.statistics.deleted += gone
        if gone:
            logger.warning("%s: %d pending entries were gone from it, and are acknowledged", partition.stream, gone)
        if rows:
            await self._accept(partition, [ClaimedEntry(*row) for row in rows])
        return self._cursors[partition] != START


_REMOVE = Script("""
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
    removed: list[bytes] = await _REMOVE.run_for(member, [partition.key], dead_after_ms)
    return removed


async def every(
    every_s: float, work: Callable[[], Awaitable[object]], what: str, over: asyncio.Event | None = None
) -> None:
    """Does `work`, waits 75 to 125 % of `every_s` seconds, and so on, until it is cancelled or the client is closed.

    It ends by itself once `over` is set, and never in the middle of `work`.
    The jitter keeps many processes that started together from asking together. An error of the server or of the
    connection is logged, the first one and every sixtieth in a row; the next round tries again.
    """
    failures, over = 0, over or asyncio.Event()
    while not over.is_set():
        try:
            await work()
            failures = 0
        except ClosedError:
            return
        except (RedisError, OSError) as error:
            failures += 1
            if failures % 60 == 1:
                logger.warning("%s failed (%d times in a row): %s", what, failures, error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every_s * random.uniform(0.75, 1.25)):
                await over.wait()
