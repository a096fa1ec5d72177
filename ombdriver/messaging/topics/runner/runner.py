"""`Runner`: handles the messages of a topic with a function of its user, until it is told to stop.

A `RunLoop` is one run: its tasks, and the order in which they end. Nothing new is taken in first; what has not begun is
released, so that others need not wait for it. Handlers then have their time. Leases are renewed until the last handler
is done, and acknowledgements go last.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import nullcontext, suppress
from dataclasses import replace
from threading import get_ident
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, get_origin, get_type_hints, overload

from redis.exceptions import RedisError

from ombdriver.messaging.errors import ClosedError, MessagingError, MessagingValueError
from ombdriver.messaging.streams.topic import Topic
from ombdriver.messaging.topics.codec import Codec
from ombdriver.messaging.topics.consumer.consumer import Consumer
from ombdriver.messaging.topics.consumer.message import Message
from ombdriver.messaging.topics.consumer.session import Session
from ombdriver.messaging.topics.runner.config import RunnerSettings, RunnerStatistics
from ombdriver.messaging.topics.runner.context import Handler
from ombdriver.messaging.topics.runner.executor import Executor
from ombdriver.messaging.topics.runner.in_flight import InFlight
from ombdriver.messaging.topics.runner.signals import handling_signals
from ombdriver.messaging.transport.background import Health
from ombdriver.messaging.transport.per_loop import HomeLoop
from ombdriver.messaging.transport.router import Router

logger = logging.getLogger(__name__)

_NOT_GIVEN: Any = object()
END_TAKEOVER_S = 1.0
"""How long a claim that is under way may take to end; then it is cancelled."""
RELEASE_S = 3.0
"""How long the server may take to hear what is released, each time."""


class RunLoop:
    """What a runner does while it runs.

    Args:
        consumer: which reads; it was started.
        session: of the consumer.
        in_flight: what is in hand.
        executor: handles it.
        settings: see `RunnerSettings`.

    Attributes:
        released: messages that were left to others.
    """

    def __init__(
        self,
        consumer: Consumer[Any],
        session: Session,
        in_flight: InFlight,
        executor: Executor,
        settings: RunnerSettings,
    ) -> None:
        self._consumer, self._session = consumer, session
        self._in_flight, self._executor = in_flight, executor
        self._settings = settings
        self.released = 0

    async def run(self, stop: asyncio.Event, halt: asyncio.Event) -> None:
        """Handles messages until `stop`, then lets handlers end in the time that they have, or until `halt`.

        Raises:
            Exception: what ended one of its tasks, which is a fault of this library or of a policy of the user's.
            ClosedError: if the client was closed meanwhile.
        """
        loop, in_flight, session = asyncio.get_running_loop(), self._in_flight, self._session
        hooks = (in_flight.take_over, in_flight.take_due, in_flight.lose)
        session.maintain(*hooks, self._settings.dead_after_s, in_flight.takeover)
        maintaining = [task for each in session.maintenance for task in each.tasks]
        reading = loop.create_task(self._read())
        working = [loop.create_task(self._executor.work()) for _ in range(self._settings.concurrency)]
        try:
            await _first([stop.wait(), halt.wait()], [*maintaining, reading, *working])
            self._executor.stop()
            ending = [task for each in self._session.maintenance for task in each.stop_takeover()]
            with session.end_time.counted(END_TAKEOVER_S) as left_s:
                await asyncio.wait(ending, timeout=left_s)
            await _cancel([reading, *ending])
            self._consumer.pause()
            self._in_flight.withdraw()
            await self._release(waiting_only=True)
            renewing = [task for task in maintaining if task not in ending]
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.drain_timeout_s):
                    await _first([self._executor.idle(), halt.wait()], renewing)
            if late := self._in_flight.running:
                logger.warning("%d handlers were not at their end in time, and are cancelled", late)
        finally:
            try:
                await _cancel([reading, *working])
            finally:  # also when the run is cancelled once more: no task outlives it
                await _cancel(maintaining)
            self._in_flight.withdraw()
            await self._release(waiting_only=False)

    async def _read(self) -> None:
        buffer = self._session.buffer
        while True:
            credit = await self._in_flight.wait_for_credit()
            try:
                if not await buffer.wait():
                    raise ClosedError("the consumer was closed while a runner ran on it")
            except ClosedError:
                raise
            except RedisError as error:
                logger.error("%r: %s", self._consumer, error)  # it goes on, with a back-off of its own
            except Exception:
                pass  # the same; the fetcher has told it, with its trace
            else:
                await buffer.give_turn()
                self._in_flight.add(buffer.take(credit))

    async def _release(self, *, waiting_only: bool) -> None:
        """Leaves messages to others, and what is in the consumer's buffer."""
        try:
            with self._session.end_time.counted(RELEASE_S) as left_s:
                async with asyncio.timeout(left_s):
                    await self._release_all(waiting_only=waiting_only)
        except (RedisError, OSError, TimeoutError) as error:
            logger.warning("what was not handled could not be given back, and comes to others later: %s", error)

    async def _release_all(self, *, waiting_only: bool) -> None:
        self.released += await self._in_flight.release(waiting_only=waiting_only)
        await self._session.release_buffer()
        for each in self._session.maintenance:
            await each.release()


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


async def _cancel(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancels tasks, and waits until they have ended; an error that one ends with is logged, save that of a closing."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, ClosedError):
                logger.warning("%s", error)


def _check_handler(function: Any) -> None:
    name = getattr(function, "__qualname__", repr(function))
    if not inspect.iscoroutinefunction(function) and not inspect.iscoroutinefunction(
        getattr(type(function), "__call__", None)  # noqa: B004 - an object whose call is a coroutine function
    ):
        raise MessagingValueError(f"{name} is no coroutine function; a handler is one: async def {_HANDLER}")
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        raise MessagingValueError(
            f"{name} can't be called with a message alone: {error}; a handler is: async def {_HANDLER}"
        ) from None
    except ValueError:  # it tells no signature
        return
    kind = _said_to_take(function)
    if kind is not None and kind not in Message.__mro__:
        raise MessagingValueError(
            f"{name} says that it takes {kind.__name__}, and a handler is given a Message, whose value that may be: "
            f"async def handle(message: Message[{kind.__name__}])"
        )


def _said_to_take(function: Any) -> type | None:
    """The plain class that a handler names as what it takes first; None where it says nothing, or nothing plain."""
    call = function if inspect.isroutine(function) else type(function).__call__
    first = next(iter(inspect.signature(function).parameters.values()))
    try:
        kind = get_type_hints(call).get(first.name)
    except Exception:  # names that are not there at run time, as under TYPE_CHECKING
        return None
    if (
        kind is Any
        or not isinstance(kind, type)
        or get_origin(kind) is not None
        or getattr(kind, "_is_protocol", False)
    ):
        return None
    return None if first.kind is first.VAR_POSITIONAL else kind


_HANDLER = "handle(message)"
Value = TypeVar("Value")
Result = TypeVar("Result")


class Runner(Generic[Value]):
    """Handles the messages of a topic as a member of a group. Made by `MQClient.runner`.

    A message is acknowledged when its handler returns. When the handler raises, the message is delivered again after
    the policy's back-off, and is given up after `max_deliveries`. A handler that takes longer than the visibility
    time-out is not run twice: the lease of its message is renewed as long as this process lives and reaches the server.
    When the process dies, other runners take its messages over after the visibility time-out. So every message is
    handled at least once; again after a crash, or a loss of the server for longer than the visibility time-out.

    `ordering="key"` handles the messages of a key one after the other in the order of their ids, also when one is tried
    again; others go on. That holds within one runner, and only there: it is the user's to have one runner at a time for
    each partition; docs/library/process.md shows how several share a topic. Messages without a key are in no order.

    Args:
        router: gives the connections of the client.
        topic: which.
        group: name of the group; it is created where it does not exist.
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
            settings=settings,
            maintenance=False,
        )
        self._handler: Handler | None = None
        self._stop, self._halt = asyncio.Event(), asyncio.Event()
        self._statistics = RunnerStatistics()
        self._home: HomeLoop | None = None
        self._parts: tuple[InFlight, RunLoop] | None = None
        self._health = Health()
        self._running: asyncio.Task[None] | None = None

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

    @overload
    def handler(
        self, function: Callable[[Message[Value]], Coroutine[Any, Any, Result]]
    ) -> Callable[[Message[Value]], Coroutine[Any, Any, Result]]: ...

    @overload
    def handler(
        self,
    ) -> Callable[
        [Callable[[Message[Value]], Coroutine[Any, Any, Result]]],
        Callable[[Message[Value]], Coroutine[Any, Any, Result]],
    ]: ...

    def handler(self, function: Any = _NOT_GIVEN) -> Any:
        """Makes `async def function(message)` the handler; to be used as a decorator, `@runner.handler`, with brackets
        or without.

        What it returns is ignored. It may settle its message itself, by `ack`, `nack` or `reject`. A process that is
        killed in it leaves the message pending, with the delivery counted.

        Raises:
            MessagingValueError: if it is no coroutine function, can't be called with a message alone, or says that it
                takes something else than a `Message`.
            MessagingError: if there is a handler already.
        """
        if function is _NOT_GIVEN:
            return self.handler
        _check_handler(function)
        if self._handler is not None:
            raise MessagingError("this runner has a handler already; make another runner for another handler")
        self._handler = function
        return function

    async def run(self, *, signals: bool = True) -> None:
        """Handles messages until `stop`, SIGTERM or SIGINT. A runner runs once.

        After the first signal no message is begun any more; what has not begun is released, and what has may come to
        its end, for `drain_timeout_s` seconds; a server that does not answer holds the end up for 10 s more at most.
        After the second one, or when this is cancelled, handlers are cancelled
        at once, and their messages stay pending: other runners take them over.

        Args:
            signals: handle signals, where this is the main thread.

        Raises:
            MessagingError: if there is no handler, or this was run before.
            ClosedError: if the client was closed.
            redis.exceptions.RedisError: at the start, if the server can't be reached, or refuses.
        """
        self._check_ready()
        with handling_signals(self.stop, self._halt.set) if signals else nullcontext():
            await self._run_on(await self._begin())

    async def __aenter__(self) -> Self:
        """Begins to handle messages, beside what the program does: in a web application, for as long as it is up.

        Signals are left to the program. To leave the block is `stop`, and waits for the handlers as `run` does; when
        that is cancelled, handlers are cancelled at once. What ends a runner before is logged, told by
        `MQClient.check_health`, and raised when the block is left.

        Raises:
            MessagingError: if there is no handler, or this was run before.
            ClosedError: if the client was closed.
            redis.exceptions.RedisError: if the server can't be reached, or refuses.
        """
        self._check_ready()
        run_loop = await self._begin()
        self._running = asyncio.get_running_loop().create_task(self._run_on(run_loop))
        self._running.add_done_callback(self._on_end)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._running is not None, "it was entered"
        self._health.well(self)
        self.stop()
        try:
            await self._running
        except Exception:
            if error is None:
                raise  # else the block's own error goes on; this one is in the log
        finally:
            await self._consumer.close()  # done already, unless the task was cancelled before its first step

    def _on_end(self, running: "asyncio.Task[None]") -> None:
        if not running.cancelled() and isinstance(error := running.exception(), Exception):
            logger.error("%r has ended: %r", self, error, exc_info=error)
            if not self._stop.is_set():
                self._health.failed(self, f"{self!r} has ended, and", error)

    def _check_ready(self) -> None:
        if self._handler is None:
            raise MessagingError(
                "the runner has no handler; decorate one with @runner.handler first, or give client.runner(handler=…)"
            )
        if self._parts is not None:
            raise MessagingError("a runner runs once; make a new one")

    async def _begin(self) -> RunLoop:
        self._home = HomeLoop()
        await self._consumer.start()
        session, handler = self._consumer._session, self._handler
        assert session is not None, "it was started"
        assert handler is not None, "it was checked"
        self._health = session.member.router.health
        return self._prepare(session, handler)

    async def _run_on(self, run_loop: RunLoop) -> None:
        async with self._consumer:
            await run_loop.run(self._stop, self._halt)

    def _prepare(self, session: Session, handler: Handler) -> RunLoop:
        settings = self._settings
        by_key = settings.ordering == "key"
        at_work, ahead = settings.concurrency, settings.prefetch if by_key else settings.concurrency
        in_flight = InFlight(
            session, self._statistics, most=at_work + ahead, low_water=at_work + ahead // 2, by_key=by_key
        )
        executor = Executor(session, in_flight, handler, settings.retry, settings.dead_letter, self._statistics)
        if settings.dead_letter is not None:
            session.acknowledger.dead_letter = settings.dead_letter
        run_loop = RunLoop(self._consumer, session, in_flight, executor, settings)
        self._parts = in_flight, run_loop
        return run_loop

    def stop(self) -> None:
        """Ends `run`, as the first signal does; from whatever thread. A second call does nothing."""
        if self._home is None or get_ident() == self._home.thread:
            self._stop.set()
        else:
            self._home.loop.call_soon_threadsafe(self._stop.set)

    def statistics(self) -> RunnerStatistics:
        """The statistics of this moment."""
        consumer = self._consumer.statistics()
        done = replace(self._statistics, consumer=consumer)
        done.dead_lettered += consumer.rejected
        if self._parts is not None:
            in_flight, run_loop = self._parts
            done.returned = run_loop.released + consumer.given_back
            done.running, done.in_hand = in_flight.running, len(in_flight)
        return done
