"""Calls the handler for messages in hand, and decides what becomes of each: acknowledged, tried again, given up."""

import asyncio
import contextlib
import logging
from typing import Any

from redis.exceptions import RedisError

from ombdriver.messaging.errors import ClosedError
from ombdriver.messaging.topics.consumer import leases
from ombdriver.messaging.topics.consumer.message import GIVEN_BACK, LOST, OPEN, REJECTED, UNCOUNTED, Message
from ombdriver.messaging.topics.consumer.session import Session
from ombdriver.messaging.topics.recovery.dead_letters import DeadLetterPolicy, move_to_dead_letters
from ombdriver.messaging.topics.recovery.delayed import Delayed, delay_retry
from ombdriver.messaging.topics.runner.config import RunnerStatistics
from ombdriver.messaging.topics.runner.context import Handler, begin
from ombdriver.messaging.topics.runner.in_flight import BEGUN, TAKEN, Delivery, InFlight
from ombdriver.messaging.topics.runner.retry import RetryPolicy
from ombdriver.messaging.transport.retry import ENDLESS_BACKOFF, RetryBudget

logger = logging.getLogger(__name__)

MOST_IN_A_ROW = 32
"""After so many messages a handler that never waits for anything lets the event loop go round."""


class Executor:
    """Handles the messages that a runner has in hand, many at a time.

    Args:
        session: of the consumer that they are from.
        in_flight: has them.
        handler: see `context.Handler`.
        retry: see `RetryPolicy`.
        dead_letter: see `DeadLetterPolicy`; None to acknowledge what is given up.
        statistics: counts what becomes of messages.
    """

    def __init__(
        self,
        session: Session,
        in_flight: InFlight,
        handler: Handler,
        retry: RetryPolicy,
        dead_letter: DeadLetterPolicy | None,
        statistics: RunnerStatistics,
    ) -> None:
        self._member, self._acknowledger, self._acks = session.member, session.acknowledger, session.acks
        self._in_flight = in_flight
        self._handler, self._retry, self._dead_letter = handler, retry, dead_letter
        self._statistics = statistics
        self._stopping = False
        self._busy = 0
        self._idle = asyncio.Event()

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
        in_flight, count = self._in_flight, 0
        while not self._stopping:
            delivery = in_flight.take() or await in_flight.next()
            if self._stopping:  # it came while this waited, after the order to stop
                in_flight.put_back(delivery)
                return
            self._busy += 1
            try:
                await self._handle(delivery)
            except ClosedError:
                raise
            except RedisError as error:
                logger.warning(
                    "%r: the server could not be told what became of it, and will be again: %s", delivery.message, error
                )
                delivery.budget = delivery.budget or RetryBudget(lambda _: True, ENDLESS_BACKOFF)
                in_flight.retry_later(delivery, delivery.budget.wait_s(error) or 0.0)
            finally:
                self._busy -= 1
                if self._stopping and not self._busy:
                    self._idle.set()
            count += 1
            if count % MOST_IN_A_ROW == 0:
                await asyncio.sleep(0)

    async def _handle(self, delivery: Delivery) -> None:
        message = delivery.message
        if delivery.give_up_reason is not None:
            return await self._give_up(delivery, delivery.give_up_reason)
        if not self._retry.allows(message.delivery_count):
            reason = delivery.error or "it was never handled to the end: its consumers died"
            return await self._give_up(delivery, reason)
        if message._state != OPEN:
            if not await self._count(message):
                return self._in_flight.done(delivery)
            if self._stopping:  # the order came meanwhile: it is released, and not counted
                return self._in_flight.put_back(delivery)
            message._state = OPEN
            self._statistics.redelivered += 1
        delivery.stage = BEGUN
        try:
            if (handling := begin(self._handler, message)) is not None:
                await handling
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the message stays pending
            return await self._on_failure(delivery, error)  # something that the handler waited for was cancelled
        except Exception as error:
            return await self._on_failure(delivery, error)
        self._statistics.handled += 1
        if message._state <= LOST:  # else its handler has settled it
            message.ack()
        if delivery.is_suspect:
            with contextlib.suppress(RedisError):  # which the session tells, and which says nothing of this message
                await self._acks.flush()  # the next one may kill the process, and this one would have no delivery left
        return self._in_flight.done(delivery)

    async def _count(self, message: Message[Any]) -> bool:
        """Has the server count a delivery before it begins; False if another member has the message."""
        if message.is_lost:
            return False
        partition, entry_id = message._partition, message._entry_id
        if not await leases.begin(self._member, partition, {entry_id: message.delivery_count}):
            self._in_flight.lose(partition, entry_id)
            return False
        return True

    async def _on_failure(self, delivery: Delivery, error: BaseException) -> None:
        message = delivery.message
        self._statistics.failed += 1
        logger.warning("the handler failed on %r: %r", message, error, exc_info=error)
        if message.is_settled or message.is_lost:
            return self._in_flight.done(delivery)
        delivery.error = repr(error)
        deliveries = message.delivery_count
        if not self._retry.allows(deliveries + 1):
            return await self._give_up(delivery, delivery.error)
        delay_s = self._retry.wait_s(deliveries)
        if self._stopping:
            return None  # it is released with the rest
        message.delivery_count += 1
        message._state = UNCOUNTED
        delivery.stage = TAKEN
        if delivery.queue_key is not None or delay_s * 1000 <= self._member.visibility_ms:
            return self._in_flight.retry_later(delivery, delay_s)
        try:
            became = await delay_retry(self._member, message._partition, message._entry_id, int(delay_s * 1000))
        except ClosedError:
            raise
        except RedisError as error:
            logger.warning("%r waits for its retry here, since it can't wait on the server: %s", message, error)
            return self._in_flight.retry_later(delivery, delay_s)
        if became == Delayed.IS_GONE:
            return self._in_flight.retry_later(delivery, delay_s)  # its content is here, and nowhere else
        if became == Delayed.WAITS:
            self._acknowledger.settle(message, GIVEN_BACK)
            self._statistics.postponed += 1
        else:
            self._in_flight.lose(message._partition, message._entry_id)
        return self._in_flight.done(delivery)

    async def _give_up(self, delivery: Delivery, reason: str) -> None:
        message = delivery.message
        if message.is_lost:
            return self._in_flight.done(delivery)
        delivery.give_up_reason = reason
        if self._dead_letter is None:
            logger.error("%r was given up and acknowledged: %s", message, reason)
            self._statistics.dropped += 1
            message.ack()
        else:
            partition, entry_id = message._partition, message._entry_id
            known = delivery.begun_deliveries, message._fields
            if await move_to_dead_letters(self._member, partition, entry_id, reason, self._dead_letter, *known):
                logger.error("%r was given up, and is among the dead letters: %s", message, reason)
                self._statistics.dead_lettered += 1
            self._acknowledger.settle(message, REJECTED)
        return self._in_flight.done(delivery)
