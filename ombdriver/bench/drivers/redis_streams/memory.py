"""The memory of the servers of a run: of each primary, and of the replicas that it tells of.

A replica has what its primary has, and may have less room for it: a smaller `maxmemory` where it heeds one
(`replica-ignore-maxmemory no`), or a smaller machine. Each is asked over a connection of its own, at the address that
the primary knows. One that can't be reached from here, or takes its time, is left out: it holds up no look at the rest.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from ombdriver.bench.drivers.redis_streams.server import read_lines
from ombdriver.bench.drivers.sample import ServerMemory
from ombdriver.bench.servers.here import where_are
from ombdriver.messaging.errors import ConnectionLost, RedisError
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.factory import CLUSTER, SENTINEL, parse_servers, scheme_of
from ombdriver.messaging.transport.router import Router

logger = logging.getLogger(__name__)

REPLICAS_S = 0.1
"""How long a look waits for what replicas say, once the primaries have answered."""
RETRY_S = 30.0
"""A replica that could not be asked is asked again after so long."""
HEEDS_LIMIT = "replica-ignore-maxmemory"
"""The setting by which a replica that is `no` holds its own `maxmemory` while it is one."""

Address = tuple[str, int]
"""Host and port."""


class ServerMemories:
    """Looks at the memory of all servers of a run, again and again.

    Args:
        url: how the servers are reached: login, TLS and options of the replicas are the same.
        open_at: opens connections to a URL.
    """

    def __init__(self, url: str, open_at: Callable[[str], Router]) -> None:
        self._url, self._open_at = url, open_at
        self._replicas: dict[Address, Router] = {}
        self._asking: dict[Address, asyncio.Task[ServerMemory | None]] = {}
        self._not_before: dict[Address, float] = {}
        self._elsewhere: dict[Address, bool] = {}

    def __repr__(self) -> str:
        return f"<ServerMemories, {len(self._replicas)} replicas>"

    async def look(self, router: Router) -> list[ServerMemory]:
        """The memory of each primary, and of each replica that has told it in time; who refuses to tell is left out.

        Args:
            router: to the primaries; for looks alone.

        Raises:
            RedisError: if the connection to a primary can't be made, or is lost.
        """
        await router.discover()
        nodes = router.controls()
        asked = [node.execute("INFO", section) for node in nodes for section in ("memory", "replication")]
        replies = await asyncio.gather(*asked, return_exceptions=True)
        found: list[ServerMemory] = []
        replicas: list[Address] = []
        for node, (memory, replication) in zip(nodes, zip(replies[::2], replies[1::2], strict=True), strict=True):
            for reply in (memory, replication):
                if isinstance(reply, BaseException):
                    router.learn(reply)
                    if isinstance(reply, ConnectionLost) or not isinstance(reply, RedisError):
                        raise reply
            if isinstance(memory, bytes):
                found += await self._of_primary(node, memory)
            if isinstance(replication, bytes):
                replicas += read_replicas(replication)
        return found + await self._of_replicas(replicas)

    async def aclose(self) -> None:
        """Ends what is asked, and all connections to replicas."""
        tasks, self._asking = [*self._asking.values()], {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        routers, self._replicas = [*self._replicas.values()], {}
        await asyncio.gather(*(router.aclose() for router in routers), return_exceptions=True)

    async def _of_primary(self, node: Channel, reply: bytes) -> list[ServerMemory]:
        host, port = node.address or (None, None)
        if not host or not port:
            one = read_memory(reply, "at the socket")
            return [] if one is None else [one]
        one = read_memory(reply, f"{host}:{port}")
        return [] if one is None else [replace(one, is_elsewhere=await self._is_elsewhere((str(host), int(port))))]

    async def _is_elsewhere(self, address: Address) -> bool:
        if address not in self._elsewhere:
            self._elsewhere[address] = await where_are([url_at("redis://", address)]) == ["remote"]
        return self._elsewhere[address]

    async def _of_replicas(self, addresses: Sequence[Address]) -> list[ServerMemory]:
        now_s = asyncio.get_running_loop().time()
        for address in addresses:
            if address not in self._asking and now_s >= self._not_before.get(address, now_s):
                self._asking[address] = asyncio.create_task(self._ask(address))
        if self._asking:
            await asyncio.wait(self._asking.values(), timeout=REPLICAS_S)
        found = []
        for address, task in [*self._asking.items()]:
            if task.done():
                del self._asking[address]
                if (one := task.result()) is not None and address in addresses:
                    found.append(one)
        return found

    async def _ask(self, address: Address) -> ServerMemory | None:
        """What one replica tells; None when it does not, or can't be asked."""
        name = f"{address[0]}:{address[1]}"
        try:
            if address not in self._replicas:
                self._replicas[address] = self._open_at(url_at(self._url, address))
            (node,) = self._replicas[address].controls()
            one = read_memory(await node.execute("INFO", "memory"), name)
            heeds_limit = await _heeds_limit(node)
            is_elsewhere = await self._is_elsewhere(address)
        except (RedisError, OSError, ValueError) as error:  # ValueError: no address, whatever the primary says
            self._not_before[address] = asyncio.get_running_loop().time() + RETRY_S
            logger.info("the memory of the replica %s is not looked at: %s", name, error)
            return None
        if one is None:
            return None
        return replace(one, limit=one.limit if heeds_limit else None, is_replica=True, is_elsewhere=is_elsewhere)


async def _heeds_limit(node: Channel) -> bool:
    """Whether a replica holds a limit of its own; False, as is usual, when it does not say."""
    try:
        reply = await node.execute("CONFIG", "GET", HEEDS_LIMIT)
    except ConnectionLost:
        raise
    except RedisError:
        return False
    return bool(reply[1:2] == [b"no"])


def url_at(url: str, address: Address) -> str:
    """The URL of another server that is reached as those of `url` are: with its login, TLS and options (pure)."""
    plain = parse_servers(url).url if scheme_of(url) in (*CLUSTER, *SENTINEL) else url
    parts = urlsplit(plain)
    login, at, _ = parts.netloc.rpartition("@")
    host, port = address
    at_host = f"{login}{at}[{host}]:{port}" if ":" in host else f"{login}{at}{host}:{port}"
    if parts.scheme == "unix":  # its path is no database, and its options are of the socket
        return f"redis://{at_host}"
    return parts._replace(netloc=at_host).geturl()


def read_replicas(reply: bytes) -> list[Address]:
    """The replicas that the replication section of INFO names, as far as they are online (pure)."""
    found: list[Address] = []
    for name, value in read_lines(reply).items():
        if name.startswith("slave") and name[5:].isdecimal():
            fields = dict(each.split("=", 1) for each in value.strip().split(",") if "=" in each)
            host, port = fields.get("ip", ""), fields.get("port", "")
            if host and port.isdecimal() and int(port) and fields.get("state", "online") == "online":
                found.append((host, int(port)))
    return found


def read_memory(reply: bytes, name: str) -> ServerMemory | None:
    """What the memory section of INFO says of the server `name`; None when it does not say what is used (pure).

    A server that evicts keys of any kind is never full; the keys of streams don't expire, so one that evicts only those
    that do is. What it keeps for its replicas does not count towards its limit.
    """
    lines = {name: value.strip() for name, value in read_lines(reply).items()}

    def number(of: str) -> int | None:
        try:
            return int(float(lines[of]))
        except (KeyError, ValueError, OverflowError):
            return None

    used = number("used_memory")
    if used is None:
        return None
    limit = 0 if lines.get("maxmemory_policy", "").startswith("allkeys") else number("maxmemory")
    return ServerMemory(
        name,
        used - (number("mem_not_counted_for_evict") or 0),
        limit or None,
        number("used_memory_rss") or 0,
        number("total_system_memory") or None,
    )
