"""Lost connections, refusals, and servers that are not there: what callers are told, and that we come back.

Repairs of aio-redis-mq that are shown here: the first lost connection was the end of a client, or hung it; passwords
stood in error messages.
"""

import asyncio
import contextlib
import traceback
from collections.abc import Awaitable, Callable

import pytest
import redis.asyncio

from ombdriver import MessagingError, MQClient, MQProducer, NotSentError, OutcomeUnknownError

Cut = Callable[[], Awaitable[None]]


async def test_a_client_comes_back_after_its_connections_were_closed(server_url: str, cut: Cut) -> None:
    """Sends, acknowledgements and queries after a loss connect anew, without the caller's help."""
    async with MQProducer("s", redis_url=server_url) as producer:
        for n in range(5):
            await producer.send_message({"n": n})
            assert await producer.get_stream_length("s") == n + 1
            await producer.check_health()
            await cut()
            # The bulk channel learns of the loss from its socket.
            while producer.statistics().bulk.connected:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0)

        assert await producer.get_stream_length("s") == 5
        assert producer.statistics().bulk.reconnects == 4


async def test_a_send_that_is_lost_is_never_repeated_and_never_silent(server_url: str, cut: Cut) -> None:
    """Each message is stored once, or its caller has an error that says whether it may have been stored."""
    async with MQProducer("s", redis_url=server_url) as producer:
        await producer.send_message({"n": -1})
        outcomes: list[object] = []
        for start in range(0, 2_000, 100):
            sends = [asyncio.ensure_future(producer.send_message({"n": n})) for n in range(start, start + 100)]
            if start % 300 == 0:
                await cut()
            outcomes += await asyncio.gather(*sends, return_exceptions=True)
        stored = [int(fields["n"]) for _, fields in await producer.query_messages("s")][1:]

    good = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, str)]
    unknown = {n for n, outcome in enumerate(outcomes) if isinstance(outcome, OutcomeUnknownError)}
    unsent = {n for n, outcome in enumerate(outcomes) if isinstance(outcome, NotSentError)}
    assert len(good) + len(unknown) + len(unsent) == 2_000
    assert len(set(stored)) == len(stored), "a message was stored twice"
    assert set(good) <= set(stored) <= set(good) | unknown


async def test_a_server_that_is_not_there_is_told_at_once() -> None:
    """As a connection error that names the way out; the message was not sent."""
    async with MQProducer("s", redis_url="redis://127.0.0.1:1") as producer:
        with pytest.raises(NotSentError, match="is the server up"):
            await producer.send_message({"f": 1})
        with pytest.raises(redis.exceptions.ConnectionError):
            await producer.get_stream_length("s")
        with pytest.raises(MessagingError):
            await producer.check_health()


async def test_a_server_that_never_answers_is_told() -> None:
    """Connecting has a time limit of its own, whatever the limits of reading are."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with MQProducer(
            "s", redis_url=f"redis://:password@127.0.0.1:{port}", socket_connect_timeout=0.05
        ) as producer:
            with pytest.raises(NotSentError, match="no answer to the handshake"):
                await producer.send_message({"f": 1})


async def test_a_wrong_password_is_told_without_it(server_url: str, raw: redis.asyncio.Redis) -> None:
    """The server's refusal reaches the caller as what it is; no message, attribute text or repr has the password."""
    url = server_url.replace("redis://", "redis://nobody:s3cr3t@")
    async with MQProducer("s", redis_url=url) as producer:
        for refused in (producer.send_message({"f": 1}), producer.check_health(), producer.get_stream_length("s")):
            with pytest.raises(redis.exceptions.RedisError) as caught:
                await refused
            told = [line for line in traceback.format_exception_only(caught.value) if "s3cr3t" in line]
            told += [
                repr(error) for error in (caught.value.__cause__, caught.value.__context__) if "s3cr3t" in repr(error)
            ]
            assert told == []
        for thing in (producer, producer._source, producer._router(), producer.redis_pool, producer.statistics()):
            assert "s3cr3t" not in repr(thing)


async def test_an_error_of_the_server_is_redis_pys(server_url: str, raw: redis.asyncio.Redis) -> None:
    """For the message that met it alone."""
    await raw.set("s", "no stream")
    async with MQProducer("s", redis_url=server_url) as producer, MQProducer("t", redis_pool=producer.redis_pool) as t:
        results = await asyncio.gather(
            producer.send_message({"f": 1}), t.send_message({"f": 1}), return_exceptions=True
        )
        assert isinstance(results[0], redis.exceptions.ResponseError)
        assert "WRONGTYPE" in str(results[0])
        assert await t.send_message({"f": 1})


async def test_dozens_of_clients_at_once_wait_for_a_connection_rather_than_fail(server_url: str) -> None:
    """More rare commands than the pool has connections."""
    async with MQClient(redis_url=server_url, max_connections=2) as client:
        assert await asyncio.gather(*(client.get_stream_length("s") for _ in range(100))) == [0] * 100
