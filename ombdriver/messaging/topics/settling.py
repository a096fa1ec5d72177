"""What is said of a message in the end, or while it is worked on: done, again later, still mine, never again."""

from collections.abc import Awaitable, Callable
from typing import Any

from ombdriver.messaging.errors import AioRedisMQValueError
from ombdriver.messaging.topics import own
from ombdriver.messaging.topics.acks import Acks
from ombdriver.messaging.topics.burial import DeadLetterPolicy, bury
from ombdriver.messaging.topics.codec import Codec
from ombdriver.messaging.topics.member import Member
from ombdriver.messaging.topics.message import GIVEN_BACK, LOST, OPEN, REJECTED, Message
from ombdriver.messaging.topics.returns import Returns

Delayer = Callable[[Message[Any], float], Awaitable[None]]
"""Has a message come again after so many seconds, longer than the visibility time-out, and takes it off the pending."""


class Settler:
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

    def __init__(self, member: Member, codec: Codec[Any], acks: Acks, returns: Returns) -> None:
        self._member, self._returns = member, returns
        self.codec = codec
        self.acknowledge = acks.note
        self.dead_letter = DeadLetterPolicy()
        self.delayer: Delayer | None = None

    async def give_back(self, message: Message[Any], delay_s: float) -> None:
        """See `Message.nack`."""
        if not isinstance(delay_s, int | float) or isinstance(delay_s, bool) or not delay_s >= 0:
            raise AioRedisMQValueError(f"delay is {delay_s!r}; give seconds, 0 or more")
        member = self._member
        if delay_s * 1000 <= member.visibility_ms:
            idle_ms = member.visibility_ms - round(delay_s * 1000)
            if await own.keep(member, message._partition, [message._entry_id], idle_ms):
                self._returns.add(message._partition, message._entry_id, delay_s)
        elif self.delayer is not None:
            await self.delayer(message, delay_s)
        else:
            raise AioRedisMQValueError(
                f"delay is {delay_s:g} s, longer than the visibility time-out of {member.visibility_ms / 1000:g} s; "
                "give a shorter one, a longer visibility_timeout_ms, or use a runner"
            )
        if self._settle(message, GIVEN_BACK):
            member.counts.nacked += 1

    async def renew(self, message: Message[Any]) -> bool:
        """See `Message.in_progress`."""
        mine = await own.keep(self._member, message._partition, [message._entry_id])
        if message._state <= LOST:
            message._state = OPEN if mine else LOST
        return bool(mine)

    async def reject(self, message: Message[Any], reason: str) -> bool:
        """See `Message.reject`."""
        member = self._member
        buried = await bury(member, message._partition, message._entry_id, reason, self.dead_letter)
        if self._settle(message, REJECTED):
            member.counts.rejected += buried
        return buried

    def _settle(self, message: Message[Any], state: int) -> bool:
        """Notes what became of a message, unless something else was said of it meanwhile."""
        if message._state > LOST:
            return False
        message._state = state
        message._partition.held.discard(message._entry_id)
        return True
