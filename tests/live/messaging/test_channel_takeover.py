"""The take-over of redis-py's connections, on real servers: every transport, both loops, users, databases.

What redis-py changes inside shows here first.
"""

import asyncio
import gc
import os
import warnings
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis.asyncio
import uvloop
from redis.exceptions import AuthenticationError, NoPermissionError

from ombdriver.bench.servers.configuration import TlsFiles
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.messaging.errors import ConnectionLost
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.connection import take_over
from ombdriver.messaging.transport.factory import connection_factory, open_client

both_loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
Run = Callable[[Coroutine[Any, Any, None]], None]


def channel_to(url: str, **options: Any) -> Channel:
    """A channel that takes over connections like those of a redis-py client for `url`."""
    return Channel(connection_factory(open_client(url, options)))


async def round_trip(url: str, **options: Any) -> None:
    """Small and large commands, there and back, over one connection; nothing warns at its end."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        channel = channel_to(url, **options)
        assert await channel.execute("PING") == b"PONG"
        body = os.urandom(3 << 20)
        set_large, got_large, missing, numbers = await asyncio.gather(
            channel.execute("SET", "takeover", body),
            channel.execute("GET", "takeover"),
            channel.execute("GET", "no such key"),
            asyncio.gather(*(channel.execute("ECHO", number) for number in range(1000))),
        )
        assert (set_large, got_large == body, missing) == (b"OK", True, None)
        assert numbers == [b"%d" % number for number in range(1000)]
        assert await channel.execute("DEL", "takeover") == 1
        assert channel.statistics().reconnects == 0
        await channel.aclose(wait_s=5)
        gc.collect()


@both_loops
def test_tcp(server_url: str, run: Run) -> None:
    """On both servers."""
    run(round_trip(server_url))


@both_loops
@pytest.mark.parametrize("engine", ["valkey", "redis_server"])
def test_a_unix_socket(request: pytest.FixtureRequest, engine: str, run: Run) -> None:
    """On both servers, with another database than the first."""
    server: PrivateServer = request.getfixturevalue(engine)

    run(round_trip(server.unix_url))
    run(round_trip(server.unix_url + "?db=3"))


@both_loops
def test_tls(tls_files: TlsFiles, run: Run) -> None:
    """Encrypted; the certificate is checked by redis-py's handshake, so a wrong one never comes to a channel."""

    async def main() -> None:
        async with await PrivateServer.start("redis", tls=tls_files) as server:
            await round_trip(server.url, ssl_ca_certs=str(tls_files.certificate))
            untrusting = channel_to(server.url)
            with pytest.raises(ConnectionLost, match="certificate verify failed"):
                await untrusting.execute("PING")
            await untrusting.aclose()

    run(main())


@both_loops
def test_a_killed_connection_is_followed_by_a_new_one(server_url: str, run: Run) -> None:
    """The server ends it; the channel says what is unknown, and its next command finds a new connection."""

    async def main() -> None:
        channel, control = channel_to(server_url), channel_to(server_url)
        number = await channel.execute("CLIENT", "ID")
        blocked = asyncio.ensure_future(channel.execute("BLPOP", "takeover:none", 0))
        while b"cmd=blpop" not in await control.execute("CLIENT", "LIST", "ID", number):
            pass
        await control.execute("CLIENT", "KILL", "ID", number)

        with pytest.raises(ConnectionLost, match="after the command was sent"):
            await blocked
        assert await channel.execute("CLIENT", "ID") > number
        assert channel.statistics().reconnects == 1
        await channel.aclose()
        await control.aclose()

    run(main())


async def test_the_database_of_the_url_is_selected(server_url: str) -> None:
    """By the handshake, so again after a reconnect."""
    channel, control = channel_to(urlsplit(server_url)._replace(path="/5").geturl()), channel_to(server_url)
    assert b" db=5 " in await channel.execute("CLIENT", "INFO")
    await control.execute("CLIENT", "KILL", "ID", await channel.execute("CLIENT", "ID"))
    while channel.statistics().connected:
        await control.execute("PING")

    assert b" db=5 " in await channel.execute("CLIENT", "INFO")

    await channel.aclose()
    await control.aclose()


@pytest.fixture
async def users(valkey_url: str) -> AsyncIterator[str]:
    """A user `reader` who may only read `r:*`; gives a URL with a place for user and password."""
    async with redis.asyncio.Redis.from_url(valkey_url, protocol=2) as raw:
        await raw.execute_command("ACL", "SETUSER", "reader", "on", ">open", "~r:*", "+get", "+ping")  # type: ignore[no-untyped-call]
        yield valkey_url.replace("redis://", "redis://{}@")
        await raw.execute_command("ACL", "DELUSER", "reader")  # type: ignore[no-untyped-call]


async def test_a_user_of_an_access_list(users: str) -> None:
    """What the user may do works, what not is that caller's error alone; that `CLIENT SETINFO` fails harms nobody."""
    channel = channel_to(users.format("reader:open"))

    allowed, forbidden, foreign, after = await asyncio.gather(
        *(channel.execute(*words) for words in (("GET", "r:1"), ("SET", "r:1", 1), ("GET", "x"), ("PING",))),
        return_exceptions=True,
    )

    assert (allowed, after) == (None, b"PONG")
    assert isinstance(forbidden, NoPermissionError)
    assert isinstance(foreign, NoPermissionError)
    await channel.aclose()


async def test_a_wrong_password_is_told_without_it(users: str) -> None:
    """As redis-py's own class of error; no connection is left behind."""
    channel = channel_to(users.format("reader:sesame"))

    with pytest.raises(AuthenticationError) as raised:
        await channel.execute("PING")

    assert "sesame" not in str(raised.value)
    assert "sesame" not in repr(channel)
    await channel.aclose()
    gc.collect()


@pytest.mark.parametrize("where", ["the stream reader", "the parser"])
async def test_bytes_that_redis_py_has_read_forbid_the_take_over(valkey_url: str, where: str) -> None:
    """A reply that lies in one of its two buffers would be missing in our line."""
    client = open_client(valkey_url, {})
    connection: Any = await connection_factory(client)()
    if where == "the stream reader":
        connection._reader.feed_data(b"+OK\r\n")
    else:
        connection._parser._reader.feed(b"+OK\r\n")

    with pytest.raises(ConnectionLost, match="unread bytes"):
        take_over(connection, asyncio.Protocol())

    await connection.disconnect()


async def test_a_connection_that_is_not_connected_can_not_be_taken_over(valkey_url: str) -> None:
    """It has no transport to give."""
    client = open_client(valkey_url, {})
    connection = await connection_factory(client)()
    await connection.disconnect()

    with pytest.raises(ConnectionLost, match="lost during the handshake"):
        take_over(connection, asyncio.Protocol())


@both_loops
def test_the_connection_object_lives_as_long_as_its_transport(valkey_url: str, run: Run) -> None:
    """Its stream writer would close the transport when it is collected; afterwards nothing keeps it."""
    made: list[Any] = []

    async def main() -> None:
        connect = connection_factory(open_client(valkey_url, {}))

        async def keep() -> Any:
            connection = await connect()
            made.append(weakref.ref(connection))
            return connection

        channel = Channel(keep)
        await channel.ready()
        gc.collect()
        assert made[0]() is not None
        assert await channel.execute("PING") == b"PONG"
        await channel.aclose()
        await asyncio.sleep(0)
        gc.collect()
        assert made[0]() is None

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(main())
