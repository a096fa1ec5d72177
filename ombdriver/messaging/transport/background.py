"""Work in the background of a client: round after round whatever a round meets, and what fails at present.

Nobody awaits such work, so an error in it has three ways to be heard of: the log, a count, and `Health.check`. No error
ends it, one that nobody expected least of all.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import RedisError

from ombdriver.messaging.errors import ClosedError, MessagingError
from ombdriver.messaging.transport.retry import is_loss

logger = logging.getLogger(__name__)

T = TypeVar("T")

TELL_EVERY = 60
"""Of failures in a row the first one is logged, and each of so many."""


class Health:
    """What fails at present of the work in the background of one client's connections."""

    def __init__(self) -> None:
        self._failing: dict[object, tuple[str, Exception]] = {}

    def __repr__(self) -> str:
        return f"<Health, failing: {[what for what, _ in self._failing.values()]}>"

    def failed(self, work: object, what: str, error: Exception) -> None:
        """`work` met `error`, until `well` is called for it; a lost connection is no fault of the work's.

        Args:
            work: tells one piece of work from others.
            what: the same, for people.
            error: as met.
        """
        if not is_loss(error):
            self._failing[work] = what, error

    def well(self, work: object) -> None:
        """`work` went well, or has ended."""
        self._failing.pop(work, None)

    def check(self) -> None:
        """Does nothing while everything goes well.

        Raises:
            MessagingError: if something fails, with all that does; its cause is the first error.
        """
        if self._failing:
            told = "; ".join(f"{what} fails: {error!r}" for what, error in self._failing.values())
            raise MessagingError(f"{told}; it is tried again, see the log") from next(iter(self._failing.values()))[1]


async def shared(work: "asyncio.Future[T]", why: Callable[[], Exception]) -> T:
    """The outcome of work that others wait for too: a caller that is cancelled does not end it.

    Nor does its end cancel a caller whom nobody cancelled: if the work was cancelled, that raises `why()`.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        caller = asyncio.current_task()
        if work.cancelled() and (caller is None or not caller.cancelling()):
            raise why() from None
        raise


async def run_periodically(
    every_s: float,
    work: Callable[[], Awaitable[object]],
    what: str,
    until: asyncio.Event,
    health: Health,
    on_error: Callable[[Exception], object] = lambda _: None,
) -> None:
    """Does `work`, waits 75 to 125 % of `every_s` seconds, and so on, until `until` is set or the client is closed.

    It never ends in the middle of `work`, unless it is cancelled. The jitter keeps many processes that started together
    from asking together. After an error the next round tries again.

    Args:
        every_s: from the end of a round to the next.
        work: one round.
        what: tells people what it does.
        until: ends it.
        health: is told what fails.
        on_error: is given each error of a round.
    """
    failures, key = 0, object()
    try:
        while not until.is_set():
            try:
                await work()
            except ClosedError:
                return
            except Exception as error:
                failures += 1
                health.failed(key, what, error)
                on_error(error)
                if failures % TELL_EVERY == 1:
                    tell(what, failures, error)
            else:
                failures = 0
                health.well(key)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s * random.uniform(0.75, 1.25)):
                    await until.wait()
    finally:
        health.well(key)


def tell(what: str, failures: int, error: Exception) -> None:
    """Logs a failure; with its trace if it is neither the server's error nor that of a connection."""
    if isinstance(error, RedisError | OSError):
        logger.warning("%s failed (%d times): %s", what, failures, error)
    else:
        logger.error("%s failed (%d times), and is tried again: %r", what, failures, error, exc_info=error)
