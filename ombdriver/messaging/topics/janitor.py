"""Removes consumers that are gone and hold nothing.

XGROUP DELCONSUMER throws away what a consumer has pending, so who asks and who removes is one script. What a dead
consumer holds is reclaimed first (`reclaiming`); then it is empty, and goes.
"""

from ombdriver.messaging.topics.member import Member
from ombdriver.messaging.topics.partition import Partition
from ombdriver.messaging.topics.scripts import Script

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


async def remove_dead(member: Member, partition: Partition, dead_after_ms: int) -> list[bytes]:
    """Removes the other consumers that have nothing pending and have asked for nothing in `dead_after_ms`.

    One that was only quiet comes back with its next read, and has lost nothing.
    """
    removed: list[bytes] = await _REMOVE.run_for(member, [partition.key], dead_after_ms)
    return removed
