"""`Consumer` when its callers are cancelled, at every place where they wait: nothing is lost, nothing comes twice.

A call is cancelled after so many turns of the loop, for each number of turns until it is done before that.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis.asyncio
from pending import abandon, deliver, holds
from records import TOPIC, pending, store, take

from ombdriver import ClosedError, MQClient

TURNS = 60
"""More than any of these calls takes while the server is quick; replies come in between."""


def places() -> Iterator[int]:
    """After how many turns to cancel."""
    yield from range(TURNS)


async def cancelled(call: Callable[[], Awaitable[Any]], turns: int) -> tuple[Any, bool]:
    """What a call gives, and whether it was cancelled before."""
    task = asyncio.ensure_future(call())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    try:
        return await task, False
    except asyncio.CancelledError:
        return None, True


@pytest.mark.parametrize("by", ["getone", "getmany", "iteration"])
async def test_a_cancelled_wait_takes_no_message_with_it(server_url: str, raw: redis.asyncio.Redis, by: str) -> None:
    """Each message is handed out once, to a call that was not cancelled."""
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g", prefetch=8) as consumer:
        call: dict[str, Callable[[], Awaitable[Any]]] = {
            "getone": consumer.getone,
            "getmany": lambda: consumer.getmany(max_records=3),
            "iteration": consumer.__anext__,
        }
        found: Counter[int] = Counter()
        stored = was_cancelled = 0
        for turns in places():
            await store(raw, range(stored, stored + 3))
            stored += 3
            given, cut = await cancelled(call[by], turns)
            was_cancelled += cut
            for message in () if cut else given if by == "getmany" else (given,):
                found[int(message.value)] += 1
                await message.ack()
        found.update(await take(consumer, stored - found.total()))
        assert found == Counter(range(stored))
        assert was_cancelled
        await consumer.flush()
        assert await pending(raw) == 0


async def test_time_limits_of_the_callers_own_lose_nothing(server_url: str, raw: redis.asyncio.Redis) -> None:
    """`asyncio.timeout` and `wait_for` around `getone` are how people poll."""
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g") as consumer:
        found: Counter[int] = Counter()
        storing = asyncio.create_task(store(raw, range(200)))
        while found.total() < 200:
            try:
                message = await asyncio.wait_for(consumer.getone(), 0.0005)
            except TimeoutError:
                continue
            found[int(message.value)] += 1
            await message.ack()
        await storing
        assert found == Counter(range(200))


async def test_starting_can_be_cancelled_and_done_again(server_url: str, raw: redis.asyncio.Redis) -> None:
    """The next start finds the group as it is, and everything is delivered."""
    await store(raw, range(6))
    async with MQClient(redis_url=server_url) as client:
        for turns in places():
            group = f"g{turns}"
            consumer = client.consumer(TOPIC, group)
            await cancelled(consumer.start, turns)
            async with consumer:
                assert sorted(await take(consumer, 6)) == list(range(6))


async def test_closing_can_be_cancelled_and_is_done_all_the_same(
    server_url: str, raw: redis.asyncio.Redis, blocked: Callable[[int], Awaitable[None]]
) -> None:
    """The buffer is given back, acknowledgements have been answered, and no read is left."""
    async with MQClient(redis_url=server_url) as client:
        for turns in places():
            await raw.delete(*TOPIC.keys)
            await store(raw, range(30))
            consumer = client.consumer(TOPIC, "g", prefetch=16, block_ms=60_000)
            await consumer.start()
            assert len(await take(consumer, 5)) == 5
            await cancelled(consumer.close, turns)
            await consumer.close()
            statistics = consumer.statistics()
            assert (statistics.acknowledged, statistics.buffered, statistics.held) == (5, 0, 0)
            assert await pending(raw) == statistics.given_back
            with pytest.raises(ClosedError):
                await consumer.getone()
        await blocked(0)


async def test_callers_that_wait_shortly_get_what_comes_again(server_url: str, raw: redis.asyncio.Redis) -> None:
    """A delivery is counted by the server first: what one caller has begun of that, the next one finds done."""
    await abandon(raw, await deliver(raw, 20, "dead"), "dead")
    async with MQClient(redis_url=server_url) as client, client.consumer("t", "g") as consumer:
        found = []
        while len(found) < 20:
            message, cut = await cancelled(consumer.getone, 3)
            if not cut:
                assert message.delivery_count == 2
                found.append(int(message.value))
        assert sorted(found) == list(range(20))
        assert set((await holds(raw)).values()) == {(consumer.name, 2)}


async def test_settling_can_be_cancelled_and_done_again(server_url: str, raw: redis.asyncio.Redis) -> None:
    """`nack` again has it come once; `reject` again makes no second dead letter; `flush` and `lag` leave no trace."""
    async with MQClient(redis_url=server_url) as client, client.consumer("t", "g") as consumer:
        for dead, turns in enumerate(places(), 1):
            await raw.xadd("{t:0}", {"value": turns})
            message = await consumer.getone()
            _, cut = await cancelled(message.nack, turns)
            if cut:
                await cancelled(message.in_progress, turns)
                await message.nack()
            again = await consumer.getone()
            assert (again.value, again.id, again.delivery_count) == (message.value, message.id, 2)
            _, cut = await cancelled(lambda again=again: again.reject("bad"), turns)  # type: ignore[misc]
            if cut:
                await again.reject("bad")
            await cancelled(consumer.flush, turns)
            await cancelled(consumer.lag, turns)
            assert await raw.xlen("{t:0}:dlq") == dead
        assert consumer.statistics().held == 0
        assert (await raw.xpending("{t:0}", "g"))["pending"] == 0


async def test_seeking_can_be_cancelled_and_reading_goes_on(server_url: str, raw: redis.asyncio.Redis) -> None:
    """It took place or not; done again it has."""
    await store(raw, range(9))
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g") as consumer:
        assert len(await take(consumer, 9)) == 9
        for turns in places():
            await cancelled(lambda: consumer.seek("earliest"), turns)
            await consumer.seek("latest")
            await consumer.seek("earliest")
            assert sorted(await take(consumer, 9)) == list(range(9))
            assert await consumer.getmany(timeout_ms=1) == []
