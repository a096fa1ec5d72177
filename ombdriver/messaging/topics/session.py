"""An open consumer: its readings, its acknowledgements, what comes again; how they begin, and how they end.

The order of closing has its reasons. Reading ends first, by its own reply, so that nothing is stranded. What comes
again, or is taken over from others, ends next, so that the buffer does not grow any more; then the buffer is given
back. Acknowledgements go last, since messages that were handed out may be settled until the end.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any

from ombdriver.messaging.topics import joining, own
from ombdriver.messaging.topics.acks import Acks
from ombdriver.messaging.topics.codec import Codec
from ombdriver.messaging.topics.consumer_settings import ConsumerSettings
from ombdriver.messaging.topics.inbox import Inbox
from ombdriver.messaging.topics.intake import Intake
from ombdriver.messaging.topics.member import Member
from ombdriver.messaging.topics.partition import BUFFER_BYTES, Partition, Room
from ombdriver.messaging.topics.positions import is_after
from ombdriver.messaging.topics.reading import Reading
from ombdriver.messaging.topics.reads import BlockingReads, PolledReads, Reads
from ombdriver.messaging.topics.returns import Returns
from ombdriver.messaging.topics.settling import Settler
from ombdriver.messaging.topics.upkeep import Upkeep

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
        upkeep: renew the hold, and take over what others left; see `Upkeep`.

    Attributes:
        member: as given.
        partitions: as given.
        acks: sends the acknowledgements.
        intake: takes entries in; `retake` is for those that were taken over from others.
        settler: settles messages.
    """

    def __init__(
        self,
        member: Member,
        partitions: Sequence[Partition],
        inbox: Inbox,
        codec: Codec[Any],
        settings: ConsumerSettings,
        *,
        upkeep: bool,
    ) -> None:
        self.member, self.partitions, self._inbox = member, partitions, inbox
        self.acks = Acks(member, partitions, inbox.fail)
        self.intake = Intake(member.counts, inbox, self.acks)
        self._returns = Returns(member, self.intake)
        self.settler = self.intake.settler = Settler(member, codec, self.acks, self._returns)
        by_key = {partition.key: partition for partition in partitions}
        places = member.channels.same_node(by_key)
        rooms = [Room(max(1, settings.prefetch // len(places)), BUFFER_BYTES // len(places)) for _ in places]
        self._readings = [
            Reading(
                member,
                [by_key[key] for key in keys],
                room,
                self.intake,
                self._way(keys[0], len(places), settings.block_ms),
            )
            for keys, room in zip(places, rooms, strict=True)
        ]
        self._upkeeps = [
            Upkeep(member, [by_key[key] for key in keys], room, inbox, self.intake)
            for keys, room in zip(places, rooms, strict=True)
            if upkeep
        ]
        self._loops: list[Reading | Upkeep] = [*self._readings, *self._upkeeps]
        self._tasks = [asyncio.get_running_loop().create_task(each.run()) for each in self._loops]

    def _way(self, key: bytes, places: int, block_ms: int) -> Reads:
        return BlockingReads(self.member, key, block_ms) if places <= CONNECTIONS else PolledReads(self.member, key)

    @property
    def deleted(self) -> int:
        """See `Upkeep.deleted`."""
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
        partition.last = reached = group[b"last-delivered-id"]
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
        if self.member.is_passing:
            await self._within(deadline, *(own.leave(self.member, partition) for partition in self.partitions))

    async def _give_back(self, partition: Partition) -> None:
        """Leaves what is buffered to others, at once, as if it had not been delivered."""
        member = self.member
        ids = [message._entry_id for message in self._inbox.withdraw(partition)]
        partition.held.difference_update(ids)
        if ids:
            kept = await own.keep(member, partition, ids, member.visibility_ms, undelivered=True)
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
