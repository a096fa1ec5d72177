"""Messages that were received and are not handed out yet, and callers that wait for them. No I/O.

`RecordSink` makes messages of entries and puts them into the `ReceiveBuffer`. Handing out is one synchronous step, so a
caller that is cancelled while it waits takes nothing with it.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from ombdriver.messaging.topics.consumer.acks import Acknowledger
from ombdriver.messaging.topics.consumer.config import ConsumerStatistics
from ombdriver.messaging.topics.consumer.leases import Claim
from ombdriver.messaging.topics.consumer.message import UNCOUNTED, Message, claimed_messages
from ombdriver.messaging.topics.consumer.partition import Partition


class ReceiveBuffer:
    """The buffer of one consumer, in order of arrival.

    Attributes:
        ready: what can be handed out now; empty for ever when this is closed.
        may_have_uncounted: there may be messages in it whose delivery the server has not counted.
        wants_turn: a fetcher has credit again; see `give_turn`.
    """

    def __init__(self) -> None:
        self._buffer: deque[Message[Any]] = deque()
        self.ready = self._buffer
        self.may_have_uncounted = False
        self.wants_turn = False
        self._waiters: list[asyncio.Future[None]] = []
        self._fault: BaseException | None = None
        self._end: BaseException | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<ReceiveBuffer ready={len(self.ready)}{' closed' if self._closed else ''}>"

    @property
    def buffered(self) -> int:
        """Messages that are not handed out, without those of paused partitions."""
        return len(self._buffer)

    def has_uncounted(self, count: int | None) -> bool:
        """Whether there are messages among the first `count` whose delivery the server has not counted."""
        if not self.may_have_uncounted:
            return False
        return any(message._state == UNCOUNTED for message in islice(self.ready, count))

    def add(self, partition: Partition, messages: list[Message[Any]]) -> None:
        """Takes messages of one partition in."""
        if partition.paused:
            partition.paused_buffer += messages
            return
        partition.flow.buffered += len(messages)
        self._buffer.extend(messages)
        self._fault = None  # it is no news any more, and is met again if it goes on
        self._wake()

    def pop(self) -> Message[Any]:
        """Hands out one message; `ready` is not empty."""
        message = self.ready.popleft()
        flow = message._partition.flow
        flow.buffered = left = flow.buffered - 1
        if left == flow.low_water:
            flow.changed.set()
            self.wants_turn = True
        return message

    def take(self, at_most: int | None) -> list[Message[Any]]:
        """Hands out what is ready."""
        ready = self.ready
        count = len(ready) if at_most is None else min(at_most, len(ready))
        return [self.pop() for _ in range(count)]

    async def give_turn(self) -> None:
        """At half of the buffer: lets the next read leave, so that it is answered while the rest is used."""
        if self.wants_turn:
            self.wants_turn = False
            await asyncio.sleep(0)

    async def wait(self) -> bool:
        """Returns when something is ready: True; or when this was closed: False.

        Raises:
            Exception: what the fetchers met last, once, when nothing has come since; or what ended them, each time.
        """
        while not self.ready:
            self.may_have_uncounted = False
            if self._closed:
                return False
            if self._end is not None:
                raise self._end.with_traceback(None)
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
        """Raises `fault` in callers that wait, or else in the next one that waits."""
        self._fault = fault
        self._wake()

    def end(self, fault: BaseException) -> None:
        """Nothing comes any more, because of `fault`: raises it in callers that wait, now and later."""
        self._end = fault
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
        """Holds back what is buffered of them."""
        for partition in partitions:
            if not partition.paused:
                partition.paused = True
                partition.paused_buffer = self.withdraw(partition)

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Hands out what was held back, before what came since."""
        for partition in partitions:
            if partition.paused:
                partition.paused = False
                partition.flow.buffered += len(partition.paused_buffer)
                self._buffer.extendleft(reversed(partition.paused_buffer))
                partition.paused_buffer = []
                partition.flow.changed.set()
        self.may_have_uncounted = True
        if self.ready:
            self._wake()

    def drop(self, partition: Partition, entry_id: bytes) -> Message[Any] | None:
        """Takes one message out, if it is here."""
        for waiting in (self._buffer, partition.paused_buffer):
            for message in waiting:
                if message._entry_id == entry_id and message._partition is partition and not message._is_stale:
                    waiting.remove(message)
                    if waiting is self._buffer:
                        partition.flow.remove(1)
                    return message
        return None

    def withdraw(self, partition: Partition) -> list[Message[Any]]:
        """Takes all of a partition out."""
        mine = [message for message in self._buffer if message._partition is partition]
        others = [message for message in self._buffer if message._partition is not partition]
        self._buffer.clear()  # `ready` is the same object as long as this is open
        self._buffer.extend(others)
        partition.flow.buffered -= len(mine)
        mine += partition.paused_buffer
        partition.paused_buffer = []
        partition.flow.changed.set()
        return mine


class RecordSink:
    """Takes in the entries of one consumer, and what its fetchers meet.

    Args:
        statistics: counts them.
        buffer: where messages go.
        acknowledger: of the messages.
    """

    def __init__(self, statistics: ConsumerStatistics, buffer: ReceiveBuffer, acknowledger: Acknowledger) -> None:
        self._statistics, self._buffer, self._acknowledger = statistics, buffer, acknowledger
        self.acknowledge = acknowledger.acknowledge

    def deliver(self, partition: Partition, entries: Sequence[Any]) -> None:
        """Takes entries that are new to the group: ids, with names and values in turn."""
        acknowledger = self._acknowledger
        self._statistics.received += len(entries)
        partition.leased.update([entry_id for entry_id, _ in entries])
        self._buffer.add(
            partition, [Message(acknowledger, partition, entry_id, fields, 1) for entry_id, fields in entries]
        )

    def redeliver(self, partition: Partition, claim: Claim, *, was_ended: bool) -> int:
        """Takes entries that were delivered before, to this member or another; gives how many of them are new here.

        See `claimed_messages` for `was_ended`.
        """
        messages = claimed_messages(self._acknowledger, partition, claim, was_ended=was_ended)
        statistics = self._statistics
        statistics.received += len(messages)
        statistics.redelivered += len(messages)
        statistics.deleted += len(claim.gone)
        if messages:
            self._buffer.may_have_uncounted = True
            self._buffer.add(partition, messages)
            partition.flow.adapt(sum(sum(map(len, entry.fields)) for entry in claim.entries) / len(claim.entries))
        return len(messages)

    def replay(self, partition: Partition, claim: Claim) -> None:
        """Takes entries that were pending for this member from before, or whose reply was lost."""
        self._statistics.replayed += self.redeliver(partition, claim, was_ended=False)

    def take_over(self, partition: Partition, claim: Claim) -> None:
        """Takes entries of members that died or let go of them."""
        self._statistics.reclaimed += self.redeliver(partition, claim, was_ended=False)

    def take_due(self, partition: Partition, claim: Claim) -> None:
        """Takes entries that were given back, and are due."""
        self.redeliver(partition, claim, was_ended=True)

    def fault(self, error: Exception) -> None:
        """Raises an error that is no lost connection in whoever waits for a message."""
        self._statistics.faults += 1
        self._buffer.fail(error)

    def end(self, error: Exception) -> None:
        """Raises `error` in whoever waits for a message, now and later: there are no more."""
        self._buffer.end(error)
