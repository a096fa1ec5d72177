"""The leases of a group member: entries that are pending for it, and idle for less than the visibility time-out.

A lease is renewed while its message is buffered or handled, and released with an idle time after which anybody may
claim it. The server's delivery count of an entry is how many handlings of it have begun: claims leave it as it is
(JUSTID), and whoever begins or releases a message writes the number, so that to be carried out twice does no harm.
Only XREADGROUP counts by itself, before the first handling; a message that is released without it gets 0 again.

XCLAIM by a former owner would steal an entry back from whoever has it by now, so scripts look at the owner first.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, NamedTuple

from ombdriver.messaging.errors import ClosedError
from ombdriver.messaging.streams.entry_ids import IdParts, format_id, parse_id
from ombdriver.messaging.topics.consumer.group import GroupMember, group_script
from ombdriver.messaging.topics.consumer.partition import Partition
from ombdriver.messaging.transport.background import TELL_EVERY, tell
from ombdriver.messaging.transport.connection import Argument
from ombdriver.messaging.transport.retry import ENDLESS_BACKOFF, RetryBudget, is_loss

logger = logging.getLogger(__name__)

AT_ONCE = 500
"""Ids that one script is given: it holds up the server for about a millisecond."""

# ARGV: group, member, ids. Claims those that are pending for the member; gives them, and the ids without content.
_CLAIM = group_script("""
local found, gone = {}, {}
for n = 3, #ARGV do
  local row = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[n], ARGV[n], 1, ARGV[2])[1]
  if row then
    local claimed = claim(row)
    if claimed then found[#found + 1] = claimed else gone[#gone + 1] = ARGV[n] end
  end
end
return {found, gone}
""")

# ARGV: group, member, idle time in ms, then of each entry its id and the delivery count to write, or '' to leave it.
# Gives the ids that are pending for the member.
_UPDATE = group_script("""
local mine = {}
for n = 4, #ARGV, 2 do
  local id, deliveries = ARGV[n], ARGV[n + 1]
  local is_pending = #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2]) > 0
  if not is_pending and redis.call('EXISTS', gone_key(id)) == 1 then
    mine[#mine + 1] = id
  elseif is_pending then
    mine[#mine + 1] = id
    if is_trimmed(id) then
      -- it stays pending, so that somebody tells that it is gone
    elseif deliveries == '' then
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'IDLE', ARGV[3], 'JUSTID')
    else
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'IDLE', ARGV[3], 'RETRYCOUNT', deliveries, 'JUSTID')
    end
  end
end
return mine
""")

# Looking and removing are one step, since XGROUP DELCONSUMER throws away what is pending.
_LEAVE = group_script("""
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
""")


@dataclass(frozen=True, slots=True)
class ClaimedEntry:
    """A pending entry that the member has the lease of.

    Attributes:
        id: the entry's.
        deliveries: how many handlings of it have begun; claiming it did not count.
        fields: names and values in turn.
    """

    id: bytes
    deliveries: int
    fields: list[bytes]


class Claim(NamedTuple):
    """What was claimed at once.

    Attributes:
        entries: with content.
        gone: ids of entries that were trimmed or deleted while they were pending, and are acknowledged.
    """

    entries: list[ClaimedEntry]
    gone: list[bytes]


def make_claim(partition: Partition, rows: Iterable[Any], gone: list[bytes]) -> Claim:
    """What a script has claimed: ids with their deliveries and fields; what was gone is told in the log."""
    if gone:
        logger.warning("%s: %d pending entries were gone from it, and are acknowledged", partition.stream, len(gone))
    return Claim([ClaimedEntry(*row) for row in rows], gone)


async def list_pending(
    member: GroupMember, partition: Partition, after: bytes | None, last: bytes | None, count: int
) -> list[bytes]:
    """Ids that are pending for the member above `after` and up to `last`, `count` of them at most; None for no bound.

    Raises:
        redis.exceptions.RedisError: the server's error, or that of the connection.
    """
    low, high = b"-" if after is None else b"(" + after, last or b"+"
    words = ("XPENDING", partition.key, member.group, low, high, count, member.name)
    return [row[0] for row in await member.send(partition.key, *words)]


async def claim(member: GroupMember, partition: Partition, ids: Sequence[bytes], *, once: bool = False) -> Claim:
    """Claims those of `ids`, `AT_ONCE` at most, that are pending for the member; `once` as for `Script.run`."""
    partition.claiming.update(ids)
    try:
        rows, gone = await member.run(_CLAIM, [partition.key], *ids, once=once)
    finally:
        partition.claiming.difference_update(ids)
    return make_claim(partition, rows, gone)


async def renew(member: GroupMember, partition: Partition, ids: Iterable[bytes]) -> list[bytes]:
    """Renews the leases on `ids`; gives those that the member has: others were settled, or claimed by others."""
    return await _update(member, partition, [(each, b"") for each in ids], 0)


async def begin(member: GroupMember, partition: Partition, deliveries: Mapping[bytes, int]) -> list[bytes]:
    """Writes how many handlings of entries have begun, and renews their leases; gives those that the member has."""
    return await _update(member, partition, list(deliveries.items()), 0)


async def release(
    member: GroupMember, partition: Partition, deliveries: Mapping[bytes, int], delay_s: float = 0.0
) -> list[bytes]:
    """Lets anybody of the group claim entries after `delay_s`; gives those that the member had.

    Args:
        member: whose they are.
        partition: where they are.
        deliveries: how many handlings have begun, by id.
        delay_s: seconds, no longer than the visibility time-out.
    """
    return await _update(member, partition, list(deliveries.items()), member.visibility_ms - round(delay_s * 1000))


async def _update(
    member: GroupMember, partition: Partition, entries: Sequence[tuple[bytes, Argument]], idle_ms: int
) -> list[bytes]:
    mine: list[bytes] = []
    for first in range(0, len(entries), AT_ONCE):
        words = [word for entry in entries[first : first + AT_ONCE] for word in entry]
        mine += await member.run(_UPDATE, [partition.key], idle_ms, *words)
    return mine


async def leave_group(member: GroupMember, partition: Partition) -> bool:
    """Removes the member from the group, unless something is pending for it; whether it did."""
    return bool(await member.run(_LEAVE, [partition.key]))


class RedeliveryTimer:
    """Claims messages that the member gave back when their delay is over, unless another member does so first.

    One timer for all of them. When the member dies before, others take them over after the visibility time-out.

    Args:
        member: whose they are.
        partitions: where they may be.
        redeliver: gets what was claimed.
    """

    def __init__(
        self, member: GroupMember, partitions: Iterable[Partition], redeliver: Callable[[Partition, Claim], object]
    ) -> None:
        self._member, self._redeliver = member, redeliver
        self._partitions = {partition.number: partition for partition in partitions}
        self._loop = asyncio.get_running_loop()
        self._due: list[tuple[float, int, IdParts]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._budget = RetryBudget(lambda _: True, ENDLESS_BACKOFF)
        self._closed = False

    def __repr__(self) -> str:
        return f"<RedeliveryTimer {len(self._due)} waiting>"

    def add(self, partition: Partition, entry_id: bytes, delay_s: float) -> None:
        """`entry_id` comes again after `delay_s`."""
        partition.nacked.add(entry_id)
        heappush(self._due, (self._loop.time() + delay_s, partition.number, parse_id(entry_id)))
        self._set_timer()

    def _set_timer(self, least_s: float = 0.0) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due and not self._closed and self._task is None:
            self._timer = self._loop.call_at(max(self._due[0][0], self._loop.time() + least_s), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        due: dict[Partition, list[bytes]] = {}
        while self._due and self._due[0][0] <= self._loop.time():
            _, number, parts = heappop(self._due)
            partition, entry_id = self._partitions[number], format_id(parts)
            if entry_id in partition.nacked:
                due.setdefault(partition, []).append(entry_id)
        self._task = self._loop.create_task(self._claim(due))

    async def _claim(self, due: Mapping[Partition, Sequence[bytes]]) -> None:
        least_s = 0.0
        for partition, ids in due.items():
            for first in range(0, len(ids), AT_ONCE):
                some = ids[first : first + AT_ONCE]
                try:
                    claimed = await claim(self._member, partition, some)
                    partition.nacked.difference_update(some)  # what another member has by now does not come again here
                    self._redeliver(partition, claimed)
                except ClosedError:
                    return
                except Exception as error:
                    least_s = max(least_s, self._on_error(error))
                    partition.nacked.update(some)
                    for each in some:
                        heappush(self._due, (self._loop.time(), partition.number, parse_id(each)))
                else:
                    self._budget.renew()
                    self._member.router.health.well(self)
        self._task = None
        self._set_timer(least_s)

    def _on_error(self, error: Exception) -> float:
        """Tells of an error; how many seconds to wait after it."""
        what = "taking messages again that were given back"
        wait_s = self._budget.wait_s(error) or 0.0
        self._member.router.health.failed(self, what, error)
        self._member.statistics.faults += not is_loss(error)
        if self._budget.failures % TELL_EVERY == 1:
            tell(what, self._budget.failures, error)
        return wait_s

    async def aclose(self) -> None:
        """Claims no more: what waits is left to others."""
        self._closed = True
        self._member.router.health.well(self)
        self._set_timer()
        if self._task is not None:
            await asyncio.wait([self._task])
