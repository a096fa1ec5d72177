"""`Producer`: sends values to a topic, in batches that make themselves, and tells each caller what became of its."""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Generic, Self

from ombdriver.messaging.errors import ClosedError, MessagingError
from ombdriver.messaging.streams.topic import Topic
from ombdriver.messaging.streams.trimmer import AcknowledgedTrimmer
from ombdriver.messaging.topics.codec import Codec, Value
from ombdriver.messaging.topics.producer.batch import BatchEncoding, SenderContext
from ombdriver.messaging.topics.producer.buffer import SendBuffer
from ombdriver.messaging.topics.producer.config import (
    ProducerCounts,
    ProducerSettings,
    ProducerStatistics,
    RecordMetadata,
)
from ombdriver.messaging.topics.producer.idempotence import IdempotentEncoding
from ombdriver.messaging.topics.producer.partition_sender import PartitionSender
from ombdriver.messaging.topics.producer.partitioner import StickyPartitioner
from ombdriver.messaging.topics.producer.transaction import TransactionEncoding
from ombdriver.messaging.topics.record import helper_key, pack_record
from ombdriver.messaging.transport.standalone import Router

SLACK_MS = 60_000
"""An idempotent batch is remembered for twice the time in which it may be sent again, and so much longer."""


class Producer(Generic[Value]):
    """Sends to the partitions of a topic; `async with client.producer(topic) as producer`.

    What is accepted goes on by itself, in batches: whatever comes while a partition's last batch is on its way makes
    the next one. Per partition, messages are stored in the order in which they were accepted, also when some have to
    be sent again after MOVED, READONLY, LOADING or a lost connection; none of that reaches a caller in the time of
    `delivery_timeout_ms`. An error of one message, as OOM or WRONGTYPE, fails its own future only.

    A future fails with:
        OutcomeUnknownError: if the message may have been stored: the connection was lost after it had left, with
            `on_unknown` `raise`; or there was no reply in time.
        NotSentError: if it could not be sent in time. It is not stored.
        ClosedError: if the client was closed before it was sent. It is not stored.
        redis.exceptions.RedisError: the server's error reply to it. It is not stored.

    To cancel a future takes the message out if it has not left; afterwards it has no effect on it.

    Args:
        router: gives the connections.
        topic: where to; a name is a topic of one partition.
        codec: makes bytes of values.
        settings: see `ProducerSettings`.
    """

    def __init__(
        self, router: Callable[[], Router], topic: Topic | str, codec: Codec[Value], settings: ProducerSettings
    ) -> None:
        self.topic = topic if isinstance(topic, Topic) else Topic(topic)
        self._router = router
        self._encode = codec.encode
        self._settings = settings = settings.on(self.topic)
        self._partitioner = StickyPartitioner(self.topic)
        self._buffer = SendBuffer(settings.buffer_messages, settings.buffer_bytes)
        self._block_s = None if settings.max_block_ms is None else settings.max_block_ms / 1000
        self._timeout_s = settings.delivery_timeout_ms / 1000
        self._lanes: list[PartitionSender] = []
        self._shared: SenderContext | None = None
        self._trimmer: AcknowledgedTrimmer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._lanes else "not started"
        return f"<Producer {self.topic.name} {state}, {self._buffer.messages} messages buffered>"

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> Self:
        """Connects; `async with` does it. A second call does nothing.

        Raises:
            ClosedError: if it was closed.
            redis.exceptions.RedisError: if the server can't be reached, at once, or refuses the login.
        """
        if self._closed:
            raise _closed()
        router = self._router()
        await router.discover()
        await router.bulk_for(self.topic.keys[0].encode()).ready()
        if self._shared is None:
            self._shared = shared = SenderContext(
                self.topic.name, router, self._settings, self._buffer, self._watch, self._rotate
            )
            self._lanes = [PartitionSender(p, key, self._form(key), shared) for p, key in enumerate(self.topic.keys)]
            if (kept := self._settings.retention) is not None and kept.acknowledged:
                self._trimmer = AcknowledgedTrimmer(
                    self._router,
                    self.topic.keys,
                    maxlen=kept.max_length,
                    max_age_s=kept.max_age_s,
                    approximate=not kept.exact,
                )
                await self._trimmer.__aenter__()
        return self

    def _form(self, stream: str) -> BatchEncoding:
        if self._settings.on_unknown != "idempotent":
            return TransactionEncoding(stream.encode())
        remember_ms = 2 * round(self._settings.delivery_timeout_ms) + SLACK_MS
        return IdempotentEncoding(stream.encode(), helper_key(stream, "dedupe", uuid.uuid4().hex), remember_ms)

    async def close(self) -> None:
        """Sends what was accepted and waits until every message has its answer; accepts no more.

        It takes the time of `delivery_timeout_ms` at most. When it is cancelled, what was accepted goes on as long as
        the client is open; a second call waits again.
        """
        self._closed = True
        self._buffer.close(_closed())
        await self.flush()
        if self._timer is not None:
            self._timer.cancel()
        for lane in self._lanes:
            lane.stop()
        if self._trimmer is not None:
            await self._trimmer.aclose()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # -- sending ---------------------------------------------------------------------------------------------------

    async def send(
        self,
        value: Value,
        key: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        partition: int | None = None,
    ) -> "asyncio.Future[RecordMetadata]":
        """Accepts a message; waits only if the buffer is full. The future tells where it was stored.

        Args:
            value: for the codec.
            key: picks the partition, the same as Kafka's clients pick, and is stored with the message. Without one,
                messages go to one partition until its batch closes, then to the next.
            headers: name to text.
            partition: in place of what the key picks.

        Raises:
            MessagingValueError: if an argument can't be, or the message is larger than the buffer.
            BufferFullError: if there was no space for `max_block_ms`. Nothing was accepted.
            ClosedError: if the producer was closed. Nothing was accepted.
            Exception: what the codec raises.
        """
        if key is not None or partition is not None:
            key = self._partitioner.check(key, partition)
        body, count = pack_record(self._encode(value), key, headers)
        if not self._lanes or not self._buffer.take(1, len(body)):
            await self._wait(1, len(body))
        return self._lanes[self._partitioner.pick(key, partition)].add(body, count)

    async def send_and_wait(
        self,
        value: Value,
        key: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        partition: int | None = None,
    ) -> RecordMetadata:
        """As `send`, and waits for the answer; raises what the future would."""
        return await (await self.send(value, key, headers, partition))

    async def send_batch(
        self,
        values: Iterable[Value],
        key: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        partition: int | None = None,
    ) -> "list[asyncio.Future[RecordMetadata]]":
        """Accepts messages to one partition, in order: all of them, or none if it raises or is cancelled.

        Args and errors are those of `send`; together they have to fit into the buffer.
        """
        key = self._partitioner.check(key, partition)
        bodies = [pack_record(self._encode(value), key, headers) for value in values]
        size = sum([len(body) for body, _ in bodies])
        if not self._lanes or not self._buffer.take(len(bodies), size):
            await self._wait(len(bodies), size)
        lane = self._lanes[self._partitioner.pick(key, partition)]
        return [lane.add(body, count) for body, count in bodies]

    async def flush(self) -> None:
        """Sends what was accepted before this call, without linger, and waits until each has its answer.

        Errors are told by the futures. A flush that is cancelled leaves everything on its way.
        """
        waiting = []
        for lane in self._lanes:
            lane.close_open()
            waiting += [batch.watch() for batch in lane.batches()]
        if waiting:
            await asyncio.wait(waiting)

    def statistics(self) -> ProducerStatistics:
        """The figures of this moment."""
        counts = self._shared.counts if self._shared is not None else ProducerCounts()
        return ProducerStatistics(
            buffered_messages=self._buffer.messages,
            buffered_bytes=self._buffer.bytes,
            in_flight=sum(lane.in_flight for lane in self._lanes),
            waiting=self._buffer.waiting,
            sent=counts.sent,
            failed=counts.failed,
            batches=counts.batches,
            resent=counts.resent,
            unknown=counts.unknown,
            duplicates_avoided=counts.duplicates_avoided,
        )

    # -- parts -----------------------------------------------------------------------------------------------------

    async def _wait(self, messages: int, size: int) -> None:
        if self._closed:
            raise _closed()
        if not self._lanes:
            raise MessagingError("the producer was not started; use it in `async with`, or await start()")
        for lane in self._lanes:  # what lingers takes the space that is wanted here
            lane.close_open()
        await self._buffer.wait(messages, size, self._block_s)

    def _rotate(self, partition: int) -> None:
        self._partitioner.rotate(partition, self._lanes)

    def _watch(self) -> None:
        """Has the time-out of the oldest message looked at in time; later ones are looked at then."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._expire)

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        left = [oldest for lane in self._lanes if (oldest := lane.expire(loop.time() - self._timeout_s)) is not None]
        if left:
            self._timer = loop.call_at(min(left) + self._timeout_s, self._expire)


def _closed() -> ClosedError:
    return ClosedError("this producer was closed; make a new one")
