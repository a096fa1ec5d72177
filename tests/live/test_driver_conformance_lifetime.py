"""What every driver does with topics and handles: refusing, deleting, closing, and telling of itself."""

import asyncio

import pytest
from seam import ONE, THREE, Open, Replies, ignored, receive

from ombdriver.bench.drivers.api import Driver
from ombdriver.errors import DriverError


async def test_names_that_exist_are_refused_and_nothing_is_created(driver: Driver) -> None:
    """The error names what exists; topics that were asked for in the same breath are not made."""
    await driver.create_topics([ONE], ["g"])
    replies = Replies()
    producer = await driver.create_producer(ONE, replies)
    producer.send(0, [b"kept"], None)
    await replies.until(1)

    with pytest.raises(DriverError, match=ONE.name):
        await driver.create_topics([THREE, ONE], ["g"])

    assert await driver.backlog([ONE], "g") == 1
    assert await driver.delete_created() == 1


async def test_exactly_what_was_created_is_deleted(driver: Driver, open_one: Open) -> None:
    """Partitions are counted, a second call finds nothing, and the names are free again."""
    await driver.create_topics([ONE, THREE], ["g"])
    other = await open_one()
    assert await other.delete_created() == 0

    assert await driver.delete_created() == 4
    assert await driver.delete_created() == 0

    await driver.create_topics([ONE, THREE], ["g"])


async def test_closing_a_consumer_ends_a_read_that_waits(driver: Driver) -> None:
    """The read returns nothing or says that the consumer was closed; it does not hang."""
    await driver.create_topics([ONE], ["g"])
    consumer = await driver.create_consumer([ONE], "g", "c")
    reading = asyncio.create_task(consumer.receive())
    await asyncio.sleep(0)

    await consumer.aclose()

    (ended,) = await asyncio.gather(reading, return_exceptions=True)
    assert ended is None or isinstance(ended, DriverError)
    with pytest.raises(DriverError):
        await consumer.receive()


async def test_acknowledgements_are_complete_when_a_consumer_is_closed(driver: Driver) -> None:
    """Closing waits for them: nothing that was acknowledged is left."""
    replies = Replies()
    await driver.create_topics([ONE], ["g"])
    (producer, consumer) = (await driver.create_producer(ONE, replies), await driver.create_consumer([ONE], "g", "c"))
    producer.send(0, [b"m"] * 300, None)
    await replies.until(300)
    for batch in await receive(consumer, 300):
        consumer.acknowledge(batch, ignored)

    await consumer.aclose()

    assert await driver.backlog([ONE], "g") == 0
    assert not any("failed" in name.lower() for name in driver.statistics())


async def test_what_a_driver_says_of_its_system_is_plain(driver: Driver) -> None:
    """Fit for a result: names of an engine and plain values, no password; counters are numbers."""
    facts = dict(await driver.describe())
    config = facts.pop("config", None) or {}

    assert isinstance(facts["engine"], str)
    assert isinstance(config, dict)
    assert all(isinstance(value, str | int | float | bool | None) for value in facts.values())
    assert all(isinstance(value, str | None) for value in config.values())
    if facts["engine"] != "memory":
        assert facts["version"]
        assert isinstance(facts["usedMemoryBytes"], int)
        assert facts["maxMemoryBytes"] == 0
        assert facts["evictionPolicy"] == "noeviction"
    assert all(isinstance(count, int) for count in driver.statistics().values())
