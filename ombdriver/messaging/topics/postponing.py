"""Messages that wait longer for their next delivery than the visibility time-out: they stay pending, and are set aside.

Their ids stand in a sorted set by the time at which they are due, `{t:p}:delayed:GROUP`, and they are pending for a
member of the group's that nobody is. So a message keeps its id, its place in the stream and the server's delivery
count, no other group hears of it, and no process has to wait with it.
"""

from ombdriver.messaging.topics.keys import helper_key
from ombdriver.messaging.topics.leases import Claimed
from ombdriver.messaging.topics.member import Member
from ombdriver.messaging.topics.partition import Partition
from ombdriver.messaging.topics.scripts import Script

ASIDE = b"postponed"
"""The consumer for which postponed entries are pending."""
COUNT = 100
"""Entries that one script looks at."""

_POSTPONE = Script("""
local row = held(ARGV[3])
if not row or row[2] ~= ARGV[2] then return 0 end
redis.call('ZADD', KEYS[2], now() + ARGV[4], ARGV[3])
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[5], 0, ARGV[3], 'JUSTID')
return 1
""")

_DUE = Script("""
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now(), 'LIMIT', 0, ARGV[3])) do
  redis.call('ZREM', KEYS[2], id)
  local row = held(id)
  if row and row[2] == ARGV[4] then
    local entry = fields(id)
    if entry then
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'JUSTID')
      found[#found + 1] = {id, row[4], entry}
    else
      redis.call('XACK', KEYS[1], ARGV[1], id)
    end
  end
end
return found
""")


def delayed_key(member: Member, partition: Partition) -> bytes:
    """The key of what waits for the member's group on a partition."""
    return helper_key(partition.key, "delayed", member.group.decode())


async def postpone(member: Member, partition: Partition, entry_id: bytes, delay_ms: int) -> bool:
    """Sets an entry aside for `delay_ms`, by the server's clock; False if it is no longer this member's."""
    keys = (partition.key, delayed_key(member, partition))
    return bool(await _POSTPONE.run_for(member, keys, entry_id, delay_ms, ASIDE))


async def take_due(member: Member, partition: Partition, count: int = COUNT) -> list[Claimed]:
    """What is due, now this member's, `count` at most; their deliveries are not counted up.

    If the reply is lost they are pending for this member without its knowing; the next sweep past the visibility
    time-out finds them.
    """
    keys = (partition.key, delayed_key(member, partition))
    return [Claimed(*row) for row in await _DUE.run_for(member, keys, min(count, COUNT), ASIDE)]
