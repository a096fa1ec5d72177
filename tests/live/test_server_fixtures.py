"""The servers that the other tests stand on."""

import pytest
import redis.asyncio

from ombdriver.bench.servers.private_server import PrivateServer


@pytest.mark.parametrize("round_", [1, 2])
async def test_a_server_url_starts_empty(server_url: str, round_: int) -> None:
    """What one test left behind is gone for the next one."""
    async with redis.asyncio.Redis.from_url(server_url) as client:
        assert await client.dbsize() == 0
        await client.set(f"left behind by {round_}", "1")


async def test_the_embedded_server_is_a_valkey(valkey: PrivateServer, valkey_url: str) -> None:
    """`valkey_url` is the URL of `valkey`, not of another plugin's fixture."""
    assert valkey_url == valkey.url
    async with redis.asyncio.Redis.from_url(valkey.unix_url) as client:
        assert (await client.info("server"))["server_name"] == "valkey"


def test_the_session_server_outlives_event_loops(valkey_url: str, redis_server: PrivateServer) -> None:
    """A test without a loop can use them too."""
    for url in (valkey_url, redis_server.unix_url):
        with redis.Redis.from_url(url) as client:
            assert client.ping()
