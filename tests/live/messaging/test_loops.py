"""Clients in several event loops, and threads: connections of their own in each, and no work in a foreign one."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest
import redis.asyncio
from topologies import until

from ombdriver import GroupConsumer, Message, MessagingError, MQClient, MQConsumer, MQProducer

T = TypeVar("T")
Raw = redis.asyncio.Redis


class OtherLoop:
    """An event loop that runs in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` gives there."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    def end(self) -> None:
        """Ends it, as `asyncio.run` does."""
        asyncio.run_coroutine_threadsafe(self.loop.shutdown_asyncgens(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def other() -> Iterator[OtherLoop]:
    """A second loop, which runs at the same time."""
    made = OtherLoop()
    yield made
    made.end()


async def _connections(raw: Raw) -> int:
    return int((await raw.info("stats"))["total_connections_received"])


async def _is_alone(raw: Raw) -> bool:
    return len(await raw.client_list()) == 1


async def test_two_loops_in_turn_keep_their_connections(server_url: str, raw: Raw, other: OtherLoop) -> None:
    """Every client of the stream level; closing closes those of both loops."""
    await raw.xgroup_create("s", "g", "0", mkstream=True)
    for turn in range(6):
        await raw.xadd("s", {"n": turn})
    producer, plain = MQProducer("s", redis_url=server_url), MQConsumer("s", redis_url=server_url)
    member = GroupConsumer("s", "g", "one", redis_url=server_url)
    uses: list[Callable[[], Awaitable[object]]] = [
        lambda: producer.send_message({"a": "1"}),
        lambda: plain.block_read_messages(block=1),
        lambda: member.block_read_messages(count=1, block=1),
        lambda: member.check_health(),
    ]

    async def use() -> None:
        for each in uses:
            await each()

    await use()
    await other.run(use())
    made = await _connections(raw)
    for _ in range(5):
        await use()
        await other.run(use())
    assert await _connections(raw) == made
    assert await raw.xlen("s") == 6 + 12
    before = len(await raw.client_list())
    for client in (producer, plain, member):
        await client.aclose()
    assert before > 1
    await until(lambda: _is_alone(raw))


async def test_what_was_started_in_one_loop_is_refused_in_another(server_url: str, raw: Raw, other: OtherLoop) -> None:
    """Before anything is sent, or accepted; there it goes on."""
    await raw.xadd("{t:0}", {"value": "v"})
    async with (
        MQClient(redis_url=server_url) as client,
        client.producer("t") as producer,
        client.consumer("t", "g", block_ms=50) as consumer,
    ):
        message: Message[bytes] = await consumer.getone()
        refused: list[Callable[[], Coroutine[Any, Any, object]]] = [
            lambda: producer.send(b"1"),
            lambda: producer.send_and_wait(b"1"),
            lambda: producer.send_batch([b"1", b"2"]),
            producer.flush,
            producer.close,
            consumer.getone,
            lambda: consumer.getmany(timeout_ms=0),
            consumer.flush,
            consumer.lag,
            consumer.close,
            message.nack,
            lambda: message.reject("why"),
            lambda: asyncio.to_thread(message.ack),
        ]
        for each in refused:
            with pytest.raises(MessagingError, match="belongs to another event loop"):
                await other.run(each())
        assert not message.is_settled
        assert producer.statistics().buffered_messages == 0
        assert await raw.xlen("{t:0}") == 1
        await producer.send_and_wait(b"2")
        assert (await consumer.getone()).value == b"2"
        await message.ack()
        await consumer.flush()
        assert (await raw.xpending("{t:0}", "g"))["pending"] == 1


def test_what_was_started_in_one_loop_is_refused_in_the_next_of_the_thread(server_url: str) -> None:
    """Where they take turns, too: the first one stands still, and would send when it runs again."""
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    client = MQClient(redis_url=server_url)
    producer = client.producer("t")
    first.run_until_complete(producer.start())
    with pytest.raises(MessagingError, match="belongs to another event loop"):
        second.run_until_complete(producer.send(b"1"))
    with pytest.raises(MessagingError, match="belongs to another event loop"):
        second.run_until_complete(producer.send_batch([b"1", b"2"]))
    assert producer.statistics().buffered_messages == 0
    first.run_until_complete(producer.send_and_wait(b"2"))
    assert first.run_until_complete(client.get_stream_length("{t:0}")) == 1
    assert second.run_until_complete(client.get_stream_length("{t:0}")) == 1
    first.run_until_complete(producer.close())
    first.run_until_complete(client.aclose())
    for loop in (second, first):
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def test_a_runner_is_stopped_from_any_thread(server_url: str, raw: Raw) -> None:
    """As by a program's own way to be told."""
    await raw.xadd("{t:0}", {"value": "v"})
    async with MQClient(redis_url=server_url) as client:
        runner = client.runner("t", "g", block_ms=20_000)

        @runner.handler
        async def handle(message: Message[bytes]) -> None:
            await asyncio.to_thread(runner.stop)

        await runner.run(signals=False)
        assert runner.statistics().handled == 1
