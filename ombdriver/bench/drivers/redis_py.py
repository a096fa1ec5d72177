"""The driver `redis-py`: the same topics sent and read as one would with redis-py alone, as a yardstick.

A message is one awaited `xadd` on a connection of redis-py's pool; a read is its `xreadgroup`, an acknowledgement its
`xack`. Everything else is the driver `redis-streams`.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ombdriver.bench.drivers.api import Batch, DriverConsumer, DriverProducer, OnAcknowledged, OnReplies, TopicSpec
from ombdriver.bench.drivers.redis_streams.consumer import CLOSE_TIMEOUT_S, ack_commands
from ombdriver.bench.drivers.redis_streams.control import may_pass
from ombdriver.bench.drivers.redis_streams.driver import RedisStreamsDriver, connected
from ombdriver.bench.drivers.redis_streams.errors import map_errors, with_way_out
from ombdriver.bench.drivers.redis_streams.missing_group import why_missing
from ombdriver.bench.drivers.redis_streams.options import StreamOptions
from ombdriver.bench.drivers.redis_streams.producer import TrimBound
from ombdriver.bench.drivers.redis_streams.topics import topic_of
from ombdriver.errors import DriverError
from ombdriver.messaging.errors import RedisError, lost
from ombdriver.messaging.streams.topic import Partitioner, Topic
from ombdriver.messaging.transport.blocking import ignore_outcome
from ombdriver.messaging.transport.factory import open_client

RETRY_DELAY_S = 0.1
"""Seconds from a lost connection to the next read."""


class RedisPyDriver(RedisStreamsDriver):
    """One process's connections (`api.Driver`); made by `open_driver`."""

    def __init__(self, options: StreamOptions) -> None:
        super().__init__(options)
        self._sender: Redis | None = None
        self._readers: list[Redis] = []
        self._opened_s = time.monotonic()

    async def create_producer(self, topic: TopicSpec, on_replies: OnReplies) -> DriverProducer:
        """See `api.Driver.create_producer`; all producers of a process share one pool."""
        options = self._options
        if self._sender is None:
            self._sender = self._client(options.connections)
        with map_errors(self.server):
            await self._control.outlast(self._sender.ping)
        cut = TrimBound(options.max_entries, options.max_age_ms, options.exact_trim)
        room = min(options.connections, options.max_in_flight)
        return RedisPyProducer(self._sender, topic_of(topic), cut, on_replies, room, self._statistics)

    async def create_consumer(
        self, topics: Sequence[TopicSpec], subscription: str, name: str, partitions: Sequence[int] | None = None
    ) -> DriverConsumer:
        """See `api.Driver.create_consumer`; one connection to read, one to acknowledge."""
        placed = [topic_of(topic) for topic in topics]
        keys = [key for topic in placed for key in map(topic.key, partitions or range(topic.partitions))]
        client = self._client(2)
        self._readers.append(client)
        with map_errors(self.server):
            await self._control.outlast(client.ping)
        group = self._topics.group(topics[0], subscription)
        return RedisPyConsumer(client, keys, group, name, self._options, self._statistics, self._why)

    async def _why(self, error: Exception, keys: Sequence[str], group: str) -> str:
        """Why streams can't be read."""
        if str(error).startswith("NOGROUP"):
            read_s = time.monotonic() - self._opened_s
            return f"{error}: {await why_missing(self._router, [key.encode() for key in keys], group, {}, read_s)}"
        return with_way_out(error, self.server)

    def _client(self, connections: int) -> Redis:
        client = open_client(
            self._options.url,
            {
                "decode_responses": False,
                "max_connections": connections,
                "timeout": None,
                **self._options.client_options,
            },
        )
        assert isinstance(client, Redis)  # `Setup` refuses clusters
        return client

    async def aclose(self) -> None:
        """See `api.Driver.aclose`."""
        for client in [*self._readers, *([self._sender] if self._sender else [])]:
            await client.connection_pool.aclose()
        await super().aclose()


class _PendingReply:
    """Of one message: when it was answered (0: not yet), and how."""

    __slots__ = ("answer", "error", "time_ns")

    def __init__(self) -> None:
        self.time_ns = 0
        self.error: Exception | None = None
        self.answer: Any = None


class RedisPyProducer:
    """Sends to one topic, a task for each message (`api.DriverProducer`).

    Args:
        client: its pool has `room` connections.
        topic: where to.
        cut: what sending trims.
        on_replies: gets the replies, in the order in which the messages of a partition were sent.
        room: messages under way at most: one on each connection.
        statistics: counts `reconnects`: redis-py makes a new connection for each that was lost.
    """

    def __init__(
        self,
        client: Redis,
        topic: Topic,
        cut: TrimBound,
        on_replies: OnReplies,
        room: int,
        statistics: Counter[str],
    ) -> None:
        self._client, self._topic, self._cut, self._on_replies = client, topic, cut, on_replies
        self._statistics = statistics
        self._partitioner = Partitioner(topic)
        self._room, self._under_way = room, 0
        self._trim = True
        self._pending: list[deque[_PendingReply]] = [deque() for _ in range(topic.partitions)]
        self._reported = [0] * topic.partitions
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<RedisPyProducer {self._topic.name}, {self._under_way} under way>"

    def route(self, count: int, keys: Sequence[bytes] | None) -> Sequence[int] | None:
        """murmur2 of the key, as Kafka does; round robin without keys."""
        if self._topic.partitions == 1:
            return None
        return [self._partitioner.pick(None if keys is None else keys[at]) for at in range(count)]

    def room(self) -> int:
        """See `api.DriverProducer.room`."""
        return self._room - self._under_way

    def when_room(self, callback: Callable[[], None]) -> None:
        """See `api.DriverProducer.when_room`."""
        if self.room() > 0:
            asyncio.get_running_loop().call_soon(callback)
        else:
            self._waiting.append(callback)

    def shared_room(self) -> "RedisPyProducer":
        """See `api.DriverProducer.shared_room`: its own."""
        return self

    def keep_everything(self, keep: bool) -> None:
        """See `api.DriverProducer.keep_everything`."""
        self._trim = not keep

    def send(self, partition: int, payloads: Sequence[bytes], keys: Sequence[bytes] | None) -> None:
        """See `api.DriverProducer.send`."""
        for at, payload in enumerate(payloads):
            fields = {"p": payload} if keys is None else {"p": payload, "k": keys[at]}
            reply = _PendingReply()
            self._pending[partition].append(reply)
            self._under_way += 1
            task = asyncio.get_running_loop().create_task(self._send_one(partition, fields, reply))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send_one(self, partition: int, fields: Mapping[str, bytes], reply: _PendingReply) -> None:
        cut, key = self._cut, self._topic.keys[partition]
        bounds: dict[str, Any] = {"approximate": not cut.exact}
        if self._trim and cut.max_age_ms is not None:
            bounds["minid"] = int(time.time() * 1000) - cut.max_age_ms
        elif self._trim and cut.max_length is not None:
            bounds["maxlen"] = cut.max_length
        try:
            reply.answer = await self._client.xadd(key, fields, **bounds)  # type: ignore[arg-type]
        except (RedisError, OSError) as error:
            reply.error = lost(was_sent=True, cause=error) if _is_loss(error) else error
            self._statistics["reconnects"] += _is_loss(error)
        reply.time_ns = time.monotonic_ns()
        self._under_way -= 1
        self._report(partition)
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()

    def _report(self, partition: int) -> None:
        """Reports replies, which come in any order, in that of the messages, each with its own time."""
        pending = self._pending[partition]
        while pending and pending[0].time_ns:
            reply = pending.popleft()
            first, self._reported[partition] = self._reported[partition], self._reported[partition] + 1
            self._on_replies(partition, first, 1, reply.error, reply.time_ns, reply.answer)

    async def aclose(self) -> None:
        """See `api.DriverProducer.aclose`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class RedisPyConsumer:
    """Reads as one member of a group, or plainly (`api.DriverConsumer`).

    Args:
        client: reads and acknowledges.
        keys: the streams.
        group: the group's name.
        name: the consumer's name.
        options: how to read and acknowledge.
        statistics: counts `failedAcknowledgements`, and `reconnects` as a producer does.
        why: tells why streams can't be read.
    """

    def __init__(
        self,
        client: Redis,
        keys: Sequence[str],
        group: str,
        name: str,
        options: StreamOptions,
        statistics: Counter[str],
        why: Callable[[Exception, Sequence[str], str], Awaitable[str]],
    ) -> None:
        self._client, self._options, self._statistics = client, options, statistics
        self._keys, self._group, self._why = keys, group, why
        count, block_ms = options.read_count, options.block_ms
        self._last: dict[Any, Any] = dict.fromkeys((key.encode() for key in keys), "0" if options.plain else ">")
        self._read: Callable[[], Any] = partial(client.xread, self._last, count, block_ms)
        self._commands = None if options.plain else ack_commands(options.ack, group, options.groups)
        if not options.plain:
            no_ack = options.ack == "none"
            self._read = partial(client.xreadgroup, group, name, self._last, count, block_ms, noack=no_ack)
        self._acknowledging: set[asyncio.Task[None]] = set()
        self._reading: asyncio.Task[Any] | None = None
        self._closed = False

    async def receive(self) -> Batch | None:
        """See `api.DriverConsumer.receive`. What a lost reply held stays pending: only what is new is read."""
        if not self._closed:
            self._reading = asyncio.get_running_loop().create_task(self._one_read())
            self._reading.add_done_callback(ignore_outcome)
            await asyncio.wait([self._reading])
        if self._closed or self._reading is None:
            raise DriverError("the consumer was closed")
        try:
            reply = self._reading.result()
        except (RedisError, OSError) as error:
            if not _is_loss(error) and not may_pass(error):
                raise DriverError(
                    f"streams can't be read: {await self._why(error, self._keys, self._group)}"
                ) from error
            self._statistics["reconnects"] += _is_loss(error)
            await asyncio.sleep(RETRY_DELAY_S)
            return None
        arrival_ns = time.monotonic_ns()
        if not reply:
            return None
        payloads, receipt = [], []
        for key, entries in reply:
            payloads += [next(iter(fields.values())) for _, fields in entries]
            receipt.append((key, [entry_id for entry_id, _ in entries]))
            if self._options.plain:
                self._last[key] = entries[-1][0]
        return Batch(payloads, arrival_ns, receipt)

    async def _one_read(self) -> Any:
        return await self._read()

    def acknowledge(self, batch: Batch, done: OnAcknowledged) -> None:
        """See `api.DriverConsumer.acknowledge`."""
        if self._commands is None:
            return
        task = asyncio.get_running_loop().create_task(self._acknowledge(batch, done))
        self._acknowledging.add(task)
        task.add_done_callback(self._acknowledging.discard)

    async def _acknowledge(self, batch: Batch, done: OnAcknowledged) -> None:
        assert self._commands is not None
        receipt: Any = batch.receipt
        words = [each for key, ids in receipt for each in self._commands(key, ids)]
        try:
            if len(words) == 1:
                await self._client.execute_command(*words[0])  # type: ignore[no-untyped-call]
            else:
                async with self._client.pipeline(transaction=False) as pipeline:
                    for each in words:
                        pipeline.execute_command(*each)
                    await pipeline.execute()
        except BaseException as error:
            self._statistics["failedAcknowledgements"] += len(words)
            self._statistics["reconnects"] += _is_loss(error)
            if not isinstance(error, RedisError | OSError):  # cancelled: it was never answered
                raise
        else:
            done(time.monotonic_ns())

    async def aclose(self) -> None:
        """See `api.DriverConsumer.aclose`; the read under way is given up."""
        self._closed = True
        if self._acknowledging:
            _, late = await asyncio.wait(self._acknowledging, timeout=CLOSE_TIMEOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])


def _is_loss(error: BaseException) -> bool:
    return isinstance(error, RedisConnectionError | RedisTimeoutError | OSError)


async def open_driver(options: Mapping[str, object]) -> RedisPyDriver:
    """Connects to a server (`api.DriverFactory`).

    Raises:
        InputError: if an option is unknown, missing or of the wrong type.
        ServerError: if the server can't be reached, refuses the login, or is too old for streams.
    """
    return await connected(RedisPyDriver(StreamOptions.of(options)))
