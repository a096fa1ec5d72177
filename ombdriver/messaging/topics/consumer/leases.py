"""The hold on messages: renewed while they are buffered or handled, and a delivery counted when its handling begins.

A hold is a pending entry of this member whose idle time is kept below the visibility time-out.

Messages that were given back and come again here when their time has come, unless another member takes them first.

One timer for all of them. Whoever dies before leaves them to those that take over what is stale.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from redis.exceptions import RedisError

from ombdriver.messaging.errors import ClosedError
from ombdriver.messaging.streams.entry_ids import Parts, format_id, parse_id
from ombdriver.messaging.topics.consumer import pending
from ombdriver.messaging.topics.consumer.fetcher import Taker
from ombdriver.messaging.topics.consumer.group import GroupMember, Partition
from ombdriver.messaging.topics.scripts import Script

_BEGIN = Script("""
local row = held(ARGV[3])
if not row or row[2] ~= ARGV[2] then return false end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'RETRYCOUNT', row[4] + 1, 'JUSTID')
return row[4] + 1
""")


@dataclass(frozen=True, slots=True)
class ClaimedEntry:
    """A pending entry that this member now holds.

    Attributes:
        id: the entry's.
        deliveries: how often its handling was begun so far; claiming it did not count.
        fields: names and values in turn.
    """

    id: bytes
    deliveries: int
    fields: list[bytes]


async def begin(member: GroupMember, partition: Partition, entry_id: bytes) -> int | None:
    """Counts one more delivery of an entry and renews the hold; gives the count, None if it is no longer ours."""
    count: int | None = await _BEGIN.run_for(member, [partition.key], entry_id)
    return count


async def renew(member: GroupMember, partition: Partition, ids: Sequence[bytes]) -> list[bytes]:
    """Renews the hold on `ids`; gives those that are no longer this member's: settled, or claimed by another."""
    kept = set(await pending.keep(member, partition, ids)) if ids else set()
    return [each for each in ids if each not in kept]


async def renew_all(
    member: GroupMember, partitions: Iterable[Partition], lost: Callable[[Partition, bytes], None]
) -> None:
    """Renews the hold on all that is held of `partitions`, and tells of what is not ours any more."""
    for partition in partitions:
        for gone in await renew(member, partition, list(partition.held)):
            lost(partition, gone)


logger = logging.getLogger(__name__)

AGAIN_S = 1.0
"""After a failure it is tried again so many seconds later."""


class RedeliveryTimer:
    """The messages that one member has given back.

    Args:
        member: whose.
        taker: gets them when it is time.
    """

    def __init__(self, member: GroupMember, taker: Taker) -> None:
        self._member, self._taker = member, taker
        self._loop = asyncio.get_running_loop()
        self._due: list[tuple[float, int, Parts]] = []
        self._partitions: dict[int, Partition] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Returns {len(self._due)} waiting>"

    def add(self, partition: Partition, entry_id: bytes, delay_s: float) -> None:
        """`entry_id` comes again after `delay_s`."""
        partition.nacked.add(entry_id)
        self._partitions[partition.number] = partition
        heappush(self._due, (self._loop.time() + delay_s, partition.number, parse_id(entry_id)))
        self._arm()

    def _arm(self, least_s: float = 0.0) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due and not self._closed and self._task is None:
            self._timer = self._loop.call_at(max(self._due[0][0], self._loop.time() + least_s), self._go)

    def _go(self) -> None:
        self._timer = None
        due: dict[int, list[bytes]] = {}
        while self._due and self._due[0][0] <= self._loop.time():
            _, number, parts = heappop(self._due)
            if (entry_id := format_id(parts)) in self._partitions[number].nacked:
                due.setdefault(number, []).append(entry_id)
        self._task = self._loop.create_task(self._take(due))

    async def _take(self, due: dict[int, list[bytes]]) -> None:
        least_s = 0.0
        for number, ids in due.items():
            for first in range(0, len(ids), pending.AT_ONCE):
                try:
                    await self._take_some(self._partitions[number], ids[first : first + pending.AT_ONCE])
                except ClosedError:
                    return
                except RedisError as error:
                    logger.info("messages that were given back can't be taken again yet: %s", error)
                    for each in ids[first : first + pending.AT_ONCE]:
                        heappush(self._due, (self._loop.time() + AGAIN_S, number, parse_id(each)))
                    least_s = AGAIN_S
        self._task = None
        self._arm(least_s)

    async def _take_some(self, partition: Partition, ids: Sequence[bytes]) -> None:
        taken = await pending.take(self._member, partition, ids)
        partition.nacked.difference_update(ids)  # what is another member's by now does not come again here
        self._taker.retake(partition, taken)

    async def aclose(self) -> None:
        """Lets go of all: they are left to those that take over what is stale."""
        self._closed = True
        self._arm()
        if self._task is not None:
            await asyncio.wait([self._task])
