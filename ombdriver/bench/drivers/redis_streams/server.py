"""What a Redis or Valkey server, or one that speaks like them, says of itself; and small commands to it.

Nothing is guessed from a version: what it can is asked for, or tried. What it refuses to tell is not known, and keeps
no run from going on.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ombdriver.bench.servers.here import together, where_are
from ombdriver.errors import ServerError
from ombdriver.messaging.errors import OutcomeUnknownError, RedisError
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.connection import Argument, pack
from ombdriver.messaging.transport.router import Router

GUARD_S = 10.0
"""Seconds without the reply to a small command after which a server counts as gone."""

IN_ONE, AT_ONCE = 100, 100
"""Keys in one command, so that no other client waits for long; commands that are on their way together."""

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


async def ask(router: Router, key: bytes, *words: Argument, reply_timeout_s: float = GUARD_S) -> Any:
    """A small command, to where `key` lies; it may be carried out twice when the connection is lost meanwhile.

    Raises:
        OutcomeUnknownError: if there is no answer within `reply_timeout_s` seconds.
        RedisError: what the server says.
    """
    try:
        async with asyncio.timeout(reply_timeout_s):
            return await router.send(key, pack(words), bulk=False, idempotent=True)
    except TimeoutError as error:
        raise OutcomeUnknownError(
            f"no reply within {reply_timeout_s:g} s, the server or the network is gone"
        ) from error


async def count_of(router: Router, command: str, keys: Sequence[bytes]) -> int:
    """The sum of what `command` (EXISTS, UNLINK) says of `keys`: many in one command where one may cover them.

    Raises: as `ask`.
    """
    parts = [part[at : at + IN_ONE] for part in router.by_slot(keys) for at in range(0, len(part), IN_ONE)]
    total = 0
    for first in range(0, len(parts), AT_ONCE):
        some = parts[first : first + AT_ONCE]
        total += sum(await asyncio.gather(*(ask(router, part[0], command, *part) for part in some)))
    return total


async def facts(nodes: Sequence[Channel]) -> dict[str, object]:
    """The plain part of `api.Driver.describe`, from INFO and by trying.

    A server may refuse INFO, and others that speak the protocol write it as they like: what is not there, or is no
    number, is None.

    Args:
        nodes: a channel to each primary; of several, the first speaks, and what adds up is added up.

    Raises:
        RedisError: if a server can't be reached, or refuses more than to tell of itself.
    """
    infos = await asyncio.gather(*map(_info, nodes))
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
        "hasStreams": await has_command(nodes[0], "XADD"),
        "hasMinid": await has_minid(nodes[0]),
    }


ENGINES = ("valkey", "kvrocks", "dragonfly", "keydb", "garnet")
"""Programs that speak the protocol and tell `NAME_version`, beside the version of Redis that they are like."""
NOT_TOLD = ("ERR", "NOPERM")
"""Codes of error replies by which a server refuses to tell: it has no such command, or the user may not."""


async def _info(node: Channel) -> dict[str, str]:
    """INFO; empty where the user, or who provides the server, does not have that command."""
    try:
        return read_lines(await node.execute("INFO"))
    except RedisError as error:
        if getattr(error, "status_code", None) not in NOT_TOLD:
            raise
        return {}


def _sum(figures: Sequence[int | None]) -> int | None:
    known = [each for each in figures if each is not None]
    return sum(known) if len(known) == len(figures) else None


def read_lines(reply: bytes) -> dict[str, str]:
    """The lines of INFO by their names."""
    return dict(line.split(":", 1) for line in reply.decode(errors="replace").splitlines() if ":" in line)


async def has_command(channel: Channel, name: str) -> bool:
    """Whether the server knows a command; True when it does not say."""
    try:
        found = await channel.execute("COMMAND", "INFO", name)
    except RedisError:
        return True
    return bool(found and found[0])


async def has_minid(channel: Channel) -> bool:
    """Whether XTRIM knows MINID, by trying it on a key that is not there; True when the server does not say."""
    try:
        await channel.execute("XTRIM", "ombdriver:none", "MINID", "0-1")
    except RedisError as error:
        return "syntax" not in str(error).lower()
    return True


def _number(info: Mapping[str, str], name: str) -> int | None:
    """A figure of INFO; None where it is not there, or is none (`maxmemory:unlimited`)."""
    text = info.get(name, "").strip()
    return int(text) if text.isdecimal() else None


def _git_sha1(commit: str) -> str | None:
    """The commit that a server was built from; a build from an archive tells zeros."""
    return commit if commit.strip("0") else None


async def settings(channel: Channel) -> Mapping[str, str | None] | None:
    """`SETTINGS` by their names, None for those that this server does not have; None where CONFIG is not to be had.

    It may be forbidden to the user, renamed, or blocked by the provider. One refused command is enough.
    """
    try:
        replies = [await channel.execute("CONFIG", "GET", SETTINGS[0])]
        replies += await asyncio.gather(*(channel.execute("CONFIG", "GET", name) for name in SETTINGS[1:]))
    except RedisError:
        return None
    found = [reply[1].decode(errors="replace") if len(reply) > 1 else None for reply in replies]
    return dict(zip(SETTINGS, found, strict=True))


async def address(url: str) -> dict[str, object]:
    """How the servers at `url` are reached: `address` (`here.Where`) and `tls`."""
    return {"address": together(await where_are([url])), "tls": urlsplit(url).scheme.startswith("rediss")}


def check_streams(server: str, found: Mapping[str, object]) -> None:
    """Does nothing if the server described by `found` has streams, or does not say.

    Raises:
        ServerError: if it has none.
    """
    if found.get("hasStreams") is False:
        version = found.get("version")
        what = f"is version {version}, which" if version else "is one that"
        raise ServerError(f"{server} {what} has no streams (XADD); use Redis 5.0 or later, or Valkey")
