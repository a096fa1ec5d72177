"""Makes a group again that is gone, where no message of its stream is passed over.

Ids do not tell whether a stream is still the same. One that was deleted and made anew (DEL, FLUSHALL, a server that
lost its data) may have the ids of the old one, and lower ones in the same millisecond. So a reader marks the last entry
that its group was given, by its id and its content. If that entry is there, the stream is the same, and the group goes
on where it was; in all other cases it begins at the beginning: a message comes again rather than not at all.

Knows ids, contents and commands; nothing of who reads.
"""

import hashlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, NamedTuple

from redis.exceptions import NoPermissionError, ResponseError

from ombdriver.messaging.streams.entry_ids import IdParts, format_id, parse_id
from ombdriver.messaging.streams.scripts import Script
from ombdriver.messaging.transport.connection import Argument
from ombdriver.messaging.transport.router import Router

BEGINNING = b"0"
_LAST = (1 << 64) - 1
"""The highest sequence within a millisecond."""


class EntryMark(NamedTuple):
    """An entry that a group was given.

    Attributes:
        entry_id: its id; `0-0` for none.
        digest: of its fields; empty if they are not known, and then no entry is the same.
    """

    entry_id: bytes = b"0-0"
    digest: bytes = b""


def mark_of(entry_id: bytes, fields: Sequence[bytes]) -> EntryMark:
    """The mark of an entry, by names and values of its fields in turn."""
    return EntryMark(entry_id, hashlib.sha1(b"\0".join(fields), usedforsecurity=False).hexdigest().encode())


async def mark_at(router: Router, key: bytes, entry_id: bytes) -> EntryMark:
    """The mark of the entry `entry_id` of the stream `key`, without a digest if it is not there.

    Raises:
        redis.exceptions.RedisError: if the server can't be reached, or refuses.
    """
    found: list[Any] = await router.execute_idempotent(key, "XRANGE", key, entry_id, entry_id)
    return mark_of(*found[0]) if found else EntryMark(entry_id)


def before(parts: IdParts) -> bytes:
    """The id just before an id, as the place of a group: what comes next is the entry of that id."""
    ms, sequence = parts
    if sequence:
        return format_id((ms, sequence - 1))
    return format_id((ms - 1, _LAST)) if ms > 0 else BEGINNING


def place_after(last: bytes, held: Collection[bytes] = ()) -> bytes:
    """Where a group goes on in the same stream: before the oldest of `held`, and before the millisecond of `last`.

    Not right after `last`: a stream that was made anew within that millisecond may have, at that id, an entry of the
    same content, and new ones below it.
    """
    return before(min([(parse_id(last)[0], 0), *map(parse_id, held)]))


CREATE = """
local function create(place)
  local words = {'XGROUP', 'CREATE', KEYS[1], ARGV[1], place, 'MKSTREAM'}
  local reply = redis.pcall(unpack(words))
  if not reply.err then return true end
  if string.find(reply.err, 'BUSYGROUP', 1, true) then return false end
  return redis.call(unpack(words))
end
"""
"""Lua for scripts: makes the group ARGV[1] on the stream KEYS[1] after the id `place`; false if it is there."""

# Looking and making are one step: the stream may be deleted in between.
MAKE = (
    CREATE
    + """
local function make()
  local entry = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
  local digest = entry and redis.sha1hex(table.concat(entry[2], '\\0'))
  local found = not entry and 'nothing' or digest == ARGV[3] and 'same' or 'other'
  local place = found == 'same' and ARGV[4] or '0'
  return create(place) and place, found
end
"""
)
"""Lua for scripts with the words of `make_again`: makes the group unless it is there.

ARGV: group, id and digest of the mark, the place if the stream is the same. Gives the place where the group was made,
false if it is there; and what is at the mark.
"""

_MAKE = Script(MAKE + "return {make()}")


class Made(NamedTuple):
    """What became of a group that was looked for.

    Attributes:
        place: the id after which it was made; None if it was there.
        is_new_stream: whether the stream is, or must be taken for, another one than that of the mark.
    """

    place: bytes | None
    is_new_stream: bool


async def make_again(
    router: Router,
    key: bytes,
    group: bytes,
    last: EntryMark,
    held: Collection[bytes] = (),
    *,
    run: Callable[[Sequence[Argument]], Awaitable[Any]] | None = None,
) -> Made:
    """Makes a group again unless it is there.

    Args:
        router: the connections.
        key: of the stream; it is made too.
        group: the group's name.
        last: the mark of the last entry that the group was given, as far as this reader knows.
        held: ids of entries that are to come again, since nobody has them pending any more.
        run: runs a script that does more in the same step, with these words as ARGV; gives what `MAKE` gives.

    Raises:
        redis.exceptions.RedisError: if the server can't be reached, or refuses.
    """
    arguments: Sequence[Argument] = (group, last.entry_id, last.digest, place_after(last.entry_id, held))
    try:
        place, found = await (run(arguments) if run is not None else _MAKE.run(router, (key,), arguments))
    except ResponseError as error:
        if not is_forbidden(error):
            raise
        is_made = await create_plainly(router, key, group, BEGINNING)
        place, found = BEGINNING if is_made else None, b"nothing"
    return Made(place, found == b"other" or (place is not None and found != b"same"))


async def create_plainly(router: Router, key: bytes, group: bytes, place: bytes) -> bool:
    """Makes a group for users who may not run scripts; whether it was not there.

    Raises:
        redis.exceptions.RedisError: the server's, in its own words, if they may not make groups either.
    """
    try:
        await router.execute_idempotent(key, "XGROUP", "CREATE", key, group, place, "MKSTREAM")
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise
        return False
    return True


def is_forbidden(error: ResponseError) -> bool:
    """Whether a script can't run: the user may not run scripts, or a command of it, or the server has not got that one.

    Each server words the last two in its own way, and names no command.
    """
    told = str(error)
    words = ("no permissions", "can't run this command", "command called from")
    return isinstance(error, NoPermissionError) or any(each in told for each in words)
