"""An open consumer: its fetchers, buffer, leases and acknowledgements; how they begin together, and how they end.

The order of closing matters. Reading ends first, by the reply of its last command, so that no entry is pending and not
known. Redelivery and maintenance end next, so that the buffer does not grow any more; then the buffer is released.
Acknowledgements go last, since messages that were handed out may be settled until the end.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from redis.exceptions import ResponseError

from ombdriver.messaging.errors import ClosedError
from ombdriver.messaging.streams.entry_ids import is_after
from ombdriver.messaging.streams.resumption import mark_at
from ombdriver.messaging.topics.codec import Codec
from ombdriver.messaging.topics.consumer import leases
from ombdriver.messaging.topics.consumer.acks import AckBatcher, Acknowledger
from ombdriver.messaging.topics.consumer.config import ConsumerSettings
from ombdriver.messaging.topics.consumer.fetcher import BlockingFetch, Fetcher, FetchTransport, PolledFetch
from ombdriver.messaging.topics.consumer.group import GroupMember, group_info, is_group_missing
from ombdriver.messaging.topics.consumer.leases import RedeliveryTimer
from ombdriver.messaging.topics.consumer.message import OPEN, UNCOUNTED, Message
from ombdriver.messaging.topics.consumer.partition import BUFFER_BYTES, FlowControl, Partition
from ombdriver.messaging.topics.consumer.receive_buffer import ReceiveBuffer, RecordSink
from ombdriver.messaging.topics.recovery.janitor import TOGETHER, TakeOver
from ombdriver.messaging.topics.recovery.maintenance import Maintenance
from ombdriver.messaging.transport.background import shared
from ombdriver.messaging.transport.blocking import ignore_outcome

logger = logging.getLogger(__name__)

MOST_CONNECTIONS = 64
"""A consumer of partitions in more slots of a cluster than this polls them, in place of a connection for each."""
CLOSE_S = 10.0
"""How long closing waits for the server, all in all."""
DEAD_AFTER_S = 300.0
"""Other consumers of the group that have asked for nothing in so many seconds, and hold nothing, are removed."""
COUNT_AHEAD = 32
"""So many redelivered messages are counted by one command, where they are handed out one by one."""


class EndTime:
    """How long the end of a consumer may wait for its server, all in all.

    Only waiting for the server counts: handlers of a runner have a time of their own in between.

    Args:
        seconds: as said.

    Attributes:
        left_s: what is left of it.
    """

    def __init__(self, seconds: float) -> None:
        self.left_s = seconds

    @contextmanager
    def counted(self, at_most_s: float = math.inf) -> Iterator[float]:
        """Counts the time in the block; gives how long it may take, in seconds, no longer than `at_most_s`."""
        began = time.monotonic()
        try:
            yield min(at_most_s, self.left_s)
        finally:
            self.left_s = max(0.0, self.left_s - (time.monotonic() - began))


class Session:
    """What a consumer has while it is open; reads from the moment that it is made.

    Args:
        member: who reads.
        partitions: the topic's.
        buffer: where messages go.
        codec: makes values of bytes.
        settings: see `ConsumerSettings`.
        maintenance: see `maintain`; a runner has messages beside the buffer, and does it by itself.

    Attributes:
        member: as given.
        partitions: as given.
        buffer: as given.
        maintenance: what looks after the partitions, some of them each.
        acks: sends the acknowledgements.
        acknowledger: settles messages.
        end_time: of `close`, and of what a runner asks of the server before that.
    """

    def __init__(
        self,
        member: GroupMember,
        partitions: Sequence[Partition],
        buffer: ReceiveBuffer,
        codec: Codec[Any],
        settings: ConsumerSettings,
        *,
        maintenance: bool,
    ) -> None:
        self.member, self.partitions, self.buffer = member, partitions, buffer
        self.acks = AckBatcher(member, partitions, buffer.fail)
        self._redelivery = RedeliveryTimer(member, partitions, lambda *claimed: self._sink.take_due(*claimed))
        self.acknowledger = Acknowledger(member, codec, self.acks, self._redelivery)
        self._sink = RecordSink(member.statistics, buffer, self.acknowledger)
        by_key = {partition.key: partition for partition in partitions}
        # By what one command may cover: a server, or a slot of a cluster.
        self._colocated = [[by_key[key] for key in keys] for keys in member.router.by_slot(by_key)]
        self._beginning: asyncio.Task[None] | None = None
        self.end_time = EndTime(CLOSE_S)
        self._closed = asyncio.Event()
        self._fetchers: list[Fetcher] = []
        self.maintenance: list[Maintenance] = []
        for group in self._colocated:
            prefetch = max(1, settings.prefetch // len(self._colocated))
            flow = FlowControl(prefetch, BUFFER_BYTES // len(self._colocated))
            transport: FetchTransport = (
                PolledFetch(member, group[0].key)
                if len(self._colocated) > MOST_CONNECTIONS
                else BlockingFetch(member, group[0].key, settings.block_ms)
            )
            self._fetchers.append(Fetcher(member, group, flow, self._sink, transport))
        loop = asyncio.get_running_loop()
        self._fetching = [loop.create_task(fetcher.run()) for fetcher in self._fetchers]
        if maintenance:
            self.maintain(self._sink.take_over, self._sink.take_due, self.lose, DEAD_AFTER_S)

    def maintain(
        self,
        take_over: TakeOver,
        take_due: TakeOver,
        lose: Callable[[Partition, bytes], None],
        dead_after_s: float,
        flow: FlowControl | None = None,
    ) -> None:
        """Begins to look after what is leased and what others leave; see `Maintenance`.

        Args:
            take_over: gets what others left.
            take_due: gets retries that are due.
            lose: called with entries that the member has no more.
            dead_after_s: see `Maintenance`.
            flow: how much can be taken over; None for as much as can be read.
        """
        for partitions, fetcher in zip(self._colocated, self._fetchers, strict=True):
            for first in range(0, len(partitions), TOGETHER):
                some = partitions[first : first + TOGETHER]
                hooks = (flow or some[0].flow, fetcher.replayed, take_over, take_due, lose)
                self.maintenance.append(Maintenance(self.member, some, *hooks, dead_after_s=dead_after_s))
        for each in self.maintenance:
            each.start()

    # -- messages --------------------------------------------------------------------------------------------------

    async def begin(self, count: int | None) -> None:
        """Has the server count the deliveries of the first `count` messages that are ready, where it has not.

        If it is doing so for another caller, that is waited for. A caller that is cancelled does not stop it: one that
        waits only for short times gets its message in the end.
        """
        if self._beginning is None or self._beginning.done():
            self._beginning = asyncio.get_running_loop().create_task(self._begin(count))
            self._beginning.add_done_callback(ignore_outcome)
        await shared(self._beginning, lambda: ClosedError("the consumer was closed; make a new one"))

    async def _begin(self, count: int | None) -> None:
        ready = self.buffer.ready
        uncounted: dict[Partition, list[Message[Any]]] = {}
        for message in islice(ready, None if count is None else max(count, COUNT_AHEAD)):
            if message._is_stale:
                message._state = OPEN  # its stream was deleted: there is nothing to count in
            elif message._state == UNCOUNTED:
                uncounted.setdefault(message._partition, []).append(message)
        for partition, messages in uncounted.items():
            deliveries = {message._entry_id: message.delivery_count for message in messages}
            try:
                mine = set(await leases.begin(self.member, partition, deliveries))
            except ResponseError as error:
                if not is_group_missing(error):
                    raise
                mine = set(deliveries)  # the group's counts were destroyed with it, and the content is here
            for message in messages:
                if message._entry_id not in mine:
                    self.lose(partition, message._entry_id)
                elif message._state == UNCOUNTED:
                    message._state = OPEN
        self.buffer.may_have_uncounted = any(message._state == UNCOUNTED for message in ready)

    def lose(self, partition: Partition, entry_id: bytes) -> None:
        """Another member has an entry by now, or settled it: it is not handed out any more."""
        self.buffer.drop(partition, entry_id)
        if entry_id in partition.leased:
            partition.leased.discard(entry_id)
            self.member.statistics.lost += 1

    def resume(self, partitions: Sequence[Partition]) -> None:
        """See `Consumer.resume`."""
        self.buffer.resume(partitions)
        for fetcher in self._fetchers:
            fetcher.include(partitions)

    async def seek(self, partitions: Iterable[Partition], offset: bytes) -> None:
        """See `Consumer.seek`; `offset` is an id as XGROUP SETID takes it. It ends with the consumer."""
        seeking = asyncio.ensure_future(self._seek(partitions, offset))
        seeking.add_done_callback(ignore_outcome)
        closed = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait([seeking, closed], return_when=asyncio.FIRST_COMPLETED)
        finally:
            seeking.cancel()
            closed.cancel()
        if self._closed.is_set():
            raise ClosedError("the consumer was closed; make a new one")
        seeking.result()

    async def _seek(self, partitions: Iterable[Partition], offset: bytes) -> None:
        for fetcher in self._fetchers:
            fetcher.suspend()
        try:
            await asyncio.gather(*(fetcher.interrupt() for fetcher in self._fetchers))
            await self.acks.flush()  # what is acknowledged and not answered would pass for known
            await asyncio.gather(*(self._set_offset(partition, offset) for partition in partitions))
        finally:
            for fetcher in self._fetchers:
                fetcher.resume()

    async def _set_offset(self, partition: Partition, offset: bytes) -> None:
        await self.member.send(partition.key, "XGROUP", "SETID", partition.key, self.member.group, offset)
        group = await group_info(self.member, partition)
        if group is None:
            return  # destroyed meanwhile: the next read finds out
        reached: bytes = group[b"last-delivered-id"]
        partition.last_delivered = await mark_at(self.member.router, partition.key, reached)
        for message in self.buffer.withdraw(partition):
            if message._is_stale:
                continue
            if is_after(message._entry_id, reached):
                partition.leased.discard(message._entry_id)  # it comes again
            else:
                message.ack()

    # -- end -------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Ends everything, within `end_time`; what the server could not be told stays pending, and comes again."""
        self._closed.set()
        for fetcher in self._fetchers:
            fetcher.stop()
        for maintenance in self.maintenance:
            maintenance.stop()
        await self._within(*(fetcher.interrupt() for fetcher in self._fetchers))
        await asyncio.gather(*(fetcher.aclose() for fetcher in self._fetchers))
        await self._within(*self._fetching, *(task for each in self.maintenance for task in each.tasks))
        await self._within(self._redelivery.aclose(), *([self._beginning] if self._beginning else []))
        await self._within(self.release_buffer())
        await self._within(*(maintenance.release() for maintenance in self.maintenance))
        self.acks.stop_lingering()
        await self._within(self.acks.flush())
        if self.member.is_ephemeral:
            await self._within(*(leases.leave_group(self.member, each) for each in self.partitions))

    async def release_buffer(self) -> None:
        """Leaves what is buffered to others, at once, as if it had not been delivered."""
        await asyncio.gather(*map(self._release_buffer, self.partitions))

    async def _release_buffer(self, partition: Partition) -> None:
        withdrawn = [message for message in self.buffer.withdraw(partition) if not message._is_stale]
        deliveries = {message._entry_id: message.delivery_count - 1 for message in withdrawn}
        partition.leased.difference_update(deliveries)
        released = await leases.release(self.member, partition, deliveries)
        self.member.statistics.given_back += len(released)

    async def _within(self, *steps: Awaitable[object]) -> None:
        tasks = [asyncio.ensure_future(step) for step in steps]
        with self.end_time.counted() as left_s:
            done, late = await asyncio.wait(tasks, timeout=left_s) if tasks else (set(), set())
        for task in late:
            task.cancel()
        if late:
            logger.warning("the server did not answer within %g s of closing a consumer", CLOSE_S)
            await asyncio.wait(late)
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                logger.warning("closing a consumer: %s", error)
