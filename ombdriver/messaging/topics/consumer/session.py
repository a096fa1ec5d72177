"""An open consumer: its readings, its acknowledgements, what comes again; how they begin, and how they end.

The order of closing has its reasons. Reading ends first, by its own reply, so that nothing is stranded. What comes
again, or is taken over from others, ends next, so that the buffer does not grow any more; then the buffer is given
back. Acknowledgements go last, since messages that were handed out may be settled until the end.

What a consumer does beside reading, for the partitions of one place: keeps its hold, takes over what others left.

So a group of consumers alone loses nothing either: neither what a member had that died, nor what one had buffered that
was closed. A runner does the same in its own way, with retries and dead letters.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any

from ombdriver.messaging.streams.entry_ids import is_after
from ombdriver.messaging.streams.resumption import mark_at
from ombdriver.messaging.topics.codec import Codec
from ombdriver.messaging.topics.consumer import group as joining
from ombdriver.messaging.topics.consumer import leases, pending
from ombdriver.messaging.topics.consumer.acks import AckBatcher, Acknowledger
from ombdriver.messaging.topics.consumer.config import ConsumerSettings
from ombdriver.messaging.topics.consumer.fetcher import BlockingFetch, Fetcher, FetchTransport, PolledFetch
from ombdriver.messaging.topics.consumer.group import BUFFER_BYTES, FlowControl, GroupMember, Partition
from ombdriver.messaging.topics.consumer.leases import ClaimedEntry, RedeliveryTimer
from ombdriver.messaging.topics.consumer.receive_buffer import ReceiveBuffer, RecordSink
from ombdriver.messaging.topics.recovery import reclaim
from ombdriver.messaging.topics.recovery.reclaim import Reclaimer, every

DEAD_AFTER_S = 300.0
"""Other consumers of the group that have asked for nothing in so many seconds, and hold nothing, are removed."""


class Maintenance:
    """The rounds of one consumer on some of its partitions; `run` is a task of it.

    Args:
        member: whose.
        partitions: of one place, a server or a slot of a cluster.
        room: how much may be buffered of them.
        inbox: where messages wait that are not handed out.
        intake: takes in what was taken over.
    """

    def __init__(
        self,
        member: GroupMember,
        partitions: Sequence[Partition],
        room: FlowControl,
        inbox: ReceiveBuffer,
        intake: RecordSink,
    ) -> None:
        self._member, self._partitions, self._room = member, partitions, room
        self._inbox, self._intake = inbox, intake
        self._reclaimer = Reclaimer(member, room=self._free, accept=self._take)
        self._over = asyncio.Event()
        self._swept = partitions[0]

    def __repr__(self) -> str:
        return f"<Upkeep of {len(self._partitions)} partitions{', ending' if self._over.is_set() else ''}>"

    @property
    def deleted(self) -> int:
        """Pending entries that sweeps acknowledged, since their content was trimmed or deleted."""
        return self._reclaimer.statistics.deleted

    async def run(self) -> None:
        """Makes its rounds until `stop`, or until the client is closed."""
        visibility_s = self._member.visibility_ms / 1000
        rounds = (
            (visibility_s / 3, self._renew, "renewing the hold"),
            (visibility_s / 4, self._sweep, "taking over what others left"),
            (DEAD_AFTER_S / 4, self._remove_dead, "removing dead consumers"),
        )
        async with asyncio.TaskGroup() as tasks:
            for every_s, work, what in rounds:
                tasks.create_task(every(every_s, work, what, self._over))

    def stop(self) -> None:
        """Has `run` come to its end; what is under way does first, so that nothing is claimed and not known."""
        self._over.set()
        self._room.changed.set()

    async def let_go(self) -> None:
        """Lets others sweep at once."""
        await self._reclaimer.release()

    async def _renew(self) -> None:
        await leases.renew_all(self._member, self._partitions, self._lose)

    def _lose(self, partition: Partition, entry_id: bytes) -> None:
        """Another member has an entry by now, or settled it; what nobody was handed of that is dropped."""
        if entry_id in partition.held:
            partition.held.discard(entry_id)
            self._inbox.drop(partition, entry_id)
            self._member.counts.lost += 1

    async def _sweep(self) -> None:
        for partition in self._partitions:
            self._swept = partition
            await self._reclaimer.sweep([partition])

    async def _free(self) -> int:
        """Waits until more may be buffered, and gives how many; 0 at the end, and while the partition is paused."""
        while not self._over.is_set() and not self._swept.paused:
            if free := self._room.free():
                return free
            self._room.changed.clear()
            await self._room.changed.wait()
        return 0

    async def _take(self, partition: Partition, claimed: list[ClaimedEntry]) -> None:
        ids = partition.unknown([each.id for each in claimed])
        if ids:
            taken = await pending.take(self._member, partition, ids)
            self._member.counts.reclaimed += len(taken.entries)
            self._intake.retake(partition, taken)

    async def _remove_dead(self) -> None:
        for partition in self._partitions:
            await reclaim.remove_dead(self._member, partition, int(DEAD_AFTER_S * 1000))


logger = logging.getLogger(__name__)

CONNECTIONS = 64
"""A consumer of partitions in more slots of a cluster than this polls them, in place of a connection for each."""
CLOSE_S = 10.0
"""How long closing waits for the server, all in all."""


class Session:
    """What a consumer has while it is open; reads from the moment that it is made.

    Args:
        member: who reads.
        partitions: the topic's.
        inbox: where messages go.
        codec: makes values of bytes.
        settings: see `ConsumerSettings`.
        upkeep: renew the hold, and take over what others left; see `Maintenance`.

    Attributes:
        member: as given.
        partitions: as given.
        acks: sends the acknowledgements.
        intake: takes entries in; `retake` is for those that were taken over from others.
        settler: settles messages.
    """

    def __init__(
        self,
        member: GroupMember,
        partitions: Sequence[Partition],
        inbox: ReceiveBuffer,
        codec: Codec[Any],
        settings: ConsumerSettings,
        *,
        upkeep: bool,
    ) -> None:
        self.member, self.partitions, self._inbox = member, partitions, inbox
        self.acks = AckBatcher(member, partitions, inbox.fail)
        self.intake = RecordSink(member.counts, inbox, self.acks)
        self._returns = RedeliveryTimer(member, self.intake)
        self.settler = self.intake.settler = Acknowledger(member, codec, self.acks, self._returns)
        by_key = {partition.key: partition for partition in partitions}
        places = member.router.by_slot(by_key)
        rooms = [FlowControl(max(1, settings.prefetch // len(places)), BUFFER_BYTES // len(places)) for _ in places]
        self._readings = [
            Fetcher(
                member,
                [by_key[key] for key in keys],
                room,
                self.intake,
                self._way(keys[0], len(places), settings.block_ms),
            )
            for keys, room in zip(places, rooms, strict=True)
        ]
        self._upkeeps = [
            Maintenance(member, [by_key[key] for key in keys], room, inbox, self.intake)
            for keys, room in zip(places, rooms, strict=True)
            if upkeep
        ]
        self._loops: list[Fetcher | Maintenance] = [*self._readings, *self._upkeeps]
        self._tasks = [asyncio.get_running_loop().create_task(each.run()) for each in self._loops]

    def _way(self, key: bytes, places: int, block_ms: int) -> FetchTransport:
        return BlockingFetch(self.member, key, block_ms) if places <= CONNECTIONS else PolledFetch(self.member, key)

    @property
    def deleted(self) -> int:
        """See `Maintenance.deleted`."""
        return sum(upkeep.deleted for upkeep in self._upkeeps)

    def resume(self, partitions: Sequence[Partition]) -> None:
        """See `Consumer.resume`."""
        self._inbox.resume(partitions)
        for reading in self._readings:
            reading.read_too(partitions)

    async def seek(self, partitions: Iterable[Partition], place: bytes) -> None:
        """See `Consumer.seek`; `place` is an id as XGROUP SETID takes it."""
        for reading in self._readings:
            reading.hold()
        try:
            await asyncio.gather(*(reading.end_read() for reading in self._readings))
            await self.acks.flush()  # what is acknowledged and not answered would pass for known
            await asyncio.gather(*(self._set(partition, place) for partition in partitions))
        finally:
            for reading in self._readings:
                reading.go_on()

    async def _set(self, partition: Partition, place: bytes) -> None:
        await self.member.ask(partition.key, "XGROUP", "SETID", partition.key, self.member.group, place)
        group = await joining.group_info(self.member, partition)
        if group is None:
            return  # gone meanwhile: the next read finds out
        reached: bytes = group[b"last-delivered-id"]
        partition.last = await mark_at(self.member.router, partition.key, reached)
        for message in self._inbox.withdraw(partition):
            if is_after(message._entry_id, reached):
                partition.held.discard(message._entry_id)  # it comes again
            else:
                message.ack()

    async def close(self) -> None:
        """Ends everything, within `CLOSE_S`; what the server could not be told is pending, and comes again."""
        deadline = asyncio.get_running_loop().time() + CLOSE_S
        for each in self._loops:
            each.stop()
        await self._within(deadline, *(reading.end_read() for reading in self._readings))
        await asyncio.gather(*(reading.aclose() for reading in self._readings))
        await self._within(deadline, *self._tasks)
        await self._within(deadline, self._returns.aclose())
        await self._within(deadline, *(self._give_back(partition) for partition in self.partitions))
        await self._within(deadline, *(upkeep.let_go() for upkeep in self._upkeeps))
        self.acks.hurry()
        await self._within(deadline, self.acks.flush())
        if self.member.is_ephemeral:
            await self._within(deadline, *(pending.leave(self.member, partition) for partition in self.partitions))

    async def _give_back(self, partition: Partition) -> None:
        """Leaves what is buffered to others, at once, as if it had not been delivered."""
        member = self.member
        ids = [message._entry_id for message in self._inbox.withdraw(partition) if not message._is_stale]
        partition.held.difference_update(ids)
        if ids:
            kept = await pending.keep(member, partition, ids, member.visibility_ms, undelivered=True)
            member.counts.given_back += len(kept)

    async def _within(self, deadline: float, *steps: Awaitable[object]) -> None:
        tasks = [asyncio.ensure_future(step) for step in steps]
        left_s = max(0.0, deadline - asyncio.get_running_loop().time())
        done, late = await asyncio.wait(tasks, timeout=left_s) if tasks else (set(), set())
        for task in late:
            task.cancel()
        if late:
            logger.warning("the server did not answer within %g s of closing a consumer", CLOSE_S)
            await asyncio.wait(late)
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                logger.warning("closing a consumer: %s", error)
