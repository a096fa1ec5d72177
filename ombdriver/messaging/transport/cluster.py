"""The connections of one client to a cluster: a bulk and a control channel for each primary, made on first use.

The same face as `connection.Router`, by key. Knows which primary has a key, and follows MOVED, ASK and failovers.

The channels to the servers of a cluster: two to each primary, and those that follow one key.

Refers to no `ClusterRouter`, so that one that is dropped is noticed.
"""

import asyncio
import weakref
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

from redis.asyncio import RedisCluster
from redis.asyncio.connection import AbstractConnection

from ombdriver.messaging.errors import ClosedError, NotSentError
from ombdriver.messaging.transport.channel import Channel, ChannelStatistics, ConnectionStatistics
from ombdriver.messaging.transport.connection import pack
from ombdriver.messaging.transport.factory import check_client, cluster_connector
from ombdriver.messaging.transport.retry import (
    AskError,
    Backoff,
    MovedError,
    RetryingCommand,
    is_loss,
    is_of_wrong_server,
    was_not_carried_out,
)
from ombdriver.messaging.transport.standalone import Router
from ombdriver.messaging.transport.topology import ConnectTo, Node, SlotMap, Topology, slot_of

TROUBLE_S = 2.0
"""A primary that owes replies for so long is asked whether it is still there."""
RECONNECT = Backoff(give_up_s=2.0)
"""A command waits no longer for a primary that can't be reached: by then it may be due at another one."""


class NodeChannels(NamedTuple):
    """The channels to one server."""

    bulk: Channel
    control: Channel


class KeyChannel(Channel):
    """A channel that goes to where one key is, each time it connects; after ASK it says ASKING first.

    Attributes:
        node: where it last connected to.
    """

    def __init__(
        self,
        key: bytes | None,
        topology: Topology,
        connect_to: ConnectTo,
        max_in_flight: int,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(
            self._find, max_in_flight=max_in_flight, stall_s=None, backoff=backoff, is_over=self._is_elsewhere
        )
        self._slot = None if key is None else slot_of(key)
        self._topology, self._connect_to = topology, connect_to
        self._asked: Node | None = None
        self.node: Node | None = None

    def _is_elsewhere(self, error: Exception) -> bool:
        if isinstance(error, AskError):
            if isinstance(error, MovedError):
                self._topology.moved(error)
            else:
                self._asked = self._topology.told(error)
            return True
        return is_of_wrong_server(error)

    async def _find(self) -> AbstractConnection:
        slots = await self._topology.discover()
        asked, self._asked = self._asked, None
        node = asked or (slots.primaries[0] if self._slot is None else slots.node_of(self._slot))
        if node is None:
            self._topology.doubt()
            raise NotSentError("no server of the cluster has the key's slot; see CLUSTER INFO")
        try:
            connection = await self._connect_to(*node)
            if asked is not None:
                await connection.send_command("ASKING")
                await connection.read_response()
        except BaseException as error:
            if isinstance(error, Exception):
                self._topology.doubt(node)
            raise
        self.node = node
        return connection


class Servers:
    """The channels to the servers of a cluster. Refers to no `ClusterRouter`, so that a dropped one is noticed."""

    def __init__(self, client: RedisCluster, max_in_flight: int) -> None:
        self.connect_to = cluster_connector(client)
        self._max_in_flight = max_in_flight
        self._lines: dict[Node, NodeChannels] = {}
        self._leaving: list[Channel] = []
        self.blocking: weakref.WeakSet[KeyChannel] = weakref.WeakSet()
        seeds = [Node(node.host, int(node.port)) for node in client.startup_nodes]
        remap = client.nodes_manager.remap_host_port
        self.topology = Topology(seeds, self.connect_to, self._changed, lambda node: Node(*remap(*node)))

    def channels(self) -> list[Channel]:
        """All of them, and those that have left and may still get replies."""
        return [*self._leaving, *(channel for lines in self._lines.values() for channel in lines)]

    def lines(self) -> list[NodeChannels]:
        """Those of each server that is in use."""
        return list(self._lines.values())

    def to(self, node: Node) -> NodeChannels:
        """The channels to `node`."""
        found = self._lines.get(node)
        if found is None:
            trouble = partial(self.topology.doubt, node)
            bulk, control = (
                Channel(
                    partial(self.connect_to, *node),
                    max_in_flight=self._max_in_flight,
                    backoff=RECONNECT,
                    on_trouble=trouble,
                    trouble_s=TROUBLE_S,
                )
                for _ in range(2)
            )
            found = self._lines[node] = NodeChannels(bulk, control)
        return found

    def _changed(self, old: SlotMap | None, new: SlotMap) -> None:
        """Ends the channels to servers that were primaries and are none any more."""
        self._leaving = [channel for channel in self._leaving if channel.statistics().in_flight]
        for node in set(old.primaries if old else ()) - set(new.primaries):
            for channel in self._lines.pop(node, ()):
                channel.leave()
                self._leaving.append(channel)
            for reading in list(self.blocking):
                if reading.node == node:
                    reading.retire()


KNOWN = 65_536
"""Keys whose channels are remembered, until the map changes."""
_ASKING = pack(("ASKING",))


class ClusterRouter(Router):
    """As `Router`, for a cluster; `bulk_for`, `control_for` and `blocking` find the primary of a key.

    Args:
        client: a `redis.asyncio.RedisCluster`; its seeds, login and TLS are taken, and no connection of it is used.
        owns_client: close `client` too.
        max_in_flight: commands that each channel may have without a reply.
        backoff: the policy for reconnecting of blocking reads; None for the usual one.

    Raises:
        MessagingValueError: if `client` is not of a kind that can be used.
    """

    def __init__(
        self, client: Any, *, owns_client: bool, max_in_flight: int = 10_000, backoff: Backoff | None = None
    ) -> None:
        check_client(client)
        self._servers = servers = Servers(client, max_in_flight)
        self._topology = servers.topology
        self._known: dict[bytes, NodeChannels] = {}
        self._known_at = 0
        self._early: list[RetryingCommand] = []
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
        """See `Router.slots`."""
        return self._topology.map

    async def discover(self) -> None:
        """See `Router.discover`."""
        self._check_open()
        await self._topology.discover()

    def bulk_for(self, key: bytes) -> Channel:
        """See `Router.bulk_for`; raises NotSentError before `discover`, or if nobody has the key's slot."""
        return self._lines_for(key).bulk

    def bulk_route(self, key: bytes, refusal: BaseException | None) -> tuple[Channel, bytes]:
        """See `Router.bulk_route`: after ASK, where it says, with ASKING, which holds for a transaction too."""
        if isinstance(refusal, AskError) and not isinstance(refusal, MovedError):
            self._check_open()
            return self._servers.to(self._topology.told(refusal)).bulk, _ASKING
        return self.bulk_for(key), b""

    def control_for(self, key: bytes) -> Channel:
        """See `Router.control_for`; raises as `bulk_for`."""
        return self._lines_for(key).control

    def _lines_for(self, key: bytes) -> NodeChannels:
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

    def controls(self) -> list[Channel]:
        """See `Router.controls`."""
        self._check_open()
        slots = self._topology.map
        return [self._servers.to(node).control for node in slots.primaries] if slots is not None else []

    def by_slot(self, keys: Iterable[bytes]) -> list[list[bytes]]:
        """See `Router.by_slot`; by slot, since one command can't cover two."""
        groups: dict[int, list[bytes]] = {}
        for key in keys:
            groups.setdefault(slot_of(key), []).append(key)
        return list(groups.values())

    def place(self, key: bytes) -> int:
        """See `Router.place`: the slot."""
        return slot_of(key)

    def control_of(self, channel: Channel) -> Channel | None:
        """See `Router.control_of`."""
        slots = self._topology.map
        node = channel.node if isinstance(channel, KeyChannel) else None
        return self._servers.to(node).control if node and slots and node in slots.primaries else None

    def blocking(self, key: bytes | None = None) -> KeyChannel:
        """See `Router.blocking`."""
        self._check_open()
        channel = KeyChannel(key, self._topology, self._servers.connect_to, self._max_in_flight, self._backoff)
        self._blocking.add(channel)
        self._servers.blocking.add(channel)
        return channel

    def dispatch(self, command: RetryingCommand) -> None:
        """See `Router.dispatch`; the first command of all looks for the servers, and fails fast."""
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
            super().dispatch(command)

    async def _find_servers(self) -> None:
        error: Exception | None = None
        try:
            await self._topology.discover()
        except asyncio.CancelledError:
            error = ClosedError("the client was closed before the command was sent")
        except Exception as fault:
            error = fault
        commands, self._early = self._early, []
        for command in commands:
            if error is not None:
                command.end(error)
            else:
                command.dispatch()

    def learn(self, error: BaseException) -> bool:
        """See `Router.learn`."""
        topology = self._topology
        if isinstance(error, MovedError):
            topology.moved(error)
        elif not isinstance(error, AskError) and (was_not_carried_out(error) or is_loss(error)):
            topology.doubt()
        return self._is_met() and was_not_carried_out(error)

    def _is_met(self) -> bool:
        return self._topology.map is not None

    def statistics(self) -> ConnectionStatistics:
        """See `Router.statistics`."""
        lines = self._servers.lines()
        return ConnectionStatistics(
            bulk=ChannelStatistics.together(each.bulk.statistics() for each in lines),
            control=ChannelStatistics.together(each.control.statistics() for each in lines),
            blocking=tuple(channel.statistics() for channel in self._blocking),
        )


def open_router(
    client: Any, *, owns_client: bool, max_in_flight: int = 10_000, backoff: Backoff | None = None
) -> Router:
    """The connections of `client`, of the kind that suits it.

    Raises:
        MessagingValueError: if it is not of a kind that can be used.
    """
    kind = ClusterRouter if isinstance(client, RedisCluster) else Router
    return kind(client, owns_client=owns_client, max_in_flight=max_in_flight, backoff=backoff)
