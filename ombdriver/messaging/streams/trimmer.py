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
from typing import Any, NamedTuple, Self

from ombdriver.messaging.errors import ClosedError, MessagingValueError
from ombdriver.messaging.streams import commands
from ombdriver.messaging.streams.commands import Key
from ombdriver.messaging.streams.entry_ids import IdParts, format_id, parse_id
from ombdriver.messaging.streams.scripts import COMPARE_IDS, Script
from ombdriver.messaging.transport.background import TELL_EVERY, Health, run_periodically, tell
from ombdriver.messaging.transport.connection import Argument
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
        dead_after_s: a consumer that has asked for nothing in so many seconds is not alive. Longer than any BLOCK.

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
        removed = 0
        while (done := await self._trim(router, key)).removed:  # the server bounds the work of one command
            removed += done.removed
        if done.horizon is None:
            return removed
        horizon, step = parse_id(done.horizon), FIRST_STEP
        while True:
            bound, is_short = await self._bound(router, key, step)
            breached = 0
            if bound is not None and bound > horizon:
                done = await self._trim(router, key, format_id(bound))
                if not done.losing:
                    return removed
                if breached := done.removed:
                    removed += breached
                    self._breached(key, breached, done.losing)
            if not breached and (not is_short or step >= LARGEST_STEP):
                return removed
            if not breached:
                step *= 2

    async def _trim(self, router: Router, key: bytes, bound: bytes = b"") -> "Trimmed":
        done = await trim(router, key, approximate=self._approximate, bound=bound, dead_after_ms=self._dead_after_ms)
        self._streams[key].trimmed += done.removed
        return done

    def _breached(self, key: bytes, removed: int, groups: list[bytes]) -> None:
        self._streams[key].breached += removed
        logger.warning(
            "stream %r was cut past its bound: %d entries removed that groups without live consumers may need: %s",
            key,
            removed,
            ", ".join(repr(group) for group in groups),
        )

    async def _bound(self, router: Router, key: bytes, step: int) -> tuple[IdParts | None, bool]:
        """The lowest id within the bounds, as far as `step` entries tell; None if nothing is past them.

        And whether the bound on their number is further on than that.
        """
        bounds: list[IdParts] = []
        excess = 0
        if self._max_age_s is not None:
            seconds, microseconds = await router.execute_idempotent(key, "TIME")
            oldest_ms = int(seconds) * 1000 + int(microseconds) // 1000 - int(self._max_age_s * 1000)
            bounds.append((max(0, oldest_ms), 0))
        if self._maxlen is not None:
            excess = int(await router.execute_idempotent(key, "XLEN", key)) - self._maxlen
            if excess > 0:
                words: list[Argument] = ["XRANGE", key, "-", "+", "COUNT", min(excess, step) + 1]
                entries: list[Any] = await router.execute_idempotent(key, *words)
                if entries:  # none: the stream was emptied meanwhile
                    last = parse_id(entries[-1][0])
                    # All of them are past the bound when there is nothing to keep.
                    bounds.append(last if len(entries) > min(excess, step) else (last[0], last[1] + 1))
        return max(bounds, default=None), excess > step


# ARGV: ~ or =; the lowest id within a bound, or nothing; the idle time in ms from which a consumer is not alive.
# What a group needs is its oldest pending entry, and all after what it was given last; where a next id can't be told,
# the last one stays.
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
"""
)


class Trimmed(NamedTuple):
    """What one run of the trim script has done.

    Attributes:
        removed: how many entries.
        horizon: the lowest id that some group needed; None if there is no group, so that nothing may go.
        losing: the groups without live consumers that needed something of what the bound leaves out.
    """

    removed: int
    horizon: bytes | None
    losing: list[bytes]


async def trim(
    router: Router, key: bytes, *, approximate: bool, bound: bytes = b"", dead_after_ms: int = 0
) -> "Trimmed":
    """Removes what no group of stream `key` needs; below a bound also what only groups without live consumers need.

    A group with a live consumer loses nothing, however far it is behind.

    Args:
        router: the connections.
        key: of the stream; there need not be one.
        approximate: remove whole nodes of the stream only, and some thousand entries at most.
        bound: the lowest id that is within the bound; nothing for none.
        dead_after_ms: a consumer that has asked for nothing for so long is not alive.

    Raises:
        redis.exceptions.RedisError: the server's error, or that of the connection.
    """
    mark = "~" if approximate else "="
    removed, horizon, losing = await _TRIM.run(router, (key,), (mark, bound, dead_after_ms))
    return Trimmed(removed, horizon, sorted(losing))
