"""Messages that were read and are not handed out yet, and who waits for them. No I/O.

Handing out is one synchronous step, so a caller that is cancelled while it waits takes nothing with it.

Entries become messages, and go into the inbox of their consumer. No I/O.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from ombdriver.messaging.topics.consumer.acks import AckBatcher
from ombdriver.messaging.topics.consumer.group import ConsumerCounts, Partition
from ombdriver.messaging.topics.consumer.message import Message, Settling
from ombdriver.messaging.topics.consumer.pending import Taken


class ReceiveBuffer:
    """The buffer of one consumer, in order of arrival.

    Attributes:
        ready: what can be handed out now; empty for ever when this is closed.
        wants_turn: a reader has room again, and runs as soon as the loop goes round: whoever takes one message after
            the other should let it, or the next read is only sent when all are gone.
    """

    def __init__(self) -> None:
        self._buffer: deque[Message[Any]] = deque()
        self.ready = self._buffer
        self.wants_turn = False
        self._waiters: list[asyncio.Future[None]] = []
        self._fault: BaseException | None = None
        self._over: BaseException | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Inbox ready={len(self.ready)}{' closed' if self._closed else ''}>"

    @property
    def buffered(self) -> int:
        """Messages that are not handed out, without those that are put aside."""
        return len(self._buffer)

    def accept(self, partition: Partition, messages: list[Message[Any]]) -> None:
        """Takes messages of one partition in."""
        if partition.paused:
            partition.aside += messages
            return
        partition.room.buffered += len(messages)
        self._buffer.extend(messages)
        self._fault = None  # it is no news any more, and is told again if it goes on
        self._wake()

    def pop(self) -> Message[Any]:
        """Hands out one message; `ready` is not empty."""
        message = self.ready.popleft()
        room = message._partition.room
        room.buffered = left = room.buffered - 1
        if left == room.low:
            room.changed.set()
            self.wants_turn = True
        return message

    def take(self, at_most: int | None) -> list[Message[Any]]:
        """Hands out what there is."""
        ready = self.ready
        count = len(ready) if at_most is None else min(at_most, len(ready))
        return [self.pop() for _ in range(count)]

    async def wait(self) -> bool:
        """Returns when there is something to hand out: True; or when this was closed: False.

        Raises:
            Exception: what the readers met last, once, when nothing has come since; or what ended them, each time.
        """
        while not self.ready:
            if self._closed:
                return False
            if self._over is not None:
                raise self._over.with_traceback(None)
            if self._fault is not None:
                fault, self._fault = self._fault, None
                raise fault
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        return True

    def fail(self, fault: BaseException) -> None:
        """Whoever waits is told, or else who waits next."""
        self._fault = fault
        self._wake()

    def end(self, fault: BaseException) -> None:
        """Nothing comes any more, because of `fault`: whoever waits is told, now and later."""
        self._over = fault
        self._wake()

    def close(self) -> None:
        """Hands out nothing any more."""
        self._closed = True
        self.ready = deque()
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Puts what is buffered of them aside."""
        for partition in partitions:
            if not partition.paused:
                partition.paused = True
                partition.aside = self.withdraw(partition)

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Hands out what was put aside, before what came since."""
        for partition in partitions:
            if partition.paused:
                partition.paused = False
                partition.room.buffered += len(partition.aside)
                self._buffer.extendleft(reversed(partition.aside))
                partition.aside = []
                partition.room.changed.set()
        if self.ready:
            self._wake()

    def drop(self, partition: Partition, entry_id: bytes) -> None:
        """Takes one message out, if it is here."""
        for waiting in (self._buffer, partition.aside):
            for message in waiting:
                if message._entry_id == entry_id and message._partition is partition:
                    waiting.remove(message)
                    if waiting is self._buffer:
                        partition.room.buffered -= 1
                        partition.room.changed.set()
                    return

    def withdraw(self, partition: Partition) -> list[Message[Any]]:
        """Takes what is buffered of a partition out again."""
        mine = [message for message in self._buffer if message._partition is partition]
        others = [message for message in self._buffer if message._partition is not partition]
        self._buffer.clear()  # `ready` is the same object as long as this is open
        self._buffer.extend(others)
        partition.room.buffered -= len(mine)
        mine += partition.aside
        partition.aside = []
        partition.room.changed.set()
        return mine


class RecordSink:
    """Takes entries in for one consumer (`fetcher.Taker`).

    Args:
        counts: counts them.
        inbox: where they go.
        acks: for what has no content any more.

    Attributes:
        settler: what messages turn to; set before the first entry comes.
    """

    settler: Settling

    def __init__(self, counts: ConsumerCounts, inbox: ReceiveBuffer, acks: AckBatcher) -> None:
        self._counts, self._inbox = counts, inbox
        self.acknowledge = acks.note

    def deliver(self, partition: Partition, entries: Sequence[Any]) -> None:
        """Takes entries that are new to the group."""
        settler = self.settler
        self._counts.received += len(entries)
        partition.held.update([entry_id for entry_id, _ in entries])
        self._inbox.accept(
            partition, [Message(settler, partition, entry_id, fields, 1) for entry_id, fields in entries]
        )

    def retake(self, partition: Partition, taken: Taken) -> None:
        """Takes entries that were delivered before, to this member or another; what is gone is acknowledged."""
        counts, ids = self._counts, [entry_id for entry_id, _ in taken.entries]
        counts.received += len(ids)
        counts.redelivered += len(ids)
        counts.deleted += len(taken.gone)
        for entry_id in taken.gone:
            self.acknowledge(partition, entry_id)
        partition.hold(ids)
        if ids:
            again = zip(taken.entries, taken.deliveries, strict=True)
            self._inbox.accept(
                partition,
                [Message(self.settler, partition, entry_id, fields, n) for (entry_id, fields), n in again],
            )

    def fault(self, error: Exception) -> None:
        """Tells whoever waits for a message of an error that is no lost connection."""
        self._counts.faults += 1
        self._inbox.fail(error)

    def end(self, error: Exception) -> None:
        """Tells whoever waits for a message, now and later, that there is no more."""
        self._inbox.end(error)
