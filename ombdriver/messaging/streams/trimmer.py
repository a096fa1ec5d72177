"""Trims streams to what their groups still need, or past a bound to what their live groups need.

Looking and cutting are one script, so nothing comes in between: no dead letter that becomes pending again, no group
that is set back, or made at an older id, and no consumer that comes to life. `AcknowledgedTrimmer` runs it again and
again in the background.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self

from ombdriver.messaging.errors import ClosedError, MessagingValueError
from ombdriver.messaging.streams import commands
from ombdriver.messaging.streams.commands import Key
from ombdriver.messaging.streams.scripts import COMPARE_IDS, Script
from ombdriver.messaging.transport.background import TELL_EVERY, Health, run_periodically, tell
from ombdriver.messaging.transport.router import Router

logger = logging.getLogger(__name__)

FIRST_STEP = 500
"""Entries looked at in one step, when a stream is longer than its bound."""
LARGEST_STEP = 32 * FIRST_STEP
"""Up to which steps grow, where whole nodes are cut and a node of the stream holds more."""


@dataclass(slots=True)
class TrimStatistics:
    """What was done to one stream.

    Attributes:
        trimmed: entries removed in all.
        breached: those of them that a group without live consumers may still have needed, removed for the bound.
        failures: looks that ended with an error.
    """

    trimmed: int = 0
    breached: int = 0
    failures: int = 0


class AcknowledgedTrimmer:
    """Trims streams to what their groups still need, again and again; `MQClient.keep_trimmed` makes it.

    What a group has not read, or has not acknowledged, stays. A stream without groups is left alone, and a group that
    is destroyed needs nothing any more. A group that nobody reads keeps everything from where it stands: for that there
    are bounds. Past a bound, what only groups without live consumers still need is removed, counted as `breached`, and
    told in the log with the names of stream and group. A group with a live consumer is never cut into.

    Looking and cutting are one step on the server, so a group that is set back, or made at an older id, or whose dead
    letters are redriven, finds all that stands at that moment.

    Args:
        router: gives the connections.
        keys: of the streams.
        every_s: seconds between two rounds.
        maxlen: the bound on the number of entries.
        max_age_s: the bound on the age of entries in seconds, by the server's clock and the ids that it makes.
        approximate: remove whole nodes of a stream only, which is much cheaper; more may stay.
        dead_after_s: a consumer that has asked for nothing in so many seconds is not alive, unless it says that it is,
            as those of the topic level do while they are paused or have no room. Longer than any BLOCK.

    Raises:
        MessagingValueError: if an argument can't be.
    """

    def __init__(
        self,
        router: Callable[[], Router],
        keys: Iterable[Key],
        *,
        every_s: float = 1.0,
        maxlen: int | None = None,
        max_age_s: float | None = None,
        approximate: bool = True,
        dead_after_s: float = 60.0,
    ) -> None:
        commands.number("maxlen", maxlen, 0)
        for name, value in (("every_s", every_s), ("max_age_s", max_age_s), ("dead_after_s", dead_after_s)):
            if value is not None and not value > 0:
                raise MessagingValueError(f"{name} is {value!r}; give seconds above 0")
        self._router = router
        self._streams = {commands.key_bytes(key): TrimStatistics() for key in keys}
        if not self._streams:
            raise MessagingValueError("no stream key was given; give at least one")
        self._every_s, self._maxlen, self._max_age_s = every_s, maxlen, max_age_s
        self._approximate, self._dead_after_ms = approximate, int(dead_after_s * 1000)
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<AcknowledgedTrimmer {len(self._streams)} streams, {'running' if self._task else 'not running'}>"

    def statistics(self) -> dict[bytes, TrimStatistics]:
        """What was done so far, by stream key."""
        return dict(self._streams)

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._run(self._router().health))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the trimming; what is under way is cut short."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def close(self) -> None:
        """The same as `aclose`."""
        await self.aclose()

    async def _run(self, health: Health) -> None:
        try:
            await run_periodically(self._every_s, self.trim, "trimming", asyncio.Event(), health)
        finally:
            for key in self._streams:
                health.well((self, key))

    async def trim(self) -> int:
        """One round over all streams; gives how many entries were removed. An error of one stream is logged."""
        router = self._router()
        return sum(await asyncio.gather(*(self._trim_safely(router, key) for key in self._streams)))

    async def _trim_safely(self, router: Router, key: bytes) -> int:
        try:
            removed = await self._trim_one(router, key)
        except ClosedError:
            raise
        except Exception as error:
            failures = self._streams[key].failures = self._streams[key].failures + 1
            what = f"trimming stream {key!r}"
            router.health.failed((self, key), what, error)
            if failures % TELL_EVERY == 1:
                tell(what, failures, error)
            return 0
        router.health.well((self, key))
        return removed

    async def _trim_one(self, router: Router, key: bytes) -> int:
        statistics, removed, step = self._streams[key], 0, FIRST_STEP
        while True:  # the server bounds the work of one command, and what is looked at by one script is bounded here
            done = await trim(
                router,
                key,
                approximate=self._approximate,
                maxlen=self._maxlen,
                max_age_ms=None if self._max_age_s is None else int(self._max_age_s * 1000),
                dead_after_ms=self._dead_after_ms,
                step=step,
            )
            removed += done.removed
            statistics.trimmed += done.removed
            if done.breached:
                statistics.breached += done.breached
                self._tell_breach(key, done)
            if not done.removed:
                if not done.is_short or step >= LARGEST_STEP:
                    return removed
                step *= 2

    def _tell_breach(self, key: bytes, done: "Trimmed") -> None:
        logger.warning(
            "stream %r was cut past its bound: %d entries removed that groups without live consumers may need: %s",
            key,
            done.breached,
            ", ".join(repr(group) for group in done.losing),
        )


def alive_key(stream: bytes, group: bytes) -> bytes:
    """The key that stands as long as a group has a live consumer on a partition that asks for nothing just now.

    Such a consumer sets it again and again: one that is paused, or whose buffer is full.
    """
    return b":".join((stream, b"alive", group))


# ARGV: ~ or =; the bounds on the number of entries and on their age in ms, or nothing; the idle time in ms from which a
# consumer is not alive; how many entries are looked at, if they are of 2 KiB or less.
# What a group needs is its oldest pending entry, and all after what it was given last; where a next id can't be told,
# the last one stays. Where live groups need everything, and within the bounds, no entry is looked at but the first.
# A key with a tag only, as topics have, may have an alive key beside it: that is in its slot.
_TRIM = Script(
    COMPARE_IDS
    + """
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
  local may_be_told = string.find(KEYS[1], '^{[^{}]+}$')
  if may_be_told and redis.call('EXISTS', KEYS[1] .. ':alive:' .. group) == 1 then return true end
  for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group)) do
    if as_table(row).idle < tonumber(ARGV[4]) then return true end
  end
  return false
end

local needs, horizon = {}, false
for _, row in ipairs(attempt('XINFO', 'GROUPS', KEYS[1]) or {}) do
  local group = as_table(row)
  local first = after(group['last-delivered-id'])
  if group.pending > 0 then
    local oldest = redis.call('XPENDING', KEYS[1], group.name, '-', '+', 1)[1]
    if oldest and is_below(oldest[1], first) then first = oldest[1] end
  end
  needs[group.name] = first
  if not horizon or is_below(first, horizon) then horizon = first end
end
if not horizon then return {0, 0, {}, 0} end
local removed = redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1], horizon)
local maxlen, max_age = tonumber(ARGV[2]), tonumber(ARGV[3])
if not (maxlen or max_age) or (removed > 0 and ARGV[1] == '~') then return {removed, 0, {}, 0} end

local target = false
if max_age then
  local time = redis.call('TIME')
  local oldest_ms = time[1] * 1000 + math.floor(time[2] / 1000) - max_age
  if oldest_ms > 0 then target = string.format('%.0f-0', oldest_ms) end
end
local excess = maxlen and redis.call('XLEN', KEYS[1]) - maxlen or 0
local lowest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if not lowest or not (excess > 0 or (target and is_below(lowest[1], target))) then return {removed, 0, {}, 0} end
local live = false
for group, first in pairs(needs) do
  if (not live or is_below(first, live)) and is_alive(group) then live = first end
end
if live and not is_below(lowest[1], live) then return {removed, 0, {}, 0} end
local count = excess
if excess > 0 then
  local size = 0
  for _, word in ipairs(lowest[2]) do size = size + #word end
  count = math.max(1, math.min(excess, tonumber(ARGV[5]), math.floor(ARGV[5] * 2048 / math.max(1, size))))
  local rows = redis.call('XRANGE', KEYS[1], '-', live and '(' .. live or '+', 'COUNT', count + 1)
  local bound = #rows > count and rows[#rows][1] or live or after(rows[#rows][1])
  if not target or is_below(target, bound) then target = bound end
end
if live and is_below(live, target) then target = live end
local breached, losing = 0, {}
if is_below(horizon, target) then
  for group, first in pairs(needs) do
    if is_below(first, target) then losing[#losing + 1] = group end
  end
  breached = redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1], target)
end
return {removed + breached, breached, losing, excess > count and 1 or 0}
"""
)


class Trimmed(NamedTuple):
    """What one run of the trim script has done.

    Attributes:
        removed: how many entries.
        breached: how many of them for a bound, although groups without live consumers may need them.
        losing: those groups.
        is_short: the bound on the number of entries is further on than what was looked at.
    """

    removed: int
    breached: int
    losing: list[bytes]
    is_short: bool


async def trim(
    router: Router,
    key: bytes,
    *,
    approximate: bool,
    maxlen: int | None = None,
    max_age_ms: int | None = None,
    dead_after_ms: int = 0,
    step: int = FIRST_STEP,
) -> Trimmed:
    """Removes what no group of stream `key` needs; past a bound also what only groups without live consumers need.

    A group with a live consumer loses nothing, however far it is behind.

    Args:
        router: the connections.
        key: of the stream; there need not be one.
        approximate: remove whole nodes of the stream only, and some thousand entries at most; past bounds only where
            there is nothing else.
        maxlen: the bound on the number of entries; None for none.
        max_age_ms: the bound on their age; None for none.
        dead_after_ms: a consumer that has asked for nothing for so long, and does not say that it is alive, is not.
        step: entries that are looked at, and 2 KiB for each of them.

    Raises:
        redis.exceptions.RedisError: the server's error, or that of the connection.
    """
    bounds = ("" if maxlen is None else maxlen, "" if max_age_ms is None else max_age_ms)
    words = ("~" if approximate else "=", *bounds, dead_after_ms, step)
    removed, breached, losing, is_short = await _TRIM.run(router, (key,), words)
    return Trimmed(removed, breached, sorted(losing), bool(is_short))
