"""`GroupConsumer` on real servers: reading, acknowledging, and what a cancelled or lost read leaves behind.

Repairs of aio-redis-mq that are shown here: without a time a read did not wait; a second stream made every read fail
and could not be acknowledged; nothing gave pending messages back after a crash; one binary payload made a whole
delivered reply raise; trimmed messages came back as empty ones.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import redis.asyncio
from redis.exceptions import ResponseError

from ombdriver import ClosedError, GroupConsumer, GroupManager, MQProducer, OutcomeUnknownError

Waits = Callable[[int], Awaitable[None]]
Cut = Callable[[], Awaitable[None]]


@pytest.fixture
async def producer(server_url: str) -> AsyncIterator[MQProducer]:
    """A producer of stream `s`."""
    async with MQProducer("s", redis_url=server_url) as producer:
        yield producer


@pytest.fixture
async def manager(server_url: str) -> AsyncIterator[GroupManager]:
    """A manager of stream `s`."""
    async with GroupManager("s", redis_url=server_url) as manager:
        yield manager


@pytest.fixture
async def consumer(manager: GroupManager) -> GroupConsumer:
    """Consumer `c` of group `g`, which starts at the beginning."""
    return await (await manager.create_group("g", 0)).create_consumer("c")


async def test_a_read_gives_lists_whether_something_came_or_not(consumer: GroupConsumer, producer: MQProducer) -> None:
    """`[]` when the time is over, never None: the manual's programs take its length."""
    assert await consumer.block_read_messages(block=1) == []
    assert await consumer.read_messages({"s": ">"}) == []
    await producer.send_message({"f": "v"}, "1-0")

    assert await consumer.block_read_messages(block=1000) == [["s", [("1-0", {"f": "v"})]]]
    assert await consumer.ack_message("1-0") == 1
    assert await consumer.ack_message("1-0") == 0


async def test_without_a_time_a_read_waits(consumer: GroupConsumer, producer: MQProducer, blocked: Waits) -> None:
    """`block=None` is a wait of some seconds, not a reply at once."""
    reading = asyncio.ensure_future(consumer.block_read_messages())
    await blocked(1)
    await producer.send_message({"f": "v"}, "1-0")

    assert await reading == [["s", [("1-0", {"f": "v"})]]]


async def test_several_streams_are_read_and_acknowledged(
    consumer: GroupConsumer, server_url: str, raw: redis.asyncio.Redis
) -> None:
    """The group is made on streams that lack it; the own stream comes first; each can be acknowledged."""
    assert await consumer.block_read_messages("b", "a", b"a", block=1) == []
    for key in ("a", "b", "s"):
        async with MQProducer(key, redis_url=server_url) as producer:
            await producer.send_message({"f": key}, "1-0")

    reply = await consumer.block_read_messages("b", "a", block=1000)

    assert [stream for stream, _ in reply] == ["s", "b", "a"]
    assert len(await consumer.query_pending_messages(stream_key="b")) == 1
    assert await consumer.ack_message("1-0", stream_key="b") == 1
    assert (await raw.xpending("b", "g"))["pending"] == 0
    assert (await raw.xpending("s", "g"))["pending"] == 1


async def test_a_group_that_is_not_there_is_told(consumer: GroupConsumer, manager: GroupManager) -> None:
    """The own stream's group is not made behind the caller's back."""
    await manager.destroy_group("g")
    async with GroupConsumer("s", "g", "c", redis_pool=manager.redis_pool) as orphan:
        with pytest.raises(ResponseError, match="NOGROUP"):
            await orphan.block_read_messages(block=1)
        with pytest.raises(ResponseError, match="NOGROUP"):
            await orphan.block_read_messages("other", block=1)


async def test_a_consumer_gets_its_pending_messages_again(
    manager: GroupManager, producer: MQProducer, server_url: str
) -> None:
    """After a crash between reading and acknowledging: the same consumer name, a read from 0."""
    await manager.create_group("g", 0)
    for n in (1, 2):
        await producer.send_message({"n": n}, f"{n}-0")
    async with GroupConsumer("s", "g", "c", redis_url=server_url) as crashed:
        await crashed.read_messages({"s": ">"})
        await crashed.ack_message("1-0")
    async with GroupConsumer("s", "g", "c", redis_url=server_url) as restarted:
        assert await restarted.read_messages({"s": 0}) == [["s", [("2-0", {"n": "2"})]]]
        assert [p["times_delivered"] for p in await restarted.query_pending_messages("-", "+", 10)] == [2]
        await restarted.ack_message("2-0")
        assert await restarted.read_messages({"s": 0}) == [["s", []]]


async def test_one_binary_payload_does_not_cost_the_others(consumer: GroupConsumer, producer: MQProducer) -> None:
    """Everything that was delivered is handed over; what is no UTF-8 as bytes."""
    await producer.send_message({"f": b"\xff"}, "1-0")
    await producer.send_message({"f": "text"}, "2-0")

    assert await consumer.block_read_messages(block=1000) == [["s", [("1-0", {"f": b"\xff"}), ("2-0", {"f": "text"})]]]


async def test_pending_messages_without_content_are_cleared_away(consumer: GroupConsumer, producer: MQProducer) -> None:
    """They are left out and acknowledged, and a page full of them is not taken for the end."""
    for n in range(1, 8):
        await producer.send_message({"n": n}, f"{n}-0")
    await consumer.read_messages({"s": ">"})
    await producer.delete_message("s", *(f"{n}-0" for n in range(1, 6)))

    # Two pages of 1 to 4 are empty without them, of the third 5 goes and 6 stays.
    assert await consumer.read_messages({"s": 0}, count=2) == [["s", [("6-0", {"n": "6"})]]]
    assert [p["message_id"] for p in await consumer.query_pending_messages()] == ["6-0", "7-0"]
    assert consumer.statistics().deleted == 5


async def test_nothing_is_pending_if_asked_so(consumer: GroupConsumer, producer: MQProducer) -> None:
    """`noack` delivers and forgets."""
    await producer.send_message({"n": 1})
    await consumer.block_read_messages(block=1000, noack=True)

    assert await consumer.query_pending_messages() == []


# -- cancelled reads ---------------------------------------------------------------------------------------------------


async def test_the_reply_of_a_cancelled_read_is_given_to_the_next(
    consumer: GroupConsumer, producer: MQProducer
) -> None:
    """The server has booked its messages as pending for this consumer; the next read returns them, once."""
    await consumer.block_read_messages(block=1)
    for n in range(1, 4):
        await producer.send_message({"n": n}, f"{n}-0")
    reading = asyncio.ensure_future(consumer.block_read_messages(block=60_000))
    await asyncio.sleep(0)  # one turn: the command is sent, its reply can't be here yet
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()

    assert [entry for entry, _ in (await consumer.block_read_messages(count=2, block=1))[0][1]] == ["1-0", "2-0"]
    assert [entry for entry, _ in (await consumer.block_read_messages(block=1))[0][1]] == ["3-0"]
    assert await consumer.block_read_messages(block=1) == []
    assert consumer.statistics().parked == 0


async def test_no_message_is_lost_wherever_a_read_is_cancelled(consumer: GroupConsumer, producer: MQProducer) -> None:
    """Reads cancelled after 0, 1, 2, ... turns of the loop, while messages come in: each is received exactly once."""
    received: list[str] = []
    sent: list[str] = []
    for turns in range(60):
        reading = asyncio.ensure_future(consumer.block_read_messages(block=60_000))
        sending = asyncio.ensure_future(producer.send_message({"n": turns}))
        for _ in range(turns % 12):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        if not reading.cancelled():
            received += [entry for _, entries in reading.result() for entry, _ in entries]
        sent.append(await sending)
    while reply := await consumer.read_messages({"s": ">"}):
        received += [entry for entry, _ in reply[0][1]]

    assert sorted(received) == sorted(sent)
    assert await consumer.ack_message(*received) == len(sent)


async def test_a_cancelled_read_stops_waiting_on_the_server(
    consumer: GroupConsumer, producer: MQProducer, manager: GroupManager, blocked: Waits
) -> None:
    """It takes no message away from the others, and holds up no later read of its own."""
    other = await (await manager.create_group("g")).create_consumer("other")
    reading = asyncio.ensure_future(consumer.block_read_messages(block=0))
    await blocked(1)
    reading.cancel()
    await asyncio.wait([reading])
    await blocked(0)
    await producer.send_message({"f": "v"}, "1-0")

    assert await other.read_messages({"s": ">"}) == [["s", [("1-0", {"f": "v"})]]]
    assert await consumer.read_messages({"s": ">"}) == []


async def test_a_parked_reply_waits_for_a_read_of_its_streams(
    consumer: GroupConsumer, producer: MQProducer, manager: GroupManager
) -> None:
    """A read of another stream does not get it, and is not held up by it."""
    await consumer.block_read_messages("other", block=1)
    await producer.send_message({"f": "v"}, "1-0")
    reading = asyncio.ensure_future(consumer.block_read_messages(block=60_000))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])

    assert await consumer.read_messages({"other": ">"}) == []
    assert await consumer.block_read_messages("other", block=1) == [["s", [("1-0", {"f": "v"})]]]


# -- lost connections --------------------------------------------------------------------------------------------------


async def test_a_lost_group_read_is_told_and_what_was_delivered_is_pending(
    consumer: GroupConsumer, producer: MQProducer, cut: Cut, blocked: Waits
) -> None:
    """It is not sent again by itself: that would hide what the server delivered. The next read connects anew."""
    reading = asyncio.ensure_future(consumer.block_read_messages(block=60_000))
    await blocked(1)
    await cut()

    with pytest.raises(OutcomeUnknownError):
        await reading
    await producer.send_message({"f": "v"}, "1-0")
    assert await consumer.block_read_messages(block=1000) == [["s", [("1-0", {"f": "v"})]]]


async def test_an_acknowledgement_survives_a_lost_connection(
    consumer: GroupConsumer, producer: MQProducer, cut: Cut
) -> None:
    """It may be carried out twice without harm, so it is sent again."""
    await producer.send_message({"f": "v"}, "1-0")
    await consumer.block_read_messages(block=1000)
    await consumer.ack_message("9-9")
    await cut()

    assert await consumer.ack_message("1-0") == 1


async def test_closing_ends_a_read_that_waits(consumer: GroupConsumer, blocked: Waits) -> None:
    """And the consumer can't be used any more."""
    reading = asyncio.ensure_future(consumer.block_read_messages(block=0))
    await blocked(1)
    await consumer.aclose()

    with pytest.raises(OutcomeUnknownError):
        await reading
    with pytest.raises(ClosedError):
        await consumer.read_messages({"s": ">"})


async def test_members_of_a_group_share_its_messages(manager: GroupManager, producer: MQProducer) -> None:
    """Five members, concurrent reads: each message once per group, everything acknowledged."""
    groups = [await manager.create_group(name) for name in ("one", "two")]
    members = [await group.create_consumer(str(n)) for group in groups for n in range(5)]
    received: dict[str, list[str]] = {"one": [], "two": []}

    async def consume(member: GroupConsumer) -> None:
        while len(received[str(member.group_name)]) < 300:
            for _, entries in await member.block_read_messages(count=7, block=20):
                ids = [entry for entry, _ in entries]
                received[str(member.group_name)] += ids
                assert await member.ack_message(*ids) == len(ids)

    sending = asyncio.gather(*(producer.send_message({"n": n}) for n in range(300)))
    await asyncio.gather(*(consume(member) for member in members))
    sent = await sending

    assert {name: sorted(ids) for name, ids in received.items()} == {"one": sorted(sent), "two": sorted(sent)}
    assert [(await group.get_pending_info())["pending"] for group in groups] == [0, 0]
