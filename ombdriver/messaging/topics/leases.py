"""The hold on messages: renewed while they are buffered or handled, begun anew for another delivery, given back.

A hold is a pending entry of this member whose idle time is kept below the visibility time-out. A plain XCLAIM by a
former owner would steal an entry back from the new one, so every script here looks first whose it is.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from ombdriver.messaging.topics.membership import Member
from ombdriver.messaging.topics.scripts import Script

CHUNK = 500
"""Entries that one script looks at: it holds up the server for a millisecond or so."""

_RENEW = Script("""
local claim, gone = {'XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0}, {}
for i = 3, #ARGV do
  local row = held(ARGV[i])
  if row and row[2] == ARGV[2] then claim[#claim + 1] = ARGV[i] else gone[#gone + 1] = ARGV[i] end
end
if #claim > 5 then
  claim[#claim + 1] = 'JUSTID'
  redis.call(unpack(claim))
end
return gone
""")

_BEGIN = Script("""
local row = held(ARGV[3])
if not row or row[2] ~= ARGV[2] then return false end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'RETRYCOUNT', row[4] + 1, 'JUSTID')
return row[4] + 1
""")

_GIVE_BACK = Script("""
local given = 0
for i = 4, #ARGV, 2 do
  local row = held(ARGV[i])
  if row and row[2] == ARGV[2] then
    local count = math.max(0, row[4] - ARGV[i + 1])
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'IDLE', ARGV[3], 'RETRYCOUNT', count, 'JUSTID')
    given = given + 1
  end
end
return given
""")


class Leases:
    """Keeps the hold on what a member has taken.

    Args:
        member: whose.
        visibility_ms: an entry that nobody renews for so long is anybody's.
    """

    def __init__(self, member: Member, visibility_ms: int) -> None:
        self._member = member
        self._visibility_ms = visibility_ms

    async def renew(self, stream: bytes, ids: Sequence[bytes]) -> list[bytes]:
        """Renews the hold on `ids`; gives those that are no longer this member's: acknowledged, claimed by another.

        The delivery counts stay as they are.
        """
        gone: list[bytes] = []
        for start in range(0, len(ids), CHUNK):
            gone += await self._member.run(_RENEW, stream, arguments=tuple(ids[start : start + CHUNK]))
        return gone

    async def renew_all(
        self, held: Callable[[], Mapping[bytes, Collection[bytes]]], lost: Callable[[bytes, bytes], None]
    ) -> None:
        """Renews the hold on all that `held()` has by stream, and tells `lost(stream, id)` of what is not ours."""
        for stream, ids in held().items():
            for gone in await self.renew(stream, list(ids)):
                lost(stream, gone)

    async def begin(self, stream: bytes, entry_id: bytes) -> int | None:
        """Counts one more delivery of an entry and renews the hold; gives the count, None if it is no longer ours."""
        count: int | None = await self._member.run(_BEGIN, stream, arguments=(entry_id,))
        return count

    async def give_back(self, stream: bytes, ids: Mapping[bytes, int]) -> int:
        """Lets go of entries, so that the next sweep of any member takes them; gives how many were still ours.

        Args:
            stream: their stream.
            ids: to how many deliveries are taken off the entry's count: 1 where the one that was counted when it was
                read was never begun.
        """
        given = 0
        pairs = list(ids.items())
        for start in range(0, len(pairs), CHUNK):
            flat = tuple(word for pair in pairs[start : start + CHUNK] for word in pair)
            given += await self._member.run(_GIVE_BACK, stream, arguments=(self._visibility_ms, *flat))
        return given
