"""The messages of one partition, from `send` to their outcome: batched, sent one batch at a time, and again if needed.

A message is added to the open batch. A batch closes when it is full or has lingered, and leaves when it is known what
became of the one before it: that keeps the order. Callbacks do all of this; a task is made only to wait for a
connection. Knows what an error means for a batch, and not how a batch is written (`batch.BatchEncoding`).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ombdriver.messaging.errors import ConnectionLost, NotSentError, OutcomeUnknownError, WouldBlock
from ombdriver.messaging.topics.producer.batch import BatchEncoding, RecordBatch
from ombdriver.messaging.topics.producer.buffer import SendBuffer
from ombdriver.messaging.topics.producer.config import ProducerSettings, ProducerStatistics, RecordMetadata
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.per_loop import HomeLoop
from ombdriver.messaging.transport.retry import ENDLESS_BACKOFF, RetryBudget, is_loss, was_not_carried_out
from ombdriver.messaging.transport.router import Router


@dataclass(slots=True)
class SenderContext:
    """What the partition senders of one producer share.

    Attributes:
        topic: its name.
        router: the connections.
        settings: the producer's.
        buffer: gets back the space of messages that have their outcome.
        on_batch_opened: called for each batch that is begun.
        on_batch_closed: called with a partition when its open batch closes, or when it becomes unavailable.
        home: the event loop of all of them.
        statistics: what all of them have done together.
    """

    topic: str
    router: Router
    settings: ProducerSettings
    buffer: SendBuffer
    on_batch_opened: Callable[[], None]
    on_batch_closed: Callable[[int], None]
    home: HomeLoop
    statistics: ProducerStatistics = field(default_factory=ProducerStatistics)


class PartitionSender:
    """Batches and sends the messages of one partition.

    Args:
        partition: counted from 0.
        stream: its stream's key.
        encoding: how batches are written.
        context: see `SenderContext`.

    Attributes:
        partition: as given.
        stream: as given.
    """

    def __init__(self, partition: int, stream: str, encoding: BatchEncoding, context: SenderContext) -> None:
        self.partition, self.stream = partition, stream
        self._key = stream.encode()
        self._encoding, self._context = encoding, context
        self._loop = asyncio.get_running_loop()
        settings = context.settings
        self._max_messages, self._max_bytes = settings.max_batch_messages, settings.max_batch_bytes
        self._linger_s = settings.linger_ms / 1000
        retention = settings.retention
        self._trimming = retention.words(0) if retention is not None else ()
        self._max_age = retention if retention is not None and retention.max_age_s is not None else None
        self._open: RecordBatch | None = None
        self._closed: deque[RecordBatch] = deque()
        self._unanswered: RecordBatch | None = None
        self._is_scheduled = False
        self._is_waiting = False  # for a time, for room or for a connection
        self._connecting: asyncio.Task[Any] | None = None
        self._budget = RetryBudget(_is_retriable, ENDLESS_BACKOFF)  # messages have a time limit of their own
        self._sequence = 0
        self._prefix_replies = self._replies_left = 0
        self._errors: dict[int, Exception] = {}

    def __repr__(self) -> str:
        state = "waiting" if self._is_waiting else "idle" if self._unanswered is None else "sending"
        return f"<PartitionSender {self.stream} {state}, {sum(map(len, self.batches()))} messages>"

    def batches(self) -> list[RecordBatch]:
        """All that have messages without an outcome, in order."""
        return [batch for batch in (self._unanswered, *self._closed, self._open) if batch is not None]

    @property
    def is_available(self) -> bool:
        """False if a message would, as far as is known, have to wait for more than the batch before it."""
        return not self._is_waiting and (self._unanswered is None or not self._budget.failures)

    @property
    def in_flight(self) -> int:
        """Messages that were sent and have no reply."""
        return len(self._unanswered) if self._unanswered is not None else 0

    # -- batching --------------------------------------------------------------------------------------------------

    def add(self, payload: bytes, field_count: int) -> "asyncio.Future[RecordMetadata]":
        """Takes one message, packed by `record.pack_record`; the future is its caller's."""
        batch = self._open
        if batch is not None and batch.size + len(payload) > self._max_bytes:
            self.close_batch()
            batch = None
        if batch is None:
            batch = self._open_batch()
        future: asyncio.Future[RecordMetadata] = self._loop.create_future()
        batch.futures.append(future)
        batch.payloads.append(payload)
        batch.field_counts.append(field_count)
        batch.accepted_at.append(self._loop.time())
        batch.size += len(payload)
        if len(batch.payloads) >= self._max_messages:
            self.close_batch()
        return future

    def _open_batch(self) -> RecordBatch:
        if not self._loop.is_running():  # then another one does, in this thread
            self._context.home.check(self)
        batch = self._open = RecordBatch()
        self._context.on_batch_opened()
        if not self._linger_s:
            self._schedule()
        elif self._context.buffer.has_waiters:  # to linger would keep the space that others wait for
            self._loop.call_soon(self._on_lingered, batch)
        else:
            self._loop.call_later(self._linger_s, self._on_lingered, batch)
        return batch

    def _on_lingered(self, batch: RecordBatch) -> None:
        if self._open is batch:
            self.close_batch()

    def close_batch(self) -> None:
        """Has the open batch take no more messages, and leave as soon as it can."""
        if self._open is not None:
            self._close_batch()
            self._schedule()

    def _close_batch(self) -> None:
        if self._open is not None:
            self._closed.append(self._open)
            self._open = None
            self._context.on_batch_closed(self.partition)

    # -- sending ---------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        """Sends in a later turn of the loop, so that all messages of this turn go together."""
        if not self._is_scheduled and not self._is_waiting and self._unanswered is None:
            self._is_scheduled = True
            self._loop.call_soon(self._on_scheduled)

    def _on_scheduled(self) -> None:
        self._is_scheduled = False
        self._send_next()

    def _send_next(self) -> None:
        """Sends the next batch, if nothing is in its way."""
        if self._unanswered is not None or self._is_waiting:
            return
        if not self._closed and not self._linger_s:
            self._close_batch()
        while self._closed and self._is_unwanted(self._closed[0]):
            self._closed.popleft()
        if not self._closed:
            return
        batch = self._closed[0]
        try:
            channel, prefix = self._context.router.bulk_route(self._key, batch.retriable_error)
            if channel.room() <= 0:
                self._wait_for(channel)
                return
            self._send(channel, prefix, batch)
        except WouldBlock:
            self._wait_for(channel)
        except Exception as error:
            self._on_send_failed(error)

    def _is_unwanted(self, batch: RecordBatch) -> bool:
        """Removes what nobody waits for; whether nothing is left."""
        self._release(*batch.drop_done())
        if batch.payloads:
            return False
        batch.notify_done()
        return True

    def _send(self, channel: Channel, prefix: bytes, batch: RecordBatch) -> None:
        if not batch.sequence:
            self._sequence += 1
            batch.sequence = self._sequence
        trimming = self._max_age.words(time.time()) if self._max_age else self._trimming
        data, commands = self._encoding.encode(batch, trimming)
        self._prefix_replies = 1 if prefix else 0
        self._replies_left = commands + self._prefix_replies
        self._errors = {}
        channel.send_block(prefix + data if prefix else data, self._replies_left, self._on_replies, self.partition, 0)
        self._closed.popleft()
        self._unanswered = batch

    def _wait_for(self, channel: Channel) -> None:
        """Waits for room, or for a connection."""
        self._is_waiting = True
        if channel.address is not None:
            channel.when_room(self._stop_waiting)
            return
        self._connecting = self._loop.create_task(channel.ready())
        self._connecting.add_done_callback(self._on_connected)

    def _on_connected(self, task: "asyncio.Task[Any]") -> None:
        self._connecting = None
        if task.cancelled():  # by `stop`, or because the loop ends
            self._is_waiting = False
        elif isinstance(error := task.exception(), Exception):
            self._on_send_failed(error)
        else:
            self._stop_waiting()

    def _stop_waiting(self) -> None:
        self._is_waiting = False
        self._send_next()

    # -- replies ---------------------------------------------------------------------------------------------------

    def _on_replies(self, _: int, first: int, count: int, error: Exception | None, _ns: int, last: Any) -> None:
        """Takes replies of the batch that was sent (`connection.Sink`)."""
        self._replies_left -= count
        if error is not None and first >= self._prefix_replies:
            self._errors[first - self._prefix_replies] = error
        if self._replies_left:
            return
        batch, self._unanswered = self._unanswered, None
        assert batch is not None
        if isinstance(error, ConnectionLost):
            self._on_loss(batch, error)
            return
        statistics = self._context.statistics
        statistics.batches += 1
        try:
            reply = self._encoding.decode(batch, self._errors, last)
            outcomes, retriable_error = reply.outcomes, reply.retriable_error
            if len(outcomes) != len(batch):
                raise ConnectionLost(f"{len(batch)} messages were sent and {len(outcomes)} answered")
        except Exception as fault:  # a reply of no shape that is known, as from something that only looks like Redis
            batch.loss = batch.loss or fault
            self._fail(batch, fault)
            self._send_next()
            return
        if batch.loss is not None and not reply.is_of_all_attempts:
            outcomes = [batch.error_for_callers(one) if isinstance(one, Exception) else one for one in outcomes]
        if reply.is_duplicate:
            statistics.duplicates_avoided += len(outcomes)
        left = [at for at, outcome in enumerate(outcomes) if outcome is None] if retriable_error or self._errors else ()
        if not left:
            self._send_next()  # before callers go on, so that the server has work meanwhile
        stored, failed = batch.complete(outcomes, self._context.topic, self.partition, self.stream)
        statistics.sent += stored
        statistics.failed += failed
        if len(left) < len(batch):
            self._budget.renew()
        self._release(*batch.retain(left))
        if left:
            self._send_again(batch, retriable_error)
        else:
            batch.notify_done()

    def _on_loss(self, batch: RecordBatch, error: ConnectionLost) -> None:
        """The connection was lost: nothing of the batch was stored, or it is unknown what."""
        if isinstance(error, OutcomeUnknownError):
            self._context.statistics.unknown += 1
            batch.loss = error
            if self._context.settings.on_unknown == "raise" or batch.is_unnumbered:
                self._context.router.learn(error)
                self._fail(batch, error)
                self._send_next()
                return
        self._send_again(batch, error)

    def _send_again(self, batch: RecordBatch, error: Exception | None) -> None:
        """Has the batch sent before all others; after `error`, when a back-off has passed."""
        self._closed.appendleft(batch)
        self._context.statistics.resent += 1
        if error is None:
            self._send_next()
        else:
            self._on_send_failed(error)

    def _on_send_failed(self, error: Exception) -> None:
        """The next batch could not be sent, or was refused: tries again later, or fails all if that is no use."""
        if not self._closed:
            self._is_waiting = False
            return
        self._is_waiting = True
        self._closed[0].retriable_error = error
        self._context.on_batch_closed(self.partition)
        self._context.router.learn(error)
        wait_s = self._budget.wait_s(error)
        if wait_s is None:  # no server can be asked, as after a refused login
            while self._closed:
                self._fail(self._closed.popleft(), error)
        self._loop.call_later(wait_s or 0.0, self._stop_waiting)

    # -- ends ------------------------------------------------------------------------------------------------------

    def _fail(self, batch: RecordBatch, error: Exception) -> None:
        """Fails all of a batch."""
        self._context.statistics.failed += batch.fail(batch.error_for_callers(error))
        self._release(*batch.retain([]))
        batch.notify_done()

    def _release(self, messages: int, size: int) -> None:
        if messages:
            self._context.buffer.release(messages, size)

    def expire(self, before: float) -> float | None:
        """Fails messages that were accepted at `before` or earlier; returns when the oldest of the others was.

        Their space is free at once, also while the server hangs that has their batch.
        """
        oldest = None
        for batch in self.batches():
            self._context.statistics.failed += batch.fail(self._timeout_error(batch), before)
            self._release(*(batch.give_back() if batch is self._unanswered else batch.drop_done()))
            if batch.is_done:
                batch.notify_done()
            elif oldest is None:
                oldest = batch.oldest
        self._closed = deque(batch for batch in self._closed if batch.payloads)
        if self._open is not None and not self._open.payloads:  # a message that comes now begins another
            self._open = None
            self._context.on_batch_closed(self.partition)
        return oldest

    def _timeout_error(self, batch: RecordBatch) -> Exception:
        error: ConnectionLost
        why = batch.retriable_error or (self._closed[0].retriable_error if self._closed else None)
        within = f"within {self._context.settings.delivery_timeout_ms / 1000:g} s"
        if batch is self._unanswered or batch.loss is not None:
            error = OutcomeUnknownError(f"no reply {within}; the message may have been stored")
        else:
            error = NotSentError(f"the message could not be stored {within}; {why or 'is the server up?'}")
        error.__cause__ = batch.loss or why
        return error

    def stop(self) -> None:
        """Ends the wait for a connection; every caller has its outcome by now."""
        if self._connecting is not None:
            self._connecting.cancel()


def _is_retriable(error: BaseException) -> bool:
    return was_not_carried_out(error) or is_loss(error)
