"""What is open, and that it gets closed: by its holder, or when the last holder is gone without closing.

Knows channels and when a loop may still close them; no server and no command.
"""

import asyncio
import warnings
import weakref
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from ombdriver.messaging.channel import Channel

CLOSE_WAIT_S = 5.0
"""How long closing waits for the replies of what was already sent."""


@dataclass(frozen=True, eq=False)
class Open:
    """What there is to close, without the object that it belongs to: it may be gone already.

    Attributes:
        loop: the loop that all of it belongs to.
        lasting: gives the channels whose replies are waited for.
        blocking: the channels that are cut short.
        pools: redis-py's pools, to be closed too.
        first: ends what works in the background, before all else.
    """

    loop: asyncio.AbstractEventLoop
    lasting: Callable[[], Iterable[Channel]]
    blocking: "weakref.WeakSet[Channel]"
    pools: Collection[Any] = ()
    first: Callable[[], Awaitable[None]] | None = None

    def is_connected(self) -> bool:
        """Whether any connection is open."""
        if any(channel.statistics().connected for channel in (*self.lasting(), *self.blocking)):
            return True
        return any(
            getattr(pool, "_available_connections", None) or getattr(pool, "_in_use_connections", None)
            for pool in self.pools
        )

    async def close(self) -> None:
        """Closes all of it; what one part raises does not keep the others open."""
        if self.first is not None:
            await self.first()
        steps = [channel.aclose() for channel in list(self.blocking)]
        steps += [channel.aclose(wait_s=CLOSE_WAIT_S) for channel in self.lasting()]
        results = await asyncio.gather(*steps, return_exceptions=True)
        results += await asyncio.gather(*(pool.aclose() for pool in self.pools), return_exceptions=True)
        _abandoned.pop(self, None)
        for result in results:
            if isinstance(result, BaseException):
                raise result


_abandoned: dict[Open, asyncio.Task[None] | None] = {}


def abandon(parts: Open) -> None:
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
