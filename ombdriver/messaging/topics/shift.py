"""One run of a runner, from the first message to the last: the tasks of it, and the order in which they end.

The order has its reasons. Nothing new is taken in first; what has not begun is given back, so that others need not wait
for it. Handlers then have their time. The hold on their messages is renewed until the last of them is at its end, and
acknowledgements go last.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from redis.exceptions import RedisError

from ombdriver.messaging.errors import ClosedError
from ombdriver.messaging.topics import delayed, janitor, leases, postponing
from ombdriver.messaging.topics.consumer import Consumer
from ombdriver.messaging.topics.custody import Custody
from ombdriver.messaging.topics.handling import Handling
from ombdriver.messaging.topics.leases import Claimed
from ombdriver.messaging.topics.partition import Partition
from ombdriver.messaging.topics.periodic import every
from ombdriver.messaging.topics.reclaiming import Reclaimer
from ombdriver.messaging.topics.runner_settings import RunnerSettings
from ombdriver.messaging.topics.session import Session
from ombdriver.messaging.topics.work import Work

logger = logging.getLogger(__name__)

MOVE_EVERY_S = 1.0
"""How often it is looked for what is due; less often with more than a hundred partitions."""
END_S = 5.0
"""How long the server may take to hear what is given back."""


class Shift:
    """What a runner does while it runs.

    Args:
        consumer: which reads; it was started.
        session: of the consumer.
        custody: what is in hand.
        handling: what is done with it.
        settings: see `RunnerSettings`.

    Attributes:
        reclaimer: takes over what others left.
        returned: messages that were given back.
    """

    def __init__(
        self,
        consumer: Consumer[Any],
        session: Session,
        custody: Custody,
        handling: Handling,
        settings: RunnerSettings,
    ) -> None:
        self._consumer, self._session = consumer, session
        self._custody, self._handling = custody, handling
        self._settings = settings
        self.reclaimer = Reclaimer(session.member, room=custody.room_to_take_over, accept=self._take_over)
        self.returned = 0

    async def run(self, stop: asyncio.Event, halt: asyncio.Event) -> None:
        """Handles messages until `stop`, then lets handlers end in the time that they have, or until `halt`.

        Raises:
            Exception: what ended one of its tasks, which is a fault of this library or of a policy of the user's.
            ClosedError: if the client was closed meanwhile.
        """
        settings = self._settings
        visibility_s, drain_s = settings.visibility_timeout_ms / 1000, settings.drain_timeout_s
        renewing, taking = [], [_task(self._read())]
        for place in self._places():
            renewing.append(_task(every(visibility_s / 3, partial(self._renew, place), "renewing the hold")))
            rounds = (
                (visibility_s / 4, self.reclaimer.sweep, "reclaiming"),
                (MOVE_EVERY_S * max(1, len(place) / 100), self._take_due, "looking for what is due"),
                (max(1.0, settings.dead_after_s / 4), self._remove_dead, "removing dead consumers"),
            )
            taking += [_task(every(every_s, partial(work, place), what)) for every_s, work, what in rounds]
        working = [_task(self._handling.work()) for _ in range(settings.concurrency)]
        try:
            await _first([stop.wait(), halt.wait()], [*renewing, *taking, *working])
            self._handling.stop()
            await _end(taking)
            self._consumer.pause()
            self._custody.withdraw()
            await self._give_back(self._custody.waiting())
            with suppress(TimeoutError):
                async with asyncio.timeout(drain_s):
                    await _first([self._handling.idle(), halt.wait()], renewing)
            if late := self._custody.at_work:
                logger.warning("%d handlers were not at their end in time, and are cancelled", late)
        finally:
            await _end([*taking, *working])
            await _end(renewing)
            self._custody.withdraw()
            await self._give_back(self._custody.all())

    async def _read(self) -> None:
        custody, consumer = self._custody, self._consumer
        while True:
            room = await custody.room_to_read()
            try:
                await custody.take_in(await consumer.getmany(max_records=room))
            except ClosedError:
                raise
            except RedisError as error:
                logger.error("%r: %s", consumer, error)  # it goes on, with a back-off of its own

    def _places(self) -> list[list[Partition]]:
        """The partitions by what one server has, so that one that does not answer holds up no other."""
        by_key = {partition.key: partition for partition in self._session.partitions}
        return [[by_key[key] for key in keys] for keys in self._session.member.channels.same_node(by_key)]

    async def _renew(self, partitions: list[Partition]) -> None:
        await leases.renew_all(self._session.member, partitions, self._custody.lose)

    async def _take_over(self, partition: Partition, claimed: list[Claimed]) -> None:
        self._custody.take_over(partition, claimed)

    async def _take_due(self, partitions: list[Partition]) -> None:
        member = self._session.member
        await delayed.move_due(member.channels, [partition.key for partition in partitions])
        for partition in partitions:
            room = await self._custody.room_to_take_over()
            while due := await postponing.take_due(member, partition, room):
                self._custody.take_over(partition, due, failed=True)
                room = await self._custody.room_to_take_over()

    async def _remove_dead(self, partitions: list[Partition]) -> None:
        for partition in partitions:
            await janitor.remove_dead(self._session.member, partition, int(self._settings.dead_after_s * 1000))

    async def _give_back(self, works: list[Work]) -> None:
        """Leaves messages to others, and what is in the consumer's buffer."""
        try:
            async with asyncio.timeout(END_S):
                self.returned += await self._custody.give_back(works)
                await asyncio.gather(*map(self._session._give_back, self._session.partitions))
                await self.reclaimer.release()
        except (RedisError, OSError, TimeoutError) as error:
            logger.warning("what was not handled could not be given back, and comes to others later: %s", error)


def _task(work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    return asyncio.get_running_loop().create_task(work)


async def _first(events: Iterable[Awaitable[object]], tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Returns at the first of some events; raises what a task ends with that should go on."""
    waiting = [asyncio.ensure_future(event) for event in events]
    tasks = list(tasks)
    try:
        done, _ = await asyncio.wait([*waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done:
                task.result()
                raise ClosedError("the client was closed while a runner ran on it")
    finally:
        for each in waiting:
            each.cancel()


async def _end(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancels tasks, and waits until they are at their end; what they end with has been told, or does not matter."""
    tasks = [task for task in tasks if not task.done()]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                logger.warning("%s", error)
