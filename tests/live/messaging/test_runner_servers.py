"""The Runner on servers that are many, fail over, restart or lose their data; and beside other runners."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import redis.asyncio
from pending import GROUP, STREAM, abandon, deliver
from redis.crc import key_slot
from running import holds_are, met, running, send, settled
from sending import Sending
from topologies import Cluster, cluster, sentinel, until

from ombdriver import MQClient, MQProducer, Runner, Topic
from ombdriver.messaging.topics.consumer.message import Message
from ombdriver.messaging.topics.runner.retry import RetryPolicy

Cut = Callable[[], Awaitable[None]]


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[MQClient]:
    """A client of the server."""
    async with MQClient(redis_url=server_url) as made:
        yield made


async def test_lost_connections_lose_no_message(client: MQClient, raw: redis.asyncio.Redis, cut: Cut) -> None:
    """While handlers fail and messages are given up: all end, and the poison is a dead letter once."""
    seen: Counter[bytes] = Counter()

    async def handle(message: Message[bytes]) -> None:
        await asyncio.sleep(0.001)
        seen[message.value] += 1
        if message.value.endswith(b"7"):
            raise ValueError("no")

    await send(raw, *range(1_000))
    async with running(client, handle, concurrency=8, visibility_timeout_ms=2_000) as runner:
        for cuts in range(1, 6):
            await until(lambda cuts=cuts: met(runner.statistics().handled >= 100 * cuts))
            await cut()
        await until(lambda: settled(raw), within_s=50)

    letters = await client.dead_letters("t").read(1_000)
    assert set(seen) == {b"%d" % n for n in range(1_000)}
    assert Counter(letter.record.value for letter in letters) == Counter(b"%d" % n for n in range(7, 1_000, 10))


async def test_after_the_data_is_gone_new_messages_are_handled(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """FLUSHALL: the group is made again; what was at work ends, with nothing to acknowledge."""
    seen: list[bytes] = []
    go_on = asyncio.Event()

    async def handle(message: Message[bytes]) -> None:
        seen.append(message.value)
        await go_on.wait()
        if message.value == b"fails":
            raise ValueError("no")

    await send(raw, "fails", "well")
    async with running(client, handle, visibility_timeout_ms=500) as runner:
        await until(lambda: met(len(seen) == 2))
        await raw.flushall()
        go_on.set()
        await until(lambda: met(runner.statistics().in_hand == 0))
        await send(raw, "new")
        await until(lambda: settled(raw))

    assert sorted(seen) == [b"fails", b"new", b"well"]


async def test_runners_share_the_work_and_take_over_from_each_other(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """Each message goes to one of them; what the first leaves at its end, the second handles."""
    seen: dict[str, list[bytes]] = defaultdict(list)
    blocked = asyncio.Event()

    async def first(message: Message[bytes]) -> None:
        seen["first"].append(message.value)
        await blocked.wait()

    async def second(message: Message[bytes]) -> None:
        seen["second"].append(message.value)

    await send(raw, *range(50))
    async with running(client, first, concurrency=2, drain_timeout_s=0, prefetch=20) as one:
        await until(lambda: met(one.statistics().running == 2))
        async with running(client, second, visibility_timeout_ms=1_000):
            await until(lambda: met(bool(seen["second"])))
            one.stop()
            await until(lambda: settled(raw))

    assert sorted(seen["second"], key=int) == [b"%d" % n for n in range(50)]
    assert one.statistics().returned > 0


async def test_in_a_cluster_every_partition_is_looked_after(three: Cluster) -> None:
    """Handling, retries, reclaiming, dead letters and delays: all in the slot of their stream."""
    topic = Topic("orders", 8)
    seen: Counter[bytes] = Counter()

    async def handle(message: Message[bytes]) -> None:
        seen[message.value] += 1
        if message.value.startswith(b"poison"):
            raise ValueError("no")

    async with MQClient(redis_url=three.url) as client:
        later = client.delayed(topic)
        for n in range(8):
            await later.send(b"poison %d" % n, 0)
            await later.send(b"good %d" % n, 0)
        runner = client.runner(topic, "g", block_ms=50, retry=RetryPolicy(2, backoff=lambda _: 0))
        runner.handler(handle)
        task = asyncio.create_task(runner.run(signals=False))
        letters = client.dead_letters(topic)
        await until(lambda: _count_is(letters.count, 8))
        await until(lambda: met(runner.statistics().handled == 8))
        assert await letters.redrive(group="g") == 8
        await until(lambda: _is_idle(runner.statistics, letters.count, 8))
        runner.stop()
        await task
        assert await letters.purge() == 8

    assert seen == {**{b"good %d" % n: 1 for n in range(8)}, **{b"poison %d" % n: 4 for n in range(8)}}


async def _count_is(ask: Callable[[], Awaitable[int]], expected: int) -> bool:
    return await ask() == expected


async def _is_idle(statistics: Callable[[], object], count: Callable[[], Awaitable[int]], expected: int) -> bool:
    return statistics().dead_lettered == 16 and await count() == expected  # type: ignore[attr-defined]


async def test_a_server_that_hangs_makes_nothing_of_others_come_twice(three: Cluster) -> None:
    """Their leases are renewed meanwhile, and each is swept by itself."""
    topic = Topic("orders", 8)
    seen: Counter[str] = Counter()
    go_on = asyncio.Event()

    async def handle(message: Message[bytes]) -> None:
        seen[message.stream] += 1
        await go_on.wait()

    async def work(name: str) -> None:
        runner = client.runner(topic, "g", name, block_ms=50, visibility_timeout_ms=600, drain_timeout_s=5)
        runners[name] = runner
        runner.handler(handle)
        await runner.run(signals=False)

    runners: dict[str, Runner[bytes]] = {}
    async with MQClient(redis_url=three.url) as client:
        for partition in range(8):
            await client.delayed(topic).send(b"", 0, key=_key_of(topic, partition))
        tasks = [asyncio.create_task(work("one"))]
        await until(lambda: met(len(seen) == 8))
        tasks.append(asyncio.create_task(work("other")))
        await until(lambda: met("other" in runners and runners["other"]._parts is not None))
        for key in topic.keys:
            await client._router().execute(key.encode(), "SET", f"{key}:janitor:g", "other")
        stuck = three.raw[0]
        theirs = {key for key in topic.keys if key_slot(key.encode()) not in await _slots_of(stuck)}
        assert 0 < len(theirs) < 8
        await stuck.execute_command("CLIENT", "PAUSE", 6_000, "ALL")
        answer = asyncio.create_task(stuck.ping())
        before = _sweeps(runners["other"])
        await until(lambda: met(_sweeps(runners["other"]) > before + 60))
        assert not answer.done(), "the others were swept for more than the visibility time-out while it hung"
        assert {stream: seen[stream] for stream in theirs} == dict.fromkeys(theirs, 1)
        go_on.set()
        await answer
        for runner in runners.values():
            runner.stop()
        await asyncio.gather(*tasks)


def _key_of(topic: Topic, partition: int) -> str:
    return next(f"k{n}" for n in range(1_000) if topic.partition_of(f"k{n}") == partition)


async def _slots_of(server: redis.asyncio.Redis) -> set[int]:
    (mine,) = [line for line in (await server.execute_command("CLUSTER NODES")).items() if "myself" in line[1]["flags"]]
    return {slot for low, high in mine[1]["slots"] for slot in range(int(low), int(high) + 1)}


def _sweeps(runner: Runner[bytes]) -> int:
    assert runner._parts is not None
    return sum(each.janitor.looks for each in runner._parts[1]._session.maintenance)


async def test_a_consumer_with_a_lasting_name_goes_on_with_what_it_had(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """At once, without waiting for the visibility time-out; what was only buffered has used up no delivery."""
    ids = await deliver(raw, 50, "lasting")
    counts: dict[bytes, int] = {}

    async def handle(message: Message[bytes]) -> None:
        counts[message._entry_id] = message.delivery_count

    async with running(client, handle, name="lasting", visibility_timeout_ms=3_600_000):
        await until(lambda: settled(raw))

    assert counts == dict.fromkeys(ids, 2)
    assert await raw.xlen(STREAM) == 50


async def test_what_is_trimmed_while_it_is_pending_ends(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """A dead consumer's entries whose content is gone are acknowledged; the rest is handled."""
    ids = await deliver(raw, 100, "dead")
    await abandon(raw, ids, "dead")
    await raw.xtrim(STREAM, minid=ids[60], approximate=False)
    seen: list[bytes] = []

    async def handle(message: Message[bytes]) -> None:
        seen.append(message._entry_id)

    async with running(client, handle) as runner:
        await until(lambda: settled(raw))

    assert Counter(seen) == Counter(ids[60:])
    assert runner.statistics().deleted == 60


class Handling:
    """A handler for records that have a number: fails at first, and notes what it handled.

    Attributes:
        handled: how often each number was handled to the end.
    """

    def __init__(self) -> None:
        self.handled: Counter[int] = Counter()

    async def __call__(self, message: Message[bytes]) -> None:
        """Fails for a tenth of the numbers, at their first delivery."""
        number = int(message.fields[b"n"])
        if number % 10 == 0 and message.delivery_count == 1:
            raise ValueError("again")
        self.handled[number] += 1

    async def has(self, wanted: set[int]) -> bool:
        """Whether all of them were handled."""
        return wanted <= self.handled.keys()


async def test_a_failover_in_a_cluster(engine: str) -> None:
    """Every message that the servers still have is handled, retries too, and none is given up."""
    topic = Topic("t", 6)
    handling = Handling()
    async with (
        cluster(engine, 3, 1) as six,
        MQClient(redis_url=six.url) as client,
        MQProducer(topic, redis_pool=client.redis_pool) as producer,
    ):
        runner = client.runner(topic, "g", block_ms=50, visibility_timeout_ms=2_000)
        runner.handler(handling)
        task = asyncio.create_task(runner.run(signals=False))
        sending = Sending(producer)
        await sending.more(1_000)
        six.kill(0)
        await sending.more(1_000)
        await sending.stop()
        entries = [await producer.query_messages(key) for key in topic.keys]
        await until(lambda: handling.has({int(fields["n"]) for each in entries for _, fields in each}), within_s=50)
        runner.stop()
        await task
        assert await client.dead_letters(topic).count() == 0


async def test_a_failover_behind_sentinels(engine: str) -> None:
    """The same."""
    handling = Handling()
    async with (
        sentinel(engine) as watched,
        MQClient(redis_url=watched.url) as client,
        MQProducer(Topic("t"), redis_pool=client.redis_pool) as producer,
    ):
        runner = client.runner("t", "g", block_ms=50, visibility_timeout_ms=2_000)
        runner.handler(handling)
        task = asyncio.create_task(runner.run(signals=False))
        sending = Sending(producer)
        await sending.more(500)
        await watched.fail_over()
        await sending.more(500)
        await sending.stop()
        entries = await producer.query_messages("{t:0}")
        await until(lambda: handling.has({int(fields["n"]) for _, fields in entries}), within_s=50)
        runner.stop()
        await task
        assert await client.dead_letters("t").count() == 0


async def test_a_message_that_another_member_has_by_now_is_not_begun_here(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """As after a loss of the server for too long; a handler that has it already is told, and may end in peace."""
    seen: list[bytes] = []
    lost: list[bool] = []
    go_on = asyncio.Event()

    async def handle(message: Message[bytes]) -> None:
        seen.append(message.value)
        await go_on.wait()
        lost.append(message.is_lost)

    ids = await send(raw, *range(6))
    async with running(client, handle, name="one", concurrency=2, prefetch=2, visibility_timeout_ms=3_000) as runner:
        await until(lambda: holds_are(raw, dict.fromkeys(ids, ("one", 1))))
        await until(lambda: met(len(seen) == 2))
        await raw.xclaim(STREAM, GROUP, "other", 0, ids)
        await until(lambda: met(runner.statistics().lost == 6))
        await raw.xack(STREAM, GROUP, *ids)
        go_on.set()
        await until(lambda: met(runner.statistics().in_hand == 0))

    assert seen == [b"0", b"1"]
    assert lost == [True, True]
    assert runner.statistics().handled == 2
