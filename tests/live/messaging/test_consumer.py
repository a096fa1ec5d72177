"""`MQConsumer` on real servers: reading without a group.

Repairs of aio-redis-mq that are shown here: each blocking read started at the end of the stream anew, so that what came
between two reads was lost; without a time it did not block at all; several streams were read in random order.
"""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ombdriver import ClosedError, MessagingValueError, MQConsumer, MQProducer

Waits = Callable[[int], Awaitable[None]]
Cut = Callable[[], Awaitable[None]]


async def test_what_comes_between_two_reads_is_not_missed(server_url: str) -> None:
    """A burst: the first read may give one message, the next ones give the rest, in order."""
    async with MQProducer("s", redis_url=server_url) as producer, MQConsumer("s", redis_url=server_url) as consumer:
        await producer.send_message({"n": "before the first read"})
        assert await consumer.block_read_messages(block=1) == []
        for n in range(5):
            await producer.send_message({"n": n}, f"9000000000000-{n}")
        received = [await consumer.block_read_messages(count=2, block=1000) for _ in range(3)]

    assert [[fields["n"] for _, fields in reply[0][1]] for reply in received] == [["0", "1"], ["2", "3"], ["4"]]


async def test_every_consumer_gets_every_message(server_url: str) -> None:
    """Each instance has a place of its own in the stream."""
    async with MQProducer("s", redis_url=server_url) as producer:
        consumers = [MQConsumer("s", redis_pool=producer.redis_pool) for _ in range(3)]
        for consumer in consumers:
            assert await consumer.block_read_messages(block=1) == []
        await producer.send_message({"f": "v"}, "1-1")

        replies = [await consumer.block_read_messages(block=1000) for consumer in consumers]
        for consumer in consumers:
            await consumer.aclose()

    assert replies == [[["s", [("1-1", {"f": "v"})]]]] * 3


async def test_starting_at_the_end_again_is_there_for_who_wants_it(server_url: str) -> None:
    """`from_latest` skips what came since the last read."""
    async with MQProducer("s", redis_url=server_url) as producer, MQConsumer("s", redis_url=server_url) as consumer:
        await consumer.block_read_messages(block=1)
        await producer.send_message({"f": "v"})

        assert await consumer.block_read_messages(block=1, from_latest=True) == []


async def test_without_a_time_a_read_waits(server_url: str, blocked: Waits) -> None:
    """`block=None` is a wait of some seconds, not a reply at once."""
    async with MQProducer("s", redis_url=server_url) as producer, MQConsumer("s", redis_url=server_url) as consumer:
        reading = asyncio.ensure_future(consumer.block_read_messages())
        await blocked(1)
        await producer.send_message({"f": "v"}, "1-1")

        assert await reading == [["s", [("1-1", {"f": "v"})]]]


async def test_zero_waits_for_ever(server_url: str, blocked: Waits) -> None:
    """As the server's own BLOCK 0."""
    async with MQProducer("s", redis_url=server_url) as producer, MQConsumer("s", redis_url=server_url) as consumer:
        reading = asyncio.ensure_future(consumer.block_read_messages(block=0))
        await blocked(1)
        await producer.send_message({"f": "v"}, "1-1")

        assert await reading == [["s", [("1-1", {"f": "v"})]]]


ORDER = """
import asyncio, sys
from ombdriver import MQConsumer, MQProducer

async def main():
    async with MQConsumer("own", redis_url=sys.argv[1]) as consumer:
        keys = ["k%d" % n for n in range(8)]
        await consumer.block_read_messages(*keys, b"k0", "own", block=1)
        for key in ["own", *keys]:
            async with MQProducer(key, redis_url=sys.argv[1]) as producer:
                await producer.send_message({"f": 1})
        print(*(stream for stream, _ in await consumer.block_read_messages(*keys, b"k0", block=1000)))

asyncio.run(main())
"""


@pytest.mark.parametrize("seed", ["1", "2"])
def test_streams_are_read_in_the_order_given(server_url: str, seed: str) -> None:
    """The own stream first, then the others, each once, in every process alike."""
    done = subprocess.run(
        [sys.executable, "-c", ORDER, server_url],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        cwd=Path(__file__).parents[3],
        env={"PYTHONHASHSEED": seed},
    )

    assert done.stdout.split() == ["own", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"]


async def test_a_cancelled_read_loses_nothing(server_url: str, blocked: Waits) -> None:
    """The place in the stream moves only with what was given out."""
    async with MQProducer("s", redis_url=server_url) as producer, MQConsumer("s", redis_url=server_url) as consumer:
        reading = asyncio.ensure_future(consumer.block_read_messages(block=60_000))
        await blocked(1)
        reading.cancel()
        await asyncio.wait([reading])
        await producer.send_message({"f": "v"}, "1-1")

        assert await consumer.block_read_messages(block=1000) == [["s", [("1-1", {"f": "v"})]]]


async def test_two_reads_at_once_do_not_give_the_same_message_twice(server_url: str, blocked: Waits) -> None:
    """They take turns."""
    async with MQProducer("s", redis_url=server_url) as producer, MQConsumer("s", redis_url=server_url) as consumer:
        reads = [asyncio.ensure_future(consumer.block_read_messages(count=1, block=60_000)) for _ in range(2)]
        await blocked(1)
        await asyncio.gather(producer.send_message({"n": 1}, "1-1"), producer.send_message({"n": 2}, "1-2"))

        assert [(await read)[0][1][0][0] for read in reads] == ["1-1", "1-2"]


async def test_a_read_survives_a_lost_connection(server_url: str, cut: Cut, blocked: Waits) -> None:
    """It connects anew and goes on waiting, from the same place."""
    async with MQProducer("s", redis_url=server_url) as producer, MQConsumer("s", redis_url=server_url) as consumer:
        reading = asyncio.ensure_future(consumer.block_read_messages(block=60_000))
        await blocked(1)
        await cut()
        await producer.send_message({"f": "v"}, "1-1")

        assert await reading == [["s", [("1-1", {"f": "v"})]]]


async def test_closing_ends_a_read_that_waits(server_url: str, blocked: Waits) -> None:
    """With an error that says who closed."""
    consumer = MQConsumer("s", redis_url=server_url)
    reading = asyncio.ensure_future(consumer.block_read_messages(block=0))
    await blocked(1)
    await consumer.aclose()

    with pytest.raises(ClosedError):
        await reading


async def test_reading_from_an_id_takes_several_streams(server_url: str) -> None:
    """The ids are the last ones seen; COUNT holds for each stream."""
    async with MQProducer("a", redis_url=server_url) as a, MQProducer("b", redis_url=server_url) as b:
        for n in (1, 2, 3):
            await asyncio.gather(a.send_message({"n": n}, f"{n}-0"), b.send_message({"n": n}, f"{n}-0"))
        async with MQConsumer("a", redis_url=server_url) as consumer:
            reply = await consumer.read_messages({"b": "1-0", "a": 0}, count=2)

    assert [[stream, [entry for entry, _ in entries]] for stream, entries in reply] == [
        ["b", ["2-0", "3-0"]],
        ["a", ["1-0", "2-0"]],
    ]


async def test_a_time_that_can_not_be_is_refused_at_call_time(server_url: str) -> None:
    """Without an await."""
    async with MQConsumer("s", redis_url=server_url) as consumer:
        with pytest.raises(MessagingValueError, match="block is -1"):
            consumer.block_read_messages(block=-1)
        with pytest.raises(MessagingValueError, match="count is 0"):
            consumer.read_messages({"s": 0}, count=0)
