"""Acknowledgements: batched into one XACK for many messages of a partition, and sent again until they are answered.

`AckBatcher` does that; `Acknowledger` is what messages call: ack, nack, in progress, reject.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from threading import get_ident
from typing import Any

from redis.exceptions import ResponseError

from ombdriver.messaging.errors import ClosedError, MessagingValueError
from ombdriver.messaging.topics.codec import Codec
from ombdriver.messaging.topics.consumer import leases
from ombdriver.messaging.topics.consumer.group import GroupMember
from ombdriver.messaging.topics.consumer.leases import RedeliveryTimer
from ombdriver.messaging.topics.consumer.message import DONE, GIVEN_BACK, LOST, REJECTED, Message
from ombdriver.messaging.topics.consumer.partition import Partition
from ombdriver.messaging.topics.recovery.dead_letters import DeadLetterPolicy, move_to_dead_letters
from ombdriver.messaging.topics.recovery.delayed import Delayed, delay_retry
from ombdriver.messaging.transport.per_loop import HomeLoop
from ombdriver.messaging.transport.retry import ENDLESS_BACKOFF, RetryBudget, was_not_carried_out

logger = logging.getLogger(__name__)

BATCH = 512
"""So many acknowledgements are sent at once."""
LINGER_S = 0.005
"""Fewer are sent so many seconds after the first of them."""


class AckBatcher:
    """The acknowledgements of one member.

    Args:
        member: whose.
        partitions: those that it reads.
        on_fault: called with an error that is no lost connection; the acknowledgements are kept and sent again.
    """

    def __init__(
        self, member: GroupMember, partitions: Iterable[Partition], on_fault: Callable[[Exception], None]
    ) -> None:
        self._member, self._partitions, self._on_fault = member, tuple(partitions), on_fault
        self._home = HomeLoop()
        self._loop = self._home.loop
        self._pending = self._sends = self._refused = 0
        self._timer: asyncio.TimerHandle | None = None
        self._replies: set[asyncio.Future[int]] = set()
        self._most = BATCH
        self._budget = RetryBudget(lambda _: True, ENDLESS_BACKOFF)  # each attempt goes on for 30 s by itself
        self._refusal: ResponseError | None = None

    def __repr__(self) -> str:
        return f"<AckBatcher pending={self._pending} commands={len(self._replies)}>"

    @property
    def unanswered(self) -> int:
        """Acknowledgements that the server has not answered."""
        return self._pending + sum(len(batch) for each in self._partitions for batch in each.acks_in_flight)

    def add(self, partition: Partition, entry_id: bytes) -> Awaitable[None]:
        """Acknowledges a message a few milliseconds later. Every message comes through here: this makes few calls.

        Raises:
            MessagingError: if this is another thread than that of the event loop; looked at for the first of a batch.
        """
        pending = self._pending
        if not pending:
            self._begin_batch()
        partition.leased.discard(entry_id)
        partition.acks_pending.append(entry_id)
        self._pending = pending = pending + 1
        if pending >= self._most:
            self.send()
        return DONE

    def _begin_batch(self) -> None:
        """The timer runs while anything is pending."""
        if get_ident() != self._home.thread:
            self._home.check(self)
        self._timer = self._loop.call_later(LINGER_S, self.send)

    def send(self) -> None:
        """Sends what is pending, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._pending:
            return
        self._pending = 0
        self._sends += 1
        for partition in self._partitions:
            if partition.acks_pending:
                ids, partition.acks_pending = partition.acks_pending, []
                self._send(partition, ids)

    def _send(self, partition: Partition, ids: list[bytes]) -> None:
        try:
            reply = self._member.send(partition.key, "XACK", partition.key, self._member.group, *ids)
        except ClosedError:
            logger.warning("%d acknowledgements were not sent, the client is closed; they come again", len(ids))
            return
        partition.acks_in_flight.append(ids)
        self._replies.add(reply)
        reply.add_done_callback(partial(self._on_reply, partition, ids))

    def _on_reply(self, partition: Partition, ids: list[bytes], reply: "asyncio.Future[int]") -> None:
        self._replies.discard(reply)
        partition.acks_in_flight.remove(ids)
        error = None if reply.cancelled() else reply.exception()
        if reply.cancelled() or isinstance(error, ClosedError):
            logger.warning("%d acknowledgements were not answered, the client is closed; they may come again", len(ids))
        elif error is not None:
            assert isinstance(error, Exception)
            partition.acks_pending[:0] = ids
            self._refused += 1
            self._pending += len(ids)
            if self._timer is None:
                self._timer = self._loop.call_later(self._budget.wait_s(error) or 0.0, self.send)
            self._member.statistics.faults += 1
            if isinstance(error, ResponseError) and not was_not_carried_out(error):
                self._refusal = error
            self._on_fault(error)
        else:
            self._budget.renew()
            acknowledged = reply.result()
            self._member.statistics.acknowledged += acknowledged
            self._member.statistics.late_acknowledgements += len(ids) - acknowledged

    async def flush(self) -> None:
        """Waits until all that was acknowledged so far is answered; without end, while the server can't be reached.

        What others acknowledge meanwhile is not waited for: there may be no end of that.

        Raises:
            redis.exceptions.ResponseError: what the server says, if it refuses meanwhile and that won't pass by itself,
                as a permission that is missing. What was refused is kept, and sent again all the same.
        """
        self._refusal = None
        self.send()
        refused = self._refused
        while True:
            if replies := set(self._replies):
                await asyncio.wait(replies)
            if refused == self._refused:
                return
            if self._refusal is not None:
                raise self._refusal
            refused, sends = self._refused, self._sends
            while self._pending and self._sends == sends:  # noqa: ASYNC110 - what failed is sent again by its timer
                await asyncio.sleep(LINGER_S)

    def stop_lingering(self) -> None:
        """From now on each is sent at once: the consumer is closed, and nobody flushes any more."""
        self._most = 1
        self.send()


class Acknowledger:
    """Settles the messages of one consumer, and renews their leases.

    Args:
        member: whose they are.
        codec: makes values of bytes.
        acks: sends the acknowledgements.
        redelivery: claims again what was given back.

    Attributes:
        decode: the codec's.
        dead_letter: what becomes of rejected messages.
    """

    def __init__(self, member: GroupMember, codec: Codec[Any], acks: AckBatcher, redelivery: RedeliveryTimer) -> None:
        self._member, self._redelivery = member, redelivery
        self.decode = codec.decode
        self.acknowledge = acks.add
        self.dead_letter = DeadLetterPolicy()

    def acknowledge_stale(self) -> Awaitable[None]:
        """Counts an acknowledgement of a message whose stream was deleted: there is nothing to tell the server."""
        self._member.statistics.late_acknowledgements += 1
        return DONE

    async def give_back(self, message: Message[Any], delay_s: float) -> None:
        """See `Message.nack`."""
        if not isinstance(delay_s, int | float) or isinstance(delay_s, bool) or not 0 <= delay_s < math.inf:
            raise MessagingValueError(f"delay is {delay_s!r}; give seconds, 0 or more")
        member, partition, entry_id = self._member, message._partition, message._entry_id
        if message._is_stale:
            pass  # it does not come again: its stream was deleted
        elif delay_s * 1000 <= member.visibility_ms:
            if await leases.release(member, partition, {entry_id: message.delivery_count}, delay_s):
                self._redelivery.add(partition, entry_id, delay_s)
        elif await delay_retry(member, partition, entry_id, int(delay_s * 1000)) == Delayed.IS_GONE:
            self._redelivery.add(partition, entry_id, 0.0)  # which tells that it is
        if self.settle(message, GIVEN_BACK):
            member.statistics.nacked += 1

    async def renew(self, message: Message[Any]) -> bool:
        """See `Message.in_progress`."""
        if message.is_lost:
            return False  # what this member has of it by now, if anything, is another delivery
        mine = await leases.renew(self._member, message._partition, [message._entry_id])
        if not mine and not message.is_settled:
            message._state = LOST
        return bool(mine)

    async def reject(self, message: Message[Any], reason: str) -> bool:
        """See `Message.reject`."""
        member, moved = self._member, False
        if not message._is_stale:
            partition, entry_id, known = (
                message._partition,
                message._entry_id,
                (message.delivery_count, message._fields),
            )
            moved = await move_to_dead_letters(member, partition, entry_id, reason, self.dead_letter, *known)
        if self.settle(message, REJECTED):
            member.statistics.rejected += moved
        return moved

    def settle(self, message: Message[Any], state: int) -> bool:
        """Sets the final state of a message; False if it was settled otherwise meanwhile."""
        if message._state > LOST:
            return False
        message._state = state
        if not message._is_stale:
            message._partition.leased.discard(message._entry_id)
        return True
