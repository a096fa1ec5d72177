"""`ordering="key"`: messages of a key one after the other, in order, also with retries; others go on meanwhile."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator

import pytest
import redis.asyncio
from pending import STREAM, abandon, deliver, holds
from running import holds_are, met, running, send, settled
from topologies import until

from ombdriver import MQClient
from ombdriver.messaging.topics.consumer.message import Message
from ombdriver.messaging.topics.runner.retry import RetryPolicy


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[MQClient]:
    """A client of the server."""
    async with MQClient(redis_url=server_url) as made:
        yield made


@pytest.mark.parametrize("seed", range(3))
async def test_each_key_keeps_its_order_whatever_fails(client: MQClient, raw: redis.asyncio.Redis, seed: int) -> None:
    """Handlers of all lengths, a third of the deliveries fail; and never two of a key at the same time."""
    chance = random.Random(seed)
    pipeline = raw.pipeline(transaction=False)
    sent: dict[bytes, list[int]] = defaultdict(list)
    for n in range(600):
        key = b"k%d" % chance.randrange(20)
        sent[key].append(n)
        pipeline.xadd(STREAM, {"value": str(n), "key": key})
    await pipeline.execute()
    handled: dict[bytes, list[int]] = defaultdict(list)
    at_work: set[bytes] = set()

    async def handle(message: Message[bytes]) -> None:
        key = message.key
        assert key is not None
        assert key not in at_work
        at_work.add(key)
        for _ in range(chance.randrange(5)):
            await asyncio.sleep(0)
        at_work.remove(key)
        if chance.random() < 1 / 3:
            raise ValueError("again")
        handled[key].append(int(message.value))

    policy = RetryPolicy(None, backoff=lambda _: chance.random() / 100)
    async with running(client, handle, ordering="key", concurrency=8, retry=policy, prefetch=64) as runner:
        await until(lambda: settled(raw))

    assert handled == sent
    assert runner.statistics().failed > 100


async def test_a_message_that_waits_for_its_retry_holds_its_key_only(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """However long: those behind it wait, and others are handled."""
    seen: list[bytes] = []
    good = asyncio.Event()

    async def handle(message: Message[bytes]) -> None:
        seen.append(message.value)
        if message.value == b"a1" and not good.is_set():
            raise ValueError("not yet")

    await send(raw, "a1", "a2", key="a")
    await send(raw, "b1", "b2", key="b")
    await send(raw, "c")
    policy = RetryPolicy(5, backoff=lambda _: 3_600)
    async with running(client, handle, ordering="key", retry=policy, visibility_timeout_ms=500) as runner:
        await until(lambda: met(set(seen) >= {b"a1", b"b1", b"b2", b"c"}))
        assert b"a2" not in seen
        assert runner.statistics().postponed == 0, "it keeps its place"
    owner_and_count = list((await holds(raw)).values())
    assert [count for _, count in owner_and_count] == [1, 0], "given back: one was begun, the one behind it was not"
    good.set()
    async with running(client, handle, ordering="key", visibility_timeout_ms=500):
        await until(lambda: settled(raw))
    assert [value for value in seen if value.startswith(b"a")] == [b"a1", b"a1", b"a2"]


async def test_a_message_that_is_given_up_lets_its_key_go_on(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """It is among the dead letters before the next one begins."""
    letters = client.dead_letters("t")
    found: list[int] = []

    async def handle(message: Message[bytes]) -> None:
        if message.value == b"poison":
            raise ValueError("no")
        found.append(await letters.count())

    await send(raw, "poison", "good", key="a")
    async with running(client, handle, ordering="key"):
        await until(lambda: settled(raw))

    assert found == [1]


async def test_reclaimed_messages_of_a_key_come_in_order(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """They are older than what is new, and stand before what waits."""
    ids = [await raw.xadd(STREAM, {"value": str(n), "key": "a"}) for n in range(300)]
    await raw.xgroup_create(STREAM, "g", "0")
    await raw.xreadgroup("g", "dead", {STREAM: ">"}, count=250)
    await abandon(raw, ids[:250], "dead")
    seen: list[int] = []
    first = asyncio.Event()

    async def handle(message: Message[bytes]) -> None:
        await first.wait()
        seen.append(int(message.value))

    async with running(client, handle, ordering="key", prefetch=1_000) as runner:
        await until(lambda: met(runner.statistics().in_hand == 300))
        first.set()
        await until(lambda: settled(raw))

    begun = seen[0]
    assert sorted(seen) == list(range(300))
    assert seen[1:] == [n for n in range(300) if n != begun], "all but the one that had begun by then"


async def test_without_an_order_a_suspect_is_handled_with_no_other_suspect(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """What was begun twice and never ended may kill its process: it must not take others like it along, or twice."""
    ids = await deliver(raw, 20, "dead")
    await raw.xclaim(STREAM, "g", "dead", 0, ids[:10], idle=60_000, retrycount=2, justid=True)
    await abandon(raw, ids[10:], "dead")
    suspects: set[bytes] = set()
    begun = asyncio.Event()
    go_on = asyncio.Event()

    async def handle(message: Message[bytes]) -> None:
        if message.delivery_count > 2:
            assert not suspects
            suspects.add(message._entry_id)
            begun.set()
            await go_on.wait()
            suspects.remove(message._entry_id)

    async with running(client, handle) as runner:
        await begun.wait()
        await until(lambda: met(runner.statistics().handled == 10))
        me = runner._consumer.name
        await until(lambda: holds_are(raw, {ids[0]: (me, 3), **dict.fromkeys(ids[1:10], (me, 2))}))
        go_on.set()
        await until(lambda: settled(raw))
    assert runner.statistics().handled == 20


async def test_what_failed_and_waited_on_the_server_is_no_suspect(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """However often it failed: it was handled to an end each time, so it waits for nobody."""
    together = asyncio.Barrier(5)

    async def handle(message: Message[bytes]) -> None:
        if message.delivery_count < 4:
            raise ValueError("again")
        await together.wait()

    ids = await send(raw, *range(5))
    policy = RetryPolicy(5, backoff=lambda deliveries: 3_600 if deliveries == 3 else 0)
    async with running(client, handle, retry=policy):
        await until(lambda: holds_are(raw, dict.fromkeys(ids, ("postponed", 3))))
        await raw.zadd("{t:0}:delayed:g", dict.fromkeys(ids, 1))
        await until(lambda: settled(raw))
