"""What every driver does with messages, over `memory` and `redis-streams` on both servers (see `conftest`)."""

import asyncio
import time

from seam import ONE, RUN_ID, THREE, Replies, acknowledged, ignored, payloads, receive, send

from ombdriver.bench.drivers.api import Driver, TopicSpec
from ombdriver.bench.drivers.sample import COUNTERS, EVENT_FIGURES, GAUGES, RATES, GroupSample, StreamSample


async def test_a_message_goes_through_and_is_acknowledged(driver: Driver) -> None:
    """Sent, answered, received as it was sent, acknowledged: then nothing is left for the subscription."""
    replies = Replies()
    await driver.create_topics([ONE], ["g"])
    producer = await driver.create_producer(ONE, replies)
    consumer = await driver.create_consumer([ONE], "g", "c")
    body = bytes(range(256))

    assert producer.room() > 0
    producer.send(0, [body], None)
    await replies.until(1)
    (batch,) = await receive(consumer, 1)

    (reply,) = replies.told
    assert reply[:4] == (0, 0, 1, None)
    assert reply[4] > 0
    assert batch.payloads == [body]
    assert await driver.backlog([ONE], "g") == 1
    confirmed: list[int] = []
    consumer.acknowledge(batch, confirmed.append)
    await acknowledged(driver, [ONE], "g")
    await consumer.aclose()
    assert len(confirmed) == 1
    assert batch.arrival_ns <= confirmed[0] <= time.monotonic_ns()


async def test_replies_count_from_0_per_partition_whatever_the_blocks(driver: Driver) -> None:
    """Every message is answered exactly once, and each partition's in the order sent."""
    replies = Replies()
    await driver.create_topics([THREE], ["g"])
    producer = await driver.create_producer(THREE, replies)
    sent = dict.fromkeys(range(3), 0)
    for size in (1, 7, 100, 2, 64):
        for partition, count in send(producer, [b"x" * 50] * size).items():
            sent[partition] += count
        await asyncio.sleep(0)

    await replies.until(174)

    assert sent == {0: 58, 1: 58, 2: 58}
    for partition in range(3):
        assert replies.indices(partition) == list(range(58))


async def test_messages_of_different_sizes_stay_what_they_were(driver: Driver) -> None:
    """Empty ones, line ends, and 100 kB among them; in order, with one partition."""
    messages = [b"", b"\r\n", b"$5\r\nhello\r\n", b"x" * 100_000, bytes(range(256)), b"y"]
    replies = Replies()
    await driver.create_topics([ONE], ["g"])
    producer = await driver.create_producer(ONE, replies)
    consumer = await driver.create_consumer([ONE], "g", "c")

    producer.send(0, messages, None)
    await replies.until(len(messages))

    assert payloads(await receive(consumer, len(messages))) == messages


async def test_a_key_has_its_partition_and_order_holds_in_it(driver: Driver) -> None:
    """Messages with one key go to one partition; keys are no part of the payload."""
    keys = [b"key-%d" % (at % 7) for at in range(70)]
    messages = [b"%d" % at for at in range(70)]
    replies = Replies()
    await driver.create_topics([THREE], ["g"])
    producer = await driver.create_producer(THREE, replies)
    consumer = await driver.create_consumer([THREE], "g", "c")

    partitions = producer.route(70, keys)
    assert partitions is not None
    assert len({(key, partition) for key, partition in zip(keys, partitions, strict=True)}) == 7
    assert producer.route(70, keys) == partitions
    send(producer, messages, keys)
    await replies.until(70)

    read = payloads(await receive(consumer, 70))
    assert sorted(read) == sorted(messages)
    for key in set(keys):
        mine = [message for message, own in zip(messages, keys, strict=True) if own == key]
        assert [message for message in read if message in mine] == mine


async def test_without_keys_partitions_take_turns(driver: Driver) -> None:
    """Also over several calls; one partition needs no choice."""
    await driver.create_topics([ONE, THREE], ["g"])
    producer = await driver.create_producer(THREE, Replies())
    single = await driver.create_producer(ONE, Replies())

    routed = [*(producer.route(4, None) or []), *(producer.route(5, None) or [])]

    assert sorted(routed) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert set(single.route(3, None) or [0]) == {0}


async def test_every_group_receives_everything(driver: Driver) -> None:
    """Groups are independent: one may be done while another has not begun."""
    groups = ["g1", "g2", "g3"]
    messages = [b"%d" % at for at in range(90)]
    replies = Replies()
    await driver.create_topics([THREE], groups)
    producer = await driver.create_producer(THREE, replies)
    send(producer, messages)
    await replies.until(90)

    for group in groups:
        assert await driver.backlog([THREE], group) == 90
        consumer = await driver.create_consumer([THREE], group, "c")
        batches = await receive(consumer, 90)
        assert sorted(payloads(batches)) == sorted(messages)
        for batch in batches:
            consumer.acknowledge(batch, ignored)
        await acknowledged(driver, [THREE], group)


async def test_consumers_of_a_group_share_its_messages(driver: Driver) -> None:
    """Each message goes to one of them, and together they get all."""
    messages = [b"%d" % at for at in range(500)]
    await driver.create_topics([ONE], ["g"])
    consumers = [await driver.create_consumer([ONE], "g", f"c{number}") for number in range(3)]
    got: list[list[bytes]] = [[], [], []]
    everything = asyncio.Event()

    async def read(number: int) -> None:
        while not everything.is_set():
            batch = await consumers[number].receive()
            if batch is not None:
                got[number] += batch.payloads
                consumers[number].acknowledge(batch, ignored)
                if sum(map(len, got)) >= len(messages):
                    everything.set()

    reading = [asyncio.create_task(read(number)) for number in range(3)]
    replies = Replies()
    producer = await driver.create_producer(ONE, replies)
    for message in messages:
        producer.send(0, [message], None)
        await asyncio.sleep(0)
    await asyncio.gather(*reading)

    assert sorted(got[0] + got[1] + got[2]) == sorted(messages)
    await acknowledged(driver, [ONE], "g")


async def test_one_consumer_may_read_many_topics(driver: Driver) -> None:
    """One read covers all of its topics; the backlog is the sum."""
    topics = [TopicSpec(f"ombdriver-{RUN_ID}-{number:04d}", 2) for number in range(5)]
    await driver.create_topics(topics, ["g"])
    consumer = await driver.create_consumer(topics, "g", "c")
    for topic in topics:
        replies = Replies()
        send(await driver.create_producer(topic, replies), [topic.name.encode()] * 4)
        await replies.until(4)
    assert await driver.backlog(topics, "g") == 20

    batches = await receive(consumer, 20)
    for batch in batches:
        consumer.acknowledge(batch, ignored)

    assert sorted(payloads(batches)) == sorted(topic.name.encode() for topic in topics for _ in range(4))
    await acknowledged(driver, topics, "g")


async def test_two_producers_of_one_topic_count_for_themselves(driver: Driver) -> None:
    """Each gets the replies to what it sent, from index 0."""
    first, second = Replies(), Replies()
    await driver.create_topics([ONE], ["g"])
    one, other = await driver.create_producer(ONE, first), await driver.create_producer(ONE, second)
    for _ in range(5):
        one.send(0, [b"a", b"b"], None)
        other.send(0, [b"c"], None)

    await first.until(10)
    await second.until(5)

    assert first.indices(0) == list(range(10))
    assert second.indices(0) == list(range(5))


async def test_an_empty_read_comes_back(driver: Driver) -> None:
    """Nothing within the block time is None, so that the caller may look up; then messages still come."""
    await driver.create_topics([ONE], ["g"])
    consumer = await driver.create_consumer([ONE], "g", "c")
    assert await consumer.receive() is None

    (await driver.create_producer(ONE, Replies())).send(0, [b"m"], None)

    assert payloads(await receive(consumer, 1)) == [b"m"]


async def test_room_comes_back_and_is_told(driver: Driver) -> None:
    """Sending takes room; `when_room` calls once, in a later turn, when there is some."""
    replies = Replies()
    await driver.create_topics([ONE], ["g"])
    producer = await driver.create_producer(ONE, replies)
    consumer = await driver.create_consumer([ONE], "g", "c")
    full = producer.room()
    producer.send(0, [b"m"] * full, None)
    assert producer.room() <= 0
    called: list[int] = []
    there_is = asyncio.Event()

    def on_room() -> None:
        called.append(producer.room())
        there_is.set()

    producer.when_room(on_room)
    assert called == []
    await receive(consumer, full)
    await there_is.wait()
    await replies.until(full)

    assert len(called) == 1
    assert called[0] > 0
    assert producer.room() == full
    await producer.aclose()


async def test_a_look_tells_of_the_streams_asked_for_or_there_is_no_server(driver: Driver) -> None:
    """Plain numbers; what a group has not been given is lag, what it has not acknowledged is pending."""
    replies = Replies()
    await driver.create_topics([THREE], ["g"])
    producer = await driver.create_producer(THREE, replies)
    producer.send(2, [b"x"] * 3, None)
    await replies.until(3)

    look = await driver.observe([(THREE.name, 0), (THREE.name, 2)])

    if look is not None:
        assert look.streams == {
            (THREE.name, 0): StreamSample(0, {"g": GroupSample(0, 0)}),
            (THREE.name, 2): StreamSample(3, {"g": GroupSample(3, 0)}),
        }
        assert look.figures.keys() <= {*GAUGES, *RATES, *COUNTERS, *EVENT_FIGURES}
        assert look.figures["usedMemoryBytes"] > 0
        assert look.commands_sent > 0
