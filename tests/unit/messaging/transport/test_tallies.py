"""`Router.statistics`: what is counted never goes back, whatever channels, readers and servers come and go."""

import gc
import random
from array import array
from collections.abc import Callable
from typing import Any

import pytest
from fake_server import FakeServer, until
from redis.asyncio import Redis, RedisCluster

from ombdriver.messaging.transport import cluster, standalone
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.router import Router
from ombdriver.messaging.transport.topology import Node, SlotMap

NODES = [Node("127.0.0.1", port) for port in (1, 2, 3)]


class Course:
    """Random things happen to one client."""

    def __init__(self, router: Router, server: FakeServer, seed: int) -> None:
        self._router, self._server, self._chance = router, server, random.Random(seed)
        self._routes: Any = router._routes
        self._map: SlotMap | None = None
        self._readers: list[Channel] = []
        self.connected = 0  # so many channels have had a connection

    async def step(self) -> None:
        """One of them."""
        steps: list[Callable[[], Any]] = [self._send, self._send, self._read, self._cut, self._close_reader]
        if self._router.may_move:
            steps.append(self._move)
        await self._chance.choice(steps)()

    def counts(self) -> dict[str, int]:
        """All that is counted."""
        now = self._router.statistics()
        kinds = {"bulk": now.bulk, "control": now.control, "reading": now.reading}
        return {
            f"{kind}.{name}": getattr(told, name)
            for kind, told in kinds.items()
            for name in ("replies", "reconnects", "given_up")
        }

    async def _ask(self, channel: Channel) -> None:
        self.connected += not channel.has_connected
        assert await channel.execute("PING") == b"PING"

    async def _send(self) -> None:
        await self._move() if self._router.may_move and self._map is None else None
        nodes = (
            self._routes.used_nodes() if self._map is None else [self._routes._to(each) for each in self._map.primaries]
        )
        await self._ask(self._chance.choice(self._chance.choice(nodes)))

    async def _read(self) -> None:
        if not self._readers or self._chance.random() < 0.3:
            self._readers.append(self._routes.new_blocking(None))
        await self._ask(self._chance.choice(self._readers))

    async def _cut(self) -> None:
        """All connections are lost."""
        for peer in self._server.peers:
            peer.cut()
        channels = [*self._routes.lasting(), *self._routes.blocking]
        await until(lambda: not any(channel.is_open for channel in channels))

    async def _close_reader(self) -> None:
        """A reader is done, and nobody remembers it."""
        if self._readers:
            await self._readers.pop(self._chance.randrange(len(self._readers))).aclose()
            gc.collect(1)

    async def _move(self) -> None:
        """Other servers are primaries."""
        primaries = self._chance.sample(NODES, self._chance.randint(1, len(NODES)))
        owner = array("H", [slot % len(primaries) for slot in range(16384)])
        before, self._map = self._map, SlotMap(primaries, owner)
        self._routes._topology.map = self._map
        self._routes._changed(before, self._map)


@pytest.mark.parametrize("kind", ["one server", "cluster"])
@pytest.mark.parametrize("seed", range(5))
async def test_counts_never_go_back_and_miss_no_reconnect(
    kind: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connections that came in are one for each channel that ever was, and the reconnects."""
    async with FakeServer(answers=True) as server:
        monkeypatch.setattr(standalone, "connection_factory", lambda _client: server.connect)
        monkeypatch.setattr(cluster, "node_connection_factory", lambda _client: lambda *_: server.connect())
        routes: Any
        if kind == "cluster":
            routes = cluster.ClusterRoutes(RedisCluster(host="127.0.0.1", port=1), 100, None, 10.0)
            monkeypatch.setattr(routes._topology, "suspect", lambda *_: None)
            monkeypatch.setattr(cluster.KeyChannel, "_find", lambda _channel: server.connect())
        else:
            routes = standalone.StandaloneRoutes(Redis(), 100, None, 10.0)
        router = Router(None, routes, [], decodes=False)
        course = Course(router, server, seed)
        before = course.counts()
        for _ in range(80):
            await course.step()
            now = course.counts()
            assert all(now[name] >= count for name, count in before.items()), (before, now)
            before = now

        reconnects = sum(count for name, count in before.items() if name.endswith("reconnects"))
        assert reconnects == len(server.peers) - course.connected > 0
        await router.aclose()
