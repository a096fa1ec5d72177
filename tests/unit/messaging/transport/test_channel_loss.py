"""A connection that is lost, or given up because nothing comes over it any more."""

import asyncio
from typing import Any

import pytest
from fake_server import Cable, FakeServer, turns, until
from redis.exceptions import ConnectionError as RedisConnectionError

from ombdriver.messaging.errors import ConnectionLost, NotSentError, OutcomeUnknownError
from ombdriver.messaging.transport.channel import Channel


class Timers:
    """The timers that were set on the running loop while this was in force."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        set_timer = loop.call_later
        self.handles: list[asyncio.TimerHandle] = []

        def call_later(delay: float, callback: Any, *args: Any, **options: Any) -> asyncio.TimerHandle:
            self.handles.append(set_timer(delay, callback, *args, **options))
            return self.handles[-1]

        monkeypatch.setattr(loop, "call_later", call_later)

    def pending(self) -> int:
        """How many are still to fire."""
        return sum(not handle.cancelled() for handle in self.handles)


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


async def test_a_reply_timeout_gives_up_a_half_open_connection() -> None:
    """No reply in time: the caller with the limit and all behind it fail; the next command makes a new connection."""
    async with FakeServer() as server:
        channel = Channel(server.connect)
        plain = asyncio.ensure_future(channel.execute("A"))
        limited = asyncio.ensure_future(channel.execute("B", reply_timeout_s=0.01))

        for future in (plain, limited):
            with pytest.raises(OutcomeUnknownError, match=r"no reply within 0\.01 s") as raised:
                await future
            assert type(raised.value.__cause__) is ConnectionLost

        server.answers = True
        assert await channel.execute("C", reply_timeout_s=60) == b"C"
        assert len(server.peers) == 2
        await channel.aclose()


async def test_an_answered_or_cancelled_call_leaves_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer left behind would end a healthy connection: none is, on the fast way or after waiting for room."""
    cable = Cable()
    channel = Channel(cable.connect, max_in_flight=2)
    await channel.ready()
    timers = Timers(monkeypatch)
    answered, cancelled, waited, gone = (
        asyncio.ensure_future(channel.execute("DO", reply_timeout_s=3600)) for _ in range(4)
    )
    await turns()
    assert timers.pending() == 2

    gone.cancel()
    cancelled.cancel()
    cable.receive(b":1\r\n:2\r\n")
    await turns()
    assert timers.pending() == 1
    cable.receive(b":3\r\n")
    await turns()

    assert [await answered, cancelled.cancelled(), await waited, gone.cancelled()] == [1, True, 3, True]
    assert [len(timers.handles), timers.pending()] == [3, 0]
    assert channel.statistics().connected
    await channel.aclose()


async def test_a_lost_connection_leaves_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its timer would hold the connection in memory."""
    cable = Cable()
    channel = Channel(cable.connect)
    await channel.ready()
    timers = Timers(monkeypatch)
    future = asyncio.ensure_future(channel.execute("DO", reply_timeout_s=3600))
    cable.lose()

    with pytest.raises(NotSentError):
        await future
    await turns()

    assert [len(timers.handles), timers.pending()] == [1, 0]
