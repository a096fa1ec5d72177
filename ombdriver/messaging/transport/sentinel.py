"""Finds the successor of a master that hangs: its open connections tell nothing of a failover.

While the master owes replies the Sentinels are asked; and where a new connection leads tells as well. Connections to
the old master are given up. Knows no command of a caller.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from ombdriver.messaging.transport.channel import Channel, Connect

POLL_S = 0.5
"""Between two questions to the Sentinels, as long as the master hangs."""


class SentinelMonitor:
    """Asks the Sentinels for the master while the known one hangs.

    Args:
        pool: redis-py's pool of the master, which knows the Sentinels.
        channels: gives all channels to the master.
    """

    def __init__(self, pool: Any, channels: Callable[[], Iterable[Channel]]) -> None:
        self._pool, self._channels = pool, channels
        self._polling: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<SentinelMonitor {'polling' if self._polling else 'idle'}>"

    @property
    def is_asking(self) -> bool:
        """Whether the Sentinels are asked at this moment."""
        return self._polling is not None

    def suspect(self) -> None:
        """A connection was lost or owes replies: asks the Sentinels, unless that is under way."""
        if self._polling is None and not self._closed:
            self._polling = asyncio.get_running_loop().create_task(self._poll())
            self._polling.add_done_callback(self._polled)

    def _polled(self, _task: "asyncio.Task[None]") -> None:
        self._polling = None

    async def _poll(self) -> None:
        while any(channel.is_overdue for channel in self._channels()):
            try:
                host, port = await self._pool.sentinel_manager.discover_master(self._pool.service_name)
            except (RedisError, OSError):  # they have not agreed yet
                pass
            else:
                self._is_at((host, port))
            await asyncio.sleep(POLL_S)

    def comparing(self, connect: Connect) -> Connect:
        """`connect`, which makes connections to the master; each new one shows which of the others are out of date."""

        async def compared() -> AbstractConnection:
            connection: Any = await connect()
            self._is_at((connection.host, connection.port))
            return connection  # type: ignore[no-any-return]

        return compared

    def _is_at(self, address: tuple[Any, Any]) -> None:
        """The master is at `address`: channels that are connected to another server reconnect."""
        for channel in self._channels():
            if channel.address not in (None, address):
                channel.reconnect()

    async def aclose(self) -> None:
        """Ends the polling."""
        self._closed = True
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])
