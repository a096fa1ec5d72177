"""The Runner: every message is handled at least once, none is handled for ever, and slow ones are handled once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio
from pending import GROUP, STREAM, abandon, deliver, holds, idle_ms
from running import holds_are, met, running, send, settled
from topologies import until

from ombdriver import ClosedError, MessagingError, MessagingValueError, MQClient
from ombdriver.messaging.topics.consumer.message import Message
from ombdriver.messaging.topics.runner.retry import RetryPolicy
from ombdriver.messaging.topics.runner.runner import Runner


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[MQClient]:
    """A client of the server."""
    async with MQClient(redis_url=server_url) as made:
        yield made


async def test_every_message_is_handled_and_acknowledged(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """Once each, as nothing went wrong; afterwards the group knows no consumer any more."""
    seen: list[bytes] = []

    async def handle(message: Message[bytes]) -> None:
        seen.append(message.value)

    await send(raw, *range(1000))
    async with running(client, handle) as runner:
        await until(lambda: settled(raw))

    assert sorted(seen, key=int) == [b"%d" % n for n in range(1000)]
    assert runner.statistics().handled == 1000
    assert await raw.xinfo_consumers(STREAM, GROUP) == []


async def test_as_many_handlers_are_at_work_as_was_said(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """Never more; the next begins as soon as one ends."""
    gate = asyncio.Semaphore(0)
    begun: list[bytes] = []

    async def handle(message: Message[bytes]) -> None:
        begun.append(message.value)
        await gate.acquire()

    await send(raw, *range(10))
    async with running(client, handle, concurrency=3) as runner:
        for ended in range(8):
            await until(lambda ended=ended: met(len(begun) == 3 + ended))
            assert runner.statistics().running == 3
            gate.release()
        for _ in range(10):
            gate.release()
        await until(lambda: settled(raw))


async def test_a_poison_message_goes_to_the_dead_letters(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """After as many deliveries as allowed, with the last error; the others are not held up."""
    seen: Counter[bytes] = Counter()

    async def handle(message: Message[bytes]) -> None:
        seen[message.value] += 1
        assert message.delivery_count == seen[message.value]
        if message.value == b"poison":
            raise ValueError(f"no, for the {message.delivery_count}. time")

    await send(raw, 1, "poison", 2)
    async with running(client, handle) as runner:
        await until(lambda: settled(raw))

    assert seen == {b"1": 1, b"poison": 3, b"2": 1}
    (letter,) = await client.dead_letters("t").read()
    assert (letter.record.value, letter.deliveries, letter.error) == (b"poison", 3, "ValueError('no, for the 3. time')")
    told = runner.statistics()
    assert (told.handled, told.failed, told.redelivered, told.dead_lettered) == (2, 3, 2, 1)


async def test_a_redriven_message_is_handled_again(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """With all its deliveries before it, and by its group only; what is purged is gone."""
    good = asyncio.Event()
    counts: list[int] = []

    async def handle(message: Message[bytes]) -> None:
        counts.append(message.delivery_count)
        if not good.is_set():
            raise ValueError("not yet")

    letters = client.dead_letters("t")
    await send(raw, 1, 2)
    async with running(client, handle, visibility_timeout_ms=200):
        await until(lambda: _is_equal(letters.count, 2))
        good.set()
        assert await letters.redrive(count=1) == 1
        await until(lambda: met(len(counts) == 7))
        await until(lambda: settled(raw))
    assert counts[-1] == 1
    assert await letters.purge() == 1
    assert await letters.count() == 0


async def _is_equal(ask: Callable[[], Awaitable[int]], expected: int) -> bool:
    return await ask() == expected


async def test_without_dead_letters_what_is_given_up_is_acknowledged(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """And counted; that is what was asked for."""

    async def handle(message: Message[bytes]) -> None:
        raise ValueError(message.id)

    await send(raw, 1)
    async with running(client, handle, dead_letter=None) as runner:
        await until(lambda: settled(raw))

    assert runner.statistics().dropped == 1
    assert await client.dead_letters("t").count() == 0


async def test_without_a_bound_a_message_is_tried_until_it_is_handled(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """`max_deliveries=None`."""

    async def handle(message: Message[bytes]) -> None:
        if message.delivery_count < 30:
            raise ValueError(message.delivery_count)

    await send(raw, 1)
    async with running(client, handle, retry=RetryPolicy(None, backoff=lambda _: 0)) as runner:
        await until(lambda: settled(raw))

    assert (runner.statistics().failed, runner.statistics().handled) == (29, 1)


async def test_a_slow_handler_is_not_run_twice(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """Its lease is renewed for many times the visibility time-out, and those of what is buffered behind it."""
    seen: list[bytes] = []
    go_on = asyncio.Event()

    async def handle(message: Message[bytes]) -> None:
        seen.append(message.value)
        await go_on.wait()

    ids = await send(raw, *range(20))
    async with running(client, handle, name="slow", concurrency=2, visibility_timeout_ms=600):
        await until(lambda: met(len(seen) == 2))
        await until(lambda: holds_are(raw, dict.fromkeys(ids, ("slow", 1))))
        async with running(client, handle, name="eager", visibility_timeout_ms=600) as eager:
            await raw.set("{t:0}:janitor:g", "eager")
            await until(lambda: _has_swept(eager, 12))  # at 150 ms each, three times the visibility time-out
            assert eager.statistics().reclaimed == 0
        assert len(seen) == 2
        go_on.set()
        await until(lambda: settled(raw))

    assert sorted(seen, key=int) == [b"%d" % n for n in range(20)]


async def _has_swept(runner: Runner[Any], count: int) -> bool:
    return runner._parts is not None and runner._parts[1]._session.maintenance[0].janitor.looks >= count


async def test_messages_of_a_consumer_that_died_are_handled(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """By whoever is there, and the dead consumer is removed."""
    ids = await deliver(raw, 1_000, "dead")
    await abandon(raw, ids, "dead")
    seen: list[bytes] = []

    async def handle(message: Message[bytes]) -> None:
        seen.append(message._entry_id)

    async with running(client, handle, dead_after_s=0.001, visibility_timeout_ms=1_000) as runner:
        await until(lambda: settled(raw))
        await until(lambda: _has_consumers(raw, 1))

    assert Counter(seen) == Counter(ids)
    assert runner.statistics().reclaimed == 1_000


async def _has_consumers(raw: redis.asyncio.Redis, count: int) -> bool:
    return len(await raw.xinfo_consumers(STREAM, GROUP)) == count


async def test_what_was_never_handled_to_the_end_is_given_up_unhandled(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """The server has counted its deliveries: as if each had killed its process."""
    (entry,) = await deliver(raw, 1, "dead")
    await raw.xclaim(STREAM, GROUP, "dead", 0, [entry], idle=60_000, retrycount=3, justid=True)
    seen: list[bytes] = []

    async def handle(message: Message[bytes]) -> None:
        seen.append(message.value)

    async with running(client, handle):
        await until(lambda: settled(raw))

    assert seen == []
    (letter,) = await client.dead_letters("t").read()
    assert "died" in letter.error


@pytest.mark.parametrize("wait_s", [20, 3_600])
@pytest.mark.parametrize("ordering", ["none", "key"])
async def test_a_suspect_that_fails_holds_up_no_other(
    client: MQClient, raw: redis.asyncio.Redis, ordering: str, wait_s: int
) -> None:
    """It did not kill its process this time: it waits for its retry as any other, here or on the server."""
    ids = await deliver(raw, 10, "dead")
    await raw.xclaim(STREAM, GROUP, "dead", 0, ids, idle=60_000, retrycount=2, justid=True)
    seen: list[bytes] = []
    at_work: list[bytes] = []

    async def handle(message: Message[bytes]) -> None:
        at_work.append(message.value)
        assert at_work == [message.value], "suspects are handled one at a time"
        await asyncio.sleep(0)
        at_work.clear()
        if message.value == b"0":
            raise ValueError("no")
        seen.append(message.value)

    retry = RetryPolicy(5, backoff=lambda _: wait_s)
    async with running(client, handle, retry=retry, ordering=ordering) as runner:
        await until(lambda: met(len(seen) == 9))
        await until(lambda: met(runner.statistics().postponed == (wait_s == 3_600)))

    assert sorted(seen) == [b"%d" % n for n in range(1, 10)]
    assert (await holds(raw))[ids[0]][1] == 3


async def test_a_retry_that_cant_wait_on_the_server_waits_here(
    client: MQClient, raw: redis.asyncio.Redis, server_url: str
) -> None:
    """What the server refuses does not make an hour's back-off shorter, nor the time of a trimmed message's retry."""
    await raw.execute_command("ACL", "SETUSER", "u", "reset", "on", ">secret", "~*", "+@all", "-zadd")
    ids = await send(raw, "refused", "trimmed")
    await raw.xgroup_create(STREAM, GROUP, "0")
    begun: list[bytes] = []

    async def handle(message: Message[bytes]) -> None:
        begun.append(message.value)
        if message.value == b"trimmed":
            await raw.xdel(STREAM, ids[1])
        raise ValueError("no")

    async with MQClient(redis_url=server_url.replace("redis://", "redis://u:secret@")) as user:
        retry = RetryPolicy(3, backoff=lambda _: 3_600)
        async with running(user, handle, retry=retry) as runner:
            await until(lambda: met(len(_retries(runner)) == 2))
            assert min(_retries(runner)) > 3_000
            assert begun == [b"refused", b"trimmed"]
            assert runner.statistics().postponed == 0
    await raw.execute_command("ACL", "DELUSER", "u")


def _retries(runner: Runner[Any]) -> list[float]:
    """In how many seconds each message that waits for its retry here is due."""
    if runner._parts is None:
        return []
    now = asyncio.get_running_loop().time()
    return [each.retry_timer.when() - now for each in runner._parts[0]._deliveries if each.retry_timer is not None]


async def test_a_retry_that_is_far_off_waits_on_the_server(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """Longer than the visibility time-out: nobody takes it before, and it takes no room here."""

    async def handle(message: Message[bytes]) -> None:
        if message.delivery_count == 1:
            raise ValueError("later")

    (entry,) = await send(raw, 1)
    policy = RetryPolicy(5, backoff=lambda _: 3_600)
    async with running(client, handle, retry=policy, visibility_timeout_ms=500) as runner:
        await until(lambda: holds_are(raw, {entry: ("postponed", 1)}))
        assert runner.statistics().in_hand == 0
        assert runner.statistics().postponed == 1
        await until(lambda: _was_set_aside_anew(raw, entry))
        assert runner.statistics().handled == 0
        await raw.zadd("{t:0}:delayed:g", {entry: 1})
        await until(lambda: settled(raw))
        assert (runner.statistics().handled, runner.statistics().redelivered) == (1, 1)


async def _was_set_aside_anew(raw: redis.asyncio.Redis, entry: bytes) -> bool:
    """It is older than the visibility time-out, and its idle time is not."""
    seconds, microseconds = await raw.time()
    age_ms = seconds * 1000 + microseconds // 1000 - int(entry.partition(b"-")[0])
    return await idle_ms(raw, entry) < age_ms - 500


async def test_a_handler_may_ask_for_a_long_delay_itself(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """`nack` with a delay that is longer than the visibility time-out, which a consumer alone refuses."""

    async def handle(message: Message[bytes]) -> None:
        if message.delivery_count == 1:
            await message.nack(delay=3_600)

    (entry,) = await send(raw, 1)
    async with running(client, handle) as runner:
        await until(lambda: holds_are(raw, {entry: ("postponed", 1)}))
        await raw.zadd("{t:0}:delayed:g", {entry: 1})
        await until(lambda: settled(raw))
        assert runner.statistics().handled == 2


async def test_a_handler_may_settle_its_message(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """By `ack` before it ends, or by `reject`; what it raises after that changes nothing."""

    async def handle(message: Message[bytes]) -> None:
        if message.value == b"reject":
            await message.reject("as I like")
        else:
            message.ack()
            raise ValueError("after the fact")

    await send(raw, "reject", "ack")
    async with running(client, handle) as runner:
        await until(lambda: settled(raw))

    assert (runner.statistics().failed, runner.statistics().redelivered) == (1, 0)
    (letter,) = await client.dead_letters("t").read()
    assert (letter.record.value, letter.error) == (b"reject", "as I like")


async def test_delayed_messages_are_moved_by_a_runner(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """When they are due; nobody has to ask."""
    seen: list[bytes] = []

    async def handle(message: Message[bytes]) -> None:
        seen.append(message.value)

    later = client.delayed("t")
    await later.send(b"now", 0)
    await later.send(b"in an hour", 3_600)
    async with running(client, handle):
        await until(lambda: met(seen == [b"now"]))
    assert await later.count() == 1


@pytest.mark.parametrize("broken", [0, -1, None])
def test_a_concurrency_that_cant_be_is_refused(broken: Any, valkey_url: str) -> None:
    """At once, as other arguments."""
    client = MQClient(redis_url=valkey_url)
    with pytest.raises(MessagingValueError, match="concurrency"):
        client.runner("t", "g", concurrency=broken)
    with pytest.raises(MessagingValueError, match="ordering"):
        client.runner("t", "g", ordering="partition")
    with pytest.raises(MessagingValueError, match="drain_timeout_s"):
        client.runner("t", "g", drain_timeout_s=-1)


@pytest.mark.parametrize("name", ["postponed", "redriven"])
def test_no_member_has_a_name_under_which_messages_are_set_aside(name: str, valkey_url: str) -> None:
    """It would take what waits for its time."""
    client = MQClient(redis_url=valkey_url)
    for make in (client.consumer, client.runner):
        with pytest.raises(MessagingValueError, match="another name"):
            make("t", "g", name)


async def test_a_runner_has_one_handler_and_runs_once(valkey_url: str) -> None:
    """What can't be is said, by name."""
    async with MQClient(redis_url=valkey_url) as client:
        runner = client.runner("t", "g", block_ms=50)
        with pytest.raises(MessagingError, match="no handler"):
            await runner.run()
        with pytest.raises(MessagingValueError, match="no coroutine function"):
            runner.handler(print)

        @runner.handler
        async def handle(message: Message[bytes]) -> None: ...

        with pytest.raises(MessagingError, match="a handler already"):
            runner.handler(handle)
        runner.stop()
        await runner.run(signals=False)
        with pytest.raises(MessagingError, match="runs once"):
            await runner.run()


async def test_a_client_that_is_closed_ends_its_runner(valkey_url: str) -> None:
    """With an error: nobody told it to stop."""
    async with MQClient(redis_url=valkey_url) as client:
        runner = client.runner("t", "g", block_ms=50)
        runner.handler(_nothing)
        task = asyncio.create_task(runner.run(signals=False))
        await until(lambda: met(runner._parts is not None))
    with pytest.raises(ClosedError):
        await task


async def _nothing(message: Message[bytes]) -> None: ...
