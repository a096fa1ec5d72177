"""A producer whose server is too slow, and callers who give up: what waits, for how long, and what a cancel leaves."""

import asyncio
import contextlib

import pytest
import redis.asyncio
from losing import LosingProxy, held, through_proxy, values
from topologies import Cluster

from ombdriver import BufferFullError, MQClient, NotSentError, OutcomeUnknownError, Topic
from ombdriver.bench.servers.private_server import PrivateServer

Raw = redis.asyncio.Redis


async def test_a_full_buffer_holds_senders_back_in_order(server_url: str, raw: Raw) -> None:
    """`send` waits while the server does not answer, and goes on when it does."""
    async with through_proxy(server_url, buffer_messages=10) as (proxy, producer):
        await held(proxy, producer)
        sends = [asyncio.create_task(producer.send(b"%d" % n)) for n in range(1, 31)]
        while producer.statistics().waiting < 21:  # noqa: ASYNC110 - until they are there
            await asyncio.sleep(0)
        assert sum(send.done() for send in sends) == 9
        assert producer.statistics().buffered_messages == 10
        proxy.passing.set()
        for send in sends:
            await (await send)
        assert producer.statistics().buffered_messages == 0
    assert await values(raw) == list(range(31))


async def test_a_buffer_is_full_by_bytes_too(valkey_url: str) -> None:
    """And what can never fit is refused at once."""
    async with through_proxy(valkey_url, buffer_bytes=1_000, max_block_ms=20) as (proxy, producer):
        with pytest.raises(ValueError, match="buffer_bytes"):
            await producer.send(b"x" * 1_000)
        await held(proxy, producer)
        await producer.send(b"x" * 800)
        with pytest.raises(BufferFullError, match=r"within 0\.02 s"):
            await producer.send(b"x" * 200)
        assert producer.statistics().waiting == 0
        proxy.passing.set()
        await producer.flush()
        await producer.send_and_wait(b"x" * 800)


async def test_a_message_without_a_reply_in_time_is_unknown(valkey_url: str) -> None:
    """One behind it that has not left is told as not sent; both in the time given."""
    async with through_proxy(valkey_url, delivery_timeout_ms=500) as (proxy, producer):
        first = await held(proxy, producer)
        second = await producer.send(b"1")
        with pytest.raises(OutcomeUnknownError, match=r"no reply within 0\.5 s"):
            await first
        with pytest.raises(NotSentError, match=r"could not be stored within 0\.5 s"):
            await second
        assert producer.statistics().failed == 2
        proxy.passing.set()
        assert (await producer.send_and_wait(b"2")).partition == 0
        assert producer.statistics().buffered_messages == 0


async def test_closing_takes_no_longer_than_messages_have(valkey_url: str) -> None:
    """A server that does not answer holds up nobody for ever."""
    async with through_proxy(valkey_url, delivery_timeout_ms=100, linger_ms=90) as (proxy, producer):
        proxy.passing.clear()
        futures = [await producer.send(b"%d" % n) for n in range(3)]
        await producer.close()
        assert {type(future.exception()) for future in futures} == {OutcomeUnknownError}
        proxy.passing.set()


@pytest.mark.parametrize("linger_ms", [0, 60])
async def test_every_message_has_its_time_while_a_server_hangs(valkey_url: str, linger_ms: int) -> None:
    """The first, and those that join a batch whose messages have expired; none keeps its space; closing is quick."""
    async with through_proxy(valkey_url, delivery_timeout_ms=80, linger_ms=linger_ms, buffer_messages=3) as (
        proxy,
        producer,
    ):
        await held(proxy, producer)
        for _ in range(4):
            futures = [await producer.send(b"x") for _ in range(2)]
            done, _ = await asyncio.wait(futures)
            assert {type(future.exception()) for future in done} == {NotSentError}
            assert producer.statistics().buffered_messages == 0
        await producer.send(b"last")
        await producer.close()
        assert producer.statistics().buffered_messages == 0
        proxy.passing.set()


async def test_a_primary_that_hangs_takes_no_space_from_the_others(three: Cluster) -> None:
    """What could not be sent to it in time leaves the buffer, and messages for other partitions find room."""
    topic = Topic("t", 6)
    hung = three.owner(topic.key(0))
    healthy = next(n for n in range(6) if three.owner(topic.key(n)) != hung)
    async with (
        MQClient(redis_url=three.url) as client,
        client.producer(topic, delivery_timeout_ms=300, buffer_messages=20, max_block_ms=2_000) as producer,
    ):
        for partition in (0, healthy):
            await producer.send_and_wait(b"x", partition=partition)
        three.pause(hung)
        try:
            for _ in range(3):
                await asyncio.wait([await producer.send(b"x", partition=0) for _ in range(20)])
                await producer.send_and_wait(b"x", partition=healthy)
        finally:
            three.resume(hung)


async def test_a_message_with_no_server_is_not_sent(engine: str) -> None:
    """Connecting goes on for as long as the message has time; the reason is told."""
    server = await PrivateServer.start(engine)
    async with (
        MQClient(redis_url=server.url) as client,
        client.producer("t", delivery_timeout_ms=1_000, on_unknown="resend") as producer,
    ):
        await producer.send_and_wait(b"v")
        await server.stop()
        with pytest.raises(NotSentError, match="could not be stored"):
            await producer.send_and_wait(b"v")


# -- cancellation ------------------------------------------------------------------------------------------------------


async def test_a_send_cancelled_while_it_waits_for_space_has_sent_nothing(server_url: str, raw: Raw) -> None:
    """Nor does it keep the space, or its place in the line."""
    async with through_proxy(server_url, buffer_messages=1) as (proxy, producer):
        await held(proxy, producer)
        first, second = (asyncio.create_task(producer.send(b"%d" % n)) for n in (1, 2))
        while producer.statistics().waiting < 2:  # noqa: ASYNC110 - until they wait
            await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        proxy.passing.set()
        await (await second)
        await producer.send_and_wait(b"3")
    assert await values(raw) == [0, 2, 3]


async def test_a_batch_cancelled_while_it_waits_for_space_has_sent_nothing(server_url: str, raw: Raw) -> None:
    """None of it, and what it would have taken is there for the next."""
    async with through_proxy(server_url, buffer_messages=3) as (proxy, producer):
        await held(proxy, producer)
        batch = asyncio.create_task(producer.send_batch([b"1", b"2", b"3"]))
        while not producer.statistics().waiting:  # noqa: ASYNC110 - until it waits
            await asyncio.sleep(0)
        batch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await batch
        proxy.passing.set()
        await asyncio.gather(*await producer.send_batch([b"4", b"5", b"6"]))
    assert await values(raw) == [0, 4, 5, 6]


async def test_a_send_cancelled_as_space_comes_gives_it_back(valkey_url: str) -> None:
    """The moment between being given space and waking up."""
    async with through_proxy(valkey_url, buffer_messages=1) as (_, producer):
        for _ in range(20):
            await producer.send(b"0")
            waiting = asyncio.create_task(producer.send(b"1"))
            while producer.statistics().buffered_messages and not producer.statistics().waiting:  # noqa: ASYNC110
                await asyncio.sleep(0)
            while producer.statistics().waiting:  # noqa: ASYNC110 - until it was given space
                await asyncio.sleep(0)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await (await waiting)
        await producer.flush()
        assert producer.statistics().buffered_messages == 0


async def test_a_wait_cancelled_after_sending_leaves_the_others_alone(server_url: str, raw: Raw) -> None:
    """The message is on its way, and is stored; its neighbours get their own replies."""
    async with through_proxy(server_url) as (proxy, producer):
        proxy.passing.clear()
        waits = [asyncio.create_task(producer.send_and_wait(b"%d" % n)) for n in range(3)]
        while producer.statistics().in_flight < 3:  # noqa: ASYNC110 - until they have left
            await asyncio.sleep(0)
        waits[1].cancel()
        await asyncio.wait([waits[1]])
        proxy.passing.set()
        found = [await waits[0], await waits[2]]
        entries = await raw.xrange("{t:0}")
    assert [each.id for each in found] == [entries[0][0].decode(), entries[2][0].decode()]
    assert waits[1].cancelled()


async def test_a_future_cancelled_before_its_message_left_takes_it_out(server_url: str, raw: Raw) -> None:
    """Nobody wants it any more; its space is given back."""
    async with through_proxy(server_url) as (proxy, producer):
        await held(proxy, producer)
        futures = [await producer.send(b"%d" % n) for n in (1, 2, 3)]
        futures[1].cancel()
        proxy.passing.set()
        await asyncio.gather(futures[0], futures[2])
        assert producer.statistics().buffered_messages == 0
    assert await values(raw) == [0, 1, 3]


@pytest.mark.parametrize("ends", [False, True])
async def test_a_flush_or_close_that_is_cancelled_leaves_messages_on_their_way(
    server_url: str, raw: Raw, ends: bool
) -> None:
    """A second one waits for them."""
    async with through_proxy(server_url) as (proxy, producer):
        await held(proxy, producer)
        futures = [await producer.send(b"%d" % n) for n in (1, 2)]
        first = asyncio.create_task(producer.close() if ends else producer.flush())
        await asyncio.sleep(0)
        assert not first.done()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not any(future.done() for future in futures)
        proxy.passing.set()
        await (producer.close() if ends else producer.flush())
        assert all(future.done() and not future.cancelled() for future in futures)
    assert await values(raw) == [0, 1, 2]


async def test_a_start_that_is_cancelled_can_be_tried_again(valkey_url: str) -> None:
    """It holds nothing."""
    async with LosingProxy(valkey_url) as proxy, MQClient(redis_url=proxy.url) as client:
        producer = client.producer("t")
        proxy.passing.clear()
        starting = asyncio.create_task(producer.start())
        await asyncio.sleep(0.01)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        proxy.passing.set()
        async with producer:
            await producer.send_and_wait(b"v")
