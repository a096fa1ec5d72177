"""What a Redis or Valkey server says of itself, and how its refusals become errors of ours."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from ombdriver.bench.servers.here import together, where_are
from ombdriver.errors import ServerError
from ombdriver.messaging.errors import (
    AuthenticationError,
    NoPermissionError,
    NotSentError,
    OutcomeUnknownError,
    RedisError,
)
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.connection import Argument, pack
from ombdriver.messaging.transport.router import Router

GUARD_S = 10.0
"""Seconds without the reply to a small command after which a server counts as gone."""

IN_ONE, AT_ONCE = 100, 100
"""Keys in one command, so that no other client waits for long; commands that are on their way together."""

"""The first version that has streams."""

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

_IS_IT_UP = "is the server up, and the URL right?"
_PEM_FILES = "name PEM files: the authority's certificate (ssl_ca_certs), our own (ssl_certfile), its key (ssl_keyfile)"
_ADVICE: Sequence[tuple[bool | None, str, str]] = (
    (None, "CERTIFICATE_VERIFY_FAILED", "name the authority that signed the certificate: ?ssl_ca_certs=FILE"),
    (True, "X509", _PEM_FILES),
    (True, "PEM", _PEM_FILES),
    (True, "KEY_VALUES_MISMATCH", "name the key that belongs to the certificate (ssl_keyfile)"),
    (True, "No cipher can be selected", "correct ssl_ciphers"),
    (True, "cadata", "give PEM text as ssl_ca_data, or a file as ssl_ca_certs"),
    (True, "Timeout connecting", f"{_IS_IT_UP} if the port has no TLS, write redis://"),
    (True, "SSL", "if the port has no TLS, write redis://"),
    (False, "Error while reading", f"{_IS_IT_UP} if the port is one for TLS, write rediss://"),
    (False, "Connection closed by server", f"{_IS_IT_UP} if the port is one for TLS, write rediss://"),
    (None, "Timeout connecting", _IS_IT_UP),
    (None, "No master found", "are the Sentinels up, and is that what they call the master?"),
    (None, "DB index is out of range", "write a database that the server has, as in redis://HOST:PORT/0"),
    (None, "Hash slot not served", "assign every slot of the cluster (redis-cli --cluster check HOST:PORT)"),
    (None, "cluster is down", "look at it with redis-cli --cluster check HOST:PORT"),
    (None, "cluster support disabled", "the server stands alone: remove cluster: true, or +cluster in the URL"),
    (None, "unknown command 'CLUSTER'", "this is a Sentinel: write redis+sentinel://HOST:PORT/MASTER"),
    (None, "unknown command 'SENTINEL'", "this is no Sentinel: give the addresses of Sentinels, or write redis://"),
    (None, "MOVED", "the server is part of a cluster: write redis+cluster://HOST:PORT, or cluster: true in the setup"),
    (None, "read only replica", "give the URL of its primary"),
)
"""What to do about an error: whether it is one of TLS, a part of the error's text, and the advice; the first counts."""


@contextmanager
def map_errors(server: str) -> Iterator[None]:
    """Errors of the library and of `server` (a URL without its password) become ours.

    Raises:
        ServerError: if the server can't be reached, refuses the login or a command.
    """
    try:
        yield
    except (AuthenticationError, NoPermissionError) as error:
        way_out = "check user and password in the URL, and what that user may do"
        raise ServerError(f"{server}: {str(error).rstrip('.')}; {way_out}") from error
    except RedisError as error:
        raise ServerError(f"{server}: {with_advice(server, error)}") from error


def with_advice(server: str, error: Exception) -> str:
    """The text of `error`, with what to do about it as far as that is known."""
    # The library's own advice gives way to one that knows more.
    text = str(error.__cause__ or error) if isinstance(error, NotSentError) else str(error)
    text = text.partition(" : <")[0]  # redis-py tells of its Sentinels as Python shows them
    for tls, part, advice in _ADVICE:
        if tls in (None, server.startswith("rediss")) and part in text:
            return f"{text.rstrip('.')}; {advice}"
    return str(error)


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
    """The plain part of `api.Driver.describe`; from INFO, which a user needs the permission for, and by trying.

    Servers that speak the protocol write INFO as they like: a number that is none, or not there, counts as 0. What a
    server can is not guessed from its version, for it may be that of another program.

    Args:
        nodes: a channel to each primary; of several, the first speaks, and what adds up is added up.
    """
    infos = [_lines(reply) for reply in await asyncio.gather(*(node.execute("INFO") for node in nodes))]
    info = infos[0]
    valkey = info.get("valkey_version")
    limits = [_number(each, "maxmemory") for each in infos]
    return {
        "engine": "valkey" if valkey else "redis",
        "version": valkey or info.get("redis_version", "?"),
        "redisVersion": info.get("redis_version", "?"),
        "mode": info.get("redis_mode", info.get("server_mode", "?")),
        "role": info.get("role", "?"),
        "primaries": len(nodes),
        "replicas": min(_number(each, "connected_slaves") for each in infos),
        "os": info.get("os", "?"),
        "allocator": info.get("mem_allocator", "?"),
        "ioThreads": _number(info, "io_threads_active"),
        "usedMemoryBytes": sum(_number(each, "used_memory") for each in infos),
        "maxMemoryBytes": sum(limits) if all(limits) else 0,
        "systemMemoryBytes": _number(info, "total_system_memory"),
        "evictionPolicy": info.get("maxmemory_policy", "?"),
        "appendonly": info.get("aof_enabled", "?") == "1",
        "buildId": info.get("redis_build_id"),
        "gitSha1": _git_sha1(info.get("redis_git_sha1", "")),
        "gccVersion": info.get("gcc_version"),
        "architectureBits": _number(info, "arch_bits") or None,
        "eventLoop": info.get("multiplexing_api"),
        "maxClients": _number(info, "maxclients") or None,
        "hasStreams": await has_command(nodes[0], "XADD"),
        "hasMinid": await has_minid(nodes[0]),
    }


def _lines(reply: bytes) -> dict[str, str]:
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


def _number(info: Mapping[str, str], name: str) -> int:
    """A figure of INFO; 0 where it is not there, or is none (`maxmemory:unlimited`)."""
    text = info.get(name, "").strip()
    return int(text) if text.isdecimal() else 0


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
        raise ServerError(f"{server} is version {found['version']}, which has no streams; use version 5.0 or later")
