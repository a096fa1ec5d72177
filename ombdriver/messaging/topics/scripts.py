"""Scripts that the server carries out whole, in the slot of one partition.

Each of them may be carried out twice without harm, since a lost reply makes it be sent again: what was moved, claimed
or acknowledged the first time is not there the second time.
"""

import hashlib
from collections.abc import Awaitable, Sequence
from typing import Any

from redis.exceptions import NoScriptError

from ombdriver.messaging.connection import Channels
from ombdriver.messaging.resp import Argument, pack
from ombdriver.messaging.topics.member import Member


class Script:
    """One Lua script; only its hash travels, once a server knows it.

    Args:
        text: in Lua 5.1, for commands of Redis 6.2. `held(id)` in it gives the row of XPENDING for an entry of the
            stream KEYS[1] in the group ARGV[1] (id, consumer, idle, deliveries), or nil if it is not pending;
            `fields(id)` gives the entry's fields, or nil if it was trimmed or deleted; `now()` the server's time in ms.
    """

    def __init__(self, text: str) -> None:
        self._text = (_PRELUDE + text).encode()
        self._sha = hashlib.sha1(self._text, usedforsecurity=False).hexdigest()

    async def run(self, channels: Channels, keys: Sequence[bytes], arguments: Sequence[Argument]) -> Any:
        """The script's reply, with bytes.

        Args:
            channels: the connections.
            keys: of one slot; the first is the stream.
            arguments: ARGV.

        Raises:
            redis.exceptions.RedisError: the server's error, or that of the connection.
        """
        words = (len(keys), *keys, *arguments)
        try:
            return await _send(channels, keys[0], ("EVALSHA", self._sha, *words))
        except NoScriptError:
            return await _send(channels, keys[0], ("EVAL", self._text, *words))

    async def run_for(self, member: Member, keys: Sequence[bytes], *arguments: Argument) -> Any:
        """As `run`, where ARGV is the member's group and name, and `arguments`."""
        return await self.run(member.channels, keys, (member.group, member.name, *arguments))


def _send(channels: Channels, key: bytes, words: tuple[Argument, ...]) -> Awaitable[Any]:
    return channels.send(key, pack(words), bulk=False, may_repeat=True)


_PRELUDE = """
local function held(id)
  local rows = redis.pcall('XPENDING', KEYS[1], ARGV[1], id, id, 1)
  if rows.err then return nil end
  return rows[1]
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
