"""Messages that come later, by the server's clock: new ones, and retries that wait longer than the visibility time-out.

Both wait in sorted sets beside their partition's stream, by the time at which they are due. `{t:p}:delayed` has whole
messages; a script moves what is due into the stream, and a member of each group of the topic runs it.
`{t:p}:delayed:GROUP` has the ids of retries: the entries stay pending, for a consumer of the group that no process is.
So a message keeps its id, its place in the stream and the server's delivery count, no other group gets it, and no
process has to wait with it.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Generic

from ombdriver.messaging.errors import MessagingValueError
from ombdriver.messaging.streams.commands import Key, key_bytes
from ombdriver.messaging.streams.topic import Partitioner, Topic, topic_of
from ombdriver.messaging.topics.codec import Codec, Value
from ombdriver.messaging.topics.consumer.group import (
    POSTPONED,
    RESTORE,
    GroupMember,
    group_script,
    once_script,
    retries_key,
    tell_gone,
)
from ombdriver.messaging.topics.consumer.partition import Partition
from ombdriver.messaging.topics.record import MOST_SCRIPT_FIELDS, helper_key, record_fields, too_many_fields
from ombdriver.messaging.transport.connection import Argument
from ombdriver.messaging.transport.router import Router

COUNT = 100
"""Messages that one script moves or claims."""

_SCHEDULE = once_script("""
redis.call('ZADD', KEYS[2], 'NX', now() + ARGV[1], cmsgpack.pack({unpack(ARGV, 2)}))
""")

MOVE = """
local function move(later, count)
  local due = redis.call('ZRANGEBYSCORE', later, '-inf', now(), 'LIMIT', 0, count)
  for _, packed in ipairs(due) do
    local message = cmsgpack.unpack(packed)
    redis.call('XADD', stream, '*', unpack(message, 2))
    redis.call('ZREM', later, packed)
  end
  local first = redis.call('ZRANGE', later, 0, 0, 'WITHSCORES')
  return first[2] and math.max(0, first[2] - now()), #due
end
"""
"""Lua for scripts of `group_script`: moves messages from the set `later` that are due, `count` at most, into the
stream; gives in how many ms the next one is due, or nil, and how many were moved.
"""

_MOVE_DUE = once_script(MOVE + "local _, moved = move(KEYS[2], tonumber(ARGV[1])) return moved")


class DelayedMessages(Generic[Value]):
    """Sends messages that come later; `MQClient.delayed` makes it.

    A message is in the topic's stream once it is due and a runner of the topic, or `move_due`, has moved it; until then
    no group sees it. The server keeps it as it keeps the stream; nothing waits in this process.

    Args:
        router: gives the connections.
        topic: where they go; the name of one with a single partition, or a `Topic`.
        codec: makes bytes of values.
    """

    def __init__(self, router: Callable[[], Router], topic: Topic | str, codec: Codec[Value]) -> None:
        self._router, self._codec = router, codec
        self._topic = topic_of(topic)
        self._partitioner = Partitioner(self._topic)

    def __repr__(self) -> str:
        return f"<DelayedMessages of {self._topic.name!r}>"

    async def send(
        self, value: Value, delay_s: float, key: Key | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Has `value` delivered in `delay_s` seconds or a little later. On return the server has it.

        When the reply is lost it is sent again, and stored once, also if it was moved in the meantime.

        Args:
            value: what the codec takes.
            delay_s: seconds from now, by the server's clock; 0 or more.
            key: picks the partition, and stands in the message.
            headers: name to text.

        Raises:
            MessagingValueError: if an argument can't be.
            OutcomeUnknownError: if the connection was lost and it may be stored.
            redis.exceptions.RedisError: if the server can't be reached or refuses; it is not stored.
        """
        if not 0 <= delay_s < float("inf"):
            raise MessagingValueError(f"delay_s is {delay_s!r}; give seconds of 0 or more")
        stream = self._topic.keys[self._partitioner.pick(key)].encode()
        fields = record_fields(self._codec.encode(value), None if key is None else key_bytes(key, "key"), headers)
        if len(fields) > MOST_SCRIPT_FIELDS:
            raise too_many_fields(len(fields), MOST_SCRIPT_FIELDS)
        words = [word for pair in fields.items() for word in pair]
        arguments: list[Argument] = [int(delay_s * 1000), secrets.token_bytes(8), *words]
        await _SCHEDULE.run(self._router(), (stream, helper_key(stream, "delayed")), arguments, stores=True)

    async def count(self) -> int:
        """How many wait.

        Raises:
            redis.exceptions.RedisError: if a server can't be reached, or refuses.
        """
        keys = [helper_key(stream, "delayed") for stream in self._topic.keys]
        return sum([await self._router().execute_idempotent(key, "ZCARD", key) for key in keys])

    async def move_due(self) -> int:
        """Moves what is due into the topic's streams; gives how many messages. A runner does this by itself.

        Each message is moved in one step: at no time it is in both places, or in none. Several may do it at once.

        Raises:
            redis.exceptions.RedisError: if a server can't be reached, or refuses; some may have been moved by then.
        """
        return await move_due(self._router(), [key.encode() for key in self._topic.keys])


async def move_due(router: Router, streams: Sequence[bytes]) -> int:
    """Moves what is due into `streams`, in the order in which it is due; gives how many messages."""
    moved = 0
    for stream in streams:
        while True:
            found: int = await _MOVE_DUE.run(router, (stream, helper_key(stream, "delayed")), (COUNT,))
            moved += found
            if found < COUNT:
                break
    return moved


# KEYS: stream, delayed retries. ARGV: group, member, id, delay in ms, the consumer of delayed retries. Gives 1 if it
# waits, 0 if it was not the member's, 2 if the entry is gone; and the ids that were found gone from what waits, which a
# second time does not tell again: they are counted and logged, and nothing else is made of them.
_DELAY = group_script(
    RESTORE
    + """
local row = pending_row(ARGV[3])
if row and row[2] == ARGV[5] and redis.call('ZSCORE', KEYS[2], ARGV[3]) then return {1, {}} end
if not row and redis.call('EXISTS', gone_key(ARGV[3])) == 1 then return {2, {}} end
if not row or row[2] ~= ARGV[2] then return {0, {}} end
if not fields(ARGV[3]) then return {2, {}} end
local gone = {}
restore(KEYS[2], ARGV[5], gone)
redis.call('ZADD', KEYS[2], now() + ARGV[4], ARGV[3])
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[5], 0, ARGV[3], 'JUSTID')
return {1, gone}
"""
)


class Delayed(IntEnum):
    """What became of an entry that is to be delayed."""

    NOT_OURS = 0
    WAITS = 1
    IS_GONE = 2


async def delay_retry(member: GroupMember, partition: Partition, entry_id: bytes, delay_ms: int) -> Delayed:
    """Has an entry delivered again after `delay_ms`, by the server's clock.

    One whose content was trimmed or deleted can't wait on the server, and stays as it is.
    """
    keys = (partition.key, retries_key(member, partition))
    became, gone = await member.run(_DELAY, keys, entry_id, delay_ms, POSTPONED)
    tell_gone(member, partition, gone)
    return Delayed(became)
