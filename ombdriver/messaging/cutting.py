"""Trims a stream to what its groups still need, or past a bound to what its live groups need.

Looking and cutting are one script, so nothing comes in between: no dead letter that becomes pending again, no group
that is set back, or made at an older id, and no consumer that comes to life.
"""

from typing import NamedTuple

from ombdriver.messaging.connection import Channels
from ombdriver.messaging.scripts import Script

# ARGV: ~ or =; the lowest id within a bound, or nothing; the idle time in ms from which a consumer is not alive.
# What a group needs is its oldest pending entry, and all after what it was given last. Ids are compared as text, since
# numbers of Lua are exact to 2^53 only; where a next one can't be told, the last one stays.
_CUT = Script("""
local function is_less(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end
local function is_below(a, b)
  local ms_a, sequence_a = string.match(a, '(%d+)-(%d+)')
  local ms_b, sequence_b = string.match(b, '(%d+)-(%d+)')
  if ms_a ~= ms_b then return is_less(ms_a, ms_b) end
  return is_less(sequence_a, sequence_b)
end
local function after(id)
  local ms, sequence = string.match(id, '(%d+)-(%d+)')
  if #sequence > 15 then return id end
  return ms .. '-' .. string.format('%.0f', sequence + 1)
end
local function as_table(row)
  local found = {}
  for i = 1, #row, 2 do found[row[i]] = row[i + 1] end
  return found
end
local function is_alive(group)
  for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group)) do
    if as_table(row).idle < tonumber(ARGV[3]) then return true end
  end
  return false
end

local needs, target = {}, false
for _, row in ipairs(attempt('XINFO', 'GROUPS', KEYS[1]) or {}) do
  local group = as_table(row)
  local first = after(group['last-delivered-id'])
  if group.pending > 0 then
    local oldest = redis.call('XPENDING', KEYS[1], group.name, '-', '+', 1)[1]
    if oldest and is_below(oldest[1], first) then first = oldest[1] end
  end
  needs[group.name] = first
  if not target or is_below(first, target) then target = first end
end
if not target then return {0, false, {}} end
local horizon, losing = target, {}
if ARGV[2] ~= '' and is_below(horizon, ARGV[2]) then
  target = ARGV[2]
  for group, first in pairs(needs) do
    if is_below(first, target) and is_alive(group) then target = first end
  end
  for group, first in pairs(needs) do
    if is_below(first, target) then losing[#losing + 1] = group end
  end
end
return {redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1], target), horizon, losing}
""")


class Cut(NamedTuple):
    """What one cut has done.

    Attributes:
        removed: how many entries.
        horizon: the lowest id that some group needed; None if there is no group, so that nothing may go.
        losing: the groups without live consumers that needed something of what the bound leaves out.
    """

    removed: int
    horizon: bytes | None
    losing: list[bytes]


async def cut(channels: Channels, key: bytes, *, approximate: bool, bound: bytes = b"", dead_after_ms: int = 0) -> Cut:
    """Removes what no group of stream `key` needs; below a bound also what only groups without live consumers need.

    A group with a live consumer is never cut into, however far it is behind.

    Args:
        channels: the connections.
        key: of the stream; there need not be one.
        approximate: remove whole nodes of the stream only, and some thousand entries at most.
        bound: the lowest id that is within the bound; nothing for none.
        dead_after_ms: a consumer that has asked for nothing for so long is not alive.

    Raises:
        redis.exceptions.RedisError: the server's error, or that of the connection.
    """
    mark = "~" if approximate else "="
    removed, horizon, losing = await _CUT.run(channels, (key,), (mark, bound, dead_after_ms))
    return Cut(removed, horizon, sorted(losing))
