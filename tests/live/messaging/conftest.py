"""What the live tests of the messaging library share: raw looks at the server, and waiting for what it shows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import redis.asyncio

Waits = Callable[[int], Awaitable[None]]


@pytest.fixture
async def raw(server_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A plain redis-py client of the same server, decoding nothing: the test's own eyes."""
    client = redis.asyncio.Redis.from_url(server_url, protocol=2, client_name="eyes")
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


async def _until(raw: redis.asyncio.Redis, flag: str, count: int) -> None:
    database = str(raw.connection_pool.connection_kwargs.get("db", 0))
    while True:
        clients = await raw.client_list()
        found = [c for c in clients if c["name"] != "eyes" and c["db"] == database and flag in c["flags"]]
        if len(found) == count:
            return
        await asyncio.sleep(0.002)
