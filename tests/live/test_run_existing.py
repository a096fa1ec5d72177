"""Runs on topics that exist: they are used, and left as they were but for what was sent."""

from collections.abc import AsyncIterator, Iterator

import pytest
import redis
from processes import Place, sound
from seam import RUN_ID, Replies, ignored, receive

from ombdriver.bench.drivers.api import Driver, TopicSpec, load_driver
from ombdriver.bench.run.cleanup import clean
from ombdriver.errors import DriverError

BOTH = """
topics: 0
existingTopicList: [orders, "{paid:0}"]
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 2
consumerPerSubscription: 2
producersPerTopic: 1
producerRate: 500
warmupDuration: 0s
testDuration: 1s
"""
READS = """
topics: 0
existingConsumeTopicList: [orders]
existingTopicsFrom: beginning
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 0
producerRate: 0
warmupDuration: 0s
testDuration: 1s
"""
SENDS = """
topics: 0
existingProduceTopicList: [orders]
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 0
consumerPerSubscription: 0
producersPerTopic: 1
producerRate: 500
warmupDuration: 0s
testDuration: 1s
"""
THERE = 300
"""Messages of others in `orders` before anything runs."""


@pytest.fixture
def mine(valkey_url: str) -> Iterator[redis.Redis]:
    """The user's own eyes on the server, with streams and a group of his own."""
    with redis.Redis.from_url(valkey_url, decode_responses=True) as server:
        with server.pipeline() as at_once:
            for number in range(THERE):
                at_once.xadd("orders", {"order": "x" * (number % 80), "by": "me"})
            at_once.execute()
        server.xadd("{paid:0}", {"only": "one"})
        server.xgroup_create("orders", "billing", "0")
        yield server


def test_existing_topics_are_used_and_left_as_they_were(place: Place, mine: redis.Redis, valkey_url: str) -> None:
    """Nothing is trimmed or deleted; groups come and go; and what can't be known of messages of others is said."""
    for name, text in (("both", BOTH), ("reads", READS), ("sends", SENDS)):
        place.write(text, f"{name}.yaml")
    keys, groups = set(mine.scan_iter()), mine.xinfo_groups("orders")

    finished = place.run("run", "both.yaml", "reads.yaml", "sends.yaml", "--url", valkey_url, "--plain")

    assert sound(finished.returncode), finished.stderr
    by_name = {result["workload"]: result for result in place.results()}
    both, reads, sends = (by_name[name] for name in ("both", "reads", "sends"))
    assert both["totals"]["published"] == 500
    assert both["totals"]["received"] == 1000
    assert [each["lost"] for each in both["delivery"]] == [0, 0]
    assert reads["totals"]["published"] == 0
    assert reads["totals"]["received"] == reads["totals"]["receivedOfOthers"] == THERE + 250  # half of `both` is here
    assert sum(reads["consumeRate"]) == pytest.approx(THERE + 250)
    assert reads["aggregatedEndToEndLatency50pct"] is None
    assert reads["delivery"] == []
    assert "noStamps" in {caveat["kind"] for caveat in reads["caveats"]}
    assert sends["totals"]["published"] == 500
    assert "messagesLeft" in {caveat["kind"] for caveat in sends["caveats"]}
    assert set(mine.scan_iter()) == keys
    assert [group["name"] for group in mine.xinfo_groups("orders")] == [group["name"] for group in groups]
    assert (mine.xlen("orders"), mine.xlen("{paid:0}")) == (THERE + 250 + 500, 1 + 250)


async def opened(url: str, **options: object) -> Driver:
    """A driver of a run on that server."""
    return await load_driver("redis-streams")({"url": url, "run_id": RUN_ID, "block_ms": 20, **options})


@pytest.fixture
async def driver(valkey_url: str) -> AsyncIterator[Driver]:
    """One that reads from where topics end."""
    made = await opened(valkey_url, from_end=True)
    yield made
    await made.aclose()


ORDERS = TopicSpec("orders", existing=True)


async def test_a_group_on_an_existing_topic_gets_what_comes_from_now_on(driver: Driver, mine: redis.Redis) -> None:
    """The group bears the run's id, so it is nobody else's; to the harness it is the subscription."""
    await driver.create_topics([ORDERS], ["billing"])
    consumer = await driver.create_consumer([ORDERS], "billing", "c")
    replies = Replies()
    producer = await driver.create_producer(ORDERS, replies)

    producer.send(0, [b"new"], None)
    (batch,) = await receive(consumer, 1)

    assert batch.payloads == [b"new"]
    assert await driver.backlog([ORDERS], "billing") == 1
    consumer.acknowledge(batch, ignored)
    assert {group["name"] for group in mine.xinfo_groups("orders")} == {"billing", f"ombdriver-{RUN_ID}-billing"}
    look = await driver.observe([("orders", 0)])
    assert look is not None
    groups = look.streams["orders", 0].groups
    assert groups is not None
    assert set(groups) == {"billing"}  # the run's own, though somebody else's is called so
    assert groups["billing"].lag == 0
    inspector = driver.inspector()
    assert inspector is not None
    await replies.until(1)
    assert await inspector.position(ORDERS, 0, "billing") == inspector.reference(replies.told[0][-1])
    await consumer.aclose()
    assert await driver.delete_created() == 1
    assert {group["name"] for group in mine.xinfo_groups("orders")} == {"billing"}
    assert mine.xlen("orders") == THERE + 1


async def test_a_plain_reader_of_an_existing_topic_begins_where_it_ends(mine: redis.Redis, valkey_url: str) -> None:
    """As a group does, without leaving a trace on the server."""
    driver = await opened(valkey_url, from_end=True, plain=True)
    try:
        await driver.create_topics([ORDERS], ["reader"])
        consumer = await driver.create_consumer([ORDERS], "reader", "c")
        mine.xadd("orders", {"p": "new"})

        (batch,) = await receive(consumer, 1)

        assert batch.payloads == [b"new"]
        await consumer.aclose()
        assert await driver.delete_created() == 0
    finally:
        await driver.aclose()
    assert not list(mine.scan_iter("ombdriver:*"))


@pytest.mark.parametrize(("name", "what"), [("nowhere", "nothing"), ("text", "a string")])
async def test_what_is_no_stream_is_refused(driver: Driver, mine: redis.Redis, name: str, what: str) -> None:
    """Before a group is made on any of them."""
    mine.set("text", "1")

    with pytest.raises(DriverError, match=f"{name} on .* is {what}, and no stream; correct existingTopicList"):
        await driver.create_topics([ORDERS, TopicSpec(name, existing=True)], ["g"])

    assert len(mine.xinfo_groups("orders")) == 1


async def test_groups_that_a_killed_run_left_are_cleaned_away(mine: redis.Redis, valkey_url: str) -> None:
    """The record names them; streams of others stay, and so do groups that don't bear the run's id."""
    driver = await opened(valkey_url)
    await driver.create_topics([ORDERS], ["g", "h"])
    await driver.aclose()
    mine.delete(f"ombdriver:alive:{RUN_ID}")
    mine.hset(f"ombdriver:run:{RUN_ID}", "groups", f'["ombdriver-{RUN_ID}-g", "ombdriver-{RUN_ID}-h", "billing"]')

    (promised,) = await clean(valkey_url, None, dry_run=True)
    (line,) = await clean(valkey_url, None, dry_run=False)

    assert "the run's groups on 1 stream of others would be deleted" in promised
    assert "the run's groups on 1 of 1 stream of others deleted" in line
    assert [group["name"] for group in mine.xinfo_groups("orders")] == ["billing"]
    assert mine.xlen("orders") == THERE
    assert not list(mine.scan_iter("ombdriver:*"))
