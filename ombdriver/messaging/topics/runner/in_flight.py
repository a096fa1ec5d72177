"""What a runner has in hand: messages that wait, are handled, or wait for a retry; how many more it can take.

Stands on the session of a consumer, which knows the ids of all that is held, its buffer included.

One message that a runner has in hand, and how far its delivery is. No I/O.

Which message may be handled next: any, or of each key one at a time in order. No I/O, no clock.

A message is put in, taken, and in the end done with. Between taking and being done with it may be taken again, for a
retry: with a key, the messages behind it wait so long, and only those.
"""

import asyncio
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from ombdriver.messaging.streams.entry_ids import parse_id
from ombdriver.messaging.topics.consumer import pending
from ombdriver.messaging.topics.consumer.group import Partition
from ombdriver.messaging.topics.consumer.leases import ClaimedEntry
from ombdriver.messaging.topics.consumer.message import LOST, Message
from ombdriver.messaging.topics.consumer.session import Session
from ombdriver.messaging.topics.record import KEY


class DeliveryState(Enum):
    """How far a delivery is."""

    UNCOUNTED = "it is to be counted when it begins"
    COUNTED = "the server has counted it, and it has not begun"
    BEGUN = "the handler has it, or had it"


COUNTED, UNCOUNTED, BEGUN = DeliveryState.COUNTED, DeliveryState.UNCOUNTED, DeliveryState.BEGUN


class Delivery:
    """One message in hand. Every message gets one, so what is the same for most is kept by the class.

    Attributes:
        message: what the handler is given.
        lane: see `Keyed`.
        rank: see `Keyed`.
        state: of its delivery.
        taken_over: it was not read but reclaimed, or was due.
        busy: a handler has it, or what comes before and after is done with it.
        reason: why it was given up, once it was; until the server has taken that in.
        error: what its last failure said.
        timer: of its retry.
    """

    taken_over = False
    busy = False
    reason: str | None = None
    error = ""
    timer: asyncio.TimerHandle | None = None

    def __init__(
        self, message: Message[Any], lane: Hashable | None, rank: tuple[int, int], state: DeliveryState
    ) -> None:
        self.message, self.lane, self.rank, self.state = message, lane, rank, state

    def __repr__(self) -> str:
        return f"<Work {self.message!r} {self.state.name}{' busy' if self.busy else ''}>"


class Keyed(Protocol):
    """What goes through lanes.

    Attributes:
        lane: messages of one lane are handled one after the other; None for a message that need not wait.
        rank: its place in the lane, by the entry's id.
    """

    lane: Hashable | None
    rank: tuple[int, int]


Item = TypeVar("Item", bound=Keyed)


class KeyedQueue(Generic[Item]):
    """Messages that wait to be handled.

    A lane exists as long as one of its messages is ready, taken or kept; the others of it wait in order of their ids.
    """

    def __init__(self) -> None:
        self._ready: deque[Item] = deque()
        self._waiting: dict[Hashable, deque[Item]] = {}

    def __repr__(self) -> str:
        return f"<Lanes ready={len(self._ready)} lanes={len(self._waiting)} behind={self.behind}>"

    @property
    def ready(self) -> int:
        """How many can be taken now."""
        return len(self._ready)

    @property
    def behind(self) -> int:
        """How many wait for one of their lane."""
        return sum(len(each) for each in self._waiting.values())

    def put(self, item: Item) -> bool:
        """Takes a message in; whether it can be handled now."""
        if item.lane is not None:
            waiting = self._waiting.get(item.lane)
            if waiting is not None:
                place = len(waiting)
                while place and waiting[place - 1].rank > item.rank:  # a reclaimed one is older than what waits
                    place -= 1
                waiting.insert(place, item)
                return False
            self._waiting[item.lane] = deque()
        self._ready.append(item)
        return True

    def take(self) -> Item | None:
        """The next message, None if there is none; its lane is held until it is done with."""
        return self._ready.popleft() if self._ready else None

    def again(self, item: Item) -> None:
        """Makes a message ready that was taken and is not done with, before all others."""
        self._ready.appendleft(item)

    def done(self, item: Item) -> bool:
        """Ends a message that was taken; whether another one of its lane is ready now."""
        if item.lane is None:
            return False
        waiting = self._waiting[item.lane]
        if not waiting:
            del self._waiting[item.lane]
            return False
        self._ready.append(waiting.popleft())
        return True

    def drop(self, item: Item) -> bool:
        """Ends a message that was not taken yet; False if it is none of those that wait here."""
        if item in self._ready:
            self._ready.remove(item)
            self.done(item)
            return True
        waiting = self._waiting.get(item.lane) if item.lane is not None else None
        if waiting is None or item not in waiting:
            return False
        waiting.remove(item)
        return True

    def withdraw(self) -> Iterator[Item]:
        """Ends all that were not taken, and gives them; what was taken is still to be done with."""
        ready, self._ready = self._ready, deque()
        for item in ready:
            if item.lane is not None:
                yield from self._waiting.pop(item.lane)
            yield item
        for waiting in self._waiting.values():
            yield from waiting
            waiting.clear()


_NO_RANK = (0, 0)
SUSPECTS = "suspects"
"""The lane of messages that were begun more than once and never came to an end: one of them may kill its process."""


class InFlight:
    """The messages that one runner has in hand.

    Args:
        session: of its consumer.
        high: so many are taken from the consumer at most; so many more may be reclaimed.
        low: no more are asked for until no more than these are left.
        by_key: handle the messages of a key one after the other.

    Attributes:
        lanes: which of them may be handled next.
        lost: counts those that another member has by now.
    """

    def __init__(self, session: Session, *, high: int, low: int, by_key: bool) -> None:
        self._session, self._high, self._low, self._by_key = session, high, low, by_key
        self._works: set[Delivery] = set()
        self._taken_over = 0
        self._looking: deque[asyncio.Future[None]] = deque()
        self._waking = False
        self._may_read, self._may_take_over = asyncio.Event(), asyncio.Event()
        self.lanes: KeyedQueue[Delivery] = KeyedQueue()
        self.lost = 0

    def __repr__(self) -> str:
        return f"<Custody of {len(self._works)}, {self.lanes!r}>"

    def __len__(self) -> int:
        return len(self._works)

    @property
    def at_work(self) -> int:
        """How many a handler has at this moment."""
        return sum(work.busy and work.state is BEGUN for work in self._works)

    # -- in --------------------------------------------------------------------------------------------------------

    async def room_to_read(self) -> int:
        """Waits until more may be read, and gives how many."""
        while (read := len(self._works) - self._taken_over) > self._low:
            self._may_read.clear()
            await self._may_read.wait()
        return self._high - read

    async def room_to_take_over(self) -> int:
        """Waits until more may be reclaimed, and gives how many."""
        while self._taken_over > self._low:
            self._may_take_over.clear()
            await self._may_take_over.wait()
        return self._high - self._taken_over

    async def take_in(self, messages: Sequence[Message[Any]]) -> None:
        """Takes what the consumer has handed out.

        What was delivered before was counted again when it was read; that is taken back until it begins, so that a
        message that kills its process does not use up the deliveries of those that were buffered with it.
        """
        again: dict[Partition, list[bytes]] = {}
        for message in messages:
            if message.delivery_count > 1:
                again.setdefault(message._partition, []).append(message._entry_id)
        uncounted: set[tuple[Partition, bytes]] = set()
        try:
            for partition, ids in again.items():
                kept = await pending.keep(self._session.member, partition, ids, undelivered=True)
                uncounted.update((partition, each) for each in kept)
        finally:  # whatever comes in between, they are in hand
            for message in messages:
                if message._state == LOST or message._entry_id not in message._partition.held:
                    continue  # in the buffer, or since
                state = COUNTED
                if uncounted and (message._partition, message._entry_id) in uncounted:
                    message.delivery_count -= 1
                    state = UNCOUNTED
                self._put(message, state, self._lane(message) if self._by_key else None)

    def take_over(self, partition: Partition, claimed: Iterable[ClaimedEntry], *, failed: bool = False) -> None:
        """Takes what was reclaimed; an entry that is in hand already is passed over.

        Args:
            partition: where it is.
            claimed: the entries.
            failed: that is why they come again: each was handled to an end.
        """
        for each in claimed:
            if partition.knows(each.id):
                continue
            message: Message[Any] = Message(self._session.settler, partition, each.id, each.fields, each.deliveries)
            partition.hold([each.id])
            lane = self._lane(message) if self._by_key else None
            if lane is None and each.deliveries > 1 and not failed:
                lane = SUSPECTS
            self._taken_over += 1
            self._put(message, UNCOUNTED, lane).taken_over = True

    def _lane(self, message: Message[Any]) -> Hashable | None:
        fields = message._fields
        return fields[3] if len(fields) > 3 and fields[2] == KEY else message.key  # where our producers put it

    def _put(self, message: Message[Any], state: DeliveryState, lane: Hashable | None) -> Delivery:
        work = Delivery(message, lane, _NO_RANK if lane is None else parse_id(message._entry_id), state)
        self._works.add(work)
        if self.lanes.put(work) and self._looking:
            self._wake()
        return work

    # -- handling --------------------------------------------------------------------------------------------------

    def take(self) -> Delivery | None:
        """The next message to be handled, None if there is none now."""
        work = self.lanes.take()
        if work is not None:
            work.busy = True
            if self._looking and self.lanes.ready:
                self._wake()
        return work

    async def next(self) -> Delivery:
        """The next message to be handled; waits for it."""
        while (work := self.take()) is None:
            looking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._looking.append(looking)
            try:
                await looking
            finally:
                if looking.cancelled():
                    self._looking.remove(looking)
                else:
                    self._waking = False
        return work

    def _wake(self) -> None:
        """Wakes one of those that look for a message; it wakes the next one, if there is more than it takes.

        So handlers that are done at once leave the others asleep.
        """
        if self._looking and not self._waking:
            self._waking = True
            self._looking.popleft().set_result(None)

    def later(self, work: Delivery, delay_s: float) -> None:
        """Has a message that was taken come again after a while; its lane waits for it."""
        work.busy = False
        work.timer = asyncio.get_running_loop().call_later(delay_s, self._again, work)

    def _again(self, work: Delivery) -> None:
        work.timer = None
        self.lanes.again(work)
        self._wake()

    def done(self, work: Delivery) -> None:
        """Ends a message that was taken."""
        self._forget(work)
        if self.lanes.done(work):
            self._wake()

    def _forget(self, work: Delivery) -> None:
        self._works.remove(work)
        if work.taken_over:
            self._taken_over -= 1
            if self._taken_over <= self._low:
                self._may_take_over.set()
        elif len(self._works) - self._taken_over <= self._low:
            self._may_read.set()

    # -- out -------------------------------------------------------------------------------------------------------

    def lose(self, partition: Partition, entry_id: bytes) -> None:
        """Another member has an entry by now, or settled it: it is not begun here any more; if it was, it is told."""
        if entry_id not in partition.held:
            return  # it was settled here meanwhile
        partition.held.discard(entry_id)
        self.lost += 1
        work = self._find(partition, entry_id)
        if work is None:
            for message in (*self._session._inbox.ready, *partition.aside):
                if message._entry_id == entry_id and message._partition is partition:
                    message._state = LOST
            return
        if not work.message.is_settled:
            work.message._state = LOST
        if work.timer is not None:
            work.timer.cancel()
            self.done(work)
        elif self.lanes.drop(work):
            self._forget(work)

    def _find(self, partition: Partition, entry_id: bytes) -> Delivery | None:
        """By looking at all, since it is rarely asked."""
        for work in self._works:
            if work.message._entry_id == entry_id and work.message._partition is partition:
                return work
        return None

    def withdraw(self) -> None:
        """Lets no message begin any more: they are to be given back."""
        for work in self._works:
            if work.timer is not None:
                work.timer.cancel()
        for _ in self.lanes.withdraw():
            pass

    async def give_back(self, works: Iterable[Delivery]) -> int:
        """Leaves messages to others, at once; gives how many. A delivery that did not begin counts for nothing."""
        by: dict[tuple[Partition, bool], list[bytes]] = {}
        for work in list(works):
            partition, entry_id = work.message._partition, work.message._entry_id
            if not work.message.is_settled and not work.message.is_lost:
                by.setdefault((partition, work.state is COUNTED), []).append(entry_id)
            if not work.message._is_stale:
                partition.held.discard(entry_id)
            self._works.discard(work)
        member = self._session.member
        kept = await asyncio.gather(
            *(
                pending.keep(member, partition, ids, member.visibility_ms, undelivered=undelivered)
                for (partition, undelivered), ids in by.items()
            )
        )
        return sum(map(len, kept))

    def waiting(self) -> list[Delivery]:
        """Those that nobody is busy with."""
        return [work for work in self._works if not work.busy]

    def all(self) -> list[Delivery]:
        """All in hand."""
        return list(self._works)
