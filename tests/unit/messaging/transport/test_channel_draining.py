"""Giving up a connection in good order: after READONLY and the like, and when a server leaves the cluster."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from fake_server import FakeServer, call, turns, until
from redis.exceptions import MasterDownError, ReadOnlyError, ResponseError

from ombdriver.messaging.errors import ClosedError, ConnectionLost, NotSentError, OutcomeUnknownError
from ombdriver.messaging.transport import channel as channel_module
from ombdriver.messaging.transport import connection
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.connection import pack

ERROR_REPLIES = {
    b"-READONLY You can't write against a read only replica.\r\n": ReadOnlyError,
    b"-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n": ResponseError,
    b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n": MasterDownError,
}


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    """A server that answers when the test says so."""
    async with FakeServer() as server:
        yield server


@pytest.mark.parametrize("reply", ERROR_REPLIES)
async def test_a_server_that_is_the_wrong_one_gets_no_new_commands(server: FakeServer, reply: bytes) -> None:
    """The caller has the error, what was in flight has its replies, the next command goes over a new connection."""
    channel = Channel(server.connect)
    calls = [call(channel, "DO", n) for n in range(3)]
    old = await server.peer()
    await until(lambda: len(old.commands) == 3)
    old.send(reply)
    await until(calls[0].done)
    assert type(calls[0].exception()) is ERROR_REPLIES[reply]
    assert channel.room() == 0

    server.answers = True
    assert await channel.execute("DO", "new") == b"new"
    assert [len(old.commands), len(server.peers)] == [3, 2]
    assert not old.is_gone
    assert channel.statistics().in_flight == 2
    old.send(b"+one\r\n+two\r\n")
    assert [await calls[1], await calls[2]] == [b"one", b"two"]
    await until(lambda: old.is_gone)
    assert (channel.statistics().reconnects, channel.statistics().replies) == (1, 4)
    await channel.aclose()


async def test_an_error_reply_in_a_block_counts_too(server: FakeServer) -> None:
    """And who waits for room is called, to find the new connection."""
    channel = Channel(server.connect, max_in_flight=2)
    told: list[tuple[int, int, object]] = []
    await channel.ready()
    channel.send_block(
        pack(("PING",)) * 2, 2, lambda _t, first, count, error, *_: told.append((first, count, error)), 0, 0
    )
    called = asyncio.Event()
    channel.when_room(called.set)
    old = await server.peer()
    old.send(b"-READONLY no\r\n")
    await asyncio.wait_for(called.wait(), 5)
    again = asyncio.Event()
    channel.when_room(again.set)
    await again.wait()
    assert len(server.peers) == 2
    old.send(b"+OK\r\n")
    await until(lambda: len(told) == 2)
    assert [isinstance(told[0][2], ReadOnlyError), told[1]] == [True, (1, 1, None)]
    await channel.aclose()


async def test_a_draining_connection_that_owes_replies_is_ended(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while; their outcome is unknown."""
    monkeypatch.setattr(connection, "DRAIN_S", 0.01)
    channel = Channel(server.connect)
    waits = call(channel, "DO")
    old = await server.peer()
    await until(lambda: old.commands)
    channel.reconnect()
    with pytest.raises(OutcomeUnknownError, match="no longer the one to ask"):
        await waits
    assert not channel.statistics().connected
    await channel.aclose()


async def test_closing_ends_draining_connections_too(server: FakeServer) -> None:
    """None is left."""
    channel = Channel(server.connect)
    waits = call(channel, "DO")
    old = await server.peer()
    await until(lambda: old.commands)
    channel.reconnect()
    await channel.aclose()
    assert isinstance(waits.exception(), ConnectionLost)
    await until(lambda: old.is_gone)


async def test_a_channel_whose_server_leaves_sends_nothing_more(server: FakeServer) -> None:
    """What waits was not sent, what is in flight may be answered still, and later calls are refused as not sent."""
    channel = Channel(server.connect, max_in_flight=1)
    sent, waits = call(channel, "DO", 1), call(channel, "DO", 2)
    old = await server.peer()
    await until(lambda: old.commands)
    channel.drain()
    channel.drain()
    assert isinstance(waits.exception(), NotSentError)
    for attempt in (lambda: channel.execute("DO"), lambda: channel.send_block(b"", 1, print, 0, 0)):
        with pytest.raises(NotSentError, match="no part in the key"):
            attempt()
    with pytest.raises(NotSentError):
        await channel.ready()
    old.send(b"+done\r\n")
    assert await sent == b"done"
    await until(lambda: old.is_gone)
    await channel.aclose()


async def test_draining_ends_an_attempt_to_connect() -> None:
    """Whoever waits for it is told that nothing was sent."""
    channel = Channel(asyncio.Event().wait)  # type: ignore[arg-type]  # it never gives a connection
    waits, ready = call(channel, "DO"), asyncio.ensure_future(channel.ready())
    await turns()
    channel.drain()
    with pytest.raises(NotSentError, match="has left"):
        await waits
    with pytest.raises(NotSentError, match="has left"):
        await ready
    await channel.aclose()


async def test_a_suspect_server_is_told(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost connection, replies that are owed, and a connection that can't be made; not our own closing."""
    told: list[str] = []
    monkeypatch.setattr(channel_module, "SUSPECT_S", 0.01)
    channel = Channel(server.connect, on_suspect=lambda: told.append("first"))
    owed = call(channel, "DO")
    await until(lambda: told)
    (await server.peer()).cut()
    await until(owed.done)
    assert len(told) == 2
    monkeypatch.undo()
    other = Channel(server.connect, on_suspect=lambda: told.append("other"))
    server.refuse = [ConnectionRefusedError("down")]
    with pytest.raises(NotSentError):
        await other.execute("DO")
    assert told[2:] == ["other"]
    third = Channel(server.connect, on_suspect=lambda: told.append("third"))
    await third.ready()
    await third.aclose()
    await channel.aclose()
    assert told[3:] == []
    with pytest.raises(ClosedError):
        channel.execute("DO")
