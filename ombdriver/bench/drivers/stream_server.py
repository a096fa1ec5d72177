"""What a Redis or Valkey server says of itself, and how its refusals become errors of ours."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ombdriver.errors import ServerError
from ombdriver.messaging.channel import Channel
from ombdriver.messaging.errors import AuthenticationError, NoPermissionError, RedisError

OLDEST = (5, 0)
"""The first version that has streams."""


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
        raise ServerError(f"{server}: {error}; {way_out}") from error
    except RedisError as error:
        raise ServerError(f"{server}: {error}") from error


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
