"""The connections of one client: a channel for bulk sending, one for small commands, any number of blocking ones.

Each has its own connection because replies come in order: an acknowledgement must not wait behind a thousand XADDs,
and nothing may wait behind a blocking read. Rare commands go through a redis-py client. Knows no stream command.
"""

import asyncio
import time
import warnings
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ombdriver.messaging.address import check_client, connector
from ombdriver.messaging.channel import Channel, ChannelStatistics
from ombdriver.messaging.connecting import Backoff
from ombdriver.messaging.errors import ClosedError
from ombdriver.messaging.replies import Codec

T = TypeVar("T")

CLOSE_WAIT_S = 5.0
"""How long closing waits for the replies of what was already sent."""
GUARD_S = 5.0
"""How long past its BLOCK time a blocking read may stay without a reply before the peer is taken for gone."""


@dataclass(frozen=True, slots=True)
class ConnectionStatistics:
    """What the channels of one client have done.

    Attributes:
        bulk: the channel that sends messages.
        control: the channel of acknowledgements and other small commands.
        blocking: one per reader that is in use.
    """

    bulk: ChannelStatistics
    control: ChannelStatistics
    blocking: tuple[ChannelStatistics, ...]


class Channels:
    """All connections of one client, within one event loop. Each channel connects on first use.

    Args:
        client: a redis.asyncio client; its settings are those of all connections.
        owns_client: close `client` too.
        max_in_flight: commands that each channel may have without a reply.

    Attributes:
        bulk: for XADD.
        control: for XACK and other small commands.
        redis: the redis-py client, for rare commands.
        codec: gives str or bytes, as the client's `decode_responses` says.
        users: how many hold this object; whoever takes the last one away closes it.

    Raises:
        AioRedisMQValueError: if `client` is not of a kind that can be used.
    """

    def __init__(self, client: Any, *, owns_client: bool, max_in_flight: int = 10_000) -> None:
        check_client(client)
        self._connect = connector(client)
        self._max_in_flight = max_in_flight
        self._blocking: weakref.WeakSet[Channel] = weakref.WeakSet()
        self.redis = client
        self.codec = Codec(bool(client.connection_pool.connection_kwargs.get("decode_responses")))
        self.bulk = Channel(self._connect, max_in_flight=max_in_flight)
        self.control = Channel(self._connect, max_in_flight=max_in_flight)
        self.users = 0
        self._closing: asyncio.Task[None] | None = None
        pool = client.connection_pool if owns_client else None
        self._open = _Open(asyncio.get_running_loop(), self.bulk, self.control, self._blocking, pool)
        self._finalizer = weakref.finalize(self, _abandon, self._open)
        self._finalizer.atexit = False

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else f"bulk={self.bulk!r} control={self.control!r}"
        return f"<Channels {state} blocking={len(self._blocking)}>"

    @property
    def is_closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._closing is not None

    def id_of(self, reply: bytes | None) -> Any:
        """The reply of XADD in the caller's shape. As a method it keeps this object alive until the reply is there."""
        return reply.decode() if reply is not None and self.codec.decodes else reply

    def bulk_for(self, _key: bytes) -> Channel:
        """The channel that XADDs to `key` go through, at this moment."""
        return self.bulk

    def control_for(self, _key: bytes) -> Channel:
        """The channel that small commands on `key` go through, at this moment."""
        return self.control

    def blocking(self, _key: bytes | None = None) -> Channel:
        """A new channel for one reader, whose BLOCK holds up nobody else; to where `key` is, each time it connects.

        Raises:
            ClosedError: if this was closed.
        """
        if self.is_closed:
            raise ClosedError("the client was closed; make a new one")
        channel = Channel(self._connect, max_in_flight=self._max_in_flight, stall_s=None)
        self._blocking.add(channel)
        return channel

    def statistics(self) -> ConnectionStatistics:
        """The figures of this moment."""
        return ConnectionStatistics(
            bulk=self.bulk.statistics(),
            control=self.control.statistics(),
            blocking=tuple(channel.statistics() for channel in self._blocking),
        )

    async def aclose(self) -> None:
        """Closes every connection, after the replies of what was sent (5 s at most). Blocking reads end with an error.

        A second call waits for the first one.
        """
        if self._closing is None or self._closing.cancelled():  # cancelled: with the other tasks of a loop that ends
            self._finalizer.detach()
            self._closing = asyncio.ensure_future(self._open.close())
        await asyncio.shield(self._closing)


async def repeat(action: Callable[[], Awaitable[T]], within_s: float = 30.0) -> T:
    """Awaits `action()`, up to three times while the connection gets lost. For commands that may be carried out twice.

    Args:
        action: makes the awaitable anew for each attempt.
        within_s: no new attempt after so many seconds.

    Raises:
        redis.exceptions.RedisError: what the last attempt met.
    """
    backoff = Backoff(cap_s=1.0)
    deadline = time.monotonic() + within_s
    for attempt in range(2):
        try:
            return await action()
        except (RedisConnectionError, RedisTimeoutError) as error:
            if isinstance(error, AuthenticationError) or time.monotonic() > deadline:
                raise
        await asyncio.sleep(backoff.wait_s(attempt))
    return await action()


@dataclass(frozen=True, eq=False)
class _Open:
    """What there is to close, without the `Channels` that it belongs to: it may be gone already."""

    loop: asyncio.AbstractEventLoop
    bulk: Channel
    control: Channel
    blocking: "weakref.WeakSet[Channel]"
    pool: Any

    def is_connected(self) -> bool:
        if any(channel.statistics().connected for channel in (self.bulk, self.control, *self.blocking)):
            return True
        return self.pool is not None and bool(self.pool._available_connections or self.pool._in_use_connections)

    async def close(self) -> None:
        steps = [channel.aclose() for channel in list(self.blocking)]
        steps += [channel.aclose(wait_s=CLOSE_WAIT_S) for channel in (self.bulk, self.control)]
        results = await asyncio.gather(*steps, return_exceptions=True)
        if self.pool is not None:
            results += await asyncio.gather(self.pool.aclose(), return_exceptions=True)
        _abandoned.pop(self, None)
        for result in results:
            if isinstance(result, BaseException):
                raise result


_abandoned: dict[_Open, asyncio.Task[None] | None] = {}


def _abandon(parts: _Open) -> None:
    """The last holder is gone without closing: no connection may stay open for the rest of the loop's life."""
    if parts.loop.is_closed() or not parts.is_connected():
        return
    _abandoned[parts] = None

    def close() -> None:
        if parts in _abandoned:
            _abandoned[parts] = parts.loop.create_task(parts.close())

    parts.loop.call_soon_threadsafe(close)
    warnings.warn("a client was dropped without aclose(); its connections are being closed", ResourceWarning, 2)


async def close_abandoned() -> None:
    """Closes what clients of this loop left open that were dropped. A task for it may have been cancelled before."""
    loop = asyncio.get_running_loop()
    for parts in list(_abandoned):
        if parts.loop is loop:
            await parts.close()
        elif parts.loop.is_closed():
            _abandoned.pop(parts, None)
