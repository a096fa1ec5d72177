"""Servers that belong together, for the tests: a cluster, and a master with replicas and Sentinels.

All are private and on loopback, and gone at the end of the `async with`. Time-outs are short, so that a failover takes
a second or two.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import redis.asyncio
from redis.crc import key_slot

from ombdriver.bench.engine import HOST, find_binary
from ombdriver.bench.server import PrivateServer

MASTER = "orders"
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

    async def aclose(self) -> None:
        """Ends all of them."""
        await self.let_go()
        await asyncio.gather(*(one.stop() for one in self.servers))


class Cluster(Servers):
    """Servers of a cluster: first the primaries, then the replicas, replica r being that of primary r modulo theirs."""

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

    async def build(self) -> None:
        """Makes a cluster of the servers."""
        self.ids = [one.decode() for one in await self.everywhere("CLUSTER", "MYID")]
        for number in range(self.primaries):
            first = -(-number * SLOTS // self.primaries)
            last = -(-(number + 1) * SLOTS // self.primaries) - 1
            await self.ask(number, "CLUSTER", "ADDSLOTSRANGE", first, last)
        for number in range(len(self.servers)):
            await self.ask(number, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for one in self.servers[1:]:
            await self.ask(0, "CLUSTER", "MEET", HOST, one.port, self.bus[one.port])
        await until(lambda: self._all_say(f"cluster_known_nodes:{len(self.servers)}"))
        for number in range(self.primaries, len(self.servers)):
            await self.ask(number, "CLUSTER", "REPLICATE", self.ids[(number - self.primaries) % self.primaries])
        await until(lambda: self._all_say("cluster_state:ok"))
        await until(self._replicas_follow)

    bus: dict[int, int]

    async def _all_say(self, line: str) -> bool:
        return all(line.encode() in info for info in await self.everywhere("CLUSTER", "INFO"))

    async def _replicas_follow(self) -> bool:
        roles = [await self.ask(number, "ROLE") for number in range(self.primaries, len(self.servers))]
        slots = await self.everywhere("CLUSTER", "SLOTS")
        told = all(len({s[2][1] for s in one}) == self.primaries for one in slots)
        known = {port for one in slots for entry in one for _, port, *_ in entry[3:]}
        return told and len(known) == len(roles) and all(r[0] == b"slave" and r[3] == b"connected" for r in roles)

    async def migrate_begin(self, slot: int, source: int, target: int) -> None:
        """The slot is on its way from here on: keys that are not at the source are asked for at the target."""
        await self.ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.ids[source])
        await self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self.ids[target])

    async def migrate_keys(self, slot: int, source: int, target: int) -> None:
        """Brings the keys of the slot over."""
        while keys := await self.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
            await self.ask(source, "MIGRATE", HOST, self.port(target), "", 0, 5000, "KEYS", *keys)

    async def migrate_end(self, slot: int, source: int, target: int) -> None:
        """The slot belongs to the target from here on."""
        for number in (target, source):
            await self.ask(number, "CLUSTER", "SETSLOT", slot, "NODE", self.ids[target])

    async def calls(self, command: str) -> int:
        """How often all servers together were given `command`."""
        infos = await asyncio.gather(*(one.info("commandstats") for one in self.raw))
        return sum(info.get(f"cmdstat_{command}", {}).get("calls", 0) for info in infos)


@contextlib.asynccontextmanager
async def cluster(engine: str, primaries: int = 3, replicas: int = 0) -> AsyncIterator[Cluster]:
    """A cluster with so many primaries, and so many replicas of them all together."""
    buses = [free_port() for _ in range(primaries + replicas)]
    config = {"cluster-enabled": "yes", "cluster-node-timeout": "1000", "repl-diskless-sync-delay": "0"}
    config |= {"cluster-config-file": "nodes.conf", "repl-timeout": "5", "cluster-allow-replica-migration": "no"}
    started = await asyncio.gather(*(PrivateServer.start(engine, config | {"cluster-port": str(p)}) for p in buses))
    made = Cluster(started, primaries)
    made.bus = {one.port: bus for one, bus in zip(started, buses, strict=True)}
    try:
        await made.build()
        yield made
    finally:
        await made.aclose()


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

    async def aclose(self) -> None:
        """Ends all of them."""
        await asyncio.gather(*(one.aclose() for one in self.sentinels))
        await super().aclose()


@contextlib.asynccontextmanager
async def sentinel(engine: str, replicas: int = 1) -> AsyncIterator[Watched]:
    """A master with so many replicas, watched by three Sentinels."""
    config = {"repl-diskless-sync-delay": "0", "repl-timeout": "5"}
    master = await PrivateServer.start(engine, config)
    behind = config | {"replicaof": f"{HOST} {master.port}"}
    others = await asyncio.gather(*(PrivateServer.start(engine, behind) for _ in range(replicas)))
    with tempfile.TemporaryDirectory() as folder:
        ports = [free_port() for _ in range(3)]
        processes = [_start_sentinel(engine, Path(folder), port, master.port) for port in ports]
        made = Watched([master, *others], ports)
        try:
            await until(lambda: _are_watching(made, replicas))
            yield made
        finally:
            for process in processes:
                process.kill()
                process.wait()
            await made.aclose()


def _start_sentinel(engine: str, folder: Path, port: int, master: int) -> "subprocess.Popen[bytes]":
    path = folder / f"{port}.conf"
    watch = [f"monitor {MASTER} {HOST} {master} 2", f"down-after-milliseconds {MASTER} 500"]
    watch += [f"failover-timeout {MASTER} 3000", f"parallel-syncs {MASTER} 1"]
    lines = [f"port {port}", f"bind {HOST}", f"dir {folder}", *(f"sentinel {line}" for line in watch)]
    path.write_text("\n".join(lines) + "\n")
    command = [str(find_binary(engine)), str(path), "--sentinel"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def _are_watching(made: Watched, replicas: int) -> bool:
    for one in made.sentinels:
        (state,) = (await one.sentinel_masters()).values()
        if state["num-other-sentinels"] != 2 or state["num-slaves"] != replicas or state["flags"] != "master":
            return False
        for known in await one.sentinel_slaves(MASTER):
            if known["master-link-status"] != "ok":
                return False
    return True


def free_port() -> int:
    """A TCP port that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
