"""What is particular to the driver `memory`; what all drivers have in common is in the conformance suite."""

import asyncio

import pytest

from ombdriver.bench.drivers.api import Batch, TopicSpec
from ombdriver.bench.drivers.memory import MAX_BATCH, MAX_IN_FLIGHT, MemoryConsumer, open_driver
from ombdriver.errors import DriverError

TOPIC = TopicSpec("t", 3)


class Replies:
    """Notes what was reported."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int, int, Exception | None]] = []

    def __call__(self, partition: int, first: int, count: int, error: Exception | None, *_: object) -> None:
        """`api.OnReplies`."""
        self.told.append((partition, first, count, error))


async def received(consumer: MemoryConsumer) -> Batch:
    """A batch that is there."""
    batch = await consumer.receive()
    assert batch is not None
    return batch


async def test_a_topic_that_nobody_created_comes_into_being() -> None:
    """The harness creates topics in another process than the one that uses them."""
    driver = await open_driver({})
    consumer = await driver.create_consumer([TOPIC], "g", "c")
    producer = await driver.create_producer(TOPIC, Replies())

    producer.send(0, [b"a"], None)

    assert (await received(consumer)).payloads == [b"a"]
    assert await driver.delete_created() == 0


async def test_replies_come_in_a_later_turn_and_by_partition() -> None:
    """Sending returns first; each partition counts its own messages."""
    driver, replies = await open_driver({}), Replies()
    producer = await driver.create_producer(TOPIC, replies)
    producer.send(0, [b"a", b"b"], None)
    producer.send(2, [b"c"], None)
    producer.send(0, [b"d"], None)
    assert replies.told == []
    assert producer.room() == MAX_IN_FLIGHT - 4

    await asyncio.sleep(0)

    assert replies.told == [(0, 0, 2, None), (2, 0, 1, None), (0, 2, 1, None)]
    assert producer.room() == MAX_IN_FLIGHT


async def test_there_is_room_when_every_subscription_has_taken_some() -> None:
    """The slowest one decides, and a producer that waits is called only then: that is the loopback's back-pressure."""
    driver, replies = await open_driver({}), Replies()
    consumers = [await driver.create_consumer([TOPIC], group, "c") for group in ("fast", "slow")]
    producer = await driver.create_producer(TOPIC, replies)
    producer.send(0, [b""] * MAX_IN_FLIGHT, None)
    called: list[int] = []
    producer.when_room(lambda: called.append(producer.room()))

    await received(consumers[0])
    assert (replies.told, producer.room(), called) == ([(0, 0, MAX_IN_FLIGHT, None)], 0, [])
    await received(consumers[1])
    await asyncio.sleep(0)

    assert called == [MAX_BATCH]


async def test_routes_go_round_and_keys_stay_with_their_partition() -> None:
    """With one partition there is nothing to choose."""
    driver = await open_driver({})
    producer = await driver.create_producer(TOPIC, Replies())
    single = await driver.create_producer(TopicSpec("s"), Replies())

    assert [producer.route(4, None), producer.route(2, None)] == [[0, 1, 2, 0], [1, 2]]
    keyed = producer.route(4, [b"k", b"l", b"k", b"k"])
    assert keyed is not None
    assert keyed[0] == keyed[2] == keyed[3]
    assert single.route(5, None) is None


async def test_a_read_takes_no_more_than_a_batch_and_leaves_the_rest() -> None:
    """Over several topics too."""
    driver = await open_driver({})
    topics = [TopicSpec("a"), TopicSpec("b")]
    consumer = await driver.create_consumer(topics, "g", "c")
    for topic in topics:
        producer = await driver.create_producer(topic, Replies())
        producer.send(0, [topic.name.encode()] * (MAX_BATCH - 1), None)

    first, second = await received(consumer), await received(consumer)

    assert (len(first.payloads), len(second.payloads)) == (MAX_BATCH, MAX_BATCH - 2)
    times: list[int] = []
    consumer.acknowledge(first, times.append)
    assert await driver.backlog(topics, "g") == MAX_BATCH - 2
    consumer.acknowledge(second, times.append)
    assert await driver.backlog(topics, "g") == 0
    assert len(times) == 2


async def test_closing_ends_a_read_that_waits() -> None:
    """The read comes back with nothing, and the next one is refused."""
    driver = await open_driver({})
    consumer = await driver.create_consumer([TOPIC], "g", "c")
    reading = asyncio.create_task(consumer.receive())
    await asyncio.sleep(0)

    await consumer.aclose()

    assert await reading is None
    with pytest.raises(DriverError, match="closed"):
        await consumer.receive()


async def test_a_read_without_messages_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the block time it gives nothing, so that the caller may look up."""
    monkeypatch.setattr("ombdriver.bench.drivers.memory.BLOCK_S", 0.001)
    driver = await open_driver({})
    consumer = await driver.create_consumer([TOPIC], "g", "c")

    assert await consumer.receive() is None


async def test_a_producer_that_is_closed_answers_what_is_in_flight() -> None:
    """Once, and not again in the turn that had been meant for it."""
    driver, replies = await open_driver({}), Replies()
    producer = await driver.create_producer(TOPIC, replies)
    producer.send(1, [b"a"], None)

    await producer.aclose()
    await asyncio.sleep(0)

    assert replies.told == [(1, 0, 1, None)]
