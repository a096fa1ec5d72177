"""The producer in a cluster and behind Sentinels: partitions that move, and servers that are replaced."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.crc import key_slot
from topologies import Cluster, Watched, cluster, sentinel, until

from ombdriver import MQClient, NotSentError, OutcomeUnknownError, Producer, RecordMetadata, Topic

POLICIES = ("raise", "resend", "idempotent")
TOPIC = Topic("t", 6)
KEY = "{one:0}"
SLOT = key_slot(KEY.encode())


@pytest.fixture
async def pairs(engine: str) -> AsyncIterator[Cluster]:
    """Three primaries with a replica each, of the test's own."""
    async with cluster(engine, 3, 1) as made:
        yield made


@pytest.fixture
async def watched(engine: str) -> AsyncIterator[Watched]:
    """A master and a replica, of the test's own."""
    async with sentinel(engine, 1) as made:
        yield made


class Stream:
    """Sends numbers to one partition or all, a few in each turn, until it is stopped."""

    def __init__(self, producer: Producer[bytes]) -> None:
        self._producer = producer
        self._stop = False
        self.futures: list[asyncio.Future[RecordMetadata]] = []
        self._task = asyncio.create_task(self._go())

    async def _go(self) -> None:
        while not self._stop:
            for n in range(len(self.futures), len(self.futures) + 20):
                self.futures.append(await self._producer.send(b"%d" % n, key=b"%d" % (n % 50)))
            await asyncio.sleep(0.002)  # a rate; nothing is waited for

    async def more(self, count: int) -> None:
        """Waits until so many more are answered."""
        goal = sum(future.done() for future in self.futures) + count
        while sum(future.done() for future in self.futures) < goal:
            assert not self._task.done() or self._task.result() is None
            await asyncio.sleep(0.005)

    async def stop(self) -> list[object]:
        """Sends no more; what became of each message."""
        self._stop = True
        await self._task
        return list(await asyncio.gather(*self.futures, return_exceptions=True))


async def stored(client: MQClient, keys: tuple[str, ...]) -> list[list[int]]:
    """The numbers in each stream, in order."""
    streams = [await client.query_messages(key) for key in keys]
    return [[int(fields["value"]) for _, fields in entries] for entries in streams]


async def move(three: Cluster, source: int, target: int, stream: Stream | None = None) -> None:
    """The slot goes from one primary to the other, with messages between the steps."""
    for step in (three.migrate_begin, three.migrate_keys, three.migrate_end):
        await step(SLOT, source, target)
        if stream is not None:
            await stream.more(200)


@pytest.mark.parametrize("on_unknown", ["raise", "idempotent"])
async def test_a_partition_that_moves_keeps_its_order(three: Cluster, on_unknown: str) -> None:
    """MIGRATING, ASK, TRYAGAIN, MOVED: no caller is told, each message is stored once, and none overtakes another."""
    source = three.owner(KEY)
    target = (source + 1) % 3
    async with (
        MQClient(redis_url=three.url) as client,
        client.producer("one", on_unknown=on_unknown, max_batch_messages=50) as producer,  # type: ignore[arg-type]
    ):
        stream = Stream(producer)
        await stream.more(100)
        for there, here in ((source, target), (target, source), (source, target)):
            await move(three, there, here, stream)
        outcomes = await stream.stop()
        await move(three, target, source)
        assert {type(one) for one in outcomes} == {RecordMetadata}
        (numbers,) = await stored(client, (KEY,))
        assert numbers == list(range(len(outcomes)))
        assert producer.statistics().resent > 0


@pytest.mark.parametrize("on_unknown", ["raise", "idempotent"])
async def test_an_asked_partition_takes_whole_batches(three: Cluster, on_unknown: str) -> None:
    """While the slot is on its way and its stream is at the target: ASKING holds for a transaction too."""
    source = three.owner(KEY)
    target = (source + 1) % 3
    async with (
        MQClient(redis_url=three.url) as client,
        client.producer("one", on_unknown=on_unknown) as producer,  # type: ignore[arg-type]
    ):
        await producer.send_and_wait(b"0")
        await three.migrate_begin(SLOT, source, target)
        await three.migrate_keys(SLOT, source, target)
        found = await asyncio.gather(*[await producer.send(b"%d" % n) for n in range(1, 101)])
        assert all(isinstance(one, RecordMetadata) for one in found)
        await three.migrate_end(SLOT, source, target)
        (numbers,) = await stored(client, (KEY,))
        await move(three, target, source)
        assert numbers == list(range(101))


async def test_a_new_idempotent_producer_stores_while_a_slot_is_on_its_way(three: Cluster) -> None:
    """Its own key can't be made where the stream is, nor there, for as long as that takes: it goes to the stream."""
    source = three.owner(KEY)
    target = (source + 1) % 3
    async with MQClient(redis_url=three.url) as client:
        async with client.producer("one") as producer:
            await producer.send_and_wait(b"0")
        await three.migrate_begin(SLOT, source, target)
        async with client.producer("one", on_unknown="idempotent") as producer:
            await asyncio.gather(*[await producer.send(b"%d" % n) for n in range(1, 11)])
        await three.migrate_keys(SLOT, source, target)
        async with client.producer("one", on_unknown="idempotent") as producer:
            await asyncio.gather(*[await producer.send(b"%d" % n) for n in range(11, 21)])
            await three.migrate_end(SLOT, source, target)
            await asyncio.gather(*[await producer.send(b"%d" % n) for n in range(21, 31)])
        (numbers,) = await stored(client, (KEY,))
        await move(three, target, source)
        assert numbers == list(range(31))


@pytest.mark.parametrize("on_unknown", ["raise", "idempotent"])
async def test_a_primary_that_dies_is_replaced_without_the_caller(pairs: Cluster, on_unknown: str) -> None:
    """Its replica goes on; with `raise` what was on its way is told, otherwise nothing is."""
    async with (
        MQClient(redis_url=pairs.url) as client,
        client.producer(TOPIC, on_unknown=on_unknown) as producer,  # type: ignore[arg-type]
    ):
        stream = Stream(producer)
        await stream.more(500)
        pairs.kill(0)
        await until(lambda: _is_primary(pairs, 3))
        await stream.more(1_000)
        outcomes = await stream.stop()
        streams = await stored(client, TOPIC.keys)
    bad = {type(one) for one in outcomes} - {RecordMetadata}
    assert bad <= ({OutcomeUnknownError} if on_unknown == "raise" else set())
    for numbers in streams:
        assert numbers == sorted(set(numbers)), "a message was stored twice, or overtook another"


async def test_an_ordered_failover_loses_and_repeats_nothing(pairs: Cluster) -> None:
    """CLUSTER FAILOVER under load."""
    async with MQClient(redis_url=pairs.url) as client, client.producer(TOPIC) as producer:
        stream = Stream(producer)
        await stream.more(500)
        await pairs.ask(3, "CLUSTER", "FAILOVER")
        await until(lambda: _is_primary(pairs, 3))
        await stream.more(1_000)
        outcomes = await stream.stop()
        assert {type(one) for one in outcomes} == {RecordMetadata}
        streams = await stored(client, TOPIC.keys)
        assert all(numbers == sorted(numbers) for numbers in streams)
        assert sorted(n for numbers in streams for n in numbers) == list(range(len(outcomes)))


async def _is_primary(made: Cluster, number: int) -> bool:
    role = await made.ask(number, "ROLE")
    return bool(role[0] in (b"master", "master"))


async def test_partitions_without_a_server_fail_in_time_and_leave_the_others_alone(engine: str) -> None:
    """A primary without a replica dies: its partitions' messages are told in `delivery_timeout_ms`."""
    async with cluster(engine, 3) as three:
        for number in range(3):
            await three.ask(number, "CONFIG", "SET", "cluster-require-full-coverage", "no")
        async with (
            MQClient(redis_url=three.url) as client,
            client.producer(TOPIC, delivery_timeout_ms=1_500, on_unknown="resend") as producer,
        ):
            await asyncio.gather(*[await producer.send(b"0", partition=p) for p in range(6)])
            three.kill(1)
            futures = [await producer.send(b"1", partition=p) for p in range(6)]
            await until(lambda: _is_in_trouble(producer))
            others = await asyncio.gather(*[await producer.send(b"2") for _ in range(100)])
            assert {three.owner(TOPIC.keys[each.partition]) for each in others} <= {0, 2}
            outcomes = await asyncio.gather(*futures, return_exceptions=True)
    for partition, outcome in enumerate(outcomes):
        gone = three.owner(TOPIC.keys[partition]) == 1
        assert isinstance(outcome, NotSentError | OutcomeUnknownError if gone else RecordMetadata)


async def _is_in_trouble(producer: Producer[bytes]) -> bool:
    done = producer.statistics()
    return bool(done.unknown or done.resent or done.failed)


@pytest.mark.parametrize("on_unknown", POLICIES)
async def test_a_master_that_is_replaced_by_sentinels_is_followed(watched: Watched, on_unknown: str) -> None:
    """By order of the Sentinels; the order is kept, and nothing is stored twice unless that was chosen."""
    async with (
        MQClient(redis_url=watched.url) as client,
        client.producer("t", on_unknown=on_unknown) as producer,  # type: ignore[arg-type]
    ):
        stream = Stream(producer)
        await stream.more(300)
        new = await watched.fail_over()
        await stream.more(300)
        outcomes = await stream.stop()
        assert new == 1
        (numbers,) = await stored(client, ("{t:0}",))
    bad = {type(one) for one in outcomes} - {RecordMetadata}
    assert bad <= ({OutcomeUnknownError} if on_unknown == "raise" else set())
    first_times = list(dict.fromkeys(numbers))
    assert first_times == sorted(first_times)
    if on_unknown != "resend":
        assert len(first_times) == len(numbers)
