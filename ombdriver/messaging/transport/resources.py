"""What a client has open, and that it gets closed: by its holder, or when the last holder is gone without closing.

Knows when a loop may still close something; no server and no command.
"""

import asyncio
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ombdriver.messaging.transport.cluster import ClusterRoutes
from ombdriver.messaging.transport.standalone import StandaloneRoutes

CLOSE_WAIT_S = 5.0
"""How long closing waits for the replies of what was already sent."""


Routes = StandaloneRoutes | ClusterRoutes
"""Which channels a key has: the strategy of a `router.Router`."""


@dataclass(frozen=True, eq=False)
class Resources:
    """What there is to close, without a reference to its holder, who may be gone already.

    Attributes:
        loop: the event loop that all of it belongs to.
        routes: have the channels, and what works in the background.
        pools: redis-py's pools and clients, to be closed too.
    """

    loop: asyncio.AbstractEventLoop
    routes: Routes
    pools: Collection[Any]

    def is_connected(self) -> bool:
        """Whether any connection is open."""
        if any(channel.statistics().connected for channel in (*self.routes.lasting(), *self.routes.blocking)):
            return True
        return any(
            getattr(pool, "_available_connections", None) or getattr(pool, "_in_use_connections", None)
            for pool in self.pools
        )

    def is_at_work(self) -> bool:
        """Whether a connection is being made, or servers are asked where keys are: a task of the loop does that."""
        channels = (*self.routes.lasting(), *self.routes.blocking)
        return self.routes.is_asking or any(channel.is_connecting for channel in channels)

    async def close(self) -> None:
        """Closes all of it; what one part raises does not keep the others open."""
        await self.routes.aclose()
        steps = [channel.aclose() for channel in list(self.routes.blocking)]
        steps += [channel.aclose(wait_s=CLOSE_WAIT_S) for channel in self.routes.lasting()]
        results = await asyncio.gather(*steps, return_exceptions=True)
        results += await asyncio.gather(*(pool.aclose() for pool in self.pools), return_exceptions=True)
        _abandoned.pop(self, None)
        for result in results:
            if isinstance(result, BaseException):
                raise result


_abandoned: dict[Resources, asyncio.Task[None] | None] = {}


def abandon(resources: Resources) -> None:
    """The last holder is gone without closing: no connection may stay open, and no task go on, for want of a holder."""
    if resources.loop.is_closed():
        return
    is_connected = resources.is_connected()
    if not is_connected and not resources.is_at_work():
        return
    _abandoned[resources] = None

    def close() -> None:
        if resources in _abandoned:
            _abandoned[resources] = resources.loop.create_task(resources.close())

    resources.loop.call_soon_threadsafe(close)
    if is_connected:
        warnings.warn("a client was dropped without aclose(); its connections are being closed", ResourceWarning, 2)


async def close_abandoned() -> None:
    """Closes what dropped clients of this loop left open. A task for it may have been cancelled before."""
    loop = asyncio.get_running_loop()
    for resources in list(_abandoned):
        if resources.loop is loop:
            await resources.close()
        elif resources.loop.is_closed():
            _abandoned.pop(resources, None)
