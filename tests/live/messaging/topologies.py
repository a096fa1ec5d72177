"""Servers that belong together, for the tests: a cluster, and a master with replicas and Sentinels.

All are private and on loopback, and gone at the end of the `async with`. Time-outs are short, so that a failover takes
a second or two.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import redis.asyncio
from redis.crc import key_slot

from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.bench.servers.topology import HOST, ServerPlan
from ombdriver.bench.servers.topology import MASTER_NAME as MASTER

SLOTS = 16384


async def until(question: Callable[[], Awaitable[Any]], within_s: float = 30.0) -> Any:
    """Asks again and again until the answer is true, and gives it; a server that does not answer is no answer."""
    async with asyncio.timeout(within_s):
        while True:
            with contextlib.suppress(redis.exceptions.RedisError, OSError):
                if answer := await question():
                    return answer
            await asyncio.sleep(0.02)


class Servers:
    """Some private servers."""

    def __init__(self, servers: Sequence[PrivateServer]) -> None:
        self.servers = list(servers)
        self._raw: list[redis.asyncio.Redis] = []

    @property
    def raw(self) -> list[redis.asyncio.Redis]:
        """A plain client to each server, of the running loop."""
        if not self._raw:
            self._raw = [
                redis.asyncio.Redis(host=HOST, port=one.port, protocol=2, socket_timeout=5) for one in self.servers
            ]
        return self._raw

    def port(self, number: int) -> int:
        """Where server `number` listens."""
        return self.servers[number].port

    def number(self, port: int) -> int:
        """Which server listens there."""
        return next(n for n, one in enumerate(self.servers) if one.port == port)

    def kill(self, number: int) -> None:
        """Ends a server as a crash would."""
        os.kill(self.servers[number].pid, signal.SIGKILL)

    def pause(self, number: int) -> None:
        """Stops a server without closing its connections."""
        os.kill(self.servers[number].pid, signal.SIGSTOP)

    def resume(self, number: int) -> None:
        """Lets it go on."""
        os.kill(self.servers[number].pid, signal.SIGCONT)

    async def let_go(self) -> None:
        """Closes the plain clients, so that another loop can have its own."""
        clients, self._raw = self._raw, []
        await asyncio.gather(*(client.aclose() for client in clients))


class Cluster(Servers):
    """Servers of a cluster: first the primaries, then the replicas, in the order of their primaries."""

    def __init__(self, servers: Sequence[PrivateServer], primaries: int) -> None:
        super().__init__(servers)
        self.primaries = primaries
        self.ids: list[str] = []

    @property
    def url(self) -> str:
        """All servers as seeds."""
        return "redis+cluster://" + ",".join(f"{HOST}:{one.port}" for one in self.servers)

    def owner(self, key: str) -> int:
        """The primary that had the slot of `key` at first."""
        return min(key_slot(key.encode()) * self.primaries // SLOTS, self.primaries - 1)

    async def ask(self, number: int, *words: object) -> Any:
        """One command to one server, its reply as it is."""
        client = self.raw[number]
        connection = await client.connection_pool.get_connection()
        try:
            await connection.send_command(*words)
            return await connection.read_response()
        finally:
            await client.connection_pool.release(connection)

    async def empty(self) -> None:
        """Deletes all keys."""
        for number in range(self.primaries):
            await self.ask(number, "FLUSHALL")

    async def everywhere(self, *words: object) -> list[Any]:
        """One command to each server."""
        return list(await asyncio.gather(*(self.ask(number, *words) for number in range(len(self.servers)))))

    async def migrate_begin(self, slot: int, source: int, target: int) -> None:
        """The slot is on its way from here on: keys that are not at the source are asked for at the target."""
        await self.ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.ids[source])
        await self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self.ids[target])

    async def migrate_keys(self, slot: int, source: int, target: int) -> None:
        """Brings the keys of the slot over."""
        while keys := await self.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
            await self.ask(source, "MIGRATE", HOST, self.port(target), "", 0, 5000, "KEYS", *keys)

    async def migrate_end(self, slot: int, source: int, target: int) -> None:
        """The slot belongs to the target from here on, and all primaries know by which configuration.

        A slot that moved on before would be claimed by two primaries with one number, and might end with none of them.
        """
        for number in (target, source):
            await self.ask(number, "CLUSTER", "SETSLOT", slot, "NODE", self.ids[target])
        epoch = (await self._epochs(target))[self.ids[target]]
        for number in range(self.primaries):
            while (await self._epochs(number))[self.ids[target]] < epoch:  # noqa: ASYNC110 - the server's
                await asyncio.sleep(0.01)

    async def _epochs(self, number: int) -> dict[str, int]:
        """The configuration's number of each server, by its id, as one server knows it."""
        told = await self.ask(number, "CLUSTER", "NODES")
        rows = [line.split() for line in told.decode().splitlines()]
        return {row[0]: int(row[6]) for row in rows}

    async def calls(self, command: str) -> int:
        """How often all servers together were given `command`."""
        infos = await asyncio.gather(*(one.info("commandstats") for one in self.raw))
        return sum(info.get(f"cmdstat_{command}", {}).get("calls", 0) for info in infos)


@contextlib.asynccontextmanager
async def cluster(engine: str, primaries: int = 3, replicas: int = 0) -> AsyncIterator[Cluster]:
    """A cluster with so many primaries, each with so many replicas."""
    plan = ServerPlan(engine, "cluster", primaries, replicas, {"cluster-node-timeout": "1000", "repl-timeout": "5"})
    async with await ManagedServers.start(plan) as started:
        made = Cluster([node.server for node in started.nodes], primaries)
        made.ids = [one.decode() for one in await made.everywhere("CLUSTER", "MYID")]
        try:
            yield made
        finally:
            await made.let_go()


class Watched(Servers):
    """A master (server 0 at first), its replicas, and three Sentinels."""

    def __init__(self, servers: Sequence[PrivateServer], sentinels: Sequence[int]) -> None:
        super().__init__(servers)
        self.sentinel_ports = list(sentinels)
        self.sentinels = [redis.asyncio.Redis(host=HOST, port=port, protocol=2) for port in sentinels]

    @property
    def url(self) -> str:
        """By the Sentinels."""
        return "redis+sentinel://" + ",".join(f"{HOST}:{port}" for port in self.sentinel_ports) + f"/{MASTER}"

    async def master(self) -> int:
        """The server that the first Sentinel names."""
        _, port = await self.sentinels[0].execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", MASTER)
        return self.number(int(port))

    async def fail_over(self) -> int:
        """Has the Sentinels make a replica the master, and waits until it is; the new master."""
        old = await self.master()
        await until(lambda: self.sentinels[0].execute_command("SENTINEL FAILOVER", MASTER))
        return await self.until_another(old)

    async def until_another(self, old: int) -> int:
        """Waits until another server than `old` is the master that all Sentinels name; that one."""

        async def named() -> int | None:
            told = [await one.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", MASTER) for one in self.sentinels]
            numbers = {self.number(int(port)) for _, port in told}
            if len(numbers) > 1 or old in numbers:
                return None
            role = await self.raw[min(numbers)].execute_command("ROLE")
            return min(numbers) + 1 if role[0] == b"master" else None

        return int(await until(named)) - 1

    async def let_go(self) -> None:
        """Closes the clients of the Sentinels too."""
        await asyncio.gather(*(one.aclose() for one in self.sentinels))
        await super().let_go()


@contextlib.asynccontextmanager
async def sentinel(engine: str, replicas: int = 1) -> AsyncIterator[Watched]:
    """A master with so many replicas, watched by three Sentinels."""
    plan = ServerPlan(engine, "sentinel", replicas=replicas, config={"repl-timeout": "5"})
    async with await ManagedServers.start(plan) as started:
        sentinels = [node.port for node in started.nodes if node.role == "sentinel"]
        made = Watched([node.server for node in started.data_nodes], sentinels)
        try:
            yield made
        finally:
            await made.let_go()


def free_port() -> int:
    """A TCP port that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
