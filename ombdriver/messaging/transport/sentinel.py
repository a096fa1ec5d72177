"""Behind Sentinels: a master that hangs may have a successor, of which the connections that are open tell nothing.

When it owes replies the Sentinels are asked; and what a new connection leads to tells as well. Connections to the old
master are given up. Knows no command of a caller.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from ombdriver.messaging.transport.channel import Channel, Connect

TROUBLE_S = 2.0
"""A master that owes replies for so long is asked for at the Sentinels."""
AGAIN_S = 0.5
"""And again so many seconds later, as long as it goes on so."""


class SentinelMonitor:
    """Looks for the successor of a master that hangs.

    Args:
        pool: redis-py's pool of the master, which knows the Sentinels.
        channels: gives all channels to the master.
    """

    def __init__(self, pool: Any, channels: Callable[[], Iterable[Channel]]) -> None:
        self._pool, self._channels = pool, channels
        self._looking: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Succession {'looking' if self._looking else 'idle'}>"

    def doubt(self) -> None:
        """Some connection was lost or owes replies: looks, unless that is under way."""
        if self._looking is None and not self._closed:
            self._looking = asyncio.get_running_loop().create_task(self._look())
            self._looking.add_done_callback(self._looked)

    def _looked(self, _task: "asyncio.Task[None]") -> None:
        self._looking = None

    async def _look(self) -> None:
        while any(_hangs(channel) for channel in self._channels()):
            try:
                host, port = await self._pool.sentinel_manager.discover_master(self._pool.service_name)
            except (RedisError, OSError):  # they have not agreed yet
                pass
            else:
                self._leads((host, port))
            await asyncio.sleep(AGAIN_S)

    def connecting(self, connect: Connect) -> Connect:
        """`connect`, which makes connections to the master; each new one shows which of the others are out of date."""

        async def compared() -> AbstractConnection:
            connection: Any = await connect()
            self._leads((connection.host, connection.port))
            return connection  # type: ignore[no-any-return]

        return compared

    def _leads(self, address: tuple[Any, Any]) -> None:
        for channel in self._channels():
            if channel.address not in (None, address):
                channel.retire()

    async def aclose(self) -> None:
        """Ends the looking."""
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])


def _hangs(channel: Channel) -> bool:
    return channel.statistics().idle_ns >= TROUBLE_S * 1e9
