"""How a channel gets its next connection, and how it learns that the peer has gone quiet.

The policy of reconnecting is here and nowhere else: redis-py's own retries are switched off.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from ombdriver.messaging.errors import NotSentError
from ombdriver.messaging.following import Backoff
from ombdriver.messaging.wire import Wire

logger = logging.getLogger(__name__)

Connect = Callable[[], Awaitable[AbstractConnection]]
"""Gives a new redis-py connection of its own, connected, with protocol 2 and no retries."""


async def dial(connect: Connect, new_wire: Callable[[], Wire], backoff: Backoff, *, patient: bool) -> Wire:
    """A wire on a new connection.

    Args:
        connect: makes the connection.
        new_wire: makes the wire that takes it over.
        backoff: the waits between attempts.
        patient: go on after a failure, for `backoff.give_up_s` seconds; but not when the login is refused.

    Raises:
        NotSentError: if no connection could be made.
        redis.exceptions.RedisError: if the server refused, such as `AuthenticationError`.
    """
    deadline = time.monotonic() + backoff.give_up_s
    attempt = 0
    while True:
        try:
            connection = await connect()
            wire = new_wire()
            try:
                wire.adopt(connection)
            except BaseException:
                await connection.disconnect(nowait=True)
                raise
        except (RedisError, OSError) as error:
            hopeless = not patient or isinstance(error, AuthenticationError)
            if hopeless or time.monotonic() >= deadline:
                raise connect_error(error) from error
            await asyncio.sleep(backoff.wait_s(attempt))
            attempt += 1
            continue
        return wire


def connect_error(error: Exception) -> Exception:
    """A refusal by the server keeps its class, so that callers can tell a wrong password from an absent server."""
    if not isinstance(error, RedisConnectionError | OSError) or isinstance(error, AuthenticationError):
        return error
    return NotSentError(f"{str(error).rstrip('.')}; is the server up, and the URL right?")


def warn_of_stall(wire: Wire) -> None:
    """Says in the log that the peer owes replies."""
    waited_s = (time.monotonic_ns() - wire.progress_ns) / 1e9
    logger.warning("the server has owed %d replies for %.0f s", wire.in_flight, waited_s)


def watch_for_stalls(wire: Wire, after_s: float, tell: Callable[[Wire], None] = warn_of_stall) -> None:
    """Tells, once for each stall, when `wire` has waited `after_s` seconds for the reply that is due next."""
    loop = asyncio.get_running_loop()
    told_ns = 0

    def look() -> None:
        nonlocal told_ns
        if wire.is_lost:
            return
        since_ns = wire.progress_ns
        waited_s = (time.monotonic_ns() - since_ns) / 1e9
        if wire.in_flight and waited_s >= after_s and told_ns != since_ns:
            told_ns = since_ns
            tell(wire)
        loop.call_later(after_s / 2, look)

    loop.call_later(after_s / 2, look)
