"""`Producer`: accepts values for the partitions of a topic, and gives each caller a future of its record's metadata.

Knows partitions, buffer space and time-outs; batching and sending is `partition_sender`.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from threading import get_ident
from types import TracebackType
from typing import Generic, Self

from ombdriver.messaging.errors import ClosedError, MessagingError
from ombdriver.messaging.streams.topic import Topic, topic_of
from ombdriver.messaging.streams.trimmer import AcknowledgedTrimmer
from ombdriver.messaging.topics.codec import Codec, Value
from ombdriver.messaging.topics.producer.batch import BatchEncoding
from ombdriver.messaging.topics.producer.buffer import SendBuffer
from ombdriver.messaging.topics.producer.config import (
    ProducerSettings,
    ProducerStatistics,
    RecordMetadata,
)
from ombdriver.messaging.topics.producer.idempotence import IdempotentEncoding
from ombdriver.messaging.topics.producer.partition_sender import PartitionSender, SenderContext
from ombdriver.messaging.topics.producer.partitioner import StickyPartitioner
from ombdriver.messaging.topics.producer.transaction import TransactionEncoding
from ombdriver.messaging.topics.record import MOST_FIELDS, MOST_SCRIPT_FIELDS, helper_key, pack_record, too_many_fields
from ombdriver.messaging.transport.per_loop import HomeLoop
from ombdriver.messaging.transport.router import Router

DEDUPE_MARGIN_MS = 60_000
"""An idempotent batch is remembered for twice the delivery time-out, and so much longer."""


class Producer(Generic[Value]):
    """Sends to the partitions of a topic; `async with client.producer(topic) as producer`.

    Messages leave in batches: what comes while a partition's last batch is in flight makes the next one. Per
    partition, messages are stored in the order in which they were accepted, also when some have to be sent again after
    MOVED, READONLY, LOADING or a lost connection; none of that reaches a caller within `delivery_timeout_ms`. An error
    of one message, as OOM or WRONGTYPE, fails its own future only.

    A future fails with

    - `OutcomeUnknownError` if the message may have been stored: the connection was lost after it had left, with
      `on_unknown` `raise`; or there was no reply in time.
    - `NotSentError` if it could not be sent in time. It is not stored.
    - `ClosedError` if the client was closed before it was sent. It is not stored.
    - `redis.exceptions.RedisError`, the server's error reply to it. It is not stored.

    To cancel a future drops the message if it has not left; afterwards it has no effect on it.

    Args:
        router: gives the connections.
        topic: where to; a name is a topic of one partition.
        codec: makes bytes of values.
        settings: see `ProducerSettings`.
    """

    def __init__(
        self, router: Callable[[], Router], topic: Topic | str, codec: Codec[Value], settings: ProducerSettings
    ) -> None:
        self.topic = topic_of(topic)
        self._router = router
        self._encode = codec.encode
        self._settings = settings = settings.on(self.topic)
        self._partitioner = StickyPartitioner(self.topic)
        self._buffer = SendBuffer(settings.buffer_messages, settings.buffer_bytes)
        self._block_s = None if settings.max_block_ms is None else settings.max_block_ms / 1000
        self._most_fields = MOST_SCRIPT_FIELDS if settings.on_unknown == "idempotent" else MOST_FIELDS
        self._timeout_s = settings.delivery_timeout_ms / 1000
        self._senders: list[PartitionSender] = []
        self._home: HomeLoop | None = None
        self._thread = 0
        self._context: SenderContext | None = None
        self._trimmer: AcknowledgedTrimmer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._senders else "not started"
        return f"<Producer {self.topic.name} {state}, {self._buffer.messages} messages buffered>"

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> Self:
        """Connects; `async with` does it. A second call does nothing.

        Raises:
            ClosedError: if it was closed.
            redis.exceptions.RedisError: if the server can't be reached, at once, or refuses the login.
        """
        if self._closed:
            raise _closed_error()
        self._check_home()
        router = self._router()
        await router.discover()
        await router.bulk_for(self.topic.keys[0].encode()).ready()
        if self._context is None:
            self._home = HomeLoop()
            self._thread = self._home.thread
            self._context = context = SenderContext(
                self.topic.name,
                router,
                self._settings,
                self._buffer,
                self._start_timer,
                self._on_batch_closed,
                self._home,
            )
            self._senders = [
                PartitionSender(partition, stream, self._encoding(stream), context)
                for partition, stream in enumerate(self.topic.keys)
            ]
            if (retention := self._settings.retention) is not None and retention.acknowledged:
                self._trimmer = AcknowledgedTrimmer(
                    self._router,
                    self.topic.keys,
                    maxlen=retention.max_length,
                    max_age_s=retention.max_age_s,
                    approximate=not retention.exact,
                )
                await self._trimmer.__aenter__()
        return self

    def _encoding(self, stream: str) -> BatchEncoding:
        if self._settings.on_unknown != "idempotent":
            return TransactionEncoding(stream.encode())
        remember_ms = 2 * round(self._settings.delivery_timeout_ms) + DEDUPE_MARGIN_MS
        return IdempotentEncoding(stream.encode(), helper_key(stream, "dedupe", uuid.uuid4().hex), remember_ms)

    async def close(self) -> None:
        """Sends what was accepted and waits until every message has its outcome; accepts no more.

        It takes `delivery_timeout_ms` at most. When it is cancelled, what was accepted is still sent as long as the
        client is open; a second call waits again.

        Raises:
            MessagingError: if it was started in another event loop.
        """
        self._check_home()
        self._closed = True
        self._buffer.close(_closed_error())
        await self.flush()
        if self._timer is not None:
            self._timer.cancel()
        for sender in self._senders:
            sender.stop()
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
        """Accepts a message; waits only if the buffer is full. The future gives where it was stored.

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
            MessagingError: if it was not started, or in another event loop. Nothing was accepted.
            Exception: what the codec raises.
        """
        if key is not None or partition is not None:
            key = self._partitioner.check(key, partition)
        payload, field_count = pack_record(self._encode(value), key, headers)
        if field_count > self._most_fields:
            raise too_many_fields(field_count, self._most_fields)
        if get_ident() != self._thread or not self._buffer.try_reserve(1, len(payload)):
            await self._reserve(1, len(payload))
        try:
            return self._senders[self._partitioner.pick(key, partition)].add(payload, field_count)
        except MessagingError:
            self._buffer.release(1, len(payload))
            raise

    async def send_and_wait(
        self,
        value: Value,
        key: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        partition: int | None = None,
    ) -> RecordMetadata:
        """As `send`, and waits for the outcome; raises what the future would."""
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
        packed = [pack_record(self._encode(value), key, headers) for value in values]
        if packed and packed[0][1] > self._most_fields:  # all have the same headers
            raise too_many_fields(packed[0][1], self._most_fields)
        size = sum([len(payload) for payload, _ in packed])
        if get_ident() != self._thread or not self._buffer.try_reserve(len(packed), size):
            await self._reserve(len(packed), size)
        sender = self._senders[self._partitioner.pick(key, partition)]
        try:
            return [sender.add(payload, field_count) for payload, field_count in packed]
        except MessagingError:  # the first one's: then all go
            self._buffer.release(len(packed), size)
            raise

    async def flush(self) -> None:
        """Sends what was accepted before this call, without linger, and waits until each message has its outcome.

        Errors of messages are raised by the futures only. To cancel a flush stops no message.

        Raises:
            MessagingError: if it was started in another event loop.
        """
        self._check_home()
        waiting = []
        for sender in self._senders:
            sender.close_batch()
            waiting += [batch.done_future() for batch in sender.batches()]
        if waiting:
            await asyncio.wait(waiting)

    def statistics(self) -> ProducerStatistics:
        """The statistics of this moment."""
        done = self._context.statistics if self._context is not None else ProducerStatistics()
        return replace(
            done,
            buffered_messages=self._buffer.messages,
            buffered_bytes=self._buffer.bytes,
            in_flight=sum(sender.in_flight for sender in self._senders),
            waiting=self._buffer.waiting,
        )

    # -- space, partitions, time-outs ------------------------------------------------------------------------------

    async def _reserve(self, messages: int, size: int) -> None:
        if self._closed:
            raise _closed_error()
        if not self._senders:
            raise MessagingError("the producer was not started; use it in `async with`, or await start()")
        self._check_home()
        for sender in self._senders:  # what lingers takes the space that is wanted here
            sender.close_batch()
        await self._buffer.reserve(messages, size, self._block_s)

    def _check_home(self) -> None:
        if self._home is not None:
            self._home.check(self)
            self._thread = self._home.thread

    def _on_batch_closed(self, partition: int) -> None:
        self._partitioner.on_batch_closed(partition, self._senders)

    def _start_timer(self) -> None:
        """One timer for the time-out of the oldest message; when it fires it is set for the oldest that is left."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._expire)

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        before = loop.time() - self._timeout_s
        oldest = [time for sender in self._senders if (time := sender.expire(before)) is not None]
        if oldest:
            self._timer = loop.call_at(min(oldest) + self._timeout_s, self._expire)


def _closed_error() -> ClosedError:
    return ClosedError("this producer was closed; make a new one")
