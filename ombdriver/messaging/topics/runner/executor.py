"""Handlers at work: what is begun, and what becomes of it: acknowledged, tried again, set aside, given up."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from ombdriver.messaging.errors import ClosedError
from ombdriver.messaging.topics.consumer import leases
from ombdriver.messaging.topics.consumer.message import GIVEN_BACK, LOST, REJECTED, Message
from ombdriver.messaging.topics.consumer.session import Session
from ombdriver.messaging.topics.recovery import dead_letters, delayed
from ombdriver.messaging.topics.recovery.dead_letters import DeadLetterPolicy
from ombdriver.messaging.topics.runner.in_flight import BEGUN, COUNTED, SUSPECTS, UNCOUNTED, Delivery, InFlight
from ombdriver.messaging.topics.runner.retry import RetryPolicy

logger = logging.getLogger(__name__)

Handler = Callable[[Message[Any]], Awaitable[object]]
"""Handles one message: what it returns is ignored, what it raises is a failure."""
AGAIN_S = 1.0
"""When the server could not be told something about a message, it is tried again so many seconds later."""
BREATH = 32
"""After so many messages in a row a handler that never waits for anything lets the event loop go round."""


@dataclass(slots=True)
class Outcomes:
    """What became of messages; see `RunnerStatistics`."""

    handled: int = 0
    failed: int = 0
    redelivered: int = 0
    postponed: int = 0
    dead_lettered: int = 0
    dropped: int = 0


class Executor:
    """Handles the messages of a custody, many at a time.

    Args:
        session: of the consumer that they are from.
        custody: has them.
        handler: see `Handler`.
        retry: see `RetryPolicy`.
        dead_letter: see `DeadLetterPolicy`; None to acknowledge what is given up.

    Attributes:
        outcomes: counted.
    """

    def __init__(
        self,
        session: Session,
        custody: InFlight,
        handler: Handler,
        retry: RetryPolicy,
        dead_letter: DeadLetterPolicy | None,
    ) -> None:
        self._member, self._settler, self._acks = session.member, session.settler, session.acks
        self._custody = custody
        self._handler, self._retry, self._dead_letter = handler, retry, dead_letter
        self._stopping = False
        self._busy = 0
        self._idle = asyncio.Event()
        self.outcomes = Outcomes()

    def stop(self) -> None:
        """No message is begun any more; `work` ends with the one that it has."""
        self._stopping = True
        if not self._busy:
            self._idle.set()

    async def idle(self) -> None:
        """Returns after `stop`, when the messages that were begun have come to an end."""
        await self._idle.wait()

    async def work(self) -> None:
        """Handles one message after the other, until `stop`. Many tasks do this."""
        custody, count = self._custody, 0
        while not self._stopping:
            work = custody.take() or await custody.next()
            self._busy += 1
            try:
                await self._handle(work)
            except ClosedError:
                raise
            except RedisError as error:
                logger.warning("%r: the server could not be told, and will be again: %s", work.message, error)
                custody.later(work, AGAIN_S)
            finally:
                self._busy -= 1
                if self._stopping and not self._busy:
                    self._idle.set()
            count += 1
            if count % BREATH == 0:
                await asyncio.sleep(0)

    async def _handle(self, work: Delivery) -> None:
        message = work.message
        if message.is_lost:
            return self._custody.done(work)
        if work.reason is not None:
            return await self._give_up(work, work.reason)
        if not self._retry.allows(message.delivery_count + (work.state is UNCOUNTED)):
            return await self._give_up(work, work.error or "it was never handled to the end: its consumers died")
        if work.state is UNCOUNTED:
            count = await leases.begin(self._member, message._partition, message._entry_id)
            if count is None:
                self._custody.lose(message._partition, message._entry_id)
                return self._custody.done(work)
            message.delivery_count = count
            work.state = COUNTED
            self.outcomes.redelivered += 1
        work.state = BEGUN
        try:
            await self._handler(message)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the message stays pending
            return await self._failed(work, error)  # something that the handler waited for was cancelled
        except Exception as error:
            return await self._failed(work, error)
        self.outcomes.handled += 1
        if message._state <= LOST:  # else its handler has settled it
            message.ack()
        if work.lane == SUSPECTS:
            await self._acks.flush()  # the next one may kill the process, and this one would have no delivery left
        return self._custody.done(work)

    async def _failed(self, work: Delivery, error: BaseException) -> None:
        message = work.message
        self.outcomes.failed += 1
        logger.warning("the handler failed on %r: %r", message, error, exc_info=error)
        if message.is_settled or message.is_lost:
            return self._custody.done(work)
        work.error = repr(error)
        deliveries = message.delivery_count
        if not self._retry.allows(deliveries + 1):
            return await self._give_up(work, work.error)
        delay_s = self._retry.wait_s(deliveries)
        if not self._stopping:
            if work.lane is None and delay_s * 1000 > self._member.visibility_ms:
                return await self._postpone(work, delay_s)
            work.state = UNCOUNTED
            self._custody.later(work, delay_s)
        return None  # when stopping it is given back with the rest

    async def _postpone(self, work: Delivery, delay_s: float) -> None:
        work.state = UNCOUNTED
        await self.delay(work.message, delay_s)
        self._settler._settle(work.message, GIVEN_BACK)
        self.outcomes.postponed += 1
        self._custody.done(work)

    async def delay(self, message: Message[Any], delay_s: float) -> None:
        """Has a message come again after a time that may be longer than the visibility time-out."""
        await delayed.delay_retry(self._member, message._partition, message._entry_id, int(delay_s * 1000))

    async def _give_up(self, work: Delivery, reason: str) -> None:
        message = work.message
        work.reason = reason
        if self._dead_letter is None:
            logger.error("%r was given up and acknowledged: %s", message, reason)
            self.outcomes.dropped += 1
            message.ack()
        else:
            partition, entry_id = message._partition, message._entry_id
            if await dead_letters.move_to_dead_letters(self._member, partition, entry_id, reason, self._dead_letter):
                logger.error("%r was given up, and is among the dead letters: %s", message, reason)
                self.outcomes.dead_lettered += 1
            self._settler._settle(message, REJECTED)
        self._custody.done(work)
