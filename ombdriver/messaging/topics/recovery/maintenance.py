"""What a member of a group does beside reading, again and again, as long as it is open.

It renews its leases, takes over what others left, removes dead consumers, and, for a runner, delivers what is due. So a
group loses neither what a member had that died, nor what one had buffered that was closed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ombdriver.messaging.topics.consumer import leases
from ombdriver.messaging.topics.consumer.group import GroupMember
from ombdriver.messaging.topics.consumer.leases import Claim
from ombdriver.messaging.topics.consumer.partition import FlowControl, Partition
from ombdriver.messaging.topics.recovery import delayed
from ombdriver.messaging.topics.recovery.reclaim import Reclaimer, remove_dead
from ombdriver.messaging.transport.background import run_periodically
from ombdriver.messaging.transport.retry import is_loss

MOVE_EVERY_S = 1.0
"""How often it is looked for what is due; less often with more than a hundred partitions."""

TakeOver = Callable[[Partition, Claim], object]


class Maintenance:
    """The rounds of one member on partitions of one server, or of one slot of a cluster.

    Args:
        member: whose.
        partitions: that one command may cover, so that a server that does not answer holds up no other.
        flow: how much the member can take over.
        take_over: gets what others left.
        lose: called with entries that the member had a lease of, and has no more.
        dead_after_s: other consumers that have asked for nothing in so many seconds, and hold nothing, are removed.
        take_due: gets retries that are due; None not to look for them, nor for delayed messages.
    """

    def __init__(
        self,
        member: GroupMember,
        partitions: Sequence[Partition],
        flow: FlowControl,
        take_over: TakeOver,
        lose: Callable[[Partition, bytes], None],
        *,
        dead_after_s: float,
        take_due: TakeOver | None = None,
    ) -> None:
        self._member, self._partitions, self._flow = member, partitions, flow
        self._lose, self._take_due = lose, take_due
        self._dead_after_s = dead_after_s
        self.reclaimer = Reclaimer(member, self._credit, take_over)
        self._no_takeover, self._over = asyncio.Event(), asyncio.Event()
        self._renewing: list[asyncio.Task[None]] = []
        self._taking_over: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<Maintenance of {len(self._partitions)} partitions{', ending' if self._over.is_set() else ''}>"

    @property
    def tasks(self) -> list["asyncio.Task[None]"]:
        """All of it; each ends after `stop`, or when the client is closed."""
        return [*self._renewing, *self._taking_over]

    def start(self) -> None:
        """Begins the rounds."""
        visibility_s = self._member.visibility_ms / 1000
        rounds: list[tuple[float, Callable[[], Awaitable[None]], str]] = [
            (visibility_s / 4, self._sweep, "taking over what others left"),
            (max(1.0, self._dead_after_s / 4), self._remove_dead, "removing dead consumers"),
        ]
        if self._take_due is not None:
            every_s = MOVE_EVERY_S * max(1, len(self._partitions) / 100)
            rounds.append((every_s, self._deliver_due, "looking for what is due"))
        loop = asyncio.get_running_loop()
        self._renewing = [loop.create_task(self._run(visibility_s / 3, self._renew, "renewing leases", self._over))]
        self._taking_over = [loop.create_task(self._run(*each, self._no_takeover)) for each in rounds]

    async def _run(self, every_s: float, work: Callable[[], Awaitable[None]], what: str, until: asyncio.Event) -> None:
        where = f"{what} of group {self._member.group.decode(errors='replace')!r} on {self._partitions[0].stream}"
        await run_periodically(every_s, work, where, until, self._member.router.health, self._on_error)

    def _on_error(self, error: Exception) -> None:
        self._member.statistics.faults += not is_loss(error)

    def stop_takeover(self) -> list["asyncio.Task[None]"]:
        """Takes over no more; gives the tasks that end soon, after what is under way, so that nothing is claimed and
        not known.
        """
        self._no_takeover.set()
        self._flow.changed.set()
        return self._taking_over

    def stop(self) -> None:
        """Ends the rounds, after what is under way."""
        self.stop_takeover()
        self._over.set()

    async def release(self) -> None:
        """Lets others take over at once what this one has been looking after."""
        await self.reclaimer.release()

    async def _credit(self, partition: Partition) -> int:
        """Waits until the member can take more, and gives how many; 0 at the end, and while the partition is paused."""
        while not self._no_takeover.is_set() and not partition.paused:
            if credit := self._flow.credit():
                return credit
            await self._flow.wait_for_change()
        return 0

    async def _renew(self) -> None:
        for partition in self._partitions:
            ids = list(partition.leased)
            renewed = set(await leases.renew(self._member, partition, ids))
            for each in ids:
                if each not in renewed:
                    self._lose(partition, each)

    async def _sweep(self) -> None:
        await self.reclaimer.sweep(self._partitions)

    async def _remove_dead(self) -> None:
        for partition in self._partitions:
            await remove_dead(self._member, partition, int(self._dead_after_s * 1000))

    async def _deliver_due(self) -> None:
        assert self._take_due is not None
        await delayed.move_due(self._member.router, [partition.key for partition in self._partitions])
        for partition in self._partitions:
            while credit := await self._credit(partition):
                due = await delayed.take_due(self._member, partition, credit)
                if not due.entries:
                    break
                self._take_due(partition, due)
