"""Messages that were given back and come again here when their time has come, unless another member takes them first.

One timer for all of them. Whoever dies before leaves them to those that take over what is stale.
"""

import asyncio
import logging
from collections.abc import Sequence
from heapq import heappop, heappush

from redis.exceptions import RedisError

from ombdriver.messaging.errors import ClosedError
from ombdriver.messaging.topics import own
from ombdriver.messaging.topics.member import Member
from ombdriver.messaging.topics.partition import Partition
from ombdriver.messaging.topics.reading import Taker

logger = logging.getLogger(__name__)

AGAIN_S = 1.0
"""After a failure it is tried again so many seconds later."""


class Returns:
    """The messages that one member has given back.

    Args:
        member: whose.
        taker: gets them when it is time.
    """

    def __init__(self, member: Member, taker: Taker) -> None:
        self._member, self._taker = member, taker
        self._loop = asyncio.get_running_loop()
        self._due: list[tuple[float, int, bytes]] = []
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
        heappush(self._due, (self._loop.time() + delay_s, partition.number, entry_id))
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
            _, number, entry_id = heappop(self._due)
            if entry_id in self._partitions[number].nacked:
                due.setdefault(number, []).append(entry_id)
        self._task = self._loop.create_task(self._take(due))

    async def _take(self, due: dict[int, list[bytes]]) -> None:
        least_s = 0.0
        for number, ids in due.items():
            for first in range(0, len(ids), own.AT_ONCE):
                try:
                    await self._take_some(self._partitions[number], ids[first : first + own.AT_ONCE])
                except ClosedError:
                    return
                except RedisError as error:
                    logger.info("messages that were given back can't be taken again yet: %s", error)
                    for each in ids[first : first + own.AT_ONCE]:
                        heappush(self._due, (self._loop.time() + AGAIN_S, number, each))
                    least_s = AGAIN_S
        self._task = None
        self._arm(least_s)

    async def _take_some(self, partition: Partition, ids: Sequence[bytes]) -> None:
        taken = await own.take(self._member, partition, ids)
        partition.nacked.difference_update(ids)  # what is another member's by now does not come again here
        self._taker.retake(partition, taken)

    async def aclose(self) -> None:
        """Lets go of all: they are left to those that take over what is stale."""
        self._closed = True
        self._arm()
        if self._task is not None:
            await asyncio.wait([self._task])
