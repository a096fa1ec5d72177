"""The channels to the servers of a cluster: two to each primary, and those that follow one key.

Refers to no `ClusterChannels`, so that one that is dropped is noticed.
"""

import weakref
from functools import partial
from typing import NamedTuple

from redis.asyncio import RedisCluster
from redis.asyncio.connection import AbstractConnection

from ombdriver.messaging.channel import Channel
from ombdriver.messaging.connector import cluster_connector
from ombdriver.messaging.errors import NotSentError
from ombdriver.messaging.following import Backoff
from ombdriver.messaging.refusals import AskError, MovedError, is_of_wrong_server
from ombdriver.messaging.slots import Node, SlotMap, slot_of
from ombdriver.messaging.topology import ConnectTo, Topology

TROUBLE_S = 2.0
"""A primary that owes replies for so long is asked whether it is still there."""
RECONNECT = Backoff(give_up_s=2.0)
"""A command waits no longer for a primary that can't be reached: by then it may be due at another one."""


class Lines(NamedTuple):
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
        slots = await self._topology.ready()
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
    """The channels to the servers of a cluster. Refers to no `ClusterChannels`, so that a dropped one is noticed."""

    def __init__(self, client: RedisCluster, max_in_flight: int) -> None:
        self.connect_to = cluster_connector(client)
        self._max_in_flight = max_in_flight
        self._lines: dict[Node, Lines] = {}
        self._leaving: list[Channel] = []
        self.blocking: weakref.WeakSet[KeyChannel] = weakref.WeakSet()
        seeds = [Node(node.host, int(node.port)) for node in client.startup_nodes]
        remap = client.nodes_manager.remap_host_port
        self.topology = Topology(seeds, self.connect_to, self._changed, lambda node: Node(*remap(*node)))

    def channels(self) -> list[Channel]:
        """All of them, and those that have left and may still get replies."""
        return [*self._leaving, *(channel for lines in self._lines.values() for channel in lines)]

    def lines(self) -> list[Lines]:
        """Those of each server that is in use."""
        return list(self._lines.values())

    def to(self, node: Node) -> Lines:
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
            found = self._lines[node] = Lines(bulk, control)
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
