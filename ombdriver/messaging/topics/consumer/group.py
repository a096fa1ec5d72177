"""A consumer group of one topic: its members, and how it is created, and created again after it was destroyed.

What all parts of a consumer share to ask the server. Knows nothing of what is read.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from ombdriver.messaging.errors import MessagingValueError
from ombdriver.messaging.streams.commands import key_bytes
from ombdriver.messaging.streams.resumption import CREATE, MAKE, create_plainly, is_forbidden, make_again, mark_at
from ombdriver.messaging.streams.scripts import COMPARE_IDS, OnceScript, Script
from ombdriver.messaging.topics.consumer.config import ConsumerStatistics
from ombdriver.messaging.topics.consumer.partition import Partition
from ombdriver.messaging.topics.record import helper_key
from ombdriver.messaging.transport.connection import Argument, pack
from ombdriver.messaging.transport.router import Router

logger = logging.getLogger(__name__)


POSTPONED = b"postponed"
"""The consumer for which delayed retries are pending until they are due."""
REDRIVEN = b"redriven"
"""The consumer for which a redriven entry is pending until a member claims it."""


def member_name(name: str) -> bytes:
    """The name of a member as bytes.

    Raises:
        MessagingValueError: if it is empty, or one of those under which entries are set aside.
    """
    data = key_bytes(name, "name")
    if data in (POSTPONED, REDRIVEN):
        raise MessagingValueError(
            f"name is {name!r}, and entries that wait for their time stand under that one; give another name"
        )
    return data


@dataclass(slots=True)
class GroupMember:
    """A member of a group.

    Attributes:
        router: the connections of its client.
        group: the group's name.
        name: the member's own.
        is_ephemeral: no member will have that name again.
        visibility_ms: a message that is pending for so long without a sign of life may go to another member.
        statistics: what it has done so far.
    """

    router: Router
    group: bytes
    name: bytes
    is_ephemeral: bool
    visibility_ms: int
    statistics: ConsumerStatistics

    def send(self, key: bytes, *words: Argument) -> "asyncio.Future[Any]":
        """Sends a small command on `key` that may be carried out twice; its reply as it is, in bytes.

        It finds its server, and is sent again for up to 30 s while connections get lost.

        Raises:
            redis.exceptions.RedisError: when awaited, what the server answers, or what the last attempt met.
            ClosedError: at once, if the client was closed.
        """
        return self.router.send(key, pack(words), bulk=False, idempotent=True)

    async def run(self, script: Script, keys: Sequence[bytes], *arguments: Argument, once: bool = False) -> Any:
        """Runs a script of `group_script`: ARGV is the group, the member's name, and `arguments`.

        It is sent again when its reply was lost, unless `once`.

        Raises:
            redis.exceptions.RedisError: the server's error, or that of the connection.
        """
        return await script.run(self.router, keys, (self.group, self.name, *arguments), once=once)


def observer(router: Router, group: bytes) -> GroupMember:
    """Asks about a group without being in it."""
    return GroupMember(router, group, b"", is_ephemeral=True, visibility_ms=0, statistics=ConsumerStatistics())


def group_script(text: str) -> Script:
    """A script on KEYS[1], a partition's stream, and on the group ARGV[1] for its member ARGV[2].

    Args:
        text: what it does. `pending_row(id)` in it gives the row of XPENDING for an entry (id, consumer, idle,
            deliveries), or nil if it is not pending; `fields(id)` the entry's fields, or nil if it was trimmed or
            deleted; `is_trimmed(id)` whether it was trimmed, without its fields; `now()` the server's time in ms;
            `claim(row)` makes the member the owner of an entry by its row, without counting a delivery, and gives id,
            deliveries and fields, or acknowledges an entry that was trimmed or deleted and gives nil.
            XCLAIM of an entry that is gone would end that it is pending, unseen.
            `gone_key(id)` is the key that stands for some minutes after an entry turned out to be trimmed while it was
            pending, and is pending no more: who has it in memory may go on with it.
            `last_given()` gives the last id that the group was given, nil if there is no such group.
            `at(key)` makes `key` the stream of all these, in place of KEYS[1]; it is in `stream`.
    """
    return Script(_FUNCTIONS + text)


def once_script(text: str) -> OnceScript:
    """The same, as a `OnceScript`."""
    return OnceScript(text, _FUNCTIONS)


_FUNCTIONS = (
    COMPARE_IDS
    + """
local stream, lowest = KEYS[1], nil
local function at(key) stream, lowest = key, nil end
local function pending_row(id)
  local rows = attempt('XPENDING', stream, ARGV[1], id, id, 1)
  return rows and rows[1]
end
local function fields(id)
  local rows = redis.call('XRANGE', stream, id, id)
  return rows[1] and rows[1][2]
end
local function gone_key(id) return stream .. ':gone:' .. ARGV[1] .. ':' .. id end
local function is_trimmed(id)
  if lowest == nil then
    local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    lowest = first and first[1] or false
  end
  return not lowest or is_below(id, lowest)
end
local function last_given()
  for _, row in ipairs(attempt('XINFO', 'GROUPS', stream) or {}) do
    local info = {}
    for i = 1, #row, 2 do info[row[i]] = row[i + 1] end
    if info.name == ARGV[1] then return info['last-delivered-id'] end
  end
end
local now_ms
local function now()
  if not now_ms then
    local time = redis.call('TIME')
    now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return now_ms
end
local function claim(row)
  local entry = fields(row[1])
  if not entry then
    redis.call('XACK', stream, ARGV[1], row[1])
    return nil
  end
  redis.call('XCLAIM', stream, ARGV[1], ARGV[2], 0, row[1], 'JUSTID')
  return {row[1], row[4], entry}
end
"""
)


RESTORE = """
local function restore(retries, postponed, gone)
  local made = attempt('XGROUP', 'CREATECONSUMER', stream, ARGV[1], postponed)
  if made == 1 then
    local given = last_given()
    for _, id in ipairs(redis.call('ZRANGE', retries, 0, -1)) do
      if pending_row(id) then
        redis.call('ZREM', retries, id)
      elseif not fields(id) then
        redis.call('ZREM', retries, id)
        gone[#gone + 1] = id
      elseif is_below(given, id) then
        redis.call('ZREM', retries, id)
      else
        redis.call('XCLAIM', stream, ARGV[1], postponed, 0, id, 'RETRYCOUNT', 1, 'FORCE', 'JUSTID')
      end
    end
  end
  return made
end
"""
"""Lua for scripts of `group_script`, to be called before anything is done with the set `retries`: nil if the group does
not exist. One that was destroyed has lost the consumer `postponed` with all that was pending for it; what is in the set
is made pending again then, as delivered once, and what is in the stream no more is added to `gone`. What the new group
has been given, or will be given since it is above the group's place, waits no more: it comes as a new message.
If the consumer was there, then what is in the set and not pending was acknowledged meanwhile.
"""

# Making the group and restoring what waits are one step: what is given and acknowledged in between would wait again.
# KEYS: stream, delayed retries. ARGV: the words of `MAKE`, the consumer of delayed retries. Gives what `MAKE` gives,
# and the ids that were found gone from what waits. Carried out again it would tell that somebody else has made it.
_MAKE = once_script(
    RESTORE
    + MAKE
    + """
local gone = {}
local place, found = make()
if place and redis.call('EXISTS', KEYS[2]) == 1 then restore(KEYS[2], ARGV[5], gone) end
return {place, found, gone}
"""
)

# KEYS: as above. ARGV: group, member, the place, the consumer of delayed retries. Gives the ids that were found gone.
_CREATE = once_script(
    RESTORE
    + CREATE
    + """
local gone = {}
if create(ARGV[3]) and redis.call('EXISTS', KEYS[2]) == 1 then restore(KEYS[2], ARGV[4], gone) end
return gone
"""
)


def retries_key(member: GroupMember, partition: Partition) -> bytes:
    """The key of the delayed retries of the member's group on a partition."""
    return helper_key(partition.key, "delayed", member.group)


def tell_gone(member: GroupMember, partition: Partition, gone: Sequence[bytes]) -> None:
    """Counts retries that waited and were trimmed or deleted meanwhile, and logs them."""
    if gone:
        member.statistics.deleted += len(gone)
        logger.warning("%s: %d messages that waited for a retry were gone from it", partition.stream, len(gone))


def is_group_missing(error: Exception) -> bool:
    """Whether the group, or its stream, does not exist. A script's error has the word somewhere in its text."""
    return isinstance(error, ResponseError) and "NOGROUP" in str(error)


async def ensure_group(member: GroupMember, partitions: Iterable[Partition], start: bytes) -> None:
    """Creates the group on each partition where it does not exist, at `start`; learns how far it was given entries.

    Raises:
        redis.exceptions.RedisError: if a server can't be reached, or refuses.
    """

    async def one(partition: Partition) -> None:
        group = await group_info(member, partition)
        if group is None:
            await _create(member, partition, start)
            group = await group_info(member, partition)
        if group is not None:
            partition.last_delivered = await mark_at(member.router, partition.key, group[b"last-delivered-id"])

    await asyncio.gather(*(one(partition) for partition in partitions))


async def recreate_group(member: GroupMember, partitions: Iterable[Partition]) -> None:
    """Creates the group again where it was destroyed, such that all comes that no member was given, and what this
    member has not acknowledged: that is pending no more.

    Everything comes where the stream is a new one, or can't be told from one; see `resumption`. What other members have
    not acknowledged is theirs to handle to the end.

    Raises:
        redis.exceptions.RedisError: as `ensure_group`.
    """
    for partition in partitions:
        unsettled = partition.leased | partition.nacked
        make = _MakeAndRestore(member, partition)
        made = await make_again(
            member.router, partition.key, member.group, partition.last_delivered, unsettled, run=make
        )
        tell_gone(member, partition, make.gone)
        if made.is_new_stream:
            partition.begin_anew()
        if made.place is not None:
            member.statistics.groups_made += 1
            logger.warning(
                "group %r was gone from stream %r; it was made again, after id %s",
                member.group.decode(errors="replace"),
                partition.stream,
                made.place.decode(),
            )


class _MakeAndRestore:
    """Runs `_MAKE` for `make_again`, and keeps which retries it has found gone."""

    def __init__(self, member: GroupMember, partition: Partition) -> None:
        self._member, self._partition = member, partition
        self.gone: list[bytes] = []

    async def __call__(self, words: Sequence[Argument]) -> tuple[Any, Any]:
        keys = (self._partition.key, retries_key(self._member, self._partition))
        place, found, self.gone = await _MAKE.run(self._member.router, keys, (*words, POSTPONED))
        return place, found


async def _create(member: GroupMember, partition: Partition, start: bytes) -> None:
    try:
        gone = await member.run(_CREATE, (partition.key, retries_key(member, partition)), start, POSTPONED)
    except ResponseError as error:
        if not is_forbidden(error):
            raise
        await create_plainly(member.router, partition.key, member.group, start)
    else:
        tell_gone(member, partition, gone)


async def group_info(member: GroupMember, partition: Partition) -> dict[bytes, Any] | None:
    """What XINFO GROUPS gives for the group; None if it does not exist, or its stream."""
    groups = await _info(member, partition, "GROUPS")
    infos = (dict(zip(reply[::2], reply[1::2], strict=True)) for reply in groups or ())
    return next((info for info in infos if info[b"name"] == member.group), None)


async def stream_info(member: GroupMember, partition: Partition) -> dict[bytes, Any] | None:
    """What XINFO STREAM gives; None if there is no stream."""
    reply = await _info(member, partition, "STREAM")
    return None if reply is None else dict(zip(reply[::2], reply[1::2], strict=True))


async def _info(member: GroupMember, partition: Partition, about: str) -> list[Any] | None:
    try:
        reply: list[Any] = await member.send(partition.key, "XINFO", about, partition.key)
    except ResponseError as error:
        if "no such key" in str(error):
            return None
        raise
    return reply
