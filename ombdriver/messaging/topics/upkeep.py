"""What a consumer does beside reading, for the partitions of one place: keeps its hold, takes over what others left.

So a group of consumers alone loses nothing either: neither what a member had that died, nor what one had buffered that
was closed. A runner does the same in its own way, with retries and dead letters.
"""

import asyncio
from collections.abc import Sequence

from ombdriver.messaging.topics import janitor, leases, own
from ombdriver.messaging.topics.inbox import Inbox
from ombdriver.messaging.topics.intake import Intake
from ombdriver.messaging.topics.leases import Claimed
from ombdriver.messaging.topics.member import Member
from ombdriver.messaging.topics.partition import Partition, Room
from ombdriver.messaging.topics.periodic import every
from ombdriver.messaging.topics.reclaiming import Reclaimer

DEAD_AFTER_S = 300.0
"""Other consumers of the group that have asked for nothing in so many seconds, and hold nothing, are removed."""


class Upkeep:
    """The rounds of one consumer on some of its partitions; `run` is a task of it.

    Args:
        member: whose.
        partitions: of one place, a server or a slot of a cluster.
        room: how much may be buffered of them.
        inbox: where messages wait that are not handed out.
        intake: takes in what was taken over.
    """

    def __init__(
        self, member: Member, partitions: Sequence[Partition], room: Room, inbox: Inbox, intake: Intake
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

    async def _take(self, partition: Partition, claimed: list[Claimed]) -> None:
        ids = partition.unknown([each.id for each in claimed])
        if ids:
            taken = await own.take(self._member, partition, ids)
            self._member.counts.reclaimed += len(taken.entries)
            self._intake.retake(partition, taken)

    async def _remove_dead(self) -> None:
        for partition in self._partitions:
            await janitor.remove_dead(self._member, partition, int(DEAD_AFTER_S * 1000))
