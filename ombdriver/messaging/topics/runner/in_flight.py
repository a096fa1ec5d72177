"""What a runner has in hand: messages that wait, are handled, or wait for a retry; how many more it can take.

`KeyedQueue` says which message may be handled next: any, or of each key one at a time in order, and of suspects one at
a time. `InFlight` fills it with messages of the consumer's buffer and with what was taken over. No I/O but the release
at the end.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Hashable, Iterable
from typing import Any, Generic, Protocol, TypeVar

from ombdriver.messaging.streams.entry_ids import parse_id
from ombdriver.messaging.topics.consumer import leases
from ombdriver.messaging.topics.consumer.leases import Claim
from ombdriver.messaging.topics.consumer.message import LOST, UNCOUNTED, Message, claimed_messages
from ombdriver.messaging.topics.consumer.partition import FlowControl, Partition
from ombdriver.messaging.topics.consumer.session import Session
from ombdriver.messaging.topics.record import KEY
from ombdriver.messaging.topics.runner.config import RunnerStatistics
from ombdriver.messaging.transport.retry import RetryBudget


class Keyed(Protocol):
    """What goes through a `KeyedQueue`.

    Attributes:
        queue_key: items of one key are handled one after the other; None for an item that need not wait.
        rank: its place among those of its key.
        is_suspect: it is handled beside no other suspect, whatever their keys.
    """

    queue_key: Hashable | None
    rank: tuple[int, int]
    is_suspect: bool


Item = TypeVar("Item", bound=Keyed)


class KeyedQueue(Generic[Item]):
    """Items that wait to be handled. An item is put in, taken, and in the end done.

    In between it may rest and be put back, for a retry: those of its key wait so long, and only those. A key is there
    as long as one of its items is ready, taken or to be put back; the others wait in order of their ranks. Of suspects
    one is ready or taken at a time; one that rests lets the next one go.
    """

    def __init__(self) -> None:
        self._ready: deque[Item] = deque()
        self._waiting: dict[Hashable, deque[Item]] = {}
        self._suspect: Item | None = None
        self._suspects: deque[Item] = deque()

    def __repr__(self) -> str:
        return f"<KeyedQueue ready={len(self._ready)} keys={len(self._waiting)} waiting={self.waiting}>"

    @property
    def ready(self) -> int:
        """How many can be taken now."""
        return len(self._ready)

    @property
    def waiting(self) -> int:
        """How many wait for another one of their key, or for another suspect."""
        return sum(len(each) for each in self._waiting.values()) + len(self._suspects)

    def put(self, item: Item) -> bool:
        """Takes an item in; whether it can be handled now."""
        if item.queue_key is not None:
            waiting = self._waiting.get(item.queue_key)
            if waiting is not None:
                place = len(waiting)
                while place and waiting[place - 1].rank > item.rank:  # one that was taken over is older than others
                    place -= 1
                waiting.insert(place, item)
                return False
            self._waiting[item.queue_key] = deque()
        if item.is_suspect:
            return self._admit(item)
        self._ready.append(item)
        return True

    def _admit(self, item: Item) -> bool:
        """Makes an item ready that waits for none of its key; False if it waits for another suspect."""
        if item.is_suspect:
            if self._suspect is not None:
                self._suspects.append(item)
                return False
            self._suspect = item
        self._ready.append(item)
        return True

    def take(self) -> Item | None:
        """The next item, None if there is none; others of its key wait until it is done."""
        return self._ready.popleft() if self._ready else None

    def rest(self, item: Item) -> bool:
        """Sets an item aside that was taken and is put back later; whether another suspect is ready now."""
        if item is not self._suspect:
            return False
        self._suspect = None
        return bool(self._suspects) and self._admit(self._suspects.popleft())

    def put_back(self, item: Item) -> bool:
        """Makes an item ready again that was taken, or rested, before all others; False if it waits for a suspect."""
        if item.is_suspect and item is not self._suspect:
            if self._suspect is not None:
                self._suspects.appendleft(item)
                return False
            self._suspect = item
        self._ready.appendleft(item)
        return True

    def done(self, item: Item) -> bool:
        """Removes an item that was taken, or rests; whether another one is ready now for that."""
        is_ready = item is self._suspect and self.rest(item)
        if item.queue_key is None:
            return is_ready
        waiting = self._waiting[item.queue_key]
        if not waiting:
            del self._waiting[item.queue_key]
            return is_ready
        return self._admit(waiting.popleft()) or is_ready

    def drop(self, item: Item) -> bool:
        """Removes an item that was not taken yet; False if it is none of those that wait here."""
        for place in (self._ready, self._suspects):
            if item in place:
                place.remove(item)
                self.done(item)
                return True
        waiting = self._waiting.get(item.queue_key) if item.queue_key is not None else None
        if waiting is None or item not in waiting:
            return False
        waiting.remove(item)
        return True

    def clear(self) -> None:
        """Removes all that were not taken; what was taken is still to be done."""
        for item in (*self._ready, *self._suspects):
            if item.queue_key is not None:
                del self._waiting[item.queue_key]
            if item is self._suspect:
                self._suspect = None
        self._ready.clear()
        self._suspects.clear()
        for waiting in self._waiting.values():
            waiting.clear()


WAITING, TAKEN, BEGUN = range(3)
"""Stages of a delivery: it waits, also for a retry; an executor's task has it; the handler was called."""


class Delivery:
    """One message in hand. Every message gets one, so what is the same for most is kept by the class.

    Attributes:
        message: what the handler is given.
        queue_key: see `Keyed`.
        rank: see `Keyed`; by the entry's id.
        flow: of what was read, or of what was taken over.
        stage: see `WAITING`.
        give_up_reason: why it was given up, once it was; until the server has taken that in.
        error: what its last failure said.
        retry_timer: runs until its retry.
        is_suspect: it was begun more than once and never came to an end: it may kill its process.
        budget: of attempts to tell the server what became of it.
    """

    stage = WAITING
    give_up_reason: str | None = None
    error = ""
    retry_timer: asyncio.TimerHandle | None = None
    budget: RetryBudget | None = None
    is_suspect = False

    def __init__(
        self, message: Message[Any], queue_key: Hashable | None, rank: tuple[int, int], flow: FlowControl
    ) -> None:
        self.message, self.queue_key, self.rank, self.flow = message, queue_key, rank, flow

    def __repr__(self) -> str:
        return f"<Delivery {self.message!r}{('', ' taken', ' begun')[self.stage]}>"

    @property
    def begun_deliveries(self) -> int:
        """How many handlings of the message have begun, this one included if it has."""
        has_begun = self.stage == BEGUN or (self.give_up_reason is not None and self.message._state != UNCOUNTED)
        return self.message.delivery_count - (not has_begun)


_NO_RANK = (0, 0)


class InFlight:
    """The messages that one runner has in hand.

    Args:
        session: of its consumer.
        most: so many are taken from the consumer at most; so many more may be taken over.
        low_water: no more are asked for until no more than these are left.
        by_key: handle the messages of a key one after the other.
        statistics: counts what is taken over, and what is lost to other members.

    Attributes:
        queue: which of them may be handled next.
        takeover: how much more may be taken over.
    """

    def __init__(
        self, session: Session, statistics: RunnerStatistics, *, most: int, low_water: int, by_key: bool
    ) -> None:
        self._session, self._statistics, self._by_key = session, statistics, by_key
        self._deliveries: set[Delivery] = set()
        self._read, self.takeover = FlowControl(most, low_water=low_water), FlowControl(most, low_water=low_water)
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._waking = False
        self.queue: KeyedQueue[Delivery] = KeyedQueue()

    def __repr__(self) -> str:
        return f"<InFlight {len(self._deliveries)}, {self.queue!r}>"

    def __len__(self) -> int:
        return len(self._deliveries)

    @property
    def running(self) -> int:
        """How many a handler has at this moment."""
        return sum(delivery.stage == BEGUN for delivery in self._deliveries)

    # -- in --------------------------------------------------------------------------------------------------------

    async def wait_for_credit(self) -> int:
        """Waits until more may be taken from the consumer, and gives how many."""
        while not (credit := self._read.credit()):
            await self._read.wait_for_change()
        return credit

    def add(self, messages: Iterable[Message[Any]]) -> None:
        """Takes messages of the consumer's buffer."""
        self._add(messages, self._read)

    def take_over(self, partition: Partition, claim: Claim) -> None:
        """Takes entries of members that died or let go of them."""
        self._statistics.deleted += len(claim.gone)
        messages = claimed_messages(self._session.acknowledger, partition, claim, was_ended=False)
        self._statistics.reclaimed += len(messages)
        self._add(messages, self.takeover)

    def take_due(self, partition: Partition, claim: Claim) -> None:
        """Takes delayed retries that are due: each was handled to an end before, and failed."""
        self._statistics.deleted += len(claim.gone)
        self._add(claimed_messages(self._session.acknowledger, partition, claim, was_ended=True), self.takeover)

    def _add(self, messages: Iterable[Message[Any]], flow: FlowControl) -> None:
        by_key = self._by_key
        for message in messages:
            self._put(message, self._key_of(message) if by_key else None, flow)

    def _key_of(self, message: Message[Any]) -> Hashable | None:
        fields = message._fields
        return fields[3] if len(fields) > 3 and fields[2] == KEY else message.key  # where our producers put it

    def _put(self, message: Message[Any], key: Hashable | None, flow: FlowControl) -> None:
        delivery = Delivery(message, key, _NO_RANK if key is None else parse_id(message._entry_id), flow)
        if message._is_suspect:
            delivery.is_suspect = True
        self._deliveries.add(delivery)
        flow.buffered += 1
        if self.queue.put(delivery) and self._waiters:
            self._wake()

    # -- handling --------------------------------------------------------------------------------------------------

    def take(self) -> Delivery | None:
        """The next message to be handled, None if there is none now."""
        delivery = self.queue.take()
        if delivery is not None:
            delivery.stage = TAKEN
            if self._waiters and self.queue.ready:
                self._wake()
        return delivery

    async def next(self) -> Delivery:
        """The next message to be handled; waits for it."""
        while (delivery := self.take()) is None:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                with contextlib.suppress(ValueError):  # `_wake` may have taken it out already
                    self._waiters.remove(waiter)
                if not waiter.cancelled():  # it was woken: another one has to be
                    self._waking = False
                    if self.queue.ready:
                        self._wake()
                raise
            self._waking = False
        return delivery

    def put_back(self, delivery: Delivery) -> None:
        """Takes back a message that was taken and is not handled: it waits, before all others."""
        delivery.stage = WAITING
        self.queue.put_back(delivery)

    def _wake(self) -> None:
        """Wakes one of those that wait for a message; it wakes the next one, if there is more than it takes.

        So handlers that are done at once leave the others asleep.
        """
        while self._waiters and not self._waking:
            waiter = self._waiters.popleft()
            if not waiter.done():  # else its task was cancelled in this turn
                self._waking = True
                waiter.set_result(None)

    def retry_later(self, delivery: Delivery, delay_s: float) -> None:
        """Makes a message that was taken ready again after a while; others of its key wait for it, no suspect does."""
        delivery.stage = WAITING
        if self.queue.rest(delivery):
            self._wake()
        delivery.retry_timer = asyncio.get_running_loop().call_later(delay_s, self._on_retry, delivery)

    def _on_retry(self, delivery: Delivery) -> None:
        delivery.retry_timer = None
        if self.queue.put_back(delivery):
            self._wake()

    def done(self, delivery: Delivery) -> None:
        """Ends a message that was taken."""
        self._forget(delivery)
        if self.queue.done(delivery):
            self._wake()

    def _forget(self, delivery: Delivery) -> None:
        self._deliveries.remove(delivery)
        flow = delivery.flow
        flow.buffered = left = flow.buffered - 1
        if left <= flow.low_water:
            flow.changed.set()

    # -- out -------------------------------------------------------------------------------------------------------

    def lose(self, partition: Partition, entry_id: bytes) -> None:
        """Another member has an entry by now, or settled it: it is not begun here any more; its handler can tell."""
        if entry_id not in partition.leased:
            return  # it was settled here meanwhile
        partition.leased.discard(entry_id)
        self._statistics.lost += 1
        if self._session.buffer.drop(partition, entry_id) is not None:
            return
        delivery = self._find(partition, entry_id)
        if delivery is None:
            return
        if not delivery.message.is_settled:
            delivery.message._state = LOST
        if delivery.retry_timer is not None:
            delivery.retry_timer.cancel()
            self.done(delivery)
        elif self.queue.drop(delivery):
            self._forget(delivery)

    def _find(self, partition: Partition, entry_id: bytes) -> Delivery | None:
        """By looking at all, since it is rarely asked."""
        for delivery in self._deliveries:
            message = delivery.message
            if message._entry_id == entry_id and message._partition is partition and not message._is_stale:
                return delivery
        return None

    def withdraw(self) -> None:
        """Lets no message begin any more: they are to be released."""
        for delivery in self._deliveries:
            if delivery.retry_timer is not None:
                delivery.retry_timer.cancel()
        self.queue.clear()

    async def release(self, *, waiting_only: bool) -> int:
        """Leaves messages to others, at once; gives how many. A delivery that has not begun is not counted.

        Args:
            waiting_only: those that no task has; all otherwise.
        """
        released: dict[Partition, dict[bytes, int]] = {}
        for delivery in [each for each in self._deliveries if each.stage == WAITING or not waiting_only]:
            message = delivery.message
            partition, entry_id = message._partition, message._entry_id
            if not message.is_settled and not message.is_lost:
                released.setdefault(partition, {})[entry_id] = delivery.begun_deliveries
            if not message._is_stale:
                partition.leased.discard(entry_id)
            self._deliveries.discard(delivery)
        member = self._session.member
        had = await asyncio.gather(*(leases.release(member, each, released[each]) for each in released))
        return sum(map(len, had))
