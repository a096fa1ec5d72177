"""`Consumer` on real servers: what it hands out, how messages are settled, and what closing leaves behind."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
import redis.asyncio
from records import TOPIC, pending, store, take

from ombdriver import ClosedError, MessagingError, MessagingValueError, MQClient, Topic
from ombdriver.messaging.topics.codec import JsonCodec
from ombdriver.messaging.topics.consumer.lag import Lag, PartitionLag
from ombdriver.messaging.topics.record import record_fields


async def test_every_message_is_handed_out_once_and_acknowledged(server_url: str, raw: redis.asyncio.Redis) -> None:
    """From all partitions, those stored before the group was made too; acknowledged ones are pending no more."""
    await store(raw, range(600))
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g") as consumer:
        assert sorted(await take(consumer, 600)) == list(range(600))
        await store(raw, range(600, 610))
        assert sorted(await take(consumer, 10)) == list(range(600, 610))
        await consumer.flush()
        assert await pending(raw) == 0
        assert (consumer.statistics().acknowledged, consumer.statistics().held) == (610, 0)


async def test_iteration_ends_when_the_consumer_is_closed_and_not_before(
    server_url: str, raw: redis.asyncio.Redis, blocked: Callable[[int], Awaitable[None]]
) -> None:
    """An empty topic is waited for; `close` ends the loop of whoever iterates."""
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g") as consumer:

        async def read() -> list[bytes]:
            found = []
            async for message in consumer:
                found.append(message.value)
                await message.ack()
            return found

        reading = asyncio.create_task(read())
        await blocked(1)
        await store(raw, [1])
        while consumer.statistics().acknowledged < 1:  # noqa: ASYNC110 - the server's answer
            await asyncio.sleep(0.001)
        assert not reading.done()
        await consumer.close()
        assert await reading == [b"1"]


async def test_a_message_tells_what_its_entry_holds(server_url: str, raw: redis.asyncio.Redis) -> None:
    """Value, key, headers and where it is from; the time is the id's."""
    await raw.xadd("{t:1}", record_fields(b'{"n":1}', b"k", {"h": "ä"}), id="1700000000000-7")
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g", codec=JsonCodec()) as consumer:
        message = await consumer.getone()

        assert (message.value, message.key, dict(message.headers)) == ({"n": 1}, b"k", {"h": "ä"})
        assert (message.stream, message.partition, message.id) == ("{t:1}", 1, "1700000000000-7")
        assert (message.timestamp, message.delivery_count) == (1_700_000_000_000, 1)
        assert repr(message) == "<Message {t:1} 1700000000000-7 delivery_count=1>"


async def test_what_another_program_wrote_keeps_its_fields(server_url: str, raw: redis.asyncio.Redis) -> None:
    """It has no value, and stands whole in `fields`."""
    await raw.xadd("{t:0}", {"some": "thing"})
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g") as consumer:
        message = await consumer.getone()

        assert message.value is None
        assert message.fields == {b"some": b"thing"}


async def test_a_value_that_can_not_be_decoded_is_its_handlers_to_reject(
    server_url: str, raw: redis.asyncio.Redis
) -> None:
    """The error comes where the value is asked for, and the iteration goes on."""
    await raw.xadd("{t:0}", record_fields(b"no json"))
    await raw.xadd("{t:0}", record_fields(b"[1]"))
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g", codec=JsonCodec()) as consumer:
        message = await consumer.getone()
        with pytest.raises(ValueError, match="Expecting value"):
            assert message.value
        assert await message.reject("no JSON")
        assert (await consumer.getone()).value == [1]


@pytest.mark.parametrize(("start", "expected"), [("earliest", [0, 3, 6]), ("latest", []), ("id", [6]), ("time", [6])])
async def test_where_a_group_starts(server_url: str, raw: redis.asyncio.Redis, start: str, expected: list[int]) -> None:
    """After an id; from a time on; whatever comes later is read by all."""
    base = datetime.now(UTC) - timedelta(hours=1)
    ms = int(base.timestamp() * 1000)
    for n in (0, 3, 6):
        await raw.xadd("{t:0}", record_fields(b"%d" % n), id=f"{ms + n}-5")
    position = {"id": f"{ms + 3}-5", "time": datetime.fromtimestamp((ms + 6) / 1000, UTC)}.get(start, start)
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g", start=position) as consumer:
        await store(raw, [9])
        assert await take(consumer, len(expected) + 1) == [*expected, 9]


async def test_a_group_that_exists_goes_on_where_it_stands(server_url: str, raw: redis.asyncio.Redis) -> None:
    """Where it starts is said for its making alone: a second consumer with `latest` passes nothing over."""
    async with MQClient(redis_url=server_url) as client:
        async with client.consumer(TOPIC, "g") as consumer:
            await store(raw, [0])
            assert await take(consumer, 1) == [0]
        await store(raw, [1])
        async with client.consumer(TOPIC, "g", start="latest") as consumer:
            assert await take(consumer, 1) == [1]


async def test_getmany_gives_what_is_there(server_url: str, raw: redis.asyncio.Redis) -> None:
    """As many as asked for at most; nothing when the time is over."""
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g") as consumer:
        assert await consumer.getmany(timeout_ms=0) == []
        await store(raw, range(0, 30, 3))
        found = await consumer.getmany(max_records=4)
        while len(found) < 10:
            found += await consumer.getmany(max_records=4)
        assert [int(message.value) for message in found] == list(range(0, 30, 3))
        assert await consumer.getmany(timeout_ms=1) == []


async def test_prefetch_bounds_what_is_buffered(server_url: str, raw: redis.asyncio.Redis) -> None:
    """Whoever takes nothing has no more in the buffer; what is handed out does not count."""
    await store(raw, range(300))
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g", prefetch=30) as consumer:
        found = 0
        while found < 300:
            found += len(await consumer.getmany(max_records=7))
            assert consumer.statistics().buffered <= 30
        assert consumer.statistics().held == 300


async def test_large_messages_are_buffered_by_their_size(server_url: str, raw: redis.asyncio.Redis) -> None:
    """No more than about 16 MiB of them, whatever the prefetch is; the first read is small, since it can't know."""
    for _ in range(60):
        await raw.xadd("{t:0}", {"value": bytes(1 << 20)})
    async with MQClient(redis_url=server_url) as client, client.consumer("t", "g", prefetch=1_000) as consumer:
        most = 0
        for _ in range(60):
            message = await consumer.getone()
            most = max(most, consumer.statistics().buffered)
            await message.ack()
        assert most < 32


@pytest.mark.parametrize("between", [1, 3])
async def test_large_messages_are_buffered_by_their_size_whatever_comes_between(
    server_url: str, raw: redis.asyncio.Redis, between: int
) -> None:
    """Small messages among them, at the end of each reply above all, make the buffer no longer."""
    sizes = [1 if at % (between + 1) else 4 << 20 for at in range(24 * (between + 1))]
    for size in sizes:
        await raw.xadd("{t:0}", {"value": bytes(size)})
    async with MQClient(redis_url=server_url) as client, client.consumer("t", "g", prefetch=1_000) as consumer:
        most = 0
        for at in range(len(sizes)):
            message = await consumer.getone()
            most = max(most, sum(sizes[at + 1 : at + 1 + consumer.statistics().buffered]))
            await message.ack()
        assert most < 32 << 20


async def test_a_message_that_is_given_back_comes_again(server_url: str, raw: redis.asyncio.Redis) -> None:
    """After its delay, counted as one more delivery; not before the others."""
    await store(raw, [0, 1])
    async with (
        MQClient(redis_url=server_url) as client,
        client.consumer(TOPIC, "g", visibility_timeout_ms=2_000) as consumer,
    ):
        messages = [await consumer.getone(), await consumer.getone()]
        began = asyncio.get_running_loop().time()
        await messages[0].nack(delay=0.5)
        await messages[1].nack()
        again = [await consumer.getone(), await consumer.getone()]
        assert asyncio.get_running_loop().time() - began >= 0.5
        assert [message.id for message in again] == [messages[1].id, messages[0].id]
        assert [message.delivery_count for message in again] == [2, 2]
        for message in again:
            await message.ack()
        await consumer.flush()
        assert await pending(raw) == 0
        assert consumer.statistics().nacked == 2


async def test_a_delay_is_a_time(server_url: str, raw: redis.asyncio.Redis) -> None:
    """Anything else is refused, and the message stays in hand."""
    await store(raw, [0])
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g") as consumer:
        message = await consumer.getone()
        for delay in (-1, float("nan"), float("inf"), True):
            with pytest.raises(MessagingValueError, match="give"):
                await message.nack(delay=delay)
        assert not message.is_settled
        await message.ack()


async def test_a_delay_longer_than_the_visibility_time_out_waits_on_the_server(
    server_url: str, raw: redis.asyncio.Redis
) -> None:
    """Any member of the group gets it when it is due; one that was trimmed meanwhile is told as deleted."""
    first, trimmed = await raw.xadd("{t:0}", {"value": "0"}), await raw.xadd("{t:0}", {"value": "1"})
    async with MQClient(redis_url=server_url) as client:
        async with client.consumer("t", "g") as consumer:
            for _ in range(2):
                await (await consumer.getone()).nack(delay=3_600)
        assert {row["consumer"] for row in await raw.xpending_range("{t:0}", "g", "-", "+", 9)} == {b"postponed"}
        await raw.xdel("{t:0}", trimmed)
        await raw.zadd("{t:0}:delayed:g", {first: 1, trimmed: 1})
        async with client.consumer("t", "g") as consumer:
            message = await consumer.getone()
            assert (message.value, message.delivery_count) == (b"0", 2)
            await message.ack()
            await consumer.flush()
            assert consumer.statistics().deleted == 1
        assert (await raw.xpending("{t:0}", "g"))["pending"] == 0


async def test_what_is_rejected_is_a_dead_letter(server_url: str, raw: redis.asyncio.Redis) -> None:
    """With its fields and its story, in its partition's slot; pending no more, and rejected once only."""
    await raw.xadd("{t:2}", record_fields(b"v", b"k", {"h": "x"}), id="5-1")
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g", "me") as consumer:
        message = await consumer.getone()
        assert await message.reject("no such customer")
        with pytest.raises(MessagingError, match="settled twice"):
            await message.reject("again")

        [(_, fields)] = await raw.xrange("{t:2}:dlq")
        assert int(fields.pop(b"x-time")) > 0
        assert fields == {
            b"value": b"v",
            b"key": b"k",
            b"h:h": b"x",
            b"x-stream": b"{t:2}",
            b"x-id": b"5-1",
            b"x-group": b"g",
            b"x-consumer": b"me",
            b"x-deliveries": b"1",
            b"x-error": b"no such customer",
        }
        assert await pending(raw) == 0


async def test_what_somebody_else_has_settled_can_not_be_rejected(server_url: str, raw: redis.asyncio.Redis) -> None:
    """It is told, and there is no dead letter of it."""
    [entry] = await store(raw, [0])
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g") as consumer:
        message = await consumer.getone()
        await raw.xack("{t:0}", "g", entry)
        assert not await message.reject("too late")
        assert await raw.exists("{t:0}:dlq") == 0


async def test_in_progress_renews_the_hold_and_never_steals(server_url: str, raw: redis.asyncio.Redis) -> None:
    """The idle time starts anew, no delivery is counted; what another member has by now stays with it."""
    [entry] = await store(raw, [0])
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g", "me") as consumer:
        message = await consumer.getone()
        await raw.xclaim("{t:0}", "g", "me", 0, [entry], idle=20_000, justid=True)
        assert await message.in_progress()
        [row] = await raw.xpending_range("{t:0}", "g", "-", "+", 10)
        assert row["time_since_delivered"] < 20_000
        assert row["times_delivered"] == 1

        await raw.xclaim("{t:0}", "g", "other", 0, [entry])
        assert not await message.in_progress()
        assert message.is_lost
        [row] = await raw.xpending_range("{t:0}", "g", "-", "+", 10)
        assert row["consumer"] == b"other"
        await message.ack()  # done is done
        await consumer.flush()
        assert await pending(raw) == 0


async def test_a_message_is_settled_once(server_url: str, raw: redis.asyncio.Redis) -> None:
    """To acknowledge twice does nothing; after anything else it can't be."""
    await store(raw, [0, 1])
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g") as consumer:
        first, second = await consumer.getone(), await consumer.getone()
        await first.ack()
        await first.ack()
        with pytest.raises(MessagingError, match="settled twice"):
            await first.nack()
        await second.nack(delay=20)
        with pytest.raises(MessagingError, match="given back"):
            await second.ack()
        assert not await first.in_progress()
        await consumer.flush()
        assert (consumer.statistics().acknowledged, consumer.statistics().late_acknowledgements) == (1, 0)


async def test_paused_partitions_hand_out_nothing_and_lose_nothing(server_url: str, raw: redis.asyncio.Redis) -> None:
    """What was buffered comes first when they go on; the others are not held up."""
    await store(raw, range(30))
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g") as consumer:
        assert len(await take(consumer, 1)) == 1
        consumer.pause(0, 1)
        await store(raw, range(30, 60))
        found = [n async for n in _numbers(consumer, lambda n: n == 59)]
        assert [n for n in found if n % 3 != 2] == []
        consumer.pause()
        assert await consumer.getmany(timeout_ms=50) == []
        consumer.resume()
        rest = [n async for n in _numbers(consumer, lambda _: consumer.statistics().received == 60)]
        rest += [int(message.value) for message in await consumer.getmany(timeout_ms=100)]
        while len({*found, *rest}) < 59:
            rest += [int(message.value) for message in await consumer.getmany()]
        for partition in range(3):
            mine = [n for n in found + rest if n % 3 == partition]
            assert mine == sorted(mine), "the order of a partition"
        with pytest.raises(MessagingValueError, match="partitions 0 to 2"):
            consumer.pause(3)


async def _numbers(consumer, is_last):  # type: ignore[no-untyped-def]
    async for message in consumer:
        await message.ack()
        yield int(message.value)
        if is_last(int(message.value)):
            return


async def test_a_partition_that_goes_on_is_read_at_once(
    server_url: str, raw: redis.asyncio.Redis, blocked: Callable[[int], Awaitable[None]]
) -> None:
    """The read that waits for the other partitions does not hold it up."""
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g", block_ms=100_000) as consumer:
        await blocked(1)
        consumer.pause(0)
        await store(raw, [1])
        assert await take(consumer, 1) == [1]
        await blocked(1)
        await store(raw, [0])
        consumer.resume(0)
        assert await take(consumer, 1) == [0]


async def test_seek_back_delivers_again_and_seek_forward_passes_over(server_url: str, raw: redis.asyncio.Redis) -> None:
    """For the whole group; after it nothing from the buffer of before is handed out."""
    ids = await store(raw, range(0, 300, 3))
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g", prefetch=20) as consumer:
        assert await take(consumer, 10) == list(range(0, 30, 3))
        await consumer.seek(ids[4], 0)
        assert await take(consumer, 3) == [15, 18, 21]
        await consumer.seek(ids[90], 0)
        assert await take(consumer, 9) == list(range(273, 300, 3))
        await consumer.seek("earliest")
        assert await take(consumer, 100) == list(range(0, 300, 3))
        await consumer.seek("latest")
        await store(raw, [300])
        assert await take(consumer, 1) == [300]
        await consumer.flush()
        assert await pending(raw) == 0
        with pytest.raises(MessagingValueError, match="no position"):
            await consumer.seek("last")


async def test_seek_back_leaves_what_is_in_hand_where_it_is(server_url: str, raw: redis.asyncio.Redis) -> None:
    """It is pending anew, does not come twice, and its acknowledgement counts; what was buffered comes again once."""
    await store(raw, range(0, 60, 3))
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g", prefetch=12) as consumer:
        assert await take(consumer, 3) == [0, 3, 6]
        message = await consumer.getone()
        await consumer.flush()
        await consumer.seek("earliest")
        assert await take(consumer, 19) == [0, 3, 6, *range(12, 60, 3)]
        assert await pending(raw) >= 1
        await message.ack()
        await consumer.flush()
        assert await pending(raw) == 0
        assert consumer.statistics().repeated == 1
        assert consumer.statistics().late_acknowledgements == 0


@pytest.mark.parametrize("taken", [0, 1, 5, 17])
async def test_seek_back_keeps_the_order_whatever_connection_is_lost(
    server_url: str, raw: redis.asyncio.Redis, cut: Callable[[], Awaitable[None]], taken: int
) -> None:
    """What was buffered is pending, and comes when what is older has come: it is not mistaken for a lost reply."""
    for n in range(60):
        await raw.xadd("{t:0}", {"value": n})
    async with MQClient(redis_url=server_url) as client, client.consumer("t", "g", prefetch=12) as consumer:
        assert await take(consumer, 30) == list(range(30))
        await consumer.flush()
        consumer.pause()
        await consumer.seek("earliest")
        if not taken:
            await cut()
        consumer.resume()
        found = await take(consumer, taken)
        await cut()
        found += await take(consumer, 60 - taken)
        assert found == list(range(60))
        await consumer.flush()
        assert await pending(raw, topic=Topic("t")) == 0


async def test_lag_is_exact_or_marked_as_not(server_url: str, raw: redis.asyncio.Redis) -> None:
    """What nobody was given, and what is pending, of each partition and together."""
    async with MQClient(redis_url=server_url) as client, client.consumer(TOPIC, "g", prefetch=3) as consumer:
        consumer.pause()
        await store(raw, range(9))
        lag = await consumer.lag()
        assert (lag.messages + lag.pending, lag.is_exact) == (9, True)
        assert sorted(lag.partitions) == [0, 1, 2]
        consumer.resume()
        assert len(await take(consumer, 9)) == 9
        await consumer.flush()
        assert await consumer.lag() == Lag(0, True, 0, dict.fromkeys(range(3), PartitionLag(0, True, 0)))


async def test_lag_is_counted_where_the_server_can_not_tell(server_url: str, raw: redis.asyncio.Redis) -> None:
    """As after a deletion between: exact up to a thousand, and at least that above."""
    async with MQClient(redis_url=server_url) as client, client.consumer("u", "g", start="latest") as consumer:
        consumer.pause()
        await consumer.seek("latest")
        ids = [await raw.xadd("{u:0}", {"f": n}) for n in range(20)]
        await raw.xdel("{u:0}", ids[10])
        await raw.xgroup_setid("{u:0}", "g", ids[2])
        lag = await consumer.lag()
        assert (lag.messages + lag.pending, lag.is_exact) in {(16, True), (17, True)}
        pipeline = raw.pipeline(transaction=False)
        for n in range(1_200):
            pipeline.xadd("{u:0}", {"f": n})
        added = await pipeline.execute()
        await raw.xdel("{u:0}", added[600])
        await raw.xgroup_setid("{u:0}", "g", ids[2])
        lag = await consumer.lag()
        assert (lag.messages, lag.is_exact) == (1_000, False)


async def test_close_gives_back_what_was_not_handed_out(server_url: str, raw: redis.asyncio.Redis) -> None:
    """As if it had not been delivered, and at once to be had by others; what was handed out stays pending as it is."""
    await store(raw, range(12))
    async with MQClient(redis_url=server_url) as client:
        async with client.consumer(TOPIC, "g", "me", visibility_timeout_ms=60_000) as consumer:
            message = await consumer.getone()
            while consumer.statistics().received < 12:  # noqa: ASYNC110 - the server's answers
                await asyncio.sleep(0.001)
        rows = [row for key in TOPIC.keys for row in await raw.xpending_range(key, "g", "-", "+", 20)]
        assert sorted(row["times_delivered"] for row in rows) == [0] * 11 + [1]
        idle = [row["time_since_delivered"] for row in rows if row["times_delivered"] == 0]
        assert min(idle) >= 60_000
        assert consumer.statistics().given_back == 11

        await message.ack()  # still possible, and leaves at once
        await consumer.flush()
        assert await pending(raw) == 11
        with pytest.raises(ClosedError):
            await consumer.getone()
        async with client.consumer(TOPIC, "g", "me") as again:
            assert len(await take(again, 11)) == 11
            told = again.statistics()
            assert told.replayed + told.reclaimed == 11


async def test_a_name_of_its_own_leaves_no_trace(server_url: str, raw: redis.asyncio.Redis) -> None:
    """Or groups would fill with members that nobody is; what is pending keeps its member, or it would be lost."""
    await store(raw, [0, 1])
    async with MQClient(redis_url=server_url) as client:
        async with client.consumer(TOPIC, "g") as consumer:
            first, second = await consumer.getone(), await consumer.getone()
            await first.ack()
        names = {key: [one["name"] for one in await raw.xinfo_consumers(key, "g")] for key in TOPIC.keys}
        assert names == {key: [consumer.name.encode()] if key == second.stream else [] for key in TOPIC.keys}
        assert await pending(raw) == 1
        async with client.consumer(TOPIC, "g", "lasting") as lasting:
            await store(raw, [2])
            assert await take(lasting, 1) == [2]
        assert [one["name"] for one in await raw.xinfo_consumers("{t:2}", "g")] == [b"lasting"]


async def test_close_ends_a_blocking_read_at_once(server_url: str, blocked: Callable[[int], Awaitable[None]]) -> None:
    """Without a cancelled read, and long before its BLOCK is over; nothing stays connected but the client's own."""
    async with MQClient(redis_url=server_url) as client:
        consumer = client.consumer(TOPIC, "g", block_ms=600_000)
        await consumer.start()
        await blocked(1)
        await consumer.close()
        await blocked(0)
        await consumer.close()
        assert repr(consumer).endswith(" closed>")


async def test_a_consumer_that_was_not_started_says_so(server_url: str) -> None:
    """And one that was closed before."""
    async with MQClient(redis_url=server_url) as client:
        consumer = client.consumer("t", "g")
        with pytest.raises(ClosedError, match="not started"):
            await consumer.getone()
        await consumer.close()
        with pytest.raises(ClosedError, match="closed"):
            await consumer.start()
        with pytest.raises(ClosedError):
            await consumer.getmany()


async def test_what_can_not_be_is_refused_at_once(server_url: str) -> None:
    """By name, before anything is sent."""
    async with MQClient(redis_url=server_url) as client:
        for options in (
            {"prefetch": 0},
            {"visibility_timeout_ms": None},
            {"block_ms": 0},
            {"start": 17},
            {"group": ""},
        ):
            with pytest.raises(MessagingValueError):
                client.consumer(**({"topic": "t", "group": "g"} | options))  # type: ignore[arg-type]


async def test_a_client_that_is_closed_first_is_told_to_its_consumer(server_url: str) -> None:
    """As an error, and the loop over the consumer does not hang."""
    client = MQClient(redis_url=server_url)
    consumer = client.consumer("t", "g")
    await consumer.start()
    await client.aclose()
    for _ in range(2):
        with pytest.raises(ClosedError):
            await consumer.getone()
    await consumer.close()


async def test_what_the_server_refuses_is_told_and_the_consumer_goes_on(
    server_url: str, raw: redis.asyncio.Redis
) -> None:
    """As a stream that is no stream: whoever waits has the error; when it is right again, messages come."""
    async with MQClient(redis_url=server_url) as client, client.consumer("t", "g") as consumer:
        await raw.set("{t:0}", "no stream")
        with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
            await consumer.getone()
        await raw.delete("{t:0}")
        await raw.xadd("{t:0}", record_fields(b"1"))
        values = []
        while not values:
            with contextlib.suppress(redis.exceptions.ResponseError):  # it may be told of it once more
                values.append((await consumer.getone()).value)
        assert values == [b"1"]
        assert consumer.statistics().faults >= 1
