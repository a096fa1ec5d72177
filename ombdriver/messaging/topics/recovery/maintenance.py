"""What a member of a group does beside reading, again and again, as long as it is open.

It renews its leases, says that it is alive while it asks for nothing, and looks after partitions as their janitor: it
takes over what others left, brings what is due, and removes dead consumers. So a group loses neither what a member had
that died, nor what one had buffered that was closed, nor what one still has to read.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence

from ombdriver.messaging.streams.scripts import Script
from ombdriver.messaging.streams.trimmer import alive_key
from ombdriver.messaging.topics.consumer import leases
from ombdriver.messaging.topics.consumer.group import GroupMember
from ombdriver.messaging.topics.consumer.partition import FlowControl, Partition
from ombdriver.messaging.topics.recovery.janitor import NOT_REPLAYED, PAUSED, Janitor, TakeOver
from ombdriver.messaging.transport.background import run_periodically
from ombdriver.messaging.transport.retry import is_loss

STANDBY = 2.5
"""A member that is no janitor looks once in so many rounds of one, times the number of other members."""
LONGEST_STANDBY = 20
"""No more seldom than once in so many visibility time-outs."""
ALIVE_S, ALIVE_CHECK_S = 60.0, 1.0
"""For how long a member that asks for nothing passes for alive after it has said so, and how soon it says so."""

_SAY_ALIVE = Script("for _, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1], 'PX', ARGV[2]) end")


class Maintenance:
    """The rounds of one member on partitions of one server, or of one slot of a cluster.

    Args:
        member: whose.
        partitions: that one command may cover, so that a server that does not answer holds up no other.
        flow: how much the member can take over.
        replayed: is set while nothing older may be pending for the member that it does not know.
        take_over: gets what others left.
        take_due: gets retries that are due.
        lose: called with entries that the member had a lease of, and has no more.
        dead_after_s: other consumers that have asked for nothing in so many seconds, and hold nothing, are removed.

    Attributes:
        janitor: looks after the partitions.
    """

    def __init__(
        self,
        member: GroupMember,
        partitions: Sequence[Partition],
        flow: FlowControl,
        replayed: asyncio.Event,
        take_over: TakeOver,
        take_due: TakeOver,
        lose: Callable[[Partition, bytes], None],
        *,
        dead_after_s: float,
    ) -> None:
        self._member, self._partitions, self._flow, self._replayed = member, partitions, flow, replayed
        self._lose, self._dead_after_s = lose, dead_after_s
        self._visibility_s = member.visibility_ms / 1000
        self._round_s = self._visibility_s / 4
        self.janitor = Janitor(member, take_over, take_due, lease_ms=max(1, int(2500 * self._round_s)))
        self._no_takeover, self._over = asyncio.Event(), asyncio.Event()
        self._renewing: list[asyncio.Task[None]] = []
        self._looking: list[asyncio.Task[None]] = []
        self._wait_s, self._is_starved, self._awaits_replay = 1.0, False, True
        self._remove_at = 0.0
        self._received = member.statistics.received
        self._said: dict[Partition, float] = {}

    def __repr__(self) -> str:
        return f"<Maintenance of {len(self._partitions)} partitions{', ending' if self._over.is_set() else ''}>"

    @property
    def tasks(self) -> list["asyncio.Task[None]"]:
        """All of it; each ends after `stop`, or when the client is closed."""
        return [*self._renewing, *self._looking]

    def start(self) -> None:
        """Begins the rounds."""
        loop = asyncio.get_running_loop()
        self._renewing = [
            loop.create_task(self._run(self._visibility_s / 3, self._renew, "renewing leases", self._over)),
            loop.create_task(self._run(ALIVE_CHECK_S, self._say_alive, "saying that a member is alive", self._over)),
        ]
        looking = self._run(0.0, self._look, "taking over what others left, and what is due", self._no_takeover)
        self._looking = [loop.create_task(looking)]

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
        return self._looking

    def stop(self) -> None:
        """Ends the rounds, after what is under way."""
        self.stop_takeover()
        self._over.set()

    async def release(self) -> None:
        """Lets others look after the partitions at once."""
        await self.janitor.resign()

    async def _renew(self) -> None:
        for partition in self._partitions:
            ids = list(partition.leased)
            renewed = set(await leases.renew(self._member, partition, ids))
            for each in ids:
                if each not in renewed:
                    self._lose(partition, each)

    async def _say_alive(self) -> None:
        """Says so for partitions of which nothing is asked: they are paused, or there is no room."""
        now = time.monotonic()
        silent = [
            each
            for each in self._partitions
            if (each.paused or not each.flow.is_asking) and now >= self._said.get(each, -ALIVE_S) + ALIVE_S / 4
        ]
        if silent:
            keys = [alive_key(each.key, self._member.group) for each in silent]
            await _SAY_ALIVE.run(self._member.router, keys, (self._member.name, int(ALIVE_S * 1000)))
            self._said.update(dict.fromkeys(silent, now))

    # -- janitor ---------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Waits until it is time, and looks after the partitions until there is no more to claim, or no room."""
        await self._wait()
        self._wait_s, self._is_starved, self._awaits_replay = self._round_s * random.uniform(0.75, 1.25), False, False
        left, due_s, members, is_janitor = list(self._partitions), None, 0, False
        while left and not self._is_starved and not self._no_takeover.is_set():
            credit = self._flow.credit()
            look = await self.janitor.look({each: self._word(each) for each in left}, credit, self._remove_after_ms())
            is_janitor, members = is_janitor or look.is_janitor, max(members, look.members)
            if look.due_s is not None:
                due_s = look.due_s if due_s is None else min(due_s, look.due_s)
            left, self._is_starved = look.more, not credit and bool(look.more)
        self._awaits_replay = not self._replayed.is_set()
        received, self._received = self._received, self._member.statistics.received
        if members > 1 and not is_janitor and received == self._received:
            standby = self._wait_s * STANDBY * (members - 1)
            self._wait_s = max(self._wait_s, min(standby, LONGEST_STANDBY * self._visibility_s))
        if due_s is not None:
            self._wait_s = min(self._wait_s, due_s)

    def _word(self, partition: Partition) -> bytes | None:
        if partition.paused:
            return PAUSED
        return None if self._replayed.is_set() else NOT_REPLAYED

    def _remove_after_ms(self) -> int | None:
        """How long a consumer is silent that is removed now; None if that was looked for a short while ago."""
        now = time.monotonic()
        if now < self._remove_at:
            return None
        self._remove_at = now + self._dead_after_s / 4
        return int(self._dead_after_s * 1000)

    async def _wait(self) -> None:
        """Returns when the next look is due, when there is room for what was left, or at the end of taking over."""
        events = [self._no_takeover, *([self._replayed] if self._awaits_replay else [])]
        waiting: list[asyncio.Future[object]] = [asyncio.ensure_future(event.wait()) for event in events]
        if self._is_starved:
            waiting.append(asyncio.ensure_future(self._has_room()))
        try:
            await asyncio.wait(waiting, timeout=self._wait_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()

    async def _has_room(self) -> None:
        while not self._flow.credit():
            await self._flow.wait_for_change()
