"""Scripts that look at a group of one partition's stream."""

from collections.abc import Sequence
from typing import Any

from ombdriver.messaging.streams import scripts
from ombdriver.messaging.topics.consumer.group import GroupMember
from ombdriver.messaging.transport.connection import Argument


class Script(scripts.Script):
    """A script with a few words for pending entries.

    Args:
        text: see `scripts.Script`. `held(id)` in it gives the row of XPENDING for an entry of the stream KEYS[1] in the
            group ARGV[1] (id, consumer, idle, deliveries), or nil if it is not pending; `fields(id)` gives the entry's
            fields, or nil if it was trimmed or deleted; `now()` the server's time in ms.
    """

    def __init__(self, text: str) -> None:
        super().__init__(_PRELUDE + text)

    async def run_for(self, member: GroupMember, keys: Sequence[bytes], *arguments: Argument) -> Any:
        """As `run`, where ARGV is the member's group and name, and `arguments`."""
        return await self.run(member.router, keys, (member.group, member.name, *arguments))


_PRELUDE = """
local function held(id)
  local rows = attempt('XPENDING', KEYS[1], ARGV[1], id, id, 1)
  return rows and rows[1]
end
local function fields(id)
  local rows = redis.call('XRANGE', KEYS[1], id, id)
  return rows[1] and rows[1][2]
end
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""
