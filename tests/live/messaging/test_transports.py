"""Every way to a server: TCP, TLS, unix sockets, users with passwords, databases, plain asyncio and uvloop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import redis.asyncio
import uvloop

from ombdriver import GroupManager, MQProducer
from ombdriver.bench.servers.configuration import TlsFiles
from ombdriver.bench.servers.private_server import PrivateServer


async def round_trip(url: str, **options: Any) -> None:
    """One message there and back, by each kind of connection that a client has."""
    async with (
        MQProducer("transport", redis_url=url, **options) as producer,
        GroupManager("transport", redis_url=url, **options) as manager,
    ):
        consumer = await (await manager.create_group("g")).create_consumer("c")
        sent = [await producer.send_message({"f": "v"}) for _ in range(3)]
        received: list[str] = []
        while len(received) < 3:
            received += [entry for _, entries in await consumer.block_read_messages() for entry, _ in entries]
        assert received == sent
        assert await consumer.ack_message(*sent) == 3
        assert await producer.get_stream_length("transport") == 3
        await producer.redis_pool.delete("transport")


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_tcp_on_both_loops(server_url: str, run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    """The library takes whatever loop its caller runs."""
    run(round_trip(server_url))


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("engine", ["valkey", "redis_server"])
def test_unix_sockets(
    request: pytest.FixtureRequest, engine: str, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """`unix://PATH`, with a database in the query."""
    server: PrivateServer = request.getfixturevalue(engine)

    run(round_trip(server.unix_url))
    run(round_trip(server.unix_url + "?db=3"))


async def test_the_database_of_the_url_is_used_by_every_connection(valkey_url: str) -> None:
    """Of the channels too, not just of redis-py's own."""
    async with MQProducer("s", redis_url=valkey_url + "/4") as producer:
        await producer.send_message({"f": 1})
        async with redis.asyncio.Redis.from_url(valkey_url + "/4") as raw:
            assert await raw.xlen("s") == 1
            assert {client["db"] for client in await raw.client_list()} == {"4"}
            await raw.flushdb()


@pytest.fixture
async def acl_url(valkey_url: str) -> AsyncIterator[str]:
    """A URL with a user, and a password in which every sign that a URL gives a meaning is escaped."""
    async with redis.asyncio.Redis.from_url(valkey_url) as raw:
        await raw.execute_command("ACL", "SETUSER", "worker", "on", ">p@ss:w/rd#?%", "~*", "+@all")  # type: ignore[no-untyped-call]
        yield valkey_url.replace("redis://", "redis://worker:p%40ss%3Aw%2Frd%23%3F%25@")
        await raw.execute_command("ACL", "DELUSER", "worker")  # type: ignore[no-untyped-call]


async def test_a_user_with_a_password(acl_url: str) -> None:
    """The handshake is redis-py's, on each connection."""
    await round_trip(acl_url)


async def test_a_user_who_may_not_ask_for_client_ids_can_read(acl_url: str, valkey_url: str) -> None:
    """What only makes cancelling quicker is not needed."""
    async with redis.asyncio.Redis.from_url(valkey_url) as raw:
        # All of CLIENT, by one name that every version knows: SETINFO came with 7.2.
        await raw.execute_command("ACL", "SETUSER", "worker", "-client")  # type: ignore[no-untyped-call]
        await round_trip(acl_url)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_tls(tls_files: TlsFiles, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """`rediss://` with the certificate checked, also a message larger than a TLS record; unknown it is refused."""

    async def main() -> None:
        async with await PrivateServer.start("redis", tls=tls_files) as server:
            await round_trip(server.url, ssl_ca_certs=str(tls_files.authority))
            await round_trip(server.url + f"?ssl_ca_certs={tls_files.authority}")
            async with MQProducer("s", redis_url=server.url, ssl_ca_certs=str(tls_files.authority)) as producer:
                entry = await producer.send_message({"f": b"x" * 1_000_000})
                assert await producer.query_messages("s") == [(entry, {"f": "x" * 1_000_000})]
            async with MQProducer("s", redis_url=server.url) as stranger:
                with pytest.raises(redis.exceptions.ConnectionError, match="certificate"):
                    await stranger.send_message({"f": 1})

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
