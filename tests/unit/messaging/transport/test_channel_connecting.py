"""Making connections: the first, the next ones after a loss, and which are refused. The far end is a fake server."""

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fake_server import FakeServer, turns, until
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from ombdriver.messaging.errors import NotSentError
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.retry import Backoff

QUICK = Backoff(first_s=0.001, cap_s=0.002)
FOR_EVER = Backoff(first_s=1e6, cap_s=1e6)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    """A server that answers each command with its last word."""
    async with FakeServer(answers=True) as server:
        yield server


async def lost(channel: Channel) -> None:
    """Waits until the channel has seen its connection end."""
    await until(lambda: not channel.statistics().connected)


async def test_the_first_command_connects(server: FakeServer) -> None:
    """Nothing happens before; many first callers share one connection, in order, in one write."""
    channel = Channel(server.connect)
    assert [server.attempts, repr(channel), channel.room()] == [0, "<Channel not connected>", 0]

    assert await asyncio.gather(*(channel.execute("DO", i) for i in range(100))) == [b"%d" % i for i in range(100)]

    assert [server.attempts, len(server.peers)] == [1, 1]
    assert server.peers[0].commands == [[b"DO", b"%d" % i] for i in range(100)]
    assert repr(channel) == "<Channel <Connection open, 0 in flight, 0 not sent>>"
    await channel.aclose()


async def test_the_first_connection_fails_fast(server: FakeServer) -> None:
    """All who wait get the error, with its cause and the way out; the next caller tries again."""
    server.refuse = [ConnectionRefusedError("nobody there.")]
    channel = Channel(server.connect, backoff=FOR_EVER)

    errors = await asyncio.gather(*(channel.execute("DO", i) for i in range(3)), return_exceptions=True)

    for error in errors:
        assert type(error) is NotSentError
        assert str(error) == "nobody there; is the server up, and its address right?"
        assert isinstance(error.__cause__, ConnectionRefusedError)
    assert server.attempts == 1
    assert await channel.execute("DO", "again") == b"again"
    await channel.aclose()


@pytest.mark.parametrize("refusal", [AuthenticationError("wrong password"), ResponseError("no such database")])
async def test_a_refusal_keeps_its_class(server: FakeServer, refusal: Exception) -> None:
    """A wrong password is not an absent server."""
    server.refuse = [refusal]
    channel = Channel(server.connect)

    with pytest.raises(type(refusal)) as raised:
        await channel.execute("DO")

    assert raised.value is refusal


async def test_a_fault_of_ours_while_connecting_reaches_the_callers(server: FakeServer) -> None:
    """Something that redis-py does not raise is told as it is, and tried once."""
    server.refuse = [AttributeError("no _reader")] * 2
    channel = Channel(server.connect)

    with pytest.raises(AttributeError):
        await channel.execute("DO")
    with pytest.raises(AttributeError):
        await channel.ready()


async def test_reconnecting_is_patient(server: FakeServer) -> None:
    """After a loss a caller waits through failed attempts; its command goes over the new connection."""
    channel = Channel(server.connect, backoff=QUICK)
    await channel.execute("DO")
    server.peers[0].end()
    await lost(channel)
    server.refuse = [RedisConnectionError("not yet"), ConnectionRefusedError("not yet"), ResponseError("LOADING")]

    assert await channel.execute("DO", "after") == b"after"

    assert server.attempts == 5
    statistics = channel.statistics()
    assert (statistics.reconnects, statistics.replies, statistics.connected) == (1, 2, True)
    await channel.aclose()


async def test_reconnecting_gives_up(server: FakeServer) -> None:
    """After `give_up_s` those who wait get the error; the next caller starts anew."""
    channel = Channel(server.connect, backoff=Backoff(first_s=0.001, give_up_s=0))
    await channel.execute("DO")
    server.refuse = [ConnectionRefusedError("down")]
    server.peers[0].end()
    await lost(channel)

    with pytest.raises(NotSentError, match="down"):
        await channel.execute("DO")

    assert await channel.execute("DO", "again") == b"again"
    await channel.aclose()


async def test_a_changed_password_ends_reconnecting_at_once(server: FakeServer) -> None:
    """Waiting would not mend it."""
    channel = Channel(server.connect, backoff=FOR_EVER)
    await channel.execute("DO")
    server.refuse = [AuthenticationError("changed")]
    server.peers[0].end()
    await lost(channel)

    with pytest.raises(AuthenticationError, match="changed"):
        await channel.execute("DO")
    await channel.aclose()


async def test_after_a_loss_a_channel_stays_unconnected(server: FakeServer) -> None:
    """Until somebody calls, or waits for room."""
    channel = Channel(server.connect)
    await channel.ready()
    server.peers[0].cut()
    await lost(channel)
    await turns(10)
    assert server.attempts == 1

    called = asyncio.Event()
    channel.when_room(called.set)
    await called.wait()

    assert [server.attempts, channel.room() > 0] == [2, True]
    await channel.aclose()


async def test_a_caller_cancelled_while_connecting_does_not_end_the_attempt(server: FakeServer) -> None:
    """The others get their connection, and nothing is sent for the one that left."""
    go = asyncio.Event()

    async def connect() -> Any:
        await go.wait()
        return await server.connect()

    channel = Channel(connect)

    async def caller(number: int) -> Any:
        return await channel.execute("DO", number)

    tasks = [asyncio.create_task(caller(number)) for number in range(3)]
    waits = asyncio.create_task(channel.ready())
    await turns()
    tasks[0].cancel()
    waits.cancel()
    await turns()
    go.set()

    assert await tasks[1] == b"1"
    assert await tasks[2] == b"2"
    assert [tasks[0].cancelled(), waits.cancelled()] == [True, True]
    assert server.peers[0].commands == [[b"DO", b"1"], [b"DO", b"2"]]
    await channel.aclose()


@given(st.integers(0, 2000), st.floats(0.001, 1), st.floats(1, 60))
def test_waits_between_attempts_are_jittered_and_bounded(attempt: int, first_s: float, cap_s: float) -> None:
    """Between 0 and twice as much with each attempt, up to the cap; large numbers of attempts don't overflow."""
    bound = min(cap_s, first_s * 2 ** min(attempt, 60))
    waits = [Backoff(first_s, cap_s).wait_s(attempt) for _ in range(10)]

    assert all(0 <= wait <= bound for wait in waits)
    assert len(set(waits)) > 1


async def test_a_refused_take_over_closes_its_connection(server: FakeServer) -> None:
    """A server that talks before it is asked: redis-py holds the bytes, so the connection is given up, and closed."""
    server.greeting = b"+welcome\r\n"

    async def connect() -> Any:
        connection: Any = await server.connect()
        await until(lambda: connection._reader._buffer)
        return connection

    channel = Channel(connect)
    with pytest.raises(NotSentError, match="unread bytes"):
        await channel.execute("DO")

    await until(lambda: server.peers[0].is_gone)
    gc.collect()


async def test_a_connection_that_ended_in_the_handshake_is_refused(server: FakeServer) -> None:
    """Its loss was told to redis-py's protocol, and nobody would tell ours."""

    async def connect() -> Any:
        connection: Any = await server.connect()
        (await server.peer(len(server.peers) - 1)).end()
        await until(lambda: connection._reader.at_eof())
        return connection

    channel = Channel(connect)
    with pytest.raises(NotSentError, match="lost during the handshake"):
        await channel.execute("DO")
