"""Acknowledgements that travel together: one XACK for many messages of a partition, sent again until it is answered.

What is said of a message in the end, or while it is worked on: done, again later, still mine, never again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from ombdriver.messaging.errors import ClosedError, MessagingValueError
from ombdriver.messaging.topics.codec import Codec
from ombdriver.messaging.topics.consumer import pending
from ombdriver.messaging.topics.consumer.group import GroupMember, Partition
from ombdriver.messaging.topics.consumer.leases import RedeliveryTimer
from ombdriver.messaging.topics.consumer.message import DONE, GIVEN_BACK, LOST, OPEN, REJECTED, Message
from ombdriver.messaging.topics.recovery.dead_letters import DeadLetterPolicy, move_to_dead_letters

logger = logging.getLogger(__name__)

AT_MOST = 512
"""So many acknowledgements leave at once."""
WITHIN_S = 0.005
"""Fewer leave so many seconds after the first of them."""
AGAIN_S = 0.5
"""After a failure they are sent again so many seconds later. Each attempt goes on for 30 s by itself."""


class AckBatcher:
    """The acknowledgements of one member.

    Args:
        member: whose.
        partitions: those that it reads.
        on_fault: told of an error that is no lost connection; the acknowledgements are kept and sent again.
    """

    def __init__(
        self, member: GroupMember, partitions: Iterable[Partition], on_fault: Callable[[Exception], None]
    ) -> None:
        self._member, self._partitions, self._on_fault = member, tuple(partitions), on_fault
        self._loop = asyncio.get_running_loop()
        self._noted = 0
        self._timer: asyncio.TimerHandle | None = None
        self._answers: set[asyncio.Future[int]] = set()
        self._at_once = False

    def __repr__(self) -> str:
        return f"<Acks noted={self._noted} sent={len(self._answers)}>"

    @property
    def waiting(self) -> int:
        """Acknowledgements that the server has not answered."""
        return self._noted + sum(len(batch) for each in self._partitions for batch in each.sent)

    def note(self, partition: Partition, entry_id: bytes) -> Awaitable[None]:
        """Acknowledges a message some time soon. Every message comes through, so this makes few calls."""
        partition.held.discard(entry_id)
        partition.noted.append(entry_id)
        self._noted = noted = self._noted + 1
        if noted >= AT_MOST or self._at_once:
            self.send()
        elif self._timer is None:
            self._timer = self._loop.call_later(WITHIN_S, self.send)
        return DONE

    def send(self) -> None:
        """Sends what is noted, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._noted:
            return
        self._noted = 0
        for partition in self._partitions:
            if partition.noted:
                ids, partition.noted = partition.noted, []
                self._send(partition, ids)

    def _send(self, partition: Partition, ids: list[bytes]) -> None:
        try:
            answer = self._member.ask(partition.key, "XACK", partition.key, self._member.group, *ids)
        except ClosedError:
            logger.warning("%d acknowledgements were not sent, the client is closed; they come again", len(ids))
            return
        partition.sent.append(ids)
        self._answers.add(answer)
        answer.add_done_callback(partial(self._answered, partition, ids))

    def _answered(self, partition: Partition, ids: list[bytes], answer: "asyncio.Future[int]") -> None:
        self._answers.discard(answer)
        partition.sent.remove(ids)
        error = None if answer.cancelled() else answer.exception()
        if answer.cancelled() or isinstance(error, ClosedError):
            logger.warning("%d acknowledgements were not answered, the client is closed; they may come again", len(ids))
        elif error is not None:
            assert isinstance(error, Exception)
            partition.noted[:0] = ids
            self._noted += len(ids)
            if self._timer is None:
                self._timer = self._loop.call_later(AGAIN_S, self.send)
            self._member.counts.faults += 1
            self._on_fault(error)
        else:
            done = answer.result()
            self._member.counts.acknowledged += done
            self._member.counts.late_acknowledgements += len(ids) - done

    async def flush(self) -> None:
        """Waits until everything that was noted is answered; for ever, while the server can't be reached."""
        self.send()
        while self._noted or self._answers:
            if self._answers:
                await asyncio.wait(self._answers, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(WITHIN_S)  # what failed is sent again by its timer

    def hurry(self) -> None:
        """From now on each leaves at once: the consumer is closed, and nobody flushes any more."""
        self._at_once = True
        self.send()


Delayer = Callable[[Message[Any], float], Awaitable[None]]
"""Has a message come again after so many seconds, longer than the visibility time-out, and takes it off the pending."""


class Acknowledger:
    """Settles the messages of one consumer (`message.Settling`).

    Args:
        member: whose they are.
        codec: makes values of bytes.
        acks: sends the acknowledgements.
        returns: has what is given back come again.

    Attributes:
        codec: as given.
        dead_letter: what becomes of rejected messages.
        delayer: called for delays longer than the visibility time-out; None where there is none.
    """

    def __init__(self, member: GroupMember, codec: Codec[Any], acks: AckBatcher, returns: RedeliveryTimer) -> None:
        self._member, self._returns = member, returns
        self.codec = codec
        self.acknowledge = acks.note
        self.dead_letter = DeadLetterPolicy()
        self.delayer: Delayer | None = None

    def acknowledge_late(self) -> Awaitable[None]:
        """See `Settling`: there is nothing to tell the server."""
        self._member.counts.late_acknowledgements += 1
        return DONE

    async def give_back(self, message: Message[Any], delay_s: float) -> None:
        """See `Message.nack`."""
        if not isinstance(delay_s, int | float) or isinstance(delay_s, bool) or not delay_s >= 0:
            raise MessagingValueError(f"delay is {delay_s!r}; give seconds, 0 or more")
        member = self._member
        if message._is_stale:
            pass  # it does not come again: it is gone
        elif delay_s * 1000 <= member.visibility_ms:
            idle_ms = member.visibility_ms - round(delay_s * 1000)
            if await pending.keep(member, message._partition, [message._entry_id], idle_ms):
                self._returns.add(message._partition, message._entry_id, delay_s)
        elif self.delayer is not None:
            await self.delayer(message, delay_s)
        else:
            raise MessagingValueError(
                f"delay is {delay_s:g} s, longer than the visibility time-out of {member.visibility_ms / 1000:g} s; "
                "give a shorter one, a longer visibility_timeout_ms, or use a runner"
            )
        if self._settle(message, GIVEN_BACK):
            member.counts.nacked += 1

    async def renew(self, message: Message[Any]) -> bool:
        """See `Message.in_progress`."""
        if message._is_stale:
            return False
        mine = await pending.keep(self._member, message._partition, [message._entry_id])
        if message._state <= LOST:
            message._state = OPEN if mine else LOST
        return bool(mine)

    async def reject(self, message: Message[Any], reason: str) -> bool:
        """See `Message.reject`."""
        member, buried = self._member, False
        if not message._is_stale:
            buried = await move_to_dead_letters(member, message._partition, message._entry_id, reason, self.dead_letter)
        if self._settle(message, REJECTED):
            member.counts.rejected += buried
        return buried

    def _settle(self, message: Message[Any], state: int) -> bool:
        """Notes what became of a message, unless something else was said of it meanwhile."""
        if message._state > LOST:
            return False
        message._state = state
        if not message._is_stale:
            message._partition.held.discard(message._entry_id)
        return True
