"""Who takes part in a course: members of groups, which handle messages and die, and producers.

All note in the `Account` what happens to them, and what they are told.

A member is a process of its own as far as the server can tell: it has its own client. Its death closes that client
first, so that nothing more is said, and then ends what is left of it here.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError

from ombdriver import (
    Consumer,
    GroupConsumer,
    GroupManager,
    Message,
    MQClient,
    MQConsumer,
    OutcomeUnknownError,
    Producer,
    RecordMetadata,
    RetryPolicy,
    Topic,
)
from ombdriver.messaging.errors import ClosedError
from tests.faults.account import NOT_STORED, STORED, UNKNOWN, Account, Place

TOPIC = Topic("faults", 2)
KEYED, POOL, READER, STREAM = "keyed", "pool", "reader", "stream"
GROUPS = (KEYED, POOL, READER, STREAM)
"""A runner that keeps the order of keys, runners that don't, a plain consumer, and a consumer of the stream level."""
WATCHER = "watcher"
"""Reads without a group."""
CANCELLED_READS = 0.3
"""The part of reads of the stream level that are cancelled."""
LARGE = 60_000
"""Bytes of a large message."""
KEYS = 6
VISIBILITY_MS = 1_000
BLOCK_MS = 400
DRAIN_S = 8.0
"""How long handlers may take to end after `stop`."""
SLOW_S = 1.3 * VISIBILITY_MS / 1000
FAR_S = 3.0
DELIVERY_TIMEOUT_S = 4.0
OUTCOME_WITHIN_S = DELIVERY_TIMEOUT_S + 4.0
"""So long after it was accepted a message has an outcome, on a busy machine too."""


class UnexpectedError(Exception):
    """What nobody expects, from within the library."""


_current: ContextVar[int | None] = ContextVar("_current", default=None)


@dataclass
class Cast:
    """What all who take part share.

    Attributes:
        account: of what happens.
        far: failures wait longer than the visibility time-out, the second time.
        trim: trims a partition's stream down to nothing while a message of it is handled; None not to.
        on_death: called with a member that a message kills.
    """

    account: Account
    far: bool
    trim: Callable[[str], Awaitable[None]] | None
    on_death: Callable[["Member"], None]
    handled: int = 0

    def backoff(self, deliveries: int) -> float:
        """Seconds until the next delivery."""
        return FAR_S if self.far and deliveries == 2 else 0.02


class Member:
    """One member of a group.

    Args:
        cast: see `Cast`.
        url: of the server.
        group: whose member.
        name: its name there; None for one of its own.

    Attributes:
        client: its connections.
        group: as given.
        called: the name that the server knows it by.
    """

    _lives = 0

    def __init__(self, cast: Cast, url: str, group: str, name: str | None) -> None:
        self._cast, self.url, self.group, self.name = cast, url, group, name
        self.client = MQClient(redis_url=url)
        self.called = ""
        self._dead = self._ending = self._cancelled = False
        Member._lives += 1
        self._who = f"{group} {Member._lives}"
        self.task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<{self._who} {self.called}>"

    def state(self) -> list[str]:
        """What it is about, for people: where its task waits, and what it has in hand."""
        place = place_of(self.task.get_coro()) if self.task is not None else "not started"
        return [f"{self!r}: {place}"]

    @property
    def is_over(self) -> bool:
        """It died, or was told to end."""
        return self._dead or self._ending

    async def handle(self, message: Message[bytes]) -> None:
        """What handlers do, by the kind of the message."""
        account, group = self._cast.account, self.group
        if self._dead:
            await asyncio.Event().wait()  # nothing happens in a process that is dead
        if (other := _current.get()) is not None:
            account.add("context", f"{group}: a handler found the context of message {other}")
        content = json.loads(message.value)
        number, kind = content["n"], content["kind"]
        _current.set(number)
        place = Place.of(message.stream, message.id)
        now = asyncio.get_running_loop().time()
        known = account.begin(group, place, number, message.delivery_count, self._who, now)
        try:
            await self._do(kind, known.total, message, number, place)
        except asyncio.CancelledError:
            if not (self._dead or self._cancelled):
                took = asyncio.get_running_loop().time() - now
                if took < DRAIN_S - 1:
                    account.add(
                        "cancelled", f"{group}: the handler of message {number} was cancelled after {took:.2f} s"
                    )
            raise

    async def _do(self, kind: str, times: int, message: Message[bytes], number: int, place: Place) -> None:
        account, group, is_runner = self._cast.account, self.group, self.group != READER
        if kind == "kills" and is_runner:
            self._cast.on_death(self)
            await asyncio.Event().wait()
        elif kind == "slow":
            await asyncio.sleep(SLOW_S)
        elif kind == "gives back" and times == 1 and group != KEYED:
            return await message.nack(0.05)
        elif kind == "rejects":
            if number % 3 == 0 and self._cast.trim is not None:
                await self._cast.trim(message.stream)
            told = await message.reject("as asked")
            account.reject(group, place, number, self.called, told=told)
            return None
        elif is_runner and ((kind == "fails" and times <= 2) or (kind == "bad" and times <= account.max_deliveries)):
            wait_s = self._cast.backoff(message.delivery_count) if group != KEYED else 0.0
            account.fail(group, place, self._who, asyncio.get_running_loop().time() + wait_s - 0.05)
            raise ValueError(f"{kind} {number}")
        else:
            await asyncio.sleep(0)
        if self._dead:
            await asyncio.Event().wait()
        account.end(group, place, message.key.decode() if message.key else None)
        self._cast.handled += 1
        return None

    async def start(self) -> None:
        """Begins."""
        raise NotImplementedError

    async def _end(self) -> None:
        raise NotImplementedError

    async def die(self) -> None:
        """Ends as a process that is killed: the server hears nothing more."""
        self._dead = True
        await self.client.aclose()
        await self._end()

    async def stop(self) -> None:
        """Ends in good order."""
        self._ending = True
        await self._end()
        await self.client.aclose()

    async def cancel(self) -> None:
        """What runs is cancelled, and while it ends once more, as by a program that is in a hurry."""
        self._ending = self._cancelled = True
        assert self.task is not None
        self.task.cancel()
        await asyncio.sleep(0)
        self.task.cancel()
        await asyncio.wait([self.task])
        await self._end()
        await self.client.aclose()


class RunnerMember(Member):
    """A member that is a runner; run again, as by a supervisor, while the server refuses at its start."""

    def __init__(self, cast: Cast, url: str, group: str, name: str | None, *, signals: bool) -> None:
        super().__init__(cast, url, group, name)
        self._signals = signals
        self._make()

    def _make(self) -> None:
        self.runner = self.client.runner(
            TOPIC,
            self.group,
            self.name,
            ordering="key" if self.group == KEYED else "none",
            concurrency=8,
            retry=RetryPolicy(self._cast.account.max_deliveries, self._cast.backoff),
            visibility_timeout_ms=VISIBILITY_MS,
            block_ms=BLOCK_MS,
            drain_timeout_s=DRAIN_S,
        )
        self.runner.handler(self.handle)
        self.called = self.runner.name

    def state(self) -> list[str]:
        """See `Member`."""
        parts = self.runner._parts[:1] if self.runner._parts is not None else ()
        return [*super().state(), *map(repr, parts), *_state_of(self.runner._consumer)]

    async def start(self) -> None:
        """Runs, until the end or a signal."""
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            try:
                return await self.runner.run(signals=self._signals)
            except ClosedError:
                return None
            except RedisError:
                if self.runner.statistics().consumer.received:
                    raise
                if self.is_over:
                    return None
            await asyncio.sleep(0.1)
            self._make()

    async def _end(self) -> None:
        assert self.task is not None
        self.runner.stop()
        await asyncio.wait([self.task])
        if not self.task.cancelled() and (error := self.task.exception()) and not self._dead:
            self._cast.account.add("ended", f"{self.group}: a runner ended with {error!r}")


class ReaderMember(Member):
    """A member that is a plain consumer, whose messages are handled one after the other."""

    def __init__(self, cast: Cast, url: str, name: str | None) -> None:
        super().__init__(cast, url, READER, name)
        self.consumer = self.client.consumer(
            TOPIC, READER, name, visibility_timeout_ms=VISIBILITY_MS, block_ms=BLOCK_MS
        )
        self.called = self.consumer.name

    def state(self) -> list[str]:
        """See `Member`."""
        return [*super().state(), *_state_of(self.consumer)]

    async def start(self) -> None:
        """Reads."""
        await self.consumer.start()
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while not self.is_over:
            try:
                messages = await self.consumer.getmany(timeout_ms=100)
            except ClosedError:
                return
            except (RedisError, UnexpectedError):
                continue  # what the server refuses, or our own fault: the consumer goes on
            for message in messages:
                _current.set(None)
                while not message.is_settled and not self._dead:
                    try:
                        await self.handle(message)
                    except ClosedError:
                        return
                    except RedisError:
                        _current.set(None)
                        await asyncio.sleep(0.1)  # it could not be settled: once more
                    else:
                        break
                if not message.is_settled:
                    message.ack()
                _current.set(None)

    async def _end(self) -> None:
        assert self.task is not None
        if self._dead:
            self.task.cancel()
        await asyncio.wait([self.task])
        await self.consumer.close()
        if not self.task.cancelled() and (error := self.task.exception()):
            self._cast.account.add("ended", f"{self.group}: the reader ended with {error!r}")


class StreamMember(Member):
    """A member of the stream level: it reads in two tasks, whose reads are cancelled now and then.

    It does what the manual says: after a loss, and at its start, it reads what is pending for it; now and then too,
    where a failover may take acknowledgements back.

    Attributes:
        deleted: pending messages that it found trimmed, when it has ended.
    """

    def __init__(self, cast: Cast, url: str, name: str) -> None:
        super().__init__(cast, url, STREAM, name)
        self.called = name
        first, *self._others = TOPIC.keys
        self.manager = GroupManager(first, redis_url=url)
        self.consumer = GroupConsumer(first, STREAM, name, redis_url=url)
        self._chance = random.Random(self._who)
        self.deleted = 0
        self._looks_back = asyncio.Event()

    async def start(self) -> None:
        """Reads."""
        self._looks_back.set()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as both:
            for _ in range(2):
                both.create_task(self._read())

    async def _read(self) -> None:
        while not self.is_over:
            try:
                if self._looks_back.is_set() or (self._cast.account.may_lose_writes and self._chance.random() < 0.2):
                    self._looks_back.clear()
                    await self._look_back()
                await self._handle_all(
                    await self._sometimes_cancelled(
                        self.consumer.block_read_messages(*self._others, block=BLOCK_MS, count=10)
                    )
                )
            except ClosedError:
                return
            except RedisError as error:
                self._looks_back.set()
                with contextlib.suppress(RedisError):
                    if str(error).startswith("NOGROUP"):
                        await self.manager.create_group(STREAM, "0")
                await asyncio.sleep(0.05)

    async def _look_back(self) -> None:
        """Handles what is pending for this member."""
        for stream in TOPIC.keys:
            after = "0"
            while not self.is_over:
                found = await self.consumer.read_messages({stream: after}, count=10)
                if not found or not found[0][1]:
                    break
                await self._handle_all(found)
                after = found[0][1][-1][0]

    async def _sometimes_cancelled(self, reading: Awaitable[list[Any]]) -> list[Any]:
        """What is read; nothing if the read is cancelled, once or twice."""
        read = asyncio.ensure_future(reading)
        is_cancelled = self._chance.random() < CANCELLED_READS
        try:
            await asyncio.wait([read], timeout=self._chance.choice((0.0, 0.001, 0.02, 0.2)) if is_cancelled else None)
        finally:
            if not read.done():
                read.cancel()
                if self._chance.random() < 0.5:
                    await asyncio.sleep(0)
                    read.cancel()
                await asyncio.wait([read])
        return [] if read.cancelled() else read.result()

    async def _handle_all(self, found: list[Any]) -> None:
        account, now = self._cast.account, asyncio.get_running_loop().time()
        for stream, entries in found:
            for entry_id, fields in entries:
                if self._dead:
                    return
                place, number = Place.of(stream, entry_id), json.loads(fields["value"])["n"]
                account.begin(STREAM, place, number, 1, self._who, now)
                account.end(STREAM, place, None)
            if entries:
                await self.consumer.ack_message(*(entry_id for entry_id, _ in entries), stream_key=stream)

    async def die(self) -> None:
        """Ends as a process that is killed."""
        self._dead = True
        await self._close()
        await self._end()

    async def stop(self) -> None:
        """Ends in good order."""
        self._ending = True
        await self._end()
        await self._close()

    async def _close(self) -> None:
        self.deleted = self.consumer.statistics().deleted
        for client in (self.consumer, self.manager, self.client):
            await client.aclose()

    async def _end(self) -> None:
        assert self.task is not None
        await asyncio.wait([self.task])
        if not self.task.cancelled() and (error := self.task.exception()):
            self._cast.account.add("ended", f"{self.group}: a consumer of the stream level ended with {error!r}")


def _state_of(consumer: Consumer[Any]) -> list[str]:
    session = consumer._session
    if session is None:
        return ["not started"]
    parts = (*session._fetchers, *session.maintenance, session.buffer, session.acks, *session.partitions)
    return [
        *map(repr, parts),
        repr(session._redelivery),
        repr(session.member.router.health),
        repr(consumer.statistics()),
    ]


def place_of(waiting: Any) -> str:
    """Where a coroutine waits, from the outermost function to the innermost, each with its line."""
    places = []
    while (frame := getattr(waiting, "cr_frame", None)) is not None:
        places.append(f"{waiting.__qualname__}:{frame.f_lineno}")
        waiting = waiting.cr_await
    return " > ".join(places) or "at its end"


class Watcher:
    """Reads all partitions without a group, from before the first message on; some of its reads are cancelled.

    Attributes:
        reached: by stream, the last id that it was given.
    """

    def __init__(self, account: Account, url: str) -> None:
        first, *self._others = TOPIC.keys
        self._account, self._consumer = account, MQConsumer(first, redis_url=url)
        self._chance = random.Random(WATCHER)
        self.reached: dict[str, tuple[int, int]] = {}
        self._over = False

    async def start(self) -> None:
        """Reads; on return it misses nothing any more."""
        await self._consumer.block_read_messages(*self._others, block=1)
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while not self._over:
            block = self._chance.choice((100, BLOCK_MS))
            reading = self._consumer.block_read_messages(*self._others, block=block, count=self._chance.choice((1, 10)))
            read = asyncio.ensure_future(reading)
            is_cancelled = self._chance.random() < CANCELLED_READS
            await asyncio.wait([read], timeout=self._chance.choice((0.0, 0.001, 0.02)) if is_cancelled else None)
            if not read.done():
                read.cancel()
                await asyncio.wait([read])
            if read.cancelled():
                continue
            error = read.exception()
            if isinstance(error, ClosedError):
                return
            if error is not None:  # what the server refuses; it goes on
                if not isinstance(error, RedisError):
                    self._account.add("errors", f"{WATCHER}: a read was answered by {error!r}")
                await asyncio.sleep(0.05)
                continue
            for stream, entries in read.result():
                for entry_id, fields in entries:
                    place = Place.of(stream, entry_id)
                    self._account.read(WATCHER, place, json.loads(fields["value"])["n"])
                    self.reached[stream] = place.id

    async def stop(self) -> None:
        """Ends."""
        self._over = True
        await asyncio.wait([self._task])
        await self._consumer.aclose()
        if error := self._task.exception():
            self._account.add("ended", f"{WATCHER}: it ended with {error!r}")


@dataclass
class Senders:
    """Producers, one for each thing to do about lost connections.

    Attributes:
        account: of what happens.
        keeps_sending: nothing keeps a message from being sent again in time.
        producers: by `on_unknown`.
        waiting: when what was accepted has to have an outcome.
    """

    account: Account
    keeps_sending: bool
    producers: dict[str, Producer[bytes]] = field(default_factory=dict)
    waiting: dict[asyncio.Future[RecordMetadata], tuple[int, float]] = field(default_factory=dict)

    @classmethod
    async def open(cls, account: Account, keeps_sending: bool, url: str, stack: contextlib.AsyncExitStack) -> "Senders":
        """With a client for each."""
        made = cls(account, keeps_sending)
        for mode in ("raise", "resend", "idempotent"):
            client = await stack.enter_async_context(MQClient(redis_url=url))
            made.producers[mode] = await client.producer(
                TOPIC, on_unknown=mode, delivery_timeout_ms=DELIVERY_TIMEOUT_S * 1000, max_block_ms=2_000
            ).start()
        return made

    async def send(self, kind: str, by: str = "", key: str | None = None, partition: int | None = None) -> int:
        """Sends one message; its number."""
        mode = by or tuple(self.producers)[len(self.account.sent) % 3]
        sure = self.keeps_sending and mode == "idempotent" and kind != "wide"
        number = self.account.offer(kind, once=mode != "resend", sure=sure)
        headers = {f"h{n}": "" for n in range(4_000)} if kind == "wide" else None
        value = json.dumps({"n": number, "kind": kind, "more": "." * LARGE * (kind == "large")}).encode()
        try:
            future = await self.producers[mode].send(value, key or f"key-{number % KEYS}", headers, partition)
        except RedisError as error:
            self.account.tell(number, NOT_STORED, why=error)
        else:
            self.waiting[future] = number, asyncio.get_running_loop().time() + OUTCOME_WITHIN_S
            future.add_done_callback(self._told)
        return number

    def _told(self, future: "asyncio.Future[RecordMetadata]") -> None:
        number, _ = self.waiting.pop(future)
        if future.cancelled():
            self.account.add("told", f"message {number} was cancelled by nobody")
            return
        match future.exception():
            case None:
                self.account.tell(number, STORED, Place.of(future.result().stream, future.result().id))
            case OutcomeUnknownError() as error:
                self.account.tell(number, UNKNOWN, why=error)
            case RedisError() as error:
                self.account.tell(number, NOT_STORED, why=error)
            case error:
                self.account.add("errors", f"message {number} was told {error!r}")

    def look(self) -> None:
        """Notes what has waited too long."""
        now = asyncio.get_running_loop().time()
        for number, due in list(self.waiting.values()):
            if now > due:
                self.account.add("outcome", f"message {number} has no outcome {now - due:.1f} s after its time-out")
                future = next(future for future, (each, _) in self.waiting.items() if each == number)
                del self.waiting[future]
                future.remove_done_callback(self._told)
                self.account.tell(number, UNKNOWN)

    async def flush(self) -> None:
        """Waits until all that was accepted has its outcome."""
        await asyncio.gather(*(producer.flush() for producer in self.producers.values()))

    async def close(self) -> None:
        """Closes all of them, in good order."""
        await asyncio.gather(*(producer.close() for producer in self.producers.values()))
