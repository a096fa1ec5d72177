"""Routes of a client that has a cluster: channels to each primary, made on first use, and channels that follow a key.

Knows which primary has a key, and follows MOVED, ASK and failovers. Sends no command of a caller, and refers to no
`Router`, so that one that is dropped is noticed.
"""

import weakref
from dataclasses import replace
from functools import partial

from redis.asyncio import RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from ombdriver.messaging.errors import NotSentError
from ombdriver.messaging.transport.channel import Channel, NodeChannels, Tally
from ombdriver.messaging.transport.connection import REPLY_DEADLINE_S
from ombdriver.messaging.transport.factory import node_connection_factory
from ombdriver.messaging.transport.retry import (
    AskError,
    Backoff,
    MovedError,
    is_ask,
    is_loss,
    is_of_wrong_server,
    is_unreached,
    was_not_carried_out,
)
from ombdriver.messaging.transport.topology import ConnectTo, Node, SlotMap, Topology, slot_of

RECONNECT = Backoff(give_up_s=2.0)
"""The usual policy for commands. One waits no longer for a primary that can't be reached: by then it may be due at
another one."""
MOST_KEYS = 65_536
"""Keys whose channels are remembered, until the map changes."""


class ClusterRoutes:
    """Each key is on the primary that has its slot (`resources.Routes`).

    Args:
        client: a `redis.asyncio.RedisCluster`; its seeds, login and TLS are taken, and no connection of it is used.
        max_in_flight: commands that each channel may have without a reply.
        backoff: the policy for reconnecting, but for how long a command waits; None for the usual one.
        deadline_s: as for `Channel`.

    Attributes:
        leaving: the channels to servers that have left and may still owe replies.
        tallies: what all channels that ever were have counted: for bulk sending, for small commands, of readers.
        blocking: the channels of readers in use.
    """

    may_move = True

    def __init__(self, client: RedisCluster, max_in_flight: int, backoff: Backoff | None, deadline_s: float) -> None:
        self._connect_to_any = node_connection_factory(client)
        self._max_in_flight, self._backoff, self._deadline_s = max_in_flight, backoff, deadline_s
        self._reconnect = RECONNECT if backoff is None else replace(backoff, give_up_s=RECONNECT.give_up_s)
        self._nodes: dict[Node, NodeChannels] = {}
        self._by_key: dict[bytes, NodeChannels] = {}
        self._by_key_version = 0
        self.leaving: list[NodeChannels] = []
        self.tallies = Tally(), Tally(), Tally()
        self.blocking: weakref.WeakSet[KeyChannel] = weakref.WeakSet()
        self._seeds = seeds = [Node(node.host, int(node.port)) for node in client.startup_nodes]
        remap = client.nodes_manager.remap_host_port
        self._topology = Topology(seeds, self._connect_to, self._changed, lambda node: Node(*remap(*node)))

    def __repr__(self) -> str:
        return f"<ClusterRoutes {self._topology!r}>"

    async def _connect_to(self, host: str, port: int) -> AbstractConnection:
        """A connection; where it fails, the error says which server told an address that the user did not give."""
        node, told_by = Node(host, port), self._topology.informant
        try:
            return await self._connect_to_any(host, port)
        except RedisError as error:
            if told_by is None or node in self._seeds or not is_unreached(error):
                raise
            raise type(error)(f"{node}, a server of the cluster, as {told_by} tells: {error}") from error

    @property
    def version(self) -> int:
        """Rises when keys may have moved to other channels."""
        return self._topology.version

    @property
    def slots(self) -> SlotMap | None:
        """Which primary has which slots; None before `discover`."""
        return self._topology.map

    @property
    def is_discovered(self) -> bool:
        """Whether it is known where keys are."""
        return self._topology.map is not None

    @property
    def is_asking(self) -> bool:
        """Whether servers are asked where keys are."""
        return self._topology.is_asking

    @property
    def was_reached(self) -> bool:
        """Whether a server of the cluster was ever reached."""
        return self._topology.map is not None

    async def discover(self) -> None:
        """Asks the servers where keys are, unless that is known; fails fast.

        Raises:
            NotSentError: if no server could be asked; its cause says why.
            redis.exceptions.RedisError: if they refused, such as `AuthenticationError`.
        """
        await self._topology.discover()

    def node_of(self, key: bytes) -> NodeChannels:
        """The channels to the primary of `key`.

        Raises:
            NotSentError: before `discover`, or if nobody has the key's slot.
        """
        topology = self._topology
        if self._by_key_version != topology.version or len(self._by_key) >= MOST_KEYS:
            self._by_key.clear()
            self._by_key_version = topology.version
        found = self._by_key.get(key)
        if found is None:
            node = topology.map.node_of(slot_of(key)) if topology.map is not None else None
            if node is None:
                topology.suspect()
                raise NotSentError("it is not known which server of the cluster has the key; await discover() first")
            found = self._by_key[key] = self._to(node)
        return found

    def node_after(self, key: bytes, error: BaseException | None) -> tuple[NodeChannels, bool]:
        """The channels for commands on `key` that met `error`: after ASK those that it names, with ASKING first."""
        if is_ask(error):
            assert isinstance(error, AskError)
            return self._to(self._topology.target(error)), True
        return self.node_of(key), False

    def slot(self, key: bytes) -> int:
        """The slot of `key`: one command can't cover two slots."""
        return slot_of(key)

    def nodes(self) -> list[NodeChannels]:
        """The channels to each primary that is known."""
        slots = self._topology.map
        return [self._to(node) for node in slots.primaries] if slots is not None else []

    def used_nodes(self) -> list[NodeChannels]:
        """The channels that were made so far."""
        return list(self._nodes.values())

    def control_of(self, channel: Channel) -> Channel | None:
        """The control channel to the primary that `channel` is connected to."""
        slots = self._topology.map
        node = channel.node if isinstance(channel, KeyChannel) else None
        return self._to(node).control if node and slots and node in slots.primaries else None

    def new_blocking(self, key: bytes | None) -> "KeyChannel":
        """A new channel for one reader, to where `key` is, each time it connects."""
        settings = self._max_in_flight, self._backoff, min(self._deadline_s, REPLY_DEADLINE_S), self.tallies[2]
        channel = KeyChannel(key, self._topology, self._connect_to, *settings)
        self.blocking.add(channel)
        return channel

    def learn(self, error: BaseException) -> bool:
        """See `Router.learn`: refreshes what is known of the servers."""
        topology = self._topology
        if isinstance(error, MovedError):
            topology.moved(error)
        elif not isinstance(error, AskError) and (was_not_carried_out(error) or is_loss(error)):
            topology.suspect()
        return self.was_reached and was_not_carried_out(error)

    def lasting(self) -> list[Channel]:
        """Bulk and control of each primary, and those of servers that have left and may still owe replies."""
        return [channel for node in (*self.leaving, *self._nodes.values()) for channel in node]

    async def aclose(self) -> None:
        """Ends the refresh of the map."""
        await self._topology.aclose()

    def _to(self, node: Node) -> NodeChannels:
        found = self._nodes.get(node)
        if found is None:
            bulk, control = (
                Channel(
                    partial(self._connect_to, *node),
                    max_in_flight=self._max_in_flight,
                    backoff=self._reconnect,
                    deadline_s=self._deadline_s,
                    on_suspect=partial(self._topology.suspect, node),
                    tally=tally,
                )
                for tally in self.tallies[:2]
            )
            found = self._nodes[node] = NodeChannels(bulk, control)
        return found

    def _changed(self, old: SlotMap | None, new: SlotMap) -> None:
        """Ends the channels to servers that were primaries and are none any more."""
        self.leaving = [each for each in self.leaving if each.bulk.is_open or each.control.is_open]
        for node in set(old.primaries if old else ()) - set(new.primaries):
            if (left := self._nodes.pop(node, None)) is not None:
                left.bulk.drain()
                left.control.drain()
                self.leaving.append(left)
            for reading in list(self.blocking):
                if reading.node == node:
                    reading.reconnect()


class KeyChannel(Channel):
    """A channel that goes to where one key is, each time it connects; after ASK it says ASKING first.

    Args:
        key: which; None for any primary.
        topology: knows where it is.
        connect_to: makes a connection.
        max_in_flight: as for `Channel`.
        backoff: as for `Channel`.
        deadline_s: as for `Channel`.
        tally: as for `Channel`.

    Attributes:
        node: where it last connected to.
    """

    def __init__(
        self,
        key: bytes | None,
        topology: Topology,
        connect_to: ConnectTo,
        max_in_flight: int,
        backoff: Backoff | None,
        deadline_s: float,
        tally: Tally,
    ) -> None:
        super().__init__(
            self._find,
            max_in_flight=max_in_flight,
            backoff=backoff,
            deadline_s=deadline_s,
            is_wrong_server=self._is_elsewhere,
            tally=tally,
        )
        self._slot = None if key is None else slot_of(key)
        self._topology, self._connect_to = topology, connect_to
        self._asked: Node | None = None
        self.node: Node | None = None

    def _is_elsewhere(self, error: Exception) -> bool:
        if isinstance(error, MovedError):
            self._topology.moved(error)
        elif isinstance(error, AskError):
            self._asked = self._topology.target(error)
        else:
            return is_of_wrong_server(error)
        return True

    async def _find(self) -> AbstractConnection:
        slots = await self._topology.discover()
        asked, self._asked = self._asked, None
        node = asked or (slots.primaries[0] if self._slot is None else slots.node_of(self._slot))
        if node is None:
            self._topology.suspect()
            raise NotSentError("no server of the cluster has the key's slot; see CLUSTER INFO")
        try:
            connection = await self._connect_to(*node)
            if asked is not None:
                await connection.send_command("ASKING")
                await connection.read_response()
        except BaseException as error:
            if isinstance(error, Exception):
                self._topology.suspect(node)
            raise
        self.node = node
        return connection
