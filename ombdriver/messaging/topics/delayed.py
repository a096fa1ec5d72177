"""Messages that are to be delivered later: they wait in a sorted set beside their partition's stream.

`{t:p}:delayed` holds whole messages by the time at which they are due, by the server's clock. One script moves what is
due into the stream; every runner of the topic does so once a second.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ombdriver.messaging.commands import Key, key_bytes
from ombdriver.messaging.connection import Channels
from ombdriver.messaging.errors import AioRedisMQValueError
from ombdriver.messaging.resp import Argument
from ombdriver.messaging.topic import Partitioner, Topic
from ombdriver.messaging.topics.codec import Codec
from ombdriver.messaging.topics.keys import helper_key
from ombdriver.messaging.topics.record import fields_of
from ombdriver.messaging.topics.scripts import Script

COUNT = 100
"""Messages that one script moves."""

_SCHEDULE = Script("""
redis.call('ZADD', KEYS[2], 'NX', now() + ARGV[1], cmsgpack.pack({unpack(ARGV, 2)}))
""")

_MOVE = Script("""
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now(), 'LIMIT', 0, ARGV[1])
for _, packed in ipairs(due) do
  local message = cmsgpack.unpack(packed)
  redis.call('XADD', KEYS[1], '*', unpack(message, 2))
  redis.call('ZREM', KEYS[2], packed)
end
return #due
""")


class DelayedMessages:
    """Sends messages that come later; `MQClient.delayed` makes it.

    A message is in the topic's stream once its time has come and a runner of the topic (or `move_due`) has looked;
    until then no group sees it. What is sent is kept by the server as the stream is; nothing waits in this process.

    Args:
        channels: gives the connections.
        topic: where they go; the name of one with a single partition, or a `Topic`.
        codec: makes bytes of values.
    """

    def __init__(self, channels: Callable[[], Channels], topic: Topic | str, codec: Codec[Any]) -> None:
        self._channels, self._codec = channels, codec
        self._topic = Topic(topic) if isinstance(topic, str) else topic
        self._partitioner = Partitioner(self._topic)

    def __repr__(self) -> str:
        return f"<DelayedMessages of {self._topic.name!r}>"

    async def send(
        self, value: Any, delay_s: float, key: Key | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Has `value` delivered in `delay_s` seconds or a little later. On return the server has it.

        When the reply is lost it is sent again, and stored once; unless its time has come in the meantime.

        Args:
            value: what the codec takes.
            delay_s: seconds from now, by the server's clock; 0 or more.
            key: picks the partition, and stands in the message.
            headers: name to text.

        Raises:
            AioRedisMQValueError: if an argument can't be.
            redis.exceptions.RedisError: if the server can't be reached or refuses.
        """
        if not 0 <= delay_s < float("inf"):
            raise AioRedisMQValueError(f"delay_s is {delay_s!r}; give seconds of 0 or more")
        stream = self._topic.keys[self._partitioner.pick(key)].encode()
        fields = fields_of(self._codec.encode(value), None if key is None else key_bytes(key, "key"), headers)
        words = [word for pair in fields.items() for word in pair]
        arguments: list[Argument] = [int(delay_s * 1000), secrets.token_bytes(8), *words]
        await _SCHEDULE.run(self._channels(), (stream, helper_key(stream, "delayed")), arguments)

    async def count(self) -> int:
        """How many wait.

        Raises:
            redis.exceptions.RedisError: if a server can't be reached, or refuses.
        """
        keys = [helper_key(stream, "delayed") for stream in self._topic.keys]
        return sum([await self._channels().small(key, "ZCARD", key) for key in keys])

    async def move_due(self) -> int:
        """Moves what is due into the topic's streams; gives how many messages. A runner does this by itself.

        Each message is moved in one step: it is in both places or in none at no time. Several may do it at once.

        Raises:
            redis.exceptions.RedisError: if a server can't be reached, or refuses; some may have been moved by then.
        """
        return await move_due(self._channels(), [key.encode() for key in self._topic.keys])


async def move_due(channels: Channels, streams: Sequence[bytes]) -> int:
    """Moves what is due into `streams`, in the order in which it is due; gives how many messages."""
    moved = 0
    for stream in streams:
        while True:
            found: int = await _MOVE.run(channels, (stream, helper_key(stream, "delayed")), (COUNT,))
            moved += found
            if found < COUNT:
                break
    return moved
