"""`redis-streams` when its connections are killed: what was in flight is told, and nothing is left behind."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio
from proxy import CHUNK, Link, Proxy
from seam import ONE, RUN_ID, Replies, acknowledged, ignored, payloads, receive

from ombdriver.bench.drivers import redis_py
from ombdriver.bench.drivers.api import DriverProducer
from ombdriver.bench.drivers.redis_streams.driver import RedisStreamsDriver, open_driver
from ombdriver.errors import DriverError
from ombdriver.messaging.errors import OutcomeUnknownError


class System:
    """A driver with one topic, and the test's own connection to its server."""

    def __init__(self, driver: RedisStreamsDriver, raw: redis.asyncio.Redis, url: str) -> None:
        self.driver, self.raw, self.url = driver, raw, url

    async def kill(self, command: str, flag: str = "") -> None:
        """Ends the connection whose last command was `command`, as soon as there is one with that flag."""
        while True:
            for client in await self.raw.client_list():
                if client["cmd"] == command and flag in client["flags"]:
                    await self.raw.client_kill_filter(_id=client["id"])
                    return

    async def room(self, producer: DriverProducer) -> None:
        """Returns when the producer may send."""
        while producer.room() <= 0:
            there_is = asyncio.Event()
            producer.when_room(there_is.set)
            await there_is.wait()


@pytest.fixture
async def system(server_url: str) -> AsyncIterator[System]:
    """On each server."""
    raw = redis.asyncio.Redis.from_url(server_url)
    driver = await open_driver({"url": server_url, "run_id": RUN_ID, "block_ms": 20})
    await driver.create_topics([ONE], ["g"])
    yield System(driver, raw, server_url)
    await raw.client_unpause()
    await driver.delete_created()
    await driver.aclose()
    await raw.aclose()


async def test_a_producer_tells_what_was_in_flight_and_goes_on(system: System) -> None:
    """Its messages may or may not be stored: each is reported once, with an error; later ones are sent as ever."""
    replies = Replies()
    producer = await system.driver.create_producer(ONE, replies)
    producer.send(0, [b"before"] * 10, None)
    await replies.until(10)
    await system.raw.client_pause(30_000, all=False)
    producer.send(0, [b"lost"] * 100, None)
    producer.send(0, [b"lost"] * 50, None)
    await system.kill("xadd", flag="b")
    await replies.until(160)
    assert producer.room() == 0

    await system.raw.client_unpause()
    await system.room(producer)
    producer.send(0, [b"after"] * 5, None)
    await replies.until(165)

    lost = [(first, count) for _, first, count, error, *_ in replies.told if isinstance(error, OutcomeUnknownError)]
    assert lost == [(10, 100), (110, 50)]
    assert replies.indices(0) == [*range(10), *range(160, 165)]
    assert system.driver.statistics()["reconnects"] == 1


async def test_a_send_without_room_after_a_loss_is_told_too(system: System) -> None:
    """A producer that sends before it has seen the loss gets an error for each message, and no exception."""
    replies = Replies()
    producer = await system.driver.create_producer(ONE, replies)
    producer.send(0, [b"before"], None)
    await replies.until(1)
    await system.kill("xadd")
    sent = 1
    while producer.room() > 0:  # until the loss has been seen
        producer.send(0, [b"into the gap"], None)
        sent += 1
        await asyncio.sleep(0)

    await replies.until(sent)

    told = [first + at for _, first, count, *_ in replies.told for at in range(count)]
    assert told == list(range(sent))
    await system.room(producer)


async def test_a_consumer_gets_what_a_lost_reply_held_and_nothing_twice(system: System) -> None:
    """It looks at what is pending for it: what it was given before, acknowledged or not, it is not given again."""
    replies = Replies()
    producer = await system.driver.create_producer(ONE, replies)
    consumer = await system.driver.create_consumer([ONE], "g", "c")
    producer.send(0, [b"1", b"2", b"3"], None)
    before = await receive(consumer, 3)
    assert payloads(before) == [b"1", b"2", b"3"]
    reading = asyncio.create_task(receive(consumer, 1))
    await system.kill("xreadgroup", flag="b")
    producer.send(0, [b"4"], None)

    after = await reading

    assert payloads(after) == [b"4"]
    for batch in [*before, *after]:
        consumer.acknowledge(batch, ignored)
    await acknowledged(system.driver, [ONE], "g")


async def test_a_reply_that_was_lost_is_given_after_all(system: System) -> None:
    """What the server delivered to this consumer and never reached it is pending, and comes first."""
    replies = Replies()
    producer = await system.driver.create_producer(ONE, replies)
    consumer = await system.driver.create_consumer([ONE], "g", "c")
    assert await consumer.receive() is None
    producer.send(0, [b"1", b"2"], None)
    await replies.until(2)
    # Delivered to the consumer by its name, on another connection: as if the reply had been lost with its own.
    await system.raw.xreadgroup("g", "c", {"{" + ONE.name + ":0}": ">"})
    reading = asyncio.create_task(receive(consumer, 2))
    await system.kill("xreadgroup", flag="b")

    assert payloads(await reading) == [b"1", b"2"]


async def test_a_consumer_whose_read_waits_is_not_lost_with_its_connection(system: System) -> None:
    """The read that blocks comes back with nothing, and the next ones are on a new connection."""
    consumer = await system.driver.create_consumer([ONE], "g", "c")
    assert await consumer.receive() is None
    reading = asyncio.create_task(receive(consumer, 1))
    for _ in range(3):
        await system.kill("xreadgroup")
    replies = Replies()
    (await system.driver.create_producer(ONE, replies)).send(0, [b"m"], None)

    assert payloads(await reading) == [b"m"]


async def test_acknowledgements_are_sent_again(system: System) -> None:
    """Acknowledging twice is acknowledging once, so a lost connection loses none and none is counted as failed."""
    replies = Replies()
    producer = await system.driver.create_producer(ONE, replies)
    consumer = await system.driver.create_consumer([ONE], "g", "c")
    producer.send(0, [b"m"] * 20, None)
    await replies.until(20)
    batches = await receive(consumer, 20)
    await system.raw.client_pause(30_000, all=False)
    for batch in batches:
        consumer.acknowledge(batch, ignored)
    await system.kill("xack", flag="b")
    await system.raw.client_unpause()

    await acknowledged(system.driver, [ONE], "g")

    assert "failedAcknowledgements" not in system.driver.statistics()
    await consumer.aclose()


async def test_a_refused_acknowledgement_is_counted(system: System) -> None:
    """Nobody waits for it, so it shows in the statistics."""
    replies = Replies()
    producer = await system.driver.create_producer(ONE, replies)
    consumer = await system.driver.create_consumer([ONE], "g", "c")
    producer.send(0, [b"m"], None)
    (batch,) = await receive(consumer, 1)
    (key,) = await system.raw.keys("{ombdriver*")
    await system.raw.set(key, "no stream any more")

    consumer.acknowledge(batch, ignored)
    await consumer.aclose()

    assert system.driver.statistics()["failedAcknowledgements"] == 1


async def test_a_read_sent_ahead_is_lost_with_its_connection_and_nothing_is(system: System) -> None:
    """A full batch has the next read on its way already; whatever that had brought comes once, after the loss."""
    replies = Replies()
    producer = await system.driver.create_producer(ONE, replies)
    sent = [b"%d" % number for number in range(1_200)]
    producer.send(0, sent, None)
    await replies.until(len(sent))
    consumer = await system.driver.create_consumer([ONE], "g", "c")

    first = await receive(consumer, 500)
    await system.kill("xreadgroup")
    rest = await receive(consumer, 700)

    assert payloads([*first, *rest]) == sent
    for batch in [*first, *rest]:
        consumer.acknowledge(batch, ignored)
    await acknowledged(system.driver, [ONE], "g")


@pytest.mark.parametrize("opened", [open_driver, redis_py.open_driver])
async def test_each_connection_of_a_reader_that_was_lost_is_counted_for_good(
    opened: Callable[..., Awaitable[RedisStreamsDriver]], system: System, server_url: str
) -> None:
    """Also when the reader is done, as it is when a run counts for the last time."""
    driver = await opened({"url": server_url, "run_id": RUN_ID, "block_ms": 20})
    consumer = await driver.create_consumer([ONE], "g", "c")
    for _ in range(3):
        reading = asyncio.create_task(consumer.receive())
        await system.kill("xreadgroup")
        await reading
    await consumer.receive()
    await consumer.receive()
    before = driver.statistics()

    await consumer.aclose()
    after = driver.statistics()
    await driver.aclose()

    assert before["reconnects"] == after["reconnects"] == 3


@pytest.fixture
async def strict(system: System) -> AsyncIterator[None]:
    """A server that closes a connection rather than have more than 256 KiB wait for it."""
    was = (await system.raw.config_get("client-output-buffer-limit"))["client-output-buffer-limit"]
    await system.raw.config_set("client-output-buffer-limit", "normal 262144 0 0")
    yield
    await system.raw.config_set("client-output-buffer-limit", was)


@pytest.mark.usefixtures("strict")
async def test_reads_become_smaller_when_their_replies_end_connections(system: System) -> None:
    """A full read is more than the server lets anybody have: all comes over a few connections, and that is counted."""
    replies = Replies()
    producer = await system.driver.create_producer(ONE, replies)
    producer.send(0, [b"%d:" % n + bytes(8_000) for n in range(600)], None)
    await replies.until(600)
    consumer = await system.driver.create_consumer([ONE], "g", "c")

    found = payloads(await receive(consumer, 600))

    assert [int(each.split(b":")[0]) for each in found] == list(range(600))
    assert 1 <= system.driver.statistics()["lostReplies"] <= 10


@pytest.mark.usefixtures("strict")
async def test_a_message_that_is_too_large_for_the_server_ends_the_run_with_the_reason(system: System) -> None:
    """It would be read for ever: the error names the limits."""
    replies = Replies()
    producer = await system.driver.create_producer(ONE, replies)
    producer.send(0, [bytes(20_000_000)], None)
    await replies.until(1)
    consumer = await system.driver.create_consumer([ONE], "g", "c")

    with pytest.raises(DriverError, match="client-output-buffer-limit normal or maxmemory-clients"):
        await receive(consumer, 1)
    assert system.driver.statistics()["lostReplies"] <= 6


class IgnoringProxy(Proxy):
    """A server that does not wait: no BLOCK is longer than a millisecond."""

    async def requests(self, link: Link) -> None:
        """Shortens each BLOCK."""
        while data := await link.near_reader.read(CHUNK):
            link.far_writer.write(re.sub(rb"(BLOCK\r\n)\$\d+\r\n\d+", rb"\1$1\r\n1", data))


@pytest.mark.parametrize("reads", [{}, {"plain": True}], ids=["group", "plain"])
async def test_a_server_that_ignores_block_is_not_asked_without_end(system: System, reads: dict[str, Any]) -> None:
    """With pauses of 50 ms in the end; it is counted."""
    async with IgnoringProxy(system.url) as proxy:
        driver = await open_driver({"url": proxy.url, "run_id": RUN_ID, "block_ms": 10_000, **reads})
        consumer = await driver.create_consumer([ONE], "g", "c")
        for _ in range(9):
            assert await consumer.receive() is None
        assert driver.statistics()["earlyReads"] == 9
        replies = Replies()
        (await system.driver.create_producer(ONE, replies)).send(0, [b"m"], None)
        assert payloads(await receive(consumer, 1)) == [b"m"]
        await consumer.aclose()
        await driver.aclose()


@pytest.mark.parametrize("reads", [{}, {"plain": True}], ids=["group", "plain"])
async def test_a_read_that_ends_with_its_consumer_has_lost_nothing(system: System, reads: dict[str, Any]) -> None:
    """It is under way nearly always when a run ends."""
    driver = await open_driver({"url": system.url, "run_id": RUN_ID, "block_ms": 10_000, **reads})
    consumer = await driver.create_consumer([ONE], "g", "c")
    reading = asyncio.create_task(consumer.receive())
    while not any(each["cmd"] in ("xread", "xreadgroup") for each in await system.raw.client_list()):  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0)

    await consumer.aclose()

    assert await reading is None
    assert "lostReplies" not in driver.statistics()
    await driver.aclose()
