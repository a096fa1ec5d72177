"""Rounds that are made again and again beside a consumer, and go on past errors."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

from ombdriver.messaging.errors import ClosedError

logger = logging.getLogger(__name__)


async def every(
    every_s: float, work: Callable[[], Awaitable[object]], what: str, over: asyncio.Event | None = None
) -> None:
    """Does `work`, waits 75 to 125 % of `every_s` seconds, and so on, until it is cancelled or the client is closed.

    It ends by itself once `over` is set, and never in the middle of `work`.
    The jitter keeps many processes that started together from asking together. An error of the server or of the
    connection is logged, the first one and every sixtieth in a row; the next round tries again.
    """
    failures, over = 0, over or asyncio.Event()
    while not over.is_set():
        try:
            await work()
            failures = 0
        except ClosedError:
            return
        except (RedisError, OSError) as error:
            failures += 1
            if failures % 60 == 1:
                logger.warning("%s failed (%d times in a row): %s", what, failures, error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every_s * random.uniform(0.75, 1.25)):
                await over.wait()
