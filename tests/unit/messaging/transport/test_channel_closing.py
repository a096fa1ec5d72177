"""The end of a channel, and its figures."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fake_server import FakeServer, turns, until

from ombdriver.messaging.errors import ClosedError, OutcomeUnknownError
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.connection import pack
from ombdriver.messaging.transport.retry import Backoff

FOR_EVER = Backoff(first_s=1e6, cap_s=1e6)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    """A server that answers each command with its last word."""
    async with FakeServer(answers=True) as server:
        yield server


async def lost(channel: Channel) -> None:
    """Waits until the channel has seen its connection end."""
    await until(lambda: not channel.statistics().connected)


async def test_closing_waits_for_the_replies(server: FakeServer) -> None:
    """Of what was sent, and of what waits for room; newcomers are refused meanwhile."""
    server.answers = False
    channel = Channel(server.connect, max_in_flight=2)
    await channel.ready()
    futures = [asyncio.ensure_future(channel.execute("DO", number)) for number in range(4)]
    closing = asyncio.create_task(channel.aclose(wait_s=60))
    peer = await server.peer()
    await until(lambda: len(peer.commands) == 2)
    with pytest.raises(ClosedError):
        channel.execute("DO", 4)
    assert [channel.room(), closing.done()] == [0, False]

    server.answers = True
    peer.send(b"+a\r\n+b\r\n")
    await closing

    assert [await future for future in futures] == [b"a", b"b", b"2", b"3"]
    await until(lambda: peer.is_gone)
    statistics = channel.statistics()
    assert (statistics.connected, statistics.in_flight, statistics.replies) == (False, 0, 5)  # a PING ends the waiting


async def test_closing_without_waiting_fails_what_is_in_flight(server: FakeServer) -> None:
    """And what has not left; what was queued in the last turn still leaves."""
    server.answers = False
    channel = Channel(server.connect, max_in_flight=1)
    await channel.ready()
    sent, waits = (asyncio.ensure_future(channel.execute("DO", number)) for number in range(2))

    await channel.aclose()

    with pytest.raises(OutcomeUnknownError):
        await sent
    with pytest.raises(ClosedError):
        await waits
    peer = await server.peer()
    await until(lambda: peer.is_gone)
    assert peer.commands == [[b"DO", b"0"]]


async def test_waiting_for_replies_has_an_end(server: FakeServer) -> None:
    """A server that does not answer can't hold up the closing; nor one that is lost meanwhile."""
    server.answers = False
    for ends in (False, True):
        channel = Channel(server.connect)
        await channel.ready()
        future = asyncio.ensure_future(channel.execute("DO"))
        closing = asyncio.create_task(channel.aclose(wait_s=60 if ends else 0.01))
        if ends:
            await until(lambda: server.peers[-1].commands)
            server.peers[-1].cut()
        await closing
        with pytest.raises(OutcomeUnknownError):
            await future


async def test_a_second_call_cuts_the_waiting_short(server: FakeServer) -> None:
    """Both return, and the connection is closed."""
    server.answers = False
    channel = Channel(server.connect)
    await channel.ready()
    future = asyncio.ensure_future(channel.execute("DO"))
    patient = asyncio.create_task(channel.aclose(wait_s=3600))
    await turns()

    await channel.aclose()
    await patient

    with pytest.raises(OutcomeUnknownError):
        await future
    await channel.aclose(wait_s=1)
    await until(lambda: server.peers[0].is_gone)


async def test_a_cancelled_close_can_be_repeated(server: FakeServer) -> None:
    """The second one finds the connection, and closes it."""
    server.answers = False
    channel = Channel(server.connect)
    await channel.ready()
    future = asyncio.ensure_future(channel.execute("DO"))
    closing = asyncio.create_task(channel.aclose(wait_s=3600))
    await turns()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing

    await channel.aclose()

    assert not channel.statistics().connected
    with pytest.raises(OutcomeUnknownError):
        await future


async def test_closing_during_connecting(server: FakeServer) -> None:
    """The attempt ends, with those who wait for it, and leaves no connection; so does a wait between two attempts."""
    started = asyncio.Event()

    async def connect() -> Any:
        started.set()
        await asyncio.Event().wait()

    channel = Channel(connect)
    waits, ready = asyncio.ensure_future(channel.execute("DO")), asyncio.create_task(channel.ready())
    await started.wait()
    await channel.aclose(wait_s=60)
    for future in (waits, ready):
        with pytest.raises(ClosedError):
            await future

    channel = Channel(server.connect, backoff=FOR_EVER)
    await channel.execute("DO")
    server.refuse = [ConnectionRefusedError("down")]
    server.peers[0].end()
    await lost(channel)
    waits = asyncio.ensure_future(channel.execute("DO"))
    await until(lambda: not server.refuse)
    await channel.aclose()
    with pytest.raises(ClosedError):
        await waits


async def test_closing_an_unused_channel_does_nothing(server: FakeServer) -> None:
    """It never connected."""
    channel = Channel(server.connect)
    await channel.aclose(wait_s=60)

    assert [server.attempts, repr(channel)] == [0, "<Channel closed>"]


async def test_the_destructor_of_redis_py_has_nothing_to_say(server: FakeServer) -> None:
    """Neither after closing nor after a loss; meanwhile the taken-over connection is kept alive."""
    channel = Channel(server.connect)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await channel.ready()
        gc.collect()
        assert await channel.execute("DO", 1) == b"1"
        server.peers[0].cut()
        await lost(channel)
        assert await channel.execute("DO", 2) == b"2"
        await channel.aclose()
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


async def test_statistics_tell_what_was_done_and_what_is_waited_for() -> None:
    """Over all connections; the idle time counts only while something is in flight."""
    async with FakeServer() as server:
        channel = Channel(server.connect)
        assert channel.statistics().idle_ns == 0
        future = asyncio.ensure_future(channel.execute("DO"))
        peer = await server.peer()
        await until(lambda: peer.commands)
        now = channel.statistics()
        assert (now.connected, now.in_flight, now.replies, now.reconnects) == (True, 1, 0, 0)
        assert 0 < now.idle_ns < channel.statistics().idle_ns
        assert repr(channel) == "<Channel <Connection open, 1 in flight, 0 not sent>>"

        peer.send(b"+OK\r\n")
        await future
        now = channel.statistics()
        assert (now.in_flight, now.replies, now.idle_ns) == (0, 1, 0)

        peer.end()
        await lost(channel)
        server.answers = True
        await channel.execute("DO")
        now = channel.statistics()
        assert (now.connected, now.replies, now.reconnects) == (True, 2, 1)
        await channel.aclose()


async def test_a_closed_channel_refuses(server: FakeServer) -> None:
    """Commands, blocks and waiting for the connection; a callback for room is never called."""
    channel = Channel(server.connect)
    await channel.ready()
    await channel.aclose()
    await channel.aclose()
    called: list[int] = []

    with pytest.raises(ClosedError):
        channel.execute("A")
    with pytest.raises(ClosedError):
        channel.send_block(pack(("A",)), 1, lambda *_: None, 0, 0)
    with pytest.raises(ClosedError):
        await channel.ready()
    channel.when_room(lambda: called.append(1))
    await turns()
    assert [channel.room(), called, repr(channel)] == [0, [], "<Channel closed>"]
