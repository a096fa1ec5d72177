"""What a Redis or Valkey server, or one that speaks like them, says of itself; and small commands to it.

Nothing is guessed from a version: what it can is asked for, or tried. What it refuses to tell is not known, and keeps
no run from going on.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from urllib.parse import urlsplit

from ombdriver.bench.drivers.api import AskTime
from ombdriver.bench.drivers.redis_streams.control import Control, may_pass
from ombdriver.bench.servers.here import together, where_are
from ombdriver.errors import ServerError
from ombdriver.messaging.errors import RedisError, ResponseError
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.retry import is_of_wrong_server

SETTINGS = (
    *("appendonly", "appendfsync", "no-appendfsync-on-rewrite", "save", "repl-diskless-sync", "min-replicas-to-write"),
    *(
        "maxmemory",
        "maxmemory-policy",
        "stream-node-max-bytes",
        "stream-node-max-entries",
        "client-output-buffer-limit",
    ),
    *("io-threads", "io-threads-do-reads", "hz", "dynamic-hz", "activedefrag", "lazyfree-lazy-user-del", "tcp-backlog"),
    *("databases", "maxclients", "timeout", "cluster-enabled", "notify-keyspace-events"),
    *("latency-monitor-threshold", "latency-tracking", "slowlog-log-slower-than"),
)
"""What of a server's configuration bears on streams, their durability and their latency. Never a password, nor a name
that a server may keep one under."""


async def facts(control: Control) -> dict[str, object]:
    """The plain part of `api.Driver.describe`, from INFO and by trying.

    A server may refuse INFO, and others that speak the protocol write it as they like: what is not there, or is no
    number, is None.

    Of several primaries the first speaks, and what adds up is added up.

    Raises:
        RedisError: if a server can't be reached, or refuses more than to tell of itself.
    """
    nodes = control.router.controls()
    infos = await asyncio.gather(*(_info(control, node) for node in nodes))
    info = infos[0]
    engine = next((name for name in ENGINES if f"{name}_version" in info), None)
    version = info.get("redis_version")
    used, limits, replicas = (
        [_number(each, name) for each in infos] for name in ("used_memory", "maxmemory", "connected_slaves")
    )
    return {
        "engine": engine or ("redis" if version else None),
        "version": info.get(f"{engine}_version", version),
        "redisVersion": version,
        "mode": info.get("redis_mode", info.get("server_mode")),
        "role": info.get("role"),
        "primaries": len(nodes),
        "replicas": None if None in replicas else min(each or 0 for each in replicas),
        "os": info.get("os"),
        "allocator": info.get("mem_allocator"),
        "ioThreads": _number(info, "io_threads_active"),
        "usedMemoryBytes": _sum(used),
        "maxMemoryBytes": 0 if 0 in limits and None not in limits else _sum(limits),
        "systemMemoryBytes": _number(info, "total_system_memory"),
        "evictionPolicy": info.get("maxmemory_policy"),
        "appendonly": info["aof_enabled"] == "1" if "aof_enabled" in info else None,
        "buildId": info.get("redis_build_id"),
        "gitSha1": _git_sha1(info.get("redis_git_sha1", "")),
        "gccVersion": info.get("gcc_version"),
        "architectureBits": _number(info, "arch_bits") or None,
        "eventLoop": info.get("multiplexing_api"),
        "maxClients": _number(info, "maxclients") or None,
        "hasStreams": await has_command(control, "XADD"),
        "hasMinid": await has_minid(control),
    }


ENGINES = ("valkey", "kvrocks", "dragonfly", "keydb", "garnet")
"""Programs that speak the protocol and tell `NAME_version`, beside the version of Redis that they are like."""
TRIED_S = 2.0
"""How long a refusal of what is only tried is waited out; one that lasts is for what is needed to tell."""


async def _info(control: Control, node: Channel) -> dict[str, str]:
    """INFO; empty where the user, or who provides the server, does not have that command, in whatever words."""
    try:
        return read_lines(await control.ask_node(node, "INFO"))
    except RedisError as error:
        if not isinstance(error, ResponseError) or may_pass(error):
            raise
        return {}


async def server_clocks(control: Control) -> dict[str, AskTime]:
    """What asks each server that takes messages for its TIME, by its address; without those that do not tell."""
    nodes = control.router.controls()
    told = await asyncio.gather(*(_time_ns(control, node) for node in nodes))
    return {
        _name(node): partial(_time_ns, control, node)
        for node, time_ns in zip(nodes, told, strict=True)
        if time_ns is not None
    }


def _name(node: Channel) -> str:
    """The address of a server to which there has been a connection: a cluster tells every client the same one."""
    return "" if node.address is None else ":".join(map(str, node.address))


async def _time_ns(control: Control, node: Channel) -> int | None:
    """TIME of a server; None where the user may not ask, or it is gone."""
    try:
        seconds, microseconds = await control.ask_node(node, "TIME")
        return int(seconds) * 10**9 + int(microseconds) * 1000
    except (RedisError, TypeError, ValueError):
        return None


def _sum(figures: Sequence[int | None]) -> int | None:
    known = [each for each in figures if each is not None]
    return sum(known) if len(known) == len(figures) else None


def read_lines(reply: object) -> dict[str, str]:
    """The lines of INFO by their names; none in a reply that is no text."""
    if not isinstance(reply, bytes):
        return {}
    return dict(line.split(":", 1) for line in reply.decode(errors="replace").splitlines() if ":" in line)


async def has_command(control: Control, name: str) -> bool:
    """Whether the server knows a command; True when it does not say, as proxies that answer with an empty list."""
    try:
        found = await control.ask_node(control.router.controls()[0], "COMMAND", "INFO", name)
    except RedisError:
        return True
    return bool(found[0]) if isinstance(found, list) and found else True


async def has_minid(control: Control) -> bool:
    """Whether XTRIM knows MINID, by trying it on a key that is not there; True when the server does not say."""
    node = control.router.controls()[0]

    async def tried() -> bool:
        try:
            await node.execute("XTRIM", "ombdriver:none", "MINID", "0-1")
        except RedisError as error:
            if not is_of_wrong_server(error):  # a replica, which is for others to refuse
                raise
        return True

    try:
        return await control.outlast(tried, bound_s=TRIED_S)
    except RedisError as error:
        return "syntax" not in str(error).lower()


def _number(info: Mapping[str, str], name: str) -> int | None:
    """A figure of INFO; None where it is not there, or is none (`maxmemory:unlimited`)."""
    text = info.get(name, "").strip()
    return int(text) if text.isdecimal() else None


def _git_sha1(commit: str) -> str | None:
    """The commit that a server was built from; a build from an archive tells zeros."""
    return commit if commit.strip("0") else None


async def settings(control: Control) -> Mapping[str, str | None] | None:
    """`SETTINGS` by their names, None for those that this server does not have; None where CONFIG is not to be had.

    It may be forbidden to the user, renamed, or blocked by the provider. One refused command is enough.
    """
    node = control.router.controls()[0]
    try:
        replies = [await control.ask_node(node, "CONFIG", "GET", SETTINGS[0])]
        replies += await asyncio.gather(*(control.ask_node(node, "CONFIG", "GET", name) for name in SETTINGS[1:]))
    except RedisError:
        return None
    return dict(zip(SETTINGS, map(_setting, replies), strict=True))


def _setting(reply: object) -> str | None:
    """The value in a reply to CONFIG GET; None where there is none."""
    value = reply[1] if isinstance(reply, list) and len(reply) > 1 else None
    return value.decode(errors="replace") if isinstance(value, bytes) else None


async def address(url: str) -> dict[str, object]:
    """How the servers at `url` are reached: `address` (`here.Where`) and `tls`."""
    return {"address": together(await where_are([url])), "tls": urlsplit(url).scheme.startswith("rediss")}


def check_streams(server: str, found: Mapping[str, object]) -> None:
    """Does nothing if the server described by `found` has streams, or does not say.

    Raises:
        ServerError: if it has none.
    """
    if found.get("mode") == "sentinel":
        raise ServerError(
            f"{server} is a Sentinel; write redis+sentinel://HOST:PORT/MASTER, or master: NAME in the setup"
        )
    if found.get("hasStreams") is False:
        version = found.get("version")
        what = f"is version {version}, and does" if version else "does"
        raise ServerError(
            f"{server} {what} not know XADD: it has no streams, or the command was renamed there; use another one,"
            " Redis 5.0 or later, or Valkey"
        )
