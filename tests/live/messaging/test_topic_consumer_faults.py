"""`Consumer` through faults: lost replies, killed processes, servers that restart or lose their data.

In each of them every message that the server still has is delivered at least once, and what comes twice is counted and
no more than the documentation says.
"""

import asyncio
import contextlib
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import redis.asyncio
from proxy import ReadLosingProxy
from records import TOPIC, pending, store, take
from restarting import restarting
from topologies import until

from ombdriver import ClosedError, MQClient, NotSentError, OutcomeUnknownError, Topic
from ombdriver.messaging.topics.consumer import session
from ombdriver.messaging.topics.consumer.consumer import Consumer

Waits = Callable[[int], Awaitable[None]]
PROGRAM = Path(__file__).parent / "programs" / "consume_and_hang.py"


async def take_until(consumer: Consumer[bytes], wanted: set[int]) -> Counter[int]:
    """Takes and acknowledges messages until all of `wanted` have come; how often each came."""
    found: Counter[int] = Counter()
    while wanted - found.keys():
        found.update(await take(consumer, 1))
    return found


@pytest.mark.parametrize("losses", [1, 3])
async def test_a_reply_that_is_lost_comes_again(server_url: str, raw: redis.asyncio.Redis, losses: int) -> None:
    """What was in it is pending for this consumer, is found on the next connection, and comes once: nothing twice."""
    async with (
        ReadLosingProxy(server_url) as proxy,
        MQClient(redis_url=proxy.url) as client,
        client.consumer(TOPIC, "g", prefetch=60) as consumer,
    ):
        await store(raw, range(30))
        assert sorted(await take(consumer, 30)) == list(range(30))
        proxy.losing = losses
        await store(raw, range(30, 330))
        found = await take_until(consumer, set(range(30, 330)))
        assert max(found.values()) == 1
        assert proxy.lost == losses
        statistics = consumer.statistics()
        assert statistics.reconnects == losses
        assert statistics.replayed == statistics.redelivered >= losses
        assert await consumer.getmany(timeout_ms=20) == []
        await consumer.flush()
        assert await pending(raw) == 0


async def test_what_was_given_back_keeps_no_lost_reply_waiting(server_url: str, raw: redis.asyncio.Redis) -> None:
    """It comes while the consumer waits for room to ask for what was lost, and makes that room: whoever waits hears."""
    async with (
        ReadLosingProxy(server_url) as proxy,
        MQClient(redis_url=proxy.url) as client,
        client.consumer("t", "g", prefetch=20) as consumer,
    ):
        for n in range(100):
            await raw.xadd("{t:0}", {"value": n})
        given_back = await consumer.getone()
        found = await take(consumer, 59)  # by now a read asks for as many as may be buffered
        await until(lambda: _is(consumer.statistics().buffered > 10))
        proxy.losing = 1
        found += await take(consumer, consumer.statistics().buffered - 10)  # at half of the buffer it asks for more
        await until(lambda: _is(proxy.lost == 1 and consumer.statistics().reconnects == 1))
        found += await take(consumer, 9)
        assert consumer.statistics().buffered == 1
        await given_back.nack()
        await until(lambda: _is(consumer.statistics().redelivered > 0))
        found += await take(consumer, 100 - len(found))
        assert sorted(found) == list(range(100))
        await consumer.flush()
        assert await pending(raw, topic=Topic("t")) == 0


async def _is(answer: bool) -> bool:
    return answer


async def test_what_is_in_hand_does_not_come_again_after_a_loss(server_url: str, raw: redis.asyncio.Redis) -> None:
    """Nor is it counted as delivered once more: the count decides when to give up on a message."""
    async with (
        ReadLosingProxy(server_url) as proxy,
        MQClient(redis_url=proxy.url) as client,
        client.consumer(TOPIC, "g", block_ms=100) as consumer,
    ):
        await store(raw, range(6))
        held = [await consumer.getone() for _ in range(6)]
        proxy.losing = 1
        await store(raw, range(6, 9))
        found = await take_until(consumer, {6, 7, 8})
        assert max(found.values()) == 1
        await store(raw, range(9, 15))
        held += [await consumer.getone() for _ in range(6)]
        assert await consumer.getmany(timeout_ms=800) == []  # the second look is over by then
        mine = {(message.stream, message.id.encode()) for message in held}
        for key in TOPIC.keys:
            for row in await raw.xpending_range(key, "g", "-", "+", 20):
                assert (row["times_delivered"] == 1) == ((key, row["message_id"]) in mine)
        for message in held:
            await message.ack()


MAY = {"all": "+@all", "no kill": "+@all -client +client|id +client|info", "no client": "+@all -client"}


@pytest.mark.parametrize("may", MAY.values(), ids=MAY)
@pytest.mark.parametrize("when", ["at once", "when another reads"])
async def test_order_holds_past_a_connection_that_the_server_still_serves(
    server_url: str, raw: redis.asyncio.Redis, blocked: Waits, may: str, when: str
) -> None:
    """It is given what comes at once, which nobody sees, and nothing from when another one reads: it is killed, or its
    BLOCK has been waited for.
    """
    await raw.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", *may.split())
    async with (
        ReadLosingProxy(server_url) as proxy,
        MQClient(redis_url=proxy.url.replace("://", "://reader:pw@")) as client,
        client.consumer("t", "g", block_ms=1_000) as consumer,
    ):
        await blocked(1)
        proxy.cut()
        while when != "at once" and len(proxy.reading) < 2:  # noqa: ASYNC110 - until it reads over another one
            await asyncio.sleep(0)
        for number in range(5):
            await raw.xadd("{t:0}", {"value": str(number)})
        values = [int((await consumer.getone()).value) for _ in range(5)]
        statistics = consumer.statistics()
        found = (values, statistics.reconnects, statistics.replayed > 0, proxy.lost)
    await raw.execute_command("ACL", "DELUSER", "reader")
    assert found == (list(range(5)), 1, when == "at once", int(when == "at once"))


@pytest.fixture
async def strict(raw: redis.asyncio.Redis) -> AsyncIterator[None]:
    """A server that closes a connection rather than have more than 256 KiB wait for it."""
    was = (await raw.config_get("client-output-buffer-limit"))["client-output-buffer-limit"]
    await raw.config_set("client-output-buffer-limit", "normal 262144 0 0")
    yield
    await raw.config_set("client-output-buffer-limit", was)


@pytest.mark.usefixtures("strict")
async def test_reads_become_smaller_when_their_replies_end_connections(
    server_url: str, raw: redis.asyncio.Redis
) -> None:
    """A buffer of them is more than the server lets anybody have: all come in order, over a few connections."""
    for number in range(600):
        await raw.xadd("{t:0}", {"value": f"{number}:".encode() + os.urandom(8_000)})
    async with MQClient(redis_url=server_url) as client, client.consumer("t", "g") as consumer:
        found = [int((await consumer.getone()).value.split(b":")[0]) for _ in range(600)]
        statistics = consumer.statistics()
    assert found == list(range(600))
    assert 1 <= statistics.lost_replies <= 10
    assert statistics.faults == 0


@pytest.mark.usefixtures("strict")
async def test_a_message_that_is_too_large_for_the_server_is_told(server_url: str, raw: redis.asyncio.Redis) -> None:
    """Whoever waits is told which limit to raise, and the connections are few; with the limit raised it comes."""
    await raw.xadd("{t:0}", {"value": os.urandom(20_000_000)})
    async with MQClient(redis_url=server_url) as client, client.consumer("t", "g") as consumer:
        with pytest.raises(OutcomeUnknownError, match="larger than client-output-buffer-limit normal"):
            await consumer.getone()
        assert consumer.statistics().reconnects <= 5
        await raw.config_set("client-output-buffer-limit", "normal 0 0 0")
        with contextlib.suppress(OutcomeUnknownError):
            await consumer.getone()


async def test_acknowledgements_are_repeated_when_connections_are_lost(
    server_url: str, raw: redis.asyncio.Redis, cut: Callable[[], Awaitable[None]]
) -> None:
    """All are answered in the end, and nothing that was acknowledged comes again."""
    await store(raw, range(900))
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g", prefetch=100) as consumer:
        found: Counter[int] = Counter()
        while found.total() < 900:
            found.update(await take(consumer, 1))
            if found.total() % 250 == 0:
                await cut()
        await consumer.flush()
        assert found == Counter(range(900))
        assert await pending(raw) == 0
        assert consumer.statistics().unanswered == 0


@pytest.mark.parametrize("name", ["me", None], ids=["of its name", "another"])
async def test_a_process_that_is_killed_leaves_its_messages_to_a_member(
    server_url: str, raw: redis.asyncio.Redis, name: str | None
) -> None:
    """Kill -9 in the middle of a batch: what it had not acknowledged comes again, counted; what it had does not.

    To a consumer of its name at once, to any other one of the group after the visibility time-out.
    """
    await store(raw, range(90))
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), server_url, "20", "50", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"taken\n"
    process.kill()
    await process.wait()
    left = await pending(raw)
    retry_budget = 30_000 if name else 500
    async with (
        MQClient(redis_url=server_url) as client,
        client.consumer(TOPIC, "g", name, visibility_timeout_ms=retry_budget) as consumer,
    ):
        assert left == 70  # the buffer too is pending
        messages = [await consumer.getone() for _ in range(70)]
        assert len({(message.stream, message.id) for message in messages}) == 70
        assert {message.delivery_count for message in messages} == {2}
        for message in messages:
            await message.ack()
        await consumer.flush()
        assert await pending(raw) == 0
        told = consumer.statistics()
        assert (told.replayed, told.reclaimed) == ((70, 0) if name else (0, 70))


@pytest.mark.parametrize("keep", [True, False], ids=["with its data", "without its data"])
async def test_a_server_that_restarts(engine: str, tmp_path: Path, keep: bool) -> None:
    """The consumer goes on by itself. What is on the server is delivered; what it has lost is nobody's."""
    async with (
        restarting(engine, tmp_path) as server,
        MQClient(redis_url=server.url) as client,
        client.consumer(TOPIC, "g", prefetch=30) as consumer,
        redis.asyncio.Redis.from_url(server.url, protocol=2) as raw,
    ):
        await store(raw, range(60))
        first = await take(consumer, 20)
        held = [await consumer.getone() for _ in range(10)]
        in_hand = [*first, *(int(message.value) for message in held)]
        await consumer.flush()
        await server.down(keep=keep)
        await server.up()
        await raw.connection_pool.disconnect()
        await store(raw, range(60, 90))
        found = await take_until(consumer, set(range(60, 90)) | (set(range(60)) - set(in_hand) if keep else set()))
        assert max(found.values()) == 1
        assert not found.keys() & set(in_hand)
        for message in held:
            await message.ack()
        await consumer.flush()
        assert await pending(raw) == 0
        assert consumer.statistics().groups_made == (0 if keep else 3)
        assert consumer.statistics().late_acknowledgements == (
            0 if keep else consumer.statistics().late_acknowledgements
        )


async def test_closing_ends_without_a_server(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Within its time limit, and the log says so; a consumer that starts then is told at once."""
    monkeypatch.setattr(session, "CLOSE_S", 0.2)
    async with restarting(engine, tmp_path) as server, MQClient(redis_url=server.url) as client:
        async with redis.asyncio.Redis.from_url(server.url) as raw:
            await store(raw, range(30))
        consumer = client.consumer(TOPIC, "g")
        await consumer.start()
        assert len(await take(consumer, 5)) == 5
        await server.down(keep=True)
        async with asyncio.timeout(10):
            await consumer.close()
        assert "did not answer" in caplog.text
        async with MQClient(redis_url=server.url) as other:
            with pytest.raises(NotSentError, match="is the server up"):
                await other.consumer(TOPIC, "g").start()


async def test_a_seek_ends_with_its_consumer(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And sets no place any more once the server is there again: the consumer is closed."""
    monkeypatch.setattr(session, "CLOSE_S", 0.2)
    async with restarting(engine, tmp_path) as server, MQClient(redis_url=server.url) as client:
        async with redis.asyncio.Redis.from_url(server.url) as raw:
            await raw.xadd("{t:0}", {"value": 0})
        consumer = client.consumer("t", "g")
        await consumer.start()
        assert await take(consumer, 1) == [0]
        await consumer.flush()
        await server.down(keep=True)
        seeking = asyncio.create_task(consumer.seek("earliest"))
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await consumer.close()
            with pytest.raises(ClosedError):
                await seeking
        await server.up()
        assert await client.get_stream_length("{t:0}") == 1
        async with redis.asyncio.Redis.from_url(server.url) as raw:
            assert (await raw.xinfo_groups("{t:0}"))[0]["last-delivered-id"] != b"0-0"


async def test_flushall_while_blocked(server_url: str, raw: redis.asyncio.Redis, blocked: Waits) -> None:
    """The group is made again from the beginning of the new stream: what is stored right after it is delivered."""
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g") as consumer:
        await store(raw, range(6))
        assert len(await take(consumer, 6)) == 6
        await consumer.flush()
        await blocked(1)
        await raw.flushall()
        await store(raw, range(6, 36))
        found = await take_until(consumer, set(range(6, 36)))
        assert max(found.values()) == 1
        assert consumer.statistics().groups_made == 3
        assert consumer.statistics().faults == 0


async def test_a_group_that_is_destroyed_goes_on_where_it_stood(
    server_url: str, raw: redis.asyncio.Redis, blocked: Waits
) -> None:
    """Nothing that was acknowledged comes again unless what is older is still in hand; nothing is passed over."""
    async with MQClient(redis_url=server_url) as client, client.consumer("t", "g") as consumer:
        # Each in a millisecond of its own: of the last one all comes again.
        ids = [await raw.xadd("{t:0}", {"value": n}, id=f"{1_000 + n}-0") for n in range(10)]
        messages = [await consumer.getone() for _ in range(10)]
        for message in (*messages[:4], *messages[6:]):
            await message.ack()
        await consumer.flush()
        await blocked(1)
        await raw.xgroup_destroy("{t:0}", "g")
        await raw.xadd("{t:0}", {"value": 10})
        found = await take_until(consumer, {10})
        assert found.keys() <= {6, 7, 8, 9, 10}
        assert max(found.values()) == 1
        assert consumer.statistics().repeated == 2
        await consumer.flush()
        rows = await raw.xpending_range("{t:0}", "g", "-", "+", 10)
        assert [row["message_id"] for row in rows] == ids[4:6]  # in hand, and pending again
        for message in messages[4:6]:
            await message.ack()
        await consumer.flush()
        assert (await raw.xpending("{t:0}", "g"))["pending"] == 0
        assert consumer.statistics().groups_made == 1


async def test_a_group_that_may_not_be_made_again_is_told(server_url: str, raw: redis.asyncio.Redis) -> None:
    """Where others make the groups, a consumer joins one that is there; when it is gone, whoever waits is told."""
    await raw.execute_command("ACL SETUSER", "guest", "on", "nopass", "~*", "&*", "+@all", "-xgroup")
    try:
        await raw.xgroup_create("{t:0}", "g", "0", mkstream=True)
        async with (
            MQClient(redis_url=server_url.replace("redis://", "redis://guest:any@")) as client,
            client.consumer("t", "g") as consumer,
        ):
            await raw.xadd("{t:0}", {"value": 1})
            assert await take(consumer, 1) == [1]
            await raw.xgroup_destroy("{t:0}", "g")
            with pytest.raises(redis.exceptions.NoPermissionError):
                await consumer.getone()
            await raw.xgroup_create("{t:0}", "g", "$")
            await raw.xadd("{t:0}", {"value": 2})
            found: list[int] = []
            while not found:
                with contextlib.suppress(redis.exceptions.NoPermissionError):  # it may be told of it once more
                    found = await take(consumer, 1)
            assert found == [2]
    finally:
        await raw.execute_command("ACL DELUSER", "guest")


async def test_what_was_trimmed_while_it_was_pending_is_acknowledged_and_counted(
    server_url: str, raw: redis.asyncio.Redis
) -> None:
    """There is nothing left to handle: the replay passes it over, and it does not come back for ever."""
    await store(raw, range(60))
    async with MQClient(redis_url=server_url) as client:
        async with client.consumer(TOPIC, "g", "me") as consumer:
            while consumer.statistics().received < 60:  # noqa: ASYNC110 - the server's answers
                await asyncio.sleep(0.001)
            held = [await consumer.getone() for _ in range(60)]
        assert await pending(raw) == 60
        await raw.xtrim("{t:0}", maxlen=5, approximate=False)
        await raw.xtrim("{t:1}", maxlen=0, approximate=False)
        async with client.consumer(TOPIC, "g", "me") as again:
            found = await take(again, 25)
            assert sorted(found) == sorted([*range(2, 60, 3), *range(45, 60, 3)])
            assert await again.getmany(timeout_ms=20) == []
            await again.flush()
            assert again.statistics().deleted == 35
            assert await pending(raw) == 0
        assert len(held) == 60
