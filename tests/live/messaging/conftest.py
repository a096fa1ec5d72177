"""What the live tests of the messaging library share: raw looks at the server, and waiting for what it shows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import redis.asyncio

Waits = Callable[[int], Awaitable[None]]


@pytest.fixture
async def raw(server_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A plain redis-py client of the same server, decoding nothing: the test's own eyes."""
    client = redis.asyncio.Redis.from_url(server_url, protocol=2, client_name="eyes", socket_timeout=None)
    yield client
    await client.aclose()


@pytest.fixture
def connected(raw: redis.asyncio.Redis) -> Waits:
    """Waits until the server has exactly so many connections to the test's database; the test's time-out limits it."""
    return lambda count: _until(raw, "", count)


@pytest.fixture
def blocked(raw: redis.asyncio.Redis) -> Waits:
    """Waits until exactly so many connections to the test's database wait in a blocking command."""
    return lambda count: _until(raw, "b", count)


@pytest.fixture
def cut(raw: redis.asyncio.Redis) -> Callable[[], Awaitable[None]]:
    """Has the server close every connection to the test's database, the test's own eyes excepted."""

    async def kill() -> None:
        for client in await _clients(raw):
            await raw.client_kill_filter(_id=client["id"])

    return kill


async def _until(raw: redis.asyncio.Redis, flag: str, count: int) -> None:
    while sum(flag in client["flags"] for client in await _clients(raw)) != count:  # noqa: ASYNC110 - the server's
        await asyncio.sleep(0.002)


async def _clients(raw: redis.asyncio.Redis) -> list[dict[str, str]]:
    database = str(raw.connection_pool.connection_kwargs.get("db", 0))
    clients = await raw.client_list()
    # With --url the fixture of the server keeps a connection too, on which it last asked for the size.
    return [c for c in clients if c["db"] == database and c["name"] != "eyes" and c["cmd"] != "dbsize"]
