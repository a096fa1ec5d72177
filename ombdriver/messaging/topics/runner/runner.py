"""`Runner`: handles the messages of a topic with a function of yours, until it is told to stop.

One run of a runner, from the first message to the last: the tasks of it, and the order in which they end.

The order has its reasons. Nothing new is taken in first; what has not begun is given back, so that others need not wait
for it. Handlers then have their time. The hold on their messages is renewed until the last of them is at its end, and
acknowledgements go last.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import nullcontext, suppress
from dataclasses import asdict
from functools import partial
from typing import Any, Generic, TypeVar

from redis.exceptions import RedisError

from ombdriver.messaging.errors import ClosedError, MessagingError, MessagingValueError
from ombdriver.messaging.streams.topic import Topic
from ombdriver.messaging.topics.codec import Codec
from ombdriver.messaging.topics.consumer import leases
from ombdriver.messaging.topics.consumer.config import ConsumerSettings
from ombdriver.messaging.topics.consumer.consumer import Consumer
from ombdriver.messaging.topics.consumer.group import Partition
from ombdriver.messaging.topics.consumer.leases import ClaimedEntry
from ombdriver.messaging.topics.consumer.session import Session
from ombdriver.messaging.topics.recovery import delayed, reclaim
from ombdriver.messaging.topics.recovery import delayed as postponing
from ombdriver.messaging.topics.recovery.reclaim import Reclaimer, every
from ombdriver.messaging.topics.runner.config import RunnerSettings, RunnerStatistics
from ombdriver.messaging.topics.runner.executor import Executor, Handler, Outcomes
from ombdriver.messaging.topics.runner.in_flight import Delivery, InFlight
from ombdriver.messaging.topics.runner.signals import obeying
from ombdriver.messaging.transport.router import Router

logger = logging.getLogger(__name__)

MOVE_EVERY_S = 1.0
"""How often it is looked for what is due; less often with more than a hundred partitions."""
END_S = 5.0
"""How long the server may take to hear what is given back."""


class RunLoop:
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
        custody: InFlight,
        handling: Executor,
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
        return [[by_key[key] for key in keys] for keys in self._session.member.router.by_slot(by_key)]

    async def _renew(self, partitions: list[Partition]) -> None:
        await leases.renew_all(self._session.member, partitions, self._custody.lose)

    async def _take_over(self, partition: Partition, claimed: list[ClaimedEntry]) -> None:
        self._custody.take_over(partition, claimed)

    async def _take_due(self, partitions: list[Partition]) -> None:
        member = self._session.member
        await delayed.move_due(member.router, [partition.key for partition in partitions])
        for partition in partitions:
            room = await self._custody.room_to_take_over()
            while due := await postponing.take_due(member, partition, room):
                self._custody.take_over(partition, due, failed=True)
                room = await self._custody.room_to_take_over()

    async def _remove_dead(self, partitions: list[Partition]) -> None:
        for partition in partitions:
            await reclaim.remove_dead(self._session.member, partition, int(self._settings.dead_after_s * 1000))

    async def _give_back(self, works: list[Delivery]) -> None:
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


Value = TypeVar("Value")
Handles = TypeVar("Handles", bound=Handler)


class Runner(Generic[Value]):
    """Handles the messages of a topic as a member of a group. Made by `MQClient.runner`.

    A message is acknowledged when its handler returns. When the handler raises, the message is delivered again after
    the policy's back-off, and is given up after `max_deliveries`. A handler that takes longer than the visibility
    time-out is not run twice: the hold on its message is renewed as long as this process lives and reaches the server.
    When the process dies, other runners take its messages over after the visibility time-out. So every message is
    handled at least once; again after a crash, or a loss of the server for longer than the visibility time-out.

    `ordering="key"` handles the messages of a key one after the other in the order of their ids, also when one is tried
    again; others go on. That holds within one runner, and only there: it is the user's to have one runner at a time for
    each partition; docs/library/process.md shows how several share a topic. Messages without a key are in no order.

    Args:
        router: gives the connections of the client.
        topic: which.
        group: name of the group; it is made where it is not there.
        name: of this member; None for one that nobody else has.
        codec: makes values of bytes.
        settings: see `RunnerSettings`.

    Raises:
        MessagingValueError: if an argument can't be.
    """

    def __init__(
        self,
        router: Callable[[], Router],
        topic: Topic | str,
        group: str,
        name: str | None,
        codec: Codec[Value],
        settings: RunnerSettings,
    ) -> None:
        self._settings = settings
        self._consumer: Consumer[Value] = Consumer(
            router,
            topic,
            group,
            name,
            codec=codec,
            settings=ConsumerSettings(
                settings.start, settings.prefetch, settings.visibility_timeout_ms, settings.block_ms
            ),
            upkeep=False,
        )
        self._handler: Handler | None = None
        self._stop, self._halt = asyncio.Event(), asyncio.Event()
        self._parts: tuple[InFlight, Executor, RunLoop] | None = None

    def __repr__(self) -> str:
        state = "not run" if self._parts is None else repr(self._parts[0])
        return f"<Runner of {self._consumer!r}, {'stopping' if self._stop.is_set() else state}>"

    @property
    def topic(self) -> Topic:
        """Whose messages it handles."""
        return self._consumer.topic

    @property
    def group(self) -> str:
        """The group that it is a member of."""
        return self._consumer.group

    @property
    def name(self) -> str:
        """Its name in the group."""
        return self._consumer.name

    def handler(self, function: Handles) -> Handles:
        """Makes `async def function(message)` the handler; to be used as a decorator.

        What it returns is ignored. It may settle its message itself, by `ack`, `nack` or `reject`. A process that is
        killed in it leaves the message pending, with the delivery counted.

        Raises:
            MessagingValueError: if it is no coroutine function.
            MessagingError: if there is a handler already.
        """
        if not inspect.iscoroutinefunction(function) and not inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - an object whose call is a coroutine function
        ):
            raise MessagingValueError(f"{function!r} is no coroutine function; a handler is one: async def")
        if self._handler is not None:
            raise MessagingError("this runner has a handler already; make another runner for another handler")
        self._handler = function
        return function

    async def run(self, *, signals: bool = True) -> None:
        """Handles messages until `stop`, SIGTERM or SIGINT. A runner runs once.

        After the first signal no message is begun any more; what has not begun is given back, and what has may come to
        its end, for `drain_timeout_s` seconds. After the second one, or when this is cancelled, handlers are cancelled
        at once, and their messages stay pending: other runners take them over.

        Args:
            signals: obey signals, where this is the main thread.

        Raises:
            MessagingError: if there is no handler, or this was run before.
            ClosedError: if the client was closed.
            redis.exceptions.RedisError: at the start, if the server can't be reached, or refuses.
        """
        if self._handler is None:
            raise MessagingError("the runner has no handler; decorate one with @runner.handler")
        if self._parts is not None:
            raise MessagingError("a runner runs once; make a new one")
        with obeying(self.stop, self._halt.set) if signals else nullcontext():
            async with self._consumer:
                session = self._consumer._session
                assert session is not None, "it was started"
                shift = self._prepare(session, self._handler)
                await shift.run(self._stop, self._halt)

    def _prepare(self, session: Session, handler: Handler) -> RunLoop:
        settings = self._settings
        by_key = settings.ordering == "key"
        at_work, ahead = settings.concurrency, settings.prefetch if by_key else settings.concurrency
        custody = InFlight(session, high=at_work + ahead, low=at_work + ahead // 2, by_key=by_key)
        handling = Executor(session, custody, handler, settings.retry, settings.dead_letter)
        session.settler.delayer = handling.delay
        if settings.dead_letter is not None:
            session.settler.dead_letter = settings.dead_letter
        shift = RunLoop(self._consumer, session, custody, handling, settings)
        self._parts = custody, handling, shift
        return shift

    def stop(self) -> None:
        """Has `run` come to its end, as the first signal does. A second call does nothing."""
        self._stop.set()

    def statistics(self) -> RunnerStatistics:
        """The figures of this moment."""
        if self._parts is None:
            return RunnerStatistics(
                **asdict(Outcomes()),
                reclaimed=0,
                deleted=0,
                lost=0,
                returned=0,
                running=0,
                in_hand=0,
                consumer=self._consumer.statistics(),
            )
        custody, handling, shift = self._parts
        consumer = self._consumer.statistics()
        return RunnerStatistics(
            **asdict(handling.outcomes),
            reclaimed=shift.reclaimer.statistics.reclaimed,
            deleted=shift.reclaimer.statistics.deleted,
            lost=custody.lost,
            returned=shift.returned + consumer.given_back,
            running=custody.at_work,
            in_hand=len(custody),
            consumer=consumer,
        )
