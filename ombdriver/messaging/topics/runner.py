"""`Runner`: handles the messages of a topic with a function of yours, until it is told to stop."""

import asyncio
import inspect
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from typing import Generic, TypeVar

from ombdriver.messaging.connection import Channels
from ombdriver.messaging.errors import AioRedisMQException, AioRedisMQValueError
from ombdriver.messaging.topic import Topic
from ombdriver.messaging.topics.codec import Codec
from ombdriver.messaging.topics.consumer import Consumer
from ombdriver.messaging.topics.consumer_settings import ConsumerSettings
from ombdriver.messaging.topics.custody import Custody
from ombdriver.messaging.topics.handling import Handler, Handling, Outcomes
from ombdriver.messaging.topics.runner_settings import RunnerSettings
from ombdriver.messaging.topics.runner_statistics import RunnerStatistics
from ombdriver.messaging.topics.session import Session
from ombdriver.messaging.topics.shift import Shift
from ombdriver.messaging.topics.signals import obeying

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
        channels: gives the connections of the client.
        topic: which.
        group: name of the group; it is made where it is not there.
        name: of this member; None for one that nobody else has.
        codec: makes values of bytes.
        settings: see `RunnerSettings`.

    Raises:
        AioRedisMQValueError: if an argument can't be.
    """

    def __init__(
        self,
        channels: Callable[[], Channels],
        topic: Topic | str,
        group: str,
        name: str | None,
        codec: Codec[Value],
        settings: RunnerSettings,
    ) -> None:
        self._settings = settings
        self._consumer: Consumer[Value] = Consumer(
            channels,
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
        self._parts: tuple[Custody, Handling, Shift] | None = None

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
            AioRedisMQValueError: if it is no coroutine function.
            AioRedisMQException: if there is a handler already.
        """
        if not inspect.iscoroutinefunction(function) and not inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - an object whose call is a coroutine function
        ):
            raise AioRedisMQValueError(f"{function!r} is no coroutine function; a handler is one: async def")
        if self._handler is not None:
            raise AioRedisMQException("this runner has a handler already; make another runner for another handler")
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
            AioRedisMQException: if there is no handler, or this was run before.
            ClosedError: if the client was closed.
            redis.exceptions.RedisError: at the start, if the server can't be reached, or refuses.
        """
        if self._handler is None:
            raise AioRedisMQException("the runner has no handler; decorate one with @runner.handler")
        if self._parts is not None:
            raise AioRedisMQException("a runner runs once; make a new one")
        with obeying(self.stop, self._halt.set) if signals else nullcontext():
            async with self._consumer:
                session = self._consumer._session
                assert session is not None, "it was started"
                shift = self._prepare(session, self._handler)
                await shift.run(self._stop, self._halt)

    def _prepare(self, session: Session, handler: Handler) -> Shift:
        settings = self._settings
        by_key = settings.ordering == "key"
        at_work, ahead = settings.concurrency, settings.prefetch if by_key else settings.concurrency
        custody = Custody(session, high=at_work + ahead, low=at_work + ahead // 2, by_key=by_key)
        handling = Handling(session, custody, handler, settings.retry, settings.dead_letter)
        session.settler.delayer = handling.delay
        if settings.dead_letter is not None:
            session.settler.dead_letter = settings.dead_letter
        shift = Shift(self._consumer, session, custody, handling, settings)
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
