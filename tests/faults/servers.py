"""The servers of a course, whatever their topology: what clients connect to, and what can be done to them.

`eyes` is a plain client of redis-py that no fault is meant for.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.bench.servers.topology import HOST, MASTER_NAME, ServerPlan
from tests.faults.plan import Plan
from tests.faults.proxy import FaultProxy

USER = "app"
"""Who the library is, where permissions are taken away; the eyes are somebody else."""
CONFIG = {"lua-time-limit": "20"}
"""Says BUSY after 20 ms of a script."""

# KEYS: stream. ARGV: how many entries stay. Gives the ids that go, and by group those of them that are pending.
_TRIM = """
local over = redis.call('XLEN', KEYS[1]) - tonumber(ARGV[1])
if over <= 0 then return {{}, {}} end
local ids, pending = {}, {}
for _, row in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', over)) do ids[#ids + 1] = row[1] end
for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local mine = {}
  for _, row in ipairs(redis.call('XPENDING', KEYS[1], info[2], '-', ids[#ids], 100000)) do mine[#mine + 1] = row[1] end
  pending[#pending + 1] = {info[2], mine}
end
redis.call('XTRIM', KEYS[1], 'MAXLEN', ARGV[1])
return {ids, pending}
"""
# KEYS: stream. ARGV: group. Gives what was pending: id and consumer.
_DESTROY = """
local rows = {}
for _, row in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 100000)) do
  rows[#rows + 1] = {row[1], row[2]}
end
redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
return rows
"""


class Servers:
    """Some servers.

    Attributes:
        members_url: what members of groups connect to.
        senders_url: what producers connect to.
        eyes: a client that no fault is meant for.
        pids: of the servers that hold data.
    """

    def __init__(self, url: str, eyes: Any, pids: list[int]) -> None:
        self.members_url = self.senders_url = url
        self.eyes, self.pids = eyes, pids

    async def trim(self, stream: str, keep: int) -> tuple[list[bytes], dict[str, list[bytes]]]:
        """Trims a stream as anybody may: the ids that go, and those of them that are pending, by group."""
        ids, pending = await self.eyes.eval(_TRIM, 1, stream, keep)
        return ids, {name.decode(): mine for name, mine in pending}

    async def destroy(self, stream: str, group: str) -> list[tuple[bytes, str]]:
        """Destroys a group: the ids that were pending, each with its consumer."""
        with contextlib.suppress(redis.exceptions.ResponseError):  # it is gone already
            return [(each, name.decode()) for each, name in await self.eyes.eval(_DESTROY, 1, stream, group)]
        return []

    def stop(self) -> None:
        """The first server, or the master, hangs."""
        os.kill(self.pids[0], signal.SIGSTOP)

    def go_on(self) -> None:
        """It hangs no more."""
        os.kill(self.pids[0], signal.SIGCONT)


class Standalone(Servers):
    """One server, with a proxy before it for members, and one for producers."""

    def __init__(self, server: PrivateServer, members: FaultProxy, senders: FaultProxy) -> None:
        super().__init__("", _client(server.port), [server.pid])
        self._port = server.port
        self.members, self.senders = members, senders
        self.members_url, self.senders_url = (
            f"redis://{USER}:{USER}@{HOST}:{proxy.port}" for proxy in (members, senders)
        )

    async def permit(self) -> None:
        """The library's user may do everything."""
        await self.eyes.execute_command("ACL", "SETUSER", USER, "reset", "on", f">{USER}", "~*", "&*", "+@all")

    async def refuse(self, command: str) -> None:
        """It may not do that any more."""
        await self.eyes.execute_command("ACL", "SETUSER", USER, f"-{command}")

    async def cut(self) -> None:
        """Closes all connections of the library."""
        await self.eyes.execute_command("CLIENT", "KILL", "USER", USER)

    async def fill(self) -> None:
        """Has no memory for writes."""
        await self.eyes.config_set("maxmemory", 1)

    async def empty(self) -> None:
        """Has enough of it."""
        await self.eyes.config_set("maxmemory", 0)

    async def ask_for_replicas(self, count: int) -> None:
        """Refuses writes without so many replicas, of which there are none."""
        await self.eyes.config_set("min-replicas-to-write", count)

    async def bound_replies(self, size: int) -> None:
        """Closes connections that are owed more bytes of replies; 0 for any number."""
        await self.eyes.config_set("client-output-buffer-limit", f"normal {size} 0 0")

    async def occupy(self, for_s: float) -> None:
        """Runs a script for so long, in which all others hear BUSY."""
        async with _client(self._port) as other:
            running = asyncio.ensure_future(other.eval("while true do end", 0))
            await asyncio.sleep(for_s)
            await until(lambda: self.eyes.script_kill())
            with contextlib.suppress(RedisError):
                await running


class Watched(Servers):
    """A master, its replica, and Sentinels."""

    def __init__(self, started: ManagedServers) -> None:
        data = started.data_nodes
        super().__init__(started.url, _client(data[0].port), [node.pid for node in data])
        self._by_port = {node.port: node.pid for node in data}
        self._sentinel = _client(next(node.port for node in started.nodes if node.role == "sentinel"))
        self._port = data[0].port

    async def fail_over(self) -> None:
        """The replica becomes the master."""
        with contextlib.suppress(RedisError):  # one is under way
            await self._sentinel.execute_command("SENTINEL FAILOVER", MASTER_NAME)
        await self.find_master()

    async def find_master(self) -> None:
        """The eyes look at the one that has become the master, if any has."""
        old = self._port
        with contextlib.suppress(TimeoutError):
            await until(lambda: self._look(old), 5.0)

    async def _look(self, old: int) -> bool:
        _, port = await self._sentinel.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", MASTER_NAME)
        client = _client(int(port))
        if int(port) == old or (await client.execute_command("ROLE"))[0] != b"master":
            await client.aclose()
            return False
        await self.eyes.aclose()
        self.eyes, self._port = client, int(port)
        self.pids.sort(key=lambda pid: pid != self._by_port[int(port)])
        return True

    async def aclose(self) -> None:
        """Closes the Sentinel's client."""
        await self._sentinel.aclose()


class Cluster(Servers):
    """Three primaries."""

    def __init__(self, started: ManagedServers) -> None:
        nodes = started.data_nodes
        eyes = redis.asyncio.RedisCluster(host=HOST, port=nodes[0].port, protocol=2, socket_timeout=20.0)
        super().__init__(started.url, eyes, [node.pid for node in nodes])
        self._nodes = [_client(node.port) for node in nodes]
        self._ports = [node.port for node in nodes]

    async def move(self, key: str, after_s: float) -> None:
        """Moves the slot of a key to the next primary: says so, and brings its keys over `after_s` later, by and by."""
        slot = self.eyes.keyslot(key)
        owner = self.eyes.get_node_from_key(key)
        source = self._ports.index(owner.port)
        target = (source + 1) % len(self._nodes)
        ids = [(await node.execute_command("CLUSTER MYID")).decode() for node in self._nodes]
        await self._nodes[target].execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[source])
        await self._nodes[source].execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[target])
        await asyncio.sleep(after_s)
        count = 1
        while keys := await self._nodes[source].execute_command("CLUSTER GETKEYSINSLOT", slot, count):
            words = (HOST, self._ports[target], "", 0, 5000, "KEYS", *keys)
            await self._nodes[source].execute_command("MIGRATE", *words)
            await asyncio.sleep(0.05)  # keys of one slot stand at two servers for a while
            count *= 3
        for number in (target, source, 3 - source - target):
            await self._nodes[number].execute_command("CLUSTER SETSLOT", slot, "NODE", ids[target])

    async def aclose(self) -> None:
        """Closes the clients of the nodes."""
        await asyncio.gather(*(node.aclose() for node in self._nodes))


@contextlib.asynccontextmanager
async def servers(plan: Plan) -> AsyncIterator[Servers]:
    """Those of a course, private to it."""
    async with contextlib.AsyncExitStack() as stack:
        made: Servers
        if plan.topology == "standalone":
            server = await stack.enter_async_context(await PrivateServer.start(plan.engine, CONFIG))
            proxies = [await stack.enter_async_context(FaultProxy(server.port)) for _ in range(2)]
            made = Standalone(server, *proxies)
            await made.permit()
        else:
            config = {**CONFIG, "repl-timeout": "5"}
            if plan.topology == "cluster":
                config["cluster-node-timeout"] = "1000"
            asked = ServerPlan(plan.engine, plan.topology, config=config)
            started = await stack.enter_async_context(await ManagedServers.start(asked))
            made = Cluster(started) if plan.topology == "cluster" else Watched(started)
            stack.push_async_callback(made.aclose)
        yield made
        await made.eyes.aclose()


async def until(question: Callable[[], Awaitable[Any]], within_s: float = 30.0) -> Any:
    """Asks again and again until the answer is true, and gives it; an error is no answer.

    Raises:
        TimeoutError: if it was not in time.
    """
    async with asyncio.timeout(within_s):
        while True:
            with contextlib.suppress(RedisError, OSError):
                if answer := await question():
                    return answer
            await asyncio.sleep(0.02)


def _client(port: int) -> redis.asyncio.Redis:
    return redis.asyncio.Redis(host=HOST, port=port, protocol=2, socket_timeout=20.0)
