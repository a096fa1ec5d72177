"""The way of one partition's messages to the server: one batch at a time, and again if it has to be.

The next batch leaves when it is known what became of the last one; that is what keeps the order. Callbacks, no task:
one is made only to wait for a connection.

The messages of one partition until they are sent: added to an open batch, which closes when it is full or due.

Knows no connection; `lane.PartitionSender` sends what is ready.
"""

import asyncio
import time
from collections import deque
from typing import Any

from ombdriver.messaging.errors import ConnectionLost, NotSentError, OutcomeUnknownError, WouldBlock
from ombdriver.messaging.topics.producer.batch import Batch, BatchEncoding, SenderContext
from ombdriver.messaging.topics.producer.config import RecordMetadata
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.retry import (
    AGAIN,
    PLAIN_REDIRECTS,
    AskError,
    MovedError,
    is_loss,
    was_not_carried_out,
)


class Accumulator:
    """The accepting side of a partition.

    Args:
        partition: counted from 0.
        shared: see `SenderContext`.
    """

    def __init__(self, partition: int, shared: SenderContext) -> None:
        self.partition = partition
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        settings = shared.settings
        self._max_messages, self._max_bytes = settings.max_batch_messages, settings.max_batch_bytes
        self._linger_s = settings.linger_ms / 1000
        self._open: Batch | None = None
        self._ready: deque[Batch] = deque()

    def _schedule(self) -> None:
        """Has what is ready sent in a later turn, so that all of this turn goes together."""
        raise NotImplementedError

    def add(self, body: bytes, count: int) -> "asyncio.Future[RecordMetadata]":
        """Takes one message, packed by `packing.pack_record`; the future is its caller's."""
        batch = self._open
        if batch is not None and batch.size + len(body) > self._max_bytes:
            self.close_open()
            batch = None
        if batch is None:
            batch = self._begin()
        future: asyncio.Future[RecordMetadata] = self._loop.create_future()
        batch.futures.append(future)
        batch.bodies.append(body)
        batch.counts.append(count)
        batch.times.append(self._loop.time())
        batch.size += len(body)
        if len(batch.bodies) >= self._max_messages:
            self.close_open()
        return future

    def _begin(self) -> Batch:
        batch = self._open = Batch()
        self._shared.opened()
        if not self._linger_s:
            self._schedule()
        elif self._shared.buffer.is_short:  # to linger would keep the space that others wait for
            self._loop.call_soon(self._lingered, batch)
        else:
            self._loop.call_later(self._linger_s, self._lingered, batch)
        return batch

    def _lingered(self, batch: Batch) -> None:
        if self._open is batch:
            self.close_open()

    def close_open(self) -> None:
        """The batch that messages are added to takes no more, and is due."""
        if self._open is not None:
            self._close()
            self._schedule()

    def _close(self) -> None:
        """The open batch takes no more; who calls this sends it."""
        if self._open is not None:
            self._ready.append(self._open)
            self._open = None
            self._shared.closed(self.partition)


class PartitionSender(Accumulator):
    """The messages of one partition, and their way.

    Args:
        partition: counted from 0.
        stream: its stream's key.
        form: how batches are sent.
        shared: see `SenderContext`.
    """

    def __init__(self, partition: int, stream: str, form: BatchEncoding, shared: SenderContext) -> None:
        super().__init__(partition, shared)
        self.stream = stream
        self._key = stream.encode()
        self._form = form
        retention = shared.settings.retention
        self._ages = retention if retention is not None and retention.max_age_s is not None else None
        self._bounds = retention.words(0) if retention is not None else ()
        self._flying: Batch | None = None
        self._is_held = False  # until a time, room or a connection has come
        self._is_scheduled = False
        self._connecting: asyncio.Task[Any] | None = None
        self._number = 0
        self._skip = self._left = 0
        self._errors: dict[int, Exception] = {}

    def __repr__(self) -> str:
        state = "held" if self._is_held else "idle" if self._flying is None else "flying"
        return f"<Lane {self.stream} {state}, {sum(map(len, self.batches()))} messages>"

    def batches(self) -> list[Batch]:
        """All that have not left, in order."""
        return [batch for batch in (self._flying, *self._ready, self._open) if batch is not None]

    @property
    def is_stuck(self) -> bool:
        """Whether it is known that a message would have to wait for more than the batch before it."""
        return self._is_held or (self._flying is not None and self._flying.attempts > 0)

    @property
    def in_flight(self) -> int:
        """Messages that were sent and have no reply."""
        return len(self._flying) if self._flying is not None else 0

    # -- sending ---------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if not self._is_scheduled and not self._is_held and self._flying is None:
            self._is_scheduled = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        self._is_scheduled = False
        self._send()

    def _send(self) -> None:
        """Sends the next batch, if nothing is in its way."""
        if self._flying is not None or self._is_held:
            return
        if not self._ready and not self._linger_s:
            self._close()
        while self._ready and self._is_dropped(self._ready[0]):
            self._ready.popleft()
        if not self._ready:
            return
        batch = self._ready[0]
        try:
            channel, before = self._shared.router.bulk_route(self._key, batch.refusal)
            if channel.room() <= 0:
                self._wait_for(channel)
                return
            self._put(channel, before, batch)
        except WouldBlock:
            self._wait_for(channel)
        except Exception as error:
            self._failed(error)

    def _is_dropped(self, batch: Batch) -> bool:
        """Leaves out what nobody waits for any more; whether nothing is left."""
        self._give(*batch.drop_unwanted())
        if batch.bodies:
            return False
        batch.tell()
        return True

    def _put(self, channel: Channel, before: bytes, batch: Batch) -> None:
        if not batch.number:
            self._number += 1
            batch.number = self._number
        data, commands = self._form.pack(batch, self._ages.words(time.time()) if self._ages else self._bounds)
        self._skip = 1 if before else 0
        self._left = commands + self._skip
        self._errors = {}
        channel.send_block(before + data if before else data, self._left, self._on_replies, self.partition, 0)
        self._ready.popleft()
        self._flying = batch

    def _wait_for(self, channel: Channel) -> None:
        """Waits for room, or for a connection."""
        self._is_held = True
        if channel.address is not None:
            channel.when_room(self._go_on)
            return
        self._connecting = self._loop.create_task(channel.ready())
        self._connecting.add_done_callback(self._connected)

    def _connected(self, task: "asyncio.Task[Any]") -> None:
        self._connecting = None
        if task.cancelled():  # stopped, or the loop ends
            self._is_held = False
        elif isinstance(error := task.exception(), Exception):
            self._failed(error)
        else:
            self._go_on()

    def _go_on(self) -> None:
        self._is_held = False
        self._send()

    # -- replies ---------------------------------------------------------------------------------------------------

    def _on_replies(self, _: int, first: int, count: int, error: Exception | None, _ns: int, last: Any) -> None:
        """Takes replies of the batch that is on its way (`block.Sink`)."""
        self._left -= count
        if error is not None and first >= self._skip:
            self._errors[first - self._skip] = error
        if self._left:
            return
        batch, self._flying = self._flying, None
        assert batch is not None
        if isinstance(error, ConnectionLost):
            self._lose(batch, error)
            return
        self._shared.counts.batches += 1
        try:
            answers, refusal, repeated = self._form.read(batch, self._errors, last)
            if len(answers) != len(batch):
                raise ConnectionLost(f"{len(batch)} messages were sent and {len(answers)} answered")
        except Exception as fault:  # a reply of no shape that is known, as from something that only looks like Redis
            batch.unknown = batch.unknown or fault
            self._fail(batch, fault)
            self._send()
            return
        if repeated:
            self._shared.counts.duplicates_avoided += len(answers)
        left = [at for at, answer in enumerate(answers) if answer is None] if refusal or self._errors else ()
        if not left:
            self._send()  # before callers are told, so that the server has work meanwhile
        sent, failed = batch.answer(answers, self._shared.topic, self.partition, self.stream)
        self._shared.counts.sent += sent
        self._shared.counts.failed += failed
        self._give(*batch.keep(left))
        if left:
            self._again(batch, refusal)
        else:
            batch.tell()

    def _lose(self, batch: Batch, error: ConnectionLost) -> None:
        """The connection was lost: nothing of the batch was stored, or nobody knows."""
        if isinstance(error, OutcomeUnknownError):
            self._shared.counts.unknown += 1
            batch.unknown = error
            if self._shared.settings.on_unknown == "raise":
                self._shared.router.learn(error)
                self._fail(batch, error)
                self._send()
                return
        self._again(batch, error)

    def _again(self, batch: Batch, refusal: Exception | None) -> None:
        """The batch is next again, after a wait that grows."""
        self._ready.appendleft(batch)
        self._shared.counts.resent += 1
        if refusal is None:
            self._send()
        else:
            self._failed(refusal)

    def _failed(self, error: Exception) -> None:
        """The batch that is next met `error` on its way: when to try again, or that there is no use."""
        batch = self._ready[0] if self._ready else None
        if batch is None:
            self._is_held = False
            return
        self._is_held = True
        batch.refusal = error
        batch.attempts += 1
        self._shared.closed(self.partition)
        self._shared.router.learn(error)
        is_asked = isinstance(error, AskError) and not isinstance(error, MovedError)
        if not (was_not_carried_out(error) or is_loss(error)):  # no server can be asked, as after a refused login
            while self._ready:
                self._fail(self._ready.popleft(), error)
            self._loop.call_soon(self._go_on)
        elif is_asked and batch.attempts <= PLAIN_REDIRECTS:
            self._loop.call_soon(self._go_on)
        else:
            self._loop.call_later(AGAIN.wait_s(batch.attempts - 1), self._go_on)

    # -- ends ------------------------------------------------------------------------------------------------------

    def _fail(self, batch: Batch, error: Exception) -> None:
        """Ends a batch."""
        self._shared.counts.failed += batch.fail(batch.outcome(error))
        self._give(*batch.keep([]))
        batch.tell()

    def _give(self, messages: int, size: int) -> None:
        if messages:
            self._shared.buffer.give(messages, size)

    def expire(self, before: float) -> float | None:
        """Fails messages that were accepted at `before` or earlier; gives when the oldest of the others was."""
        oldest = None
        for batch in self.batches():
            self._shared.counts.failed += batch.fail(self._late(batch), before)
            if batch.is_over:
                batch.tell()
            elif oldest is None:
                oldest = batch.oldest
        return oldest

    def _late(self, batch: Batch) -> Exception:
        error: ConnectionLost
        within = f"within {self._shared.settings.delivery_timeout_ms / 1000:g} s"
        if batch is self._flying or batch.unknown is not None:
            error = OutcomeUnknownError(f"no reply {within}; the message may have been stored")
        else:
            error = NotSentError(f"the message could not be sent {within}; is the server up?")
        error.__cause__ = batch.unknown or batch.refusal or (self._ready[0].refusal if self._ready else None)
        return error

    def stop(self) -> None:
        """Waits for no connection any more; every caller has an answer by now."""
        if self._connecting is not None:
            self._connecting.cancel()
