"""What a Redis or Valkey server says of itself, and how its refusals become errors of ours."""

import asyncio
import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from ombdriver.errors import ServerError
from ombdriver.messaging.channel import Channel
from ombdriver.messaging.errors import AuthenticationError, NoPermissionError, NotSentError, RedisError

OLDEST = (5, 0)
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
_ADVICE = (
    ("", "CERTIFICATE_VERIFY_FAILED", "name the authority that signed the certificate in the URL: ?ssl_ca_certs=FILE"),
    ("rediss:", "Timeout connecting", f"{_IS_IT_UP} if the port has no TLS, write redis://"),
    ("rediss:", "SSL", "if the port has no TLS, write redis://"),
    ("redis:", "Error while reading", f"{_IS_IT_UP} if the port is one for TLS, write rediss://"),
    ("redis:", "Connection closed by server", f"{_IS_IT_UP} if the port is one for TLS, write rediss://"),
    ("", "Timeout connecting", _IS_IT_UP),
    ("", "DB index is out of range", "write a database that the server has, as in redis://HOST:PORT/0"),
    ("", "Hash slot not served", "clusters are not supported yet; use one server that stands alone"),
    ("", "cluster is down", "clusters are not supported yet; use one server that stands alone"),
    ("", "read only replica", "give the URL of its primary"),
)
"""What to do about an error: how the URL begins, a part of the error's text, and the advice; the first row counts."""


@contextmanager
def border(server: str) -> Iterator[None]:
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
    for scheme, part, advice in _ADVICE:
        if server.startswith(scheme) and part in text:
            return f"{text.rstrip('.')}; {advice}"
    return str(error)


async def facts(channel: Channel) -> dict[str, object]:
    """The plain part of `driver.Driver.describe`; from INFO alone, which a user needs the permission for."""
    lines = (await channel.execute("INFO")).decode(errors="replace").splitlines()
    info = dict(line.split(":", 1) for line in lines if ":" in line)
    valkey = info.get("valkey_version")
    return {
        "engine": "valkey" if valkey else "redis",
        "version": valkey or info.get("redis_version", "?"),
        "redisVersion": info.get("redis_version", "?"),
        "mode": info.get("redis_mode", info.get("server_mode", "?")),
        "role": info.get("role", "?"),
        "replicas": int(info.get("connected_slaves", 0)),
        "os": info.get("os", "?"),
        "allocator": info.get("mem_allocator", "?"),
        "ioThreads": int(info.get("io_threads_active", 0)),
        "usedMemoryBytes": int(info.get("used_memory", 0)),
        "maxMemoryBytes": int(info.get("maxmemory", 0)),
        "systemMemoryBytes": int(info.get("total_system_memory", 0)),
        "evictionPolicy": info.get("maxmemory_policy", "?"),
        "appendonly": info.get("aof_enabled", "?") == "1",
        "buildId": info.get("redis_build_id"),
        "gitSha1": _git_sha1(info.get("redis_git_sha1", "")),
        "gccVersion": info.get("gcc_version"),
        "architectureBits": int(info.get("arch_bits", 0)) or None,
        "eventLoop": info.get("multiplexing_api"),
        "maxClients": int(info.get("maxclients", 0)) or None,
    }


def _git_sha1(told: str) -> str | None:
    """The commit that a server was built from; a build from an archive tells zeros."""
    return told if told.strip("0") else None


async def settings(channel: Channel) -> Mapping[str, str | None] | None:
    """`SETTINGS` by their names, None for those that this server does not have; None where CONFIG is not to be had.

    It may be forbidden to the user, renamed, or kept away by whoever runs the server. One refused command is enough.
    """
    try:
        replies = [await channel.execute("CONFIG", "GET", SETTINGS[0])]
        replies += await asyncio.gather(*(channel.execute("CONFIG", "GET", name) for name in SETTINGS[1:]))
    except RedisError:
        return None
    found = [reply[1].decode(errors="replace") if len(reply) > 1 else None for reply in replies]
    return dict(zip(SETTINGS, found, strict=True))


async def address(url: str) -> dict[str, object]:
    """How the server at `url` is reached: `address` (`loopback`, `unix` or `remote`) and `tls`."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return {"address": "unix", "tls": False}
    try:
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, None)
    except OSError:
        found = []
    local = bool(found) and all(ipaddress.ip_address(each[4][0]).is_loopback for each in found)
    return {"address": "loopback" if local else "remote", "tls": parts.scheme == "rediss"}


def check_version(server: str, found: Mapping[str, object]) -> None:
    """Does nothing if the server described by `found` has streams.

    Raises:
        ServerError: if it is too old.
    """
    version = str(found["redisVersion"])
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
        raise ServerError(f"{server} is version {version}, which has no streams; use version 5.0 or later")
