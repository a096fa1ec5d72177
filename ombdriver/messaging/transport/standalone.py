"""Routes of a client that has one server: a plain one, or the master that Sentinels watch.

A channel for bulk sending, one for small commands, any number of blocking ones. Knows no command of a caller.
"""

import weakref
from functools import partial
from typing import Any

from redis.asyncio.sentinel import SentinelConnectionPool

from ombdriver.messaging.errors import NotSentError
from ombdriver.messaging.transport.channel import Channel, NodeChannels, Tally
from ombdriver.messaging.transport.connection import REPLY_DEADLINE_S
from ombdriver.messaging.transport.factory import connection_factory
from ombdriver.messaging.transport.retry import Backoff, was_not_carried_out
from ombdriver.messaging.transport.sentinel import SentinelMonitor


class StandaloneRoutes:
    """All keys are on one server (`resources.Routes`).

    Args:
        client: a redis.asyncio client, also one from Sentinel.master_for.
        max_in_flight: commands that each channel may have without a reply.
        backoff: the policy for reconnecting; None for the usual one.
        deadline_s: as for `Channel`.

    Attributes:
        leaving: none; the server stays.
        tallies: what all channels that ever were have counted: for bulk sending, for small commands, of readers.
        blocking: the channels of readers in use.
    """

    version = 0
    slots = None
    leaving = ()

    def __init__(self, client: Any, max_in_flight: int, backoff: Backoff | None, deadline_s: float) -> None:
        pool = client.connection_pool
        self.may_move = isinstance(pool, SentinelConnectionPool) and pool.is_master
        self._connect = connection_factory(client)
        self._monitor = SentinelMonitor(pool, self._all) if self.may_move else None
        if self._monitor is not None:
            self._connect = self._monitor.comparing(self._connect)
        on_suspect = self._monitor.suspect if self._monitor is not None else None
        self._new_channel = partial(
            Channel, self._connect, max_in_flight=max_in_flight, backoff=backoff, deadline_s=deadline_s
        )
        self._read_deadline_s = min(deadline_s, REPLY_DEADLINE_S)
        self.tallies = Tally(), Tally(), Tally()
        self._node = NodeChannels(
            *(self._new_channel(on_suspect=on_suspect, tally=tally) for tally in self.tallies[:2])
        )
        self.blocking: weakref.WeakSet[Channel] = weakref.WeakSet()

    def __repr__(self) -> str:
        return f"<StandaloneRoutes bulk={self._node.bulk!r} control={self._node.control!r}>"

    @property
    def is_discovered(self) -> bool:
        """Always: there is nothing to find."""
        return True

    @property
    def is_asking(self) -> bool:
        """Whether Sentinels are asked where the master is."""
        return self._monitor is not None and self._monitor.is_asking

    @property
    def was_reached(self) -> bool:
        """Whether there was ever a connection."""
        return any(channel.has_connected for channel in self._all())

    async def discover(self) -> None:
        """Nothing to find."""

    def node_of(self, _key: bytes) -> NodeChannels:
        """The channels to the server."""
        return self._node

    def node_after(self, _key: bytes, _error: BaseException | None) -> tuple[NodeChannels, bool]:
        """As `node_of`; the server redirects to no other one."""
        return self._node, False

    def slot(self, _key: bytes) -> int:
        """The same for all keys: one command may cover any of them."""
        return 0

    def nodes(self) -> list[NodeChannels]:
        """The server."""
        return [self._node]

    def used_nodes(self) -> list[NodeChannels]:
        """The server."""
        return [self._node]

    def control_of(self, channel: Channel) -> Channel | None:
        """The control channel, unless it may be connected to another master than `channel` is."""
        control = self._node.control
        same = not self.may_move or (channel.address is not None and channel.address == control.address)
        return control if same else None

    def new_blocking(self, _key: bytes | None) -> Channel:
        """A new channel for one reader."""
        channel = self._new_channel(tally=self.tallies[2], deadline_s=self._read_deadline_s)
        self.blocking.add(channel)
        return channel

    def learn(self, error: BaseException) -> bool:
        """See `Router.learn`: the first connection fails fast, later ones are worth waiting for."""
        return was_not_carried_out(error) and (self.was_reached or not isinstance(error, NotSentError))

    def lasting(self) -> NodeChannels:
        """Bulk and control."""
        return self._node

    def _all(self) -> list[Channel]:
        return [*self._node, *self.blocking]

    async def aclose(self) -> None:
        """Asks the Sentinels nothing more."""
        if self._monitor is not None:
            await self._monitor.aclose()
