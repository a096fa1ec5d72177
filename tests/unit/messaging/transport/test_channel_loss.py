"""A connection that is lost."""

import asyncio

import pytest
from fake_server import FakeServer, until
from redis.exceptions import ConnectionError as RedisConnectionError

from ombdriver.messaging.errors import OutcomeUnknownError
from ombdriver.messaging.transport.channel import Channel


async def test_a_lost_connection_tells_what_may_have_happened() -> None:
    """What was sent has an unknown outcome; the error carries the cause and is a redis-py ConnectionError."""
    async with FakeServer() as server:
        channel = Channel(server.connect)
        future = asyncio.ensure_future(channel.execute("DO"))
        peer = await server.peer()
        await until(lambda: peer.commands)
        peer.end()

        with pytest.raises(OutcomeUnknownError, match="the server closed the connection") as raised:
            await future
        assert isinstance(raised.value, RedisConnectionError)
        await channel.aclose()
