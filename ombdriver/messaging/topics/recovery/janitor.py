"""What one member of a group does for all of it: claims what others left, and brings what is due.

A group elects its janitor by a lease that ends by itself, for each partition; all is done by one script for many
partitions. So what a group costs while it is idle does not depend on how many members it has.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ombdriver.messaging.topics.consumer.group import POSTPONED, RESTORE, GroupMember, group_script, retries_key
from ombdriver.messaging.topics.consumer.leases import Claim, make_claim
from ombdriver.messaging.topics.consumer.partition import Partition
from ombdriver.messaging.topics.record import helper_key
from ombdriver.messaging.topics.recovery.delayed import MOVE

COUNT = 100
"""Entries of a partition that one script claims, and that it moves; the server scans ten times as many."""
TOGETHER = 16
"""Partitions that one script looks after at most: it holds up the server for a few milliseconds when all are busy."""
START = b"0-0"
PAUSED, NOT_REPLAYED = b"-", b""
"""In place of a cursor: nothing of the partition may be claimed; or nothing that others left, as there may be older."""

# KEYS of each partition: stream, lease of the janitor, delayed retries, messages for later.
# ARGV: group, member, idle time in ms from which an entry is left, duration of the lease in ms, entries that may be
# claimed, idle time in ms from which an empty consumer is removed (or nothing), `COUNT`, the consumer of delayed
# retries, and for each partition a cursor, or one of the words above.
# Gives for each partition: 1 if the member is its janitor, the next cursor, the entries that others left, those that
# are due, the ids without content, in how many ms something is due (-1: not known), 1 if there is more to claim now,
# and where another one is its janitor, how many members are there: consumers that have asked for something within a
# minute. Before Redis 7.2 a read that brings nothing neither makes a consumer known nor counts as asking: there each
# member makes itself known, and all that are known count.
_LOOK = group_script(
    RESTORE
    + MOVE
    + """
local group, me, postponed = ARGV[1], ARGV[2], ARGV[8]
local credit, count = tonumber(ARGV[5]), tonumber(ARGV[7])
local members

local function consumers()
  local found = {}
  for n, row in ipairs(attempt('XINFO', 'CONSUMERS', stream, group) or {}) do
    found[n] = {}
    for i = 1, #row, 2 do found[n][row[i]] = row[i + 1] end
  end
  return found
end

local function count_members()
  if not members then
    members = 0
    attempt('XGROUP', 'CREATECONSUMER', stream, group, me)
    for _, one in ipairs(consumers()) do
      if not one.inactive or one.idle < 60000 then members = members + 1 end
    end
  end
  return members
end

local function take_due(retries, found, gone)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', retries, '-inf', now(), 'LIMIT', 0, math.min(credit, count))) do
    redis.call('ZREM', retries, id)
    local row = pending_row(id)
    if row and row[2] == postponed then
      local claimed = claim(row)
      if claimed then
        found[#found + 1] = claimed
        credit = credit - 1
      else
        gone[#gone + 1] = id
      end
    end
  end
end

local function take_over(cursor, retries, found, gone)
  local reply = attempt('XAUTOCLAIM', stream, group, me, ARGV[3], cursor, 'COUNT', math.min(credit, count), 'JUSTID')
  if not reply then return cursor end
  for _, id in ipairs(reply[3] or {}) do  -- whoever has them, and however short a time ago they were touched
    gone[#gone + 1] = id
    redis.call('SET', gone_key(id), '', 'PX', 600000)
  end
  local given = reply[2][1] and last_given()
  for _, id in ipairs(reply[2]) do
    local entry, due = fields(id), redis.call('ZSCORE', retries, id)
    if not entry then
      redis.call('XACK', stream, group, id)
      gone[#gone + 1] = id
    elseif due and tonumber(due) > now() then
      redis.call('XCLAIM', stream, group, postponed, 0, id, 'JUSTID')
    elseif given and is_below(given, id) then
      -- the group was set back, and is given it anew, after what is older
    else
      found[#found + 1] = {id, pending_row(id)[4], entry}
      credit = credit - 1
    end
  end
  return reply[1]
end

local function remove_dead(retries)
  for _, one in ipairs(consumers()) do
    local is_kept = one.name == me or (one.name == postponed and redis.call('EXISTS', retries) == 1)
    if not is_kept and one.pending == 0 and one.idle >= tonumber(ARGV[6]) then
      redis.call('XGROUP', 'DELCONSUMER', stream, group, one.name)
    end
  end
end

local function look(lease, retries, later, cursor)
  local holder = redis.call('GET', lease)
  if holder and holder ~= me then
    return {0, cursor, {}, {}, {}, -1, 0, count_members()}
  end
  local left, due, gone, due_in, more = {}, {}, {}, -1, 0
  local is_janitor = cursor ~= '-' and cursor ~= '' and credit > 0
  if is_janitor then redis.call('SET', lease, me, 'PX', ARGV[4]) end
  local waiting = redis.call('EXISTS', later, retries)
  if waiting > 0 then
    local next_ms, moved = move(later, count)
    if next_ms then due_in = math.min(next_ms, 1000) end
    if next_ms == 0 or moved == count then more = 1 end
  end
  if waiting > 0 and redis.call('EXISTS', retries) == 1 and restore(retries, postponed, gone) and cursor ~= '-' then
    if credit > 0 then take_due(retries, due, gone) end
    local first = redis.call('ZRANGE', retries, 0, 0, 'WITHSCORES')
    local wait_ms = first[2] and math.max(0, first[2] - now())
    if wait_ms == 0 then more = 1 end
    if wait_ms and wait_ms > 0 and (due_in < 0 or wait_ms < due_in) then due_in = wait_ms end
  end
  if is_janitor and credit > 0 then
    cursor = take_over(cursor, retries, left, gone)
    if cursor ~= '0-0' then more = 1 end
  elseif cursor ~= '-' and cursor ~= '' then
    more = 1
  end
  if is_janitor and ARGV[6] ~= '' then remove_dead(retries) end
  return {is_janitor and 1 or 0, cursor, left, due, gone, due_in, more, 0}
end

local looked = {}
for n = 1, #KEYS, 4 do
  at(KEYS[n])
  looked[#looked + 1] = look(KEYS[n + 1], KEYS[n + 2], KEYS[n + 3], ARGV[9 + (n - 1) / 4])
end
return looked
"""
)

_RESIGN = group_script("""
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[2] then redis.call('DEL', key) end
end
""")

TakeOver = Callable[[Partition, Claim], object]


class Look(NamedTuple):
    """What one look at some partitions found.

    Attributes:
        is_janitor: the member is that of one of them at least.
        members: consumers of the group that are there, if another one is the janitor of one of them; else 0.
        due_s: in how many seconds something is due; None if that is not known, or nothing is.
        more: those of which there is more to claim.
    """

    is_janitor: bool
    members: int
    due_s: float | None
    more: list[Partition]


class Janitor:
    """Looks after partitions for a group, as far as nobody else does.

    Args:
        member: of the group.
        take_over: gets what others left.
        take_due: gets retries that are due.
        lease_ms: for how long after a look the member is the janitor of what it has looked at.

    Attributes:
        looks: how often this member has looked at a partition as its janitor.
    """

    def __init__(self, member: GroupMember, take_over: TakeOver, take_due: TakeOver, lease_ms: int) -> None:
        self._member, self._take_over, self._take_due, self._lease_ms = member, take_over, take_due, lease_ms
        self._cursors: dict[Partition, bytes] = {}
        self.looks = 0

    def __repr__(self) -> str:
        return f"<Janitor of {len(self._cursors)} partitions>"

    async def look(
        self, partitions: Mapping[Partition, bytes | None], credit: int, remove_after_ms: int | None = None
    ) -> Look:
        """Moves messages that are due, and claims up to `credit` entries: retries that are due, and what others left.

        Nothing of a partition that has another janitor. What is claimed is handed on before this returns.

        Args:
            partitions: `TOGETHER` of them at most; with None, or with `PAUSED` or `NOT_REPLAYED`.
            credit: with 0 the member does not become, or stay, the janitor.
            remove_after_ms: removes consumers that hold nothing and have asked for nothing for so long; None for none.

        Raises:
            redis.exceptions.RedisError: the server's error, or that of the connection.
        """
        member = self._member
        keys = [key for partition in partitions for key in self._keys(partition)]
        cursors = [self._cursors.get(each, START) if word is None else word for each, word in partitions.items()]
        remove_after = "" if remove_after_ms is None else remove_after_ms
        options = (member.visibility_ms, self._lease_ms, credit, remove_after, COUNT, POSTPONED)
        replies = await member.run(_LOOK, keys, *options, *cursors)
        look = Look(False, 0, None, [])
        for (partition, word), reply in zip(partitions.items(), replies, strict=True):
            is_janitor, cursor, left, due, gone, due_ms, more, members = reply
            if word is None:
                self._cursors[partition] = cursor
            self.looks += is_janitor
            if left or gone:
                self._take_over(partition, make_claim(partition, left, gone))
            if due:
                self._take_due(partition, make_claim(partition, due, []))
            due_s = look.due_s if due_ms < 0 else min(due_ms / 1000, look.due_s if look.due_s is not None else 1e9)
            more_of = [*look.more, partition] if more else look.more
            look = Look(look.is_janitor or bool(is_janitor), max(look.members, members), due_s, more_of)
        return look

    async def resign(self) -> None:
        """Lets others of the group look after its partitions at once."""
        if keys := [_lease_key(self._member, partition) for partition in self._cursors]:
            await self._member.run(_RESIGN, keys)

    def _keys(self, partition: Partition) -> Sequence[bytes]:
        stream, member = partition.key, self._member
        return stream, _lease_key(member, partition), retries_key(member, partition), helper_key(stream, "delayed")


def _lease_key(member: GroupMember, partition: Partition) -> bytes:
    return helper_key(partition.key, "janitor", member.group)
