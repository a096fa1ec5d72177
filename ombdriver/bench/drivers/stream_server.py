"""What a Redis or Valkey server says of itself, and how its refusals become errors of ours."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ombdriver.errors import ServerError
from ombdriver.messaging.channel import Channel
from ombdriver.messaging.errors import AuthenticationError, NoPermissionError, NotSentError, RedisError

OLDEST = (5, 0)
"""The first version that has streams."""

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


async def facts(channel: Channel) -> Mapping[str, object]:
    """See `driver.Driver.describe`; from INFO alone, which a user needs the permission for."""
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
    }


def check_version(server: str, found: Mapping[str, object]) -> None:
    """Does nothing if the server described by `found` has streams.

    Raises:
        ServerError: if it is too old.
    """
    version = str(found["redisVersion"])
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
        raise ServerError(f"{server} is version {version}, which has no streams; use version 5.0 or later")
