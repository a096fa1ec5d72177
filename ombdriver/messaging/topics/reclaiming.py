"""Takes over what consumers left pending that died, or that let go of it.

One script claims, looks and counts; a group has one sweeper per stream at a time, by a lease that ends by itself.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from redis.exceptions import ResponseError

from ombdriver.messaging.topics.membership import Claimed, Member
from ombdriver.messaging.topics.postponing import ASIDE, DELAYED
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
        streams: which.
        visibility_ms: entries idle for so long are taken.
        room: waits until this member can take more, and gives how many.
        accept: is given what was taken of a stream.
        lease_ms: for how long after a step nobody else of the group sweeps that stream.
    """

    def __init__(
        self,
        member: Member,
        streams: Iterable[bytes],
        *,
        visibility_ms: int,
        room: Callable[[], Awaitable[int]],
        accept: Callable[[bytes, list[Claimed]], None],
        lease_ms: int = 1_000,
    ) -> None:
        self._member = member
        self._cursors = dict.fromkeys(streams, START)
        self._visibility_ms, self._lease_ms = visibility_ms, lease_ms
        self._room, self._accept = room, accept
        self.statistics = ReclaimStatistics()

    async def sweep(self) -> None:
        """One round over all streams, each from where the last round of it stopped."""
        for stream in self._cursors:
            while await self._step(stream, min(COUNT, await self._room())):
                pass

    async def _step(self, stream: bytes, count: int) -> bool:
        """Claims up to `count` entries of one stream; whether there may be more to take now."""
        member = self._member
        keys = (member.key(stream, "sweep"), member.key(stream, DELAYED))
        arguments = (self._visibility_ms, self._cursors[stream], count, self._lease_ms, ASIDE)
        try:
            reply = await member.run(_CLAIM, stream, *keys, arguments=arguments)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            return False  # whoever reads makes the group
        if reply is None:
            return False
        self._cursors[stream], rows, gone = reply
        self.statistics.sweeps += 1
        self.statistics.reclaimed += len(rows)
        self.statistics.deleted += gone
        if gone:
            logger.warning("stream %r: %d pending entries were gone from it, and are acknowledged", stream, gone)
        if rows:
            self._accept(stream, [Claimed(*row) for row in rows])
        return self._cursors[stream] != START
