"""A group of consumers alone, without a runner: what one leaves comes to the others, and what one has stays its own."""

from contextlib import AsyncExitStack

import pytest
import redis.asyncio
from pending import GROUP, STREAM, abandon, deliver, holds
from records import TOPIC, pending, store, take
from running import met
from topologies import Cluster, until

from ombdriver import MQClient, MQProducer, Topic
from ombdriver.messaging.topics.consumer import session
from ombdriver.messaging.topics.consumer.consumer import Consumer
from ombdriver.messaging.topics.recovery.janitor import Janitor

SOON_MS = 400
"""A visibility time-out that a test can wait for."""


async def received(consumer: Consumer[bytes], count: int) -> None:
    """Waits until so many messages have come."""
    await until(lambda: met(consumer.statistics().received >= count))


async def swept(raw: redis.asyncio.Redis, consumer: Consumer[bytes], times: int) -> None:
    """Makes it the janitor, and waits until it has looked so often for what others left."""
    for key in consumer.topic.keys:
        await raw.set(f"{key}:janitor:{consumer.group}", consumer.name)
    assert consumer._session is not None
    janitor = consumer._session.maintenance[0].janitor
    before = janitor.looks
    await until(lambda: met(janitor.looks >= before + times))


@pytest.mark.parametrize("order", ["the other is there already", "the other comes later"])
async def test_what_a_closed_consumer_had_buffered_comes_to_the_others(
    server_url: str, raw: redis.asyncio.Redis, order: str
) -> None:
    """Neither has a name. All of it, once, as if it had not been delivered before."""
    await store(raw, range(100))
    async with MQClient(redis_url=server_url) as client:
        # Long enough that a machine that stands still for a second is not taken for a death.
        first = client.consumer(TOPIC, "g", visibility_timeout_ms=2_000)
        other = client.consumer(TOPIC, "g", visibility_timeout_ms=2_000)
        async with first:
            await received(first, 100)
            handled = await take(first, 10)
            if order == "the other is there already":
                await other.start()
        async with other:
            messages = [await other.getone() for _ in range(90)]
            assert sorted([*handled, *(int(message.value) for message in messages)]) == list(range(100))
            assert {message.delivery_count for message in messages} == {1}
            for message in messages:
                await message.ack()
            await other.flush()
            assert await pending(raw) == 0
            assert (first.statistics().given_back, other.statistics().reclaimed) == (90, 90)


async def test_so_it_is_in_a_cluster(three: Cluster) -> None:
    """In each slot by itself."""
    async with (
        MQClient(redis_url=three.url) as client,
        MQProducer(TOPIC, redis_pool=client.redis_pool) as producer,
    ):
        async with client.consumer(TOPIC, "g") as first:
            for n in range(30):
                await producer._execute("XADD", TOPIC.keys[n % 3], "*", "value", n, once=True)
            await received(first, 30)
        async with client.consumer(TOPIC, "g") as other:
            assert sorted(await take(other, 30)) == list(range(30))


async def test_what_a_dead_consumer_left_is_taken_over_as_there_is_room(
    server_url: str, raw: redis.asyncio.Redis
) -> None:
    """Much of it in one round; one delivery more is counted, and no more is buffered than twice what may be."""
    await abandon(raw, await deliver(raw, 500, "dead"), "dead")
    async with MQClient(redis_url=server_url) as client, client.consumer("t", "g", prefetch=20) as consumer:
        found = []
        for _ in range(500):
            message = await consumer.getone()
            found.append(int(message.value))
            assert message.delivery_count == 2
            assert consumer.statistics().buffered <= 40
            await message.ack()
        assert sorted(found) == list(range(500))
        await consumer.flush()
        assert await holds(raw) == {}


async def test_what_is_only_buffered_uses_up_no_delivery(
    server_url: str, raw: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery is counted when it is handed out, or a little before; closing writes what has begun."""
    monkeypatch.setattr(session, "COUNT_AHEAD", 4)
    await abandon(raw, await deliver(raw, 30, "dead"), "dead")
    async with MQClient(redis_url=server_url) as client:
        async with client.consumer("t", "g") as consumer:
            await received(consumer, 30)
            assert {count for _, count in (await holds(raw)).values()} == {1}
            handed_out = await consumer.getmany(max_records=5) + [await consumer.getone() for _ in range(5)]
            assert {message.delivery_count for message in handed_out} == {2}
            assert [count for _, count in (await holds(raw)).values()].count(2) == 5 + 2 * 4
            for message in handed_out:
                await message.ack()
        assert list((await holds(raw)).values()) == [(consumer.name, 1)] * 20


async def test_a_group_that_is_destroyed_holds_up_nothing_that_is_buffered(
    server_url: str, raw: redis.asyncio.Redis
) -> None:
    """What was taken over and waits here is handed out, and need not be counted."""
    await abandon(raw, await deliver(raw, 20, "dead"), "dead")
    async with MQClient(redis_url=server_url) as client, client.consumer("t", "g", prefetch=64) as consumer:
        await received(consumer, 20)
        await raw.xgroup_destroy(STREAM, GROUP)
        assert sorted({*await take(consumer, 20)}) == list(range(20))


async def test_a_dead_letter_that_is_sent_again_needs_no_runner(server_url: str, raw: redis.asyncio.Redis) -> None:
    """It is pending for the group, and anybody of it takes it up."""
    await raw.xadd(STREAM, {"value": "7"})
    async with MQClient(redis_url=server_url) as client:
        async with client.consumer("t", "g") as consumer:
            assert await (await consumer.getone()).reject("not now")
        assert await client.dead_letters("t").redrive() == 1
        async with client.consumer("t", "g") as consumer:
            message = await consumer.getone()
            assert (message.value, message.delivery_count) == (b"7", 1)


async def test_a_message_in_hand_is_kept_however_long_it_takes(server_url: str, raw: redis.asyncio.Redis) -> None:
    """And so is what is buffered behind it, while others look for what nobody renews.

    Their patience is longer here than its own, so that a machine that stands still for a second does no harm.
    """
    await store(raw, range(9))
    async with (
        MQClient(redis_url=server_url) as client,
        client.consumer(TOPIC, "g", visibility_timeout_ms=200) as slow,
    ):
        await received(slow, 9)
        message = await slow.getone()
        async with client.consumer(TOPIC, "g", visibility_timeout_ms=1_000) as other:
            await swept(raw, other, 18)  # of three partitions, a quarter of that apart
            assert await message.in_progress()
            assert other.statistics().received == 0
        assert slow.statistics().lost == 0
        assert slow.statistics().held == 9


async def test_what_another_took_over_is_not_handed_out_any_more(server_url: str, raw: redis.asyncio.Redis) -> None:
    """As after this process had stood still: the next renewal tells."""
    ids = [(await raw.xadd(STREAM, {"value": str(n)})) for n in range(4)]
    async with (
        MQClient(redis_url=server_url) as client,
        client.consumer("t", "g", visibility_timeout_ms=SOON_MS) as consumer,
    ):
        await received(consumer, 4)
        message = await consumer.getone()
        await raw.set("{t:0}:janitor:g", "thief")  # so that nobody takes over from that one
        await raw.xclaim(STREAM, GROUP, "thief", 0, [ids[0], ids[2]])
        await until(lambda: met(consumer.statistics().lost == 2))
        assert [(await consumer.getone()).value for _ in range(2)] == [b"1", b"3"]
        assert not await message.in_progress()
        assert message.is_lost


async def test_a_message_that_another_took_over_tells_it_at_once_and_for_good(
    server_url: str, raw: redis.asyncio.Redis
) -> None:
    """The next renewal tells, and nobody has to ask the server; if the entry comes back, that is another delivery."""
    [entry] = [await raw.xadd(STREAM, {"value": "v"})]
    async with (
        MQClient(redis_url=server_url) as client,
        client.consumer("t", "g", visibility_timeout_ms=SOON_MS) as consumer,
    ):
        message = await consumer.getone()
        assert not message.is_lost
        await raw.xclaim(STREAM, GROUP, "thief", 0, [entry])
        await until(lambda: met(message.is_lost))

        await raw.xclaim(STREAM, GROUP, "thief", 0, [entry], idle=60_000)
        again = await consumer.getone()
        assert again.id == message.id
        assert [message.is_lost, await message.in_progress()] == [True, False]
        assert [again.is_lost, await again.in_progress()] == [False, True]


async def test_reclaim_never_overtakes_replay(
    server_url: str, raw: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a long absence what a member of this name had is stale too, and all the same comes first, in order: before
    what is older and was another member's, though the janitor looks meanwhile.
    """
    looks: list[object] = []
    look = Janitor.look
    monkeypatch.setattr(Janitor, "look", lambda *words: looks.append(words) or look(*words))  # type: ignore[func-returns-value]
    others, mine = await deliver(raw, 5, "dead"), await deliver(raw, 60, "lasting")
    await abandon(raw, mine, "lasting")
    await abandon(raw, others, "dead")
    async with (
        MQClient(redis_url=server_url) as client,
        client.consumer("t", "g", "lasting", prefetch=4, visibility_timeout_ms=SOON_MS) as consumer,
    ):
        seen = []
        for _ in range(65):
            message = await consumer.getone()
            seen.append(message.id.encode())
            await message.ack()
            if len(seen) == 2:
                await until(lambda: met(looks))
        assert seen[:60] == mine
        assert sorted(seen[60:]) == sorted(others)


async def test_an_idle_group_costs_what_its_janitor_costs(server_url: str, raw: redis.asyncio.Redis) -> None:
    """However many members it has: others only look whether there is a janitor, the more seldom the more they are."""
    topic = Topic("t", 16)
    async with MQClient(redis_url=server_url) as client, AsyncExitStack() as stack:
        members = [client.consumer(topic, "g", visibility_timeout_ms=2_000) for _ in range(6)]
        for each in members:
            await stack.enter_async_context(each)
        await until(lambda: met(sum(map(looks, members)) >= 16))
        before, looked = await scripts(raw), sum(map(looks, members))
        await until(lambda: met(sum(map(looks, members)) >= looked + 16 * 20))
        assert await scripts(raw) - before < 2 * 20  # of the janitor, and about 8 of the other five


def looks(consumer: Consumer[bytes]) -> int:
    """How often it has looked at a partition as its janitor."""
    assert consumer._session is not None
    return sum(each.janitor.looks for each in consumer._session.maintenance)


async def scripts(raw: redis.asyncio.Redis) -> int:
    """How many scripts the server has carried out."""
    told = await raw.info("commandstats")
    return sum(told.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))


async def test_paused_partitions_are_not_swept(server_url: str, raw: redis.asyncio.Redis) -> None:
    """What is left there waits for others, or until the partition goes on."""
    await abandon(raw, await deliver(raw, 5, "dead"), "dead")
    async with MQClient(redis_url=server_url) as client:
        consumer = client.consumer("t", "g", visibility_timeout_ms=SOON_MS)
        consumer.pause()
        async with consumer, client.consumer("t", "g", visibility_timeout_ms=SOON_MS) as other:
            assert len(await take(other, 5)) == 5
            assert consumer.statistics().received == 0
            await other.flush()
            await abandon(raw, await deliver(raw, 5, "dead"), "dead")
            await other.close()
            consumer.resume()
            assert len(await take(consumer, 5)) == 5


async def test_consumers_that_are_gone_and_hold_nothing_are_removed(
    server_url: str, raw: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a group would fill with the names of consumers that were closed with a buffer."""
    monkeypatch.setattr(session, "DEAD_AFTER_S", 0.2)
    await store(raw, range(12))
    async with MQClient(redis_url=server_url) as client:
        async with client.consumer(TOPIC, "g") as first:
            await received(first, 12)
        async with client.consumer(TOPIC, "g", block_ms=50) as other:
            await take(other, 12)

            async def left() -> bool:
                names = [one["name"] for key in TOPIC.keys for one in await raw.xinfo_consumers(key, "g")]
                return names == [other.name.encode()] * 3

            await until(left)
