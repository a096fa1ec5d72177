"""The connections of one client to a cluster: a bulk and a control channel for each primary, made on first use.

The same face as `connection.Channels`, by key. Knows which primary has a key, and follows MOVED, ASK and failovers.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from redis.asyncio import RedisCluster

from ombdriver.messaging.address import check_client
from ombdriver.messaging.channel import Channel
from ombdriver.messaging.channel_statistics import ChannelStatistics, ConnectionStatistics
from ombdriver.messaging.connection import Channels
from ombdriver.messaging.errors import ClosedError, NotSentError
from ombdriver.messaging.following import Backoff, Followed, is_loss
from ombdriver.messaging.refusals import AskError, MovedError, was_not_carried_out
from ombdriver.messaging.resp import pack
from ombdriver.messaging.servers import KeyChannel, Lines, Servers
from ombdriver.messaging.slots import SlotMap, slot_of

KNOWN = 65_536
"""Keys whose channels are remembered, until the map changes."""
_ASKING = pack(("ASKING",))


class ClusterChannels(Channels):
    """As `Channels`, for a cluster; `bulk_for`, `control_for` and `blocking` find the primary of a key.

    Args:
        client: a `redis.asyncio.RedisCluster`; its seeds, login and TLS are taken, and no connection of it is used.
        owns_client: close `client` too.
        max_in_flight: commands that each channel may have without a reply.
        backoff: the policy for reconnecting of blocking reads; None for the usual one.

    Raises:
        AioRedisMQValueError: if `client` is not of a kind that can be used.
    """

    def __init__(
        self, client: Any, *, owns_client: bool, max_in_flight: int = 10_000, backoff: Backoff | None = None
    ) -> None:
        check_client(client)
        self._servers = servers = Servers(client, max_in_flight)
        self._topology = servers.topology
        self._known: dict[bytes, Lines] = {}
        self._known_at = 0
        self._early: list[Followed] = []
        self._finding: asyncio.Task[None] | None = None
        self._begin(
            client,
            servers.channels,
            max_in_flight,
            backoff,
            follows=True,
            decode=bool(client.connection_kwargs.get("decode_responses")),
            pools=[client] if owns_client else [],
            first=servers.topology.aclose,
        )

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else repr(self._topology)
        return f"<ClusterChannels {state} blocking={len(self._blocking)}>"

    @property
    def version(self) -> int:
        """Rises when keys may have moved to other channels."""
        return self._topology.version

    @property
    def slots(self) -> SlotMap | None:
        """See `Channels.slots`."""
        return self._topology.map

    async def ready_for(self, key: bytes | None = None) -> None:
        """See `Channels.ready_for`."""
        self._check_open()
        await self._topology.ready()

    def bulk_for(self, key: bytes) -> Channel:
        """See `Channels.bulk_for`; raises NotSentError before `ready_for`, or if nobody has the key's slot."""
        return self._lines_for(key).bulk

    def bulk_after(self, key: bytes, refusal: BaseException | None) -> tuple[Channel, bytes]:
        """See `Channels.bulk_after`: after ASK, where it says, with ASKING, which holds for a transaction too."""
        if isinstance(refusal, AskError) and not isinstance(refusal, MovedError):
            self._check_open()
            return self._servers.to(self._topology.told(refusal)).bulk, _ASKING
        return self.bulk_for(key), b""

    def control_for(self, key: bytes) -> Channel:
        """See `Channels.control_for`; raises as `bulk_for`."""
        return self._lines_for(key).control

    def _lines_for(self, key: bytes) -> Lines:
        self._check_open()
        topology = self._topology
        if self._known_at != topology.version or len(self._known) >= KNOWN:
            self._known.clear()
            self._known_at = topology.version
        found = self._known.get(key)
        if found is None:
            node = topology.map.node_of(slot_of(key)) if topology.map is not None else None
            if node is None:
                topology.doubt()
                raise NotSentError(
                    "it is not known which server of the cluster has the key; await ready_for(key) first"
                )
            found = self._known[key] = self._servers.to(node)
        return found

    def every_control(self) -> list[Channel]:
        """See `Channels.every_control`."""
        self._check_open()
        slots = self._topology.map
        return [self._servers.to(node).control for node in slots.primaries] if slots is not None else []

    def same_node(self, keys: Iterable[bytes]) -> list[list[bytes]]:
        """See `Channels.same_node`; by slot, since one command can't cover two."""
        groups: dict[int, list[bytes]] = {}
        for key in keys:
            groups.setdefault(slot_of(key), []).append(key)
        return list(groups.values())

    def place(self, key: bytes) -> int:
        """See `Channels.place`: the slot."""
        return slot_of(key)

    def control_beside(self, channel: Channel) -> Channel | None:
        """See `Channels.control_beside`."""
        slots = self._topology.map
        node = channel.node if isinstance(channel, KeyChannel) else None
        return self._servers.to(node).control if node and slots and node in slots.primaries else None

    def blocking(self, key: bytes | None = None) -> KeyChannel:
        """See `Channels.blocking`."""
        self._check_open()
        channel = KeyChannel(key, self._topology, self._servers.connect_to, self._max_in_flight, self._backoff)
        self._blocking.add(channel)
        self._servers.blocking.add(channel)
        return channel

    def carry(self, command: Followed) -> None:
        """See `Channels.carry`; the first command of all looks for the servers, and fails fast."""
        if self._topology.map is None or self._early:  # who comes later overtakes nobody
            self._check_open()
            self._early.append(command)
            if len(self._early) == 1:
                self._finding = asyncio.get_running_loop().create_task(self._find_servers())
        elif isinstance(command.refusal, AskError) and not isinstance(command.refusal, MovedError):
            lines = self._servers.to(self._topology.told(command.refusal))
            channel = lines.bulk if command.bulk else lines.control
            asking = command.get_loop().create_future()
            asking.add_done_callback(lambda done: done.cancelled() or done.exception())  # the command behind it tells
            channel.submit(_ASKING, future=asking)
            channel.submit(command.data, convert=command.convert, future=command)
        else:
            super().carry(command)

    async def _find_servers(self) -> None:
        error: Exception | None = None
        try:
            await self._topology.ready()
        except asyncio.CancelledError:
            error = ClosedError("the client was closed before the command was sent")
        except Exception as fault:
            error = fault
        commands, self._early = self._early, []
        for command in commands:
            if error is not None:
                command.end(error)
            else:
                command.carry()

    def redirect(self, error: BaseException) -> bool:
        """See `Channels.redirect`."""
        topology = self._topology
        if isinstance(error, MovedError):
            topology.moved(error)
        elif not isinstance(error, AskError) and (was_not_carried_out(error) or is_loss(error)):
            topology.doubt()
        return self._is_met() and was_not_carried_out(error)

    def _is_met(self) -> bool:
        return self._topology.map is not None

    def statistics(self) -> ConnectionStatistics:
        """See `Channels.statistics`."""
        lines = self._servers.lines()
        return ConnectionStatistics(
            bulk=ChannelStatistics.together(each.bulk.statistics() for each in lines),
            control=ChannelStatistics.together(each.control.statistics() for each in lines),
            blocking=tuple(channel.statistics() for channel in self._blocking),
        )


def open_channels(
    client: Any, *, owns_client: bool, max_in_flight: int = 10_000, backoff: Backoff | None = None
) -> Channels:
    """The connections of `client`, of the kind that suits it.

    Raises:
        AioRedisMQValueError: if it is not of a kind that can be used.
    """
    kind = ClusterChannels if isinstance(client, RedisCluster) else Channels
    return kind(client, owns_client=owns_client, max_in_flight=max_in_flight, backoff=backoff)
