"""`GroupManager` and `Group` on real servers.

Repairs of aio-redis-mq that are shown here: a group that was never made again once its object existed, removal of a
group that somebody else made, every failure turned into one error without a cause, consumers deleted with what they
had pending and no word about it.
"""

import logging
from collections.abc import AsyncIterator

import pytest
import redis.asyncio
from redis.exceptions import ResponseError

from ombdriver import (
    Group,
    GroupCreateError,
    GroupError,
    GroupManager,
    MessagingError,
    MessagingValueError,
    MQProducer,
)


@pytest.fixture
async def manager(server_url: str) -> AsyncIterator[GroupManager]:
    """A manager of stream `s`."""
    async with GroupManager("s", redis_url=server_url) as manager:
        yield manager


@pytest.fixture
async def producer(server_url: str) -> AsyncIterator[MQProducer]:
    """A producer of stream `s`."""
    async with MQProducer("s", redis_url=server_url) as producer:
        yield producer


async def test_a_group_is_made_for_messages_from_now_on(manager: GroupManager, producer: MQProducer) -> None:
    """By default; with id 0 it has all that is there."""
    await producer.send_message({"f": 1}, "1-0")
    late, early = await manager.create_group("late"), await manager.create_group("early", 0)

    assert await (await late.create_consumer("c")).read_messages({"s": ">"}) == []
    assert len(await (await early.create_consumer("c")).read_messages({"s": ">"})) == 1


async def test_a_group_that_exists_is_given_again(manager: GroupManager, server_url: str) -> None:
    """In this object and in another one; where the group stands does not change."""
    group = await manager.create_group("g", 0)
    async with GroupManager("s", redis_url=server_url) as other:
        await other.create_group("g", "$")

    assert await manager.create_group("g", "$") is group
    [info] = await manager.get_groups_info()
    assert (info["name"], info["last-delivered-id"]) == ("g", "0-0")


async def test_a_group_that_is_gone_is_made_again(manager: GroupManager, raw: redis.asyncio.Redis) -> None:
    """The server is asked each time: it may have been emptied, or the group removed elsewhere."""
    group = await manager.create_group("g")
    await raw.delete("s")

    assert await manager.create_group("g") is group
    assert len(await manager.get_groups_info()) == 1


async def test_a_group_can_not_be_made_without_a_stream_if_asked_so(manager: GroupManager) -> None:
    """`mkstream=False` keeps the server from making one."""
    with pytest.raises(GroupCreateError, match="'g' of stream 's'"):
        await manager.create_group("g", mkstream=False)


async def test_a_refusal_of_the_server_is_the_cause(manager: GroupManager, raw: redis.asyncio.Redis) -> None:
    """The error tells what the server said, and has its error as cause."""
    await raw.set("s", "no stream")

    with pytest.raises(GroupCreateError, match="WRONGTYPE") as caught:
        await manager.create_group("g")
    assert isinstance(caught.value.__cause__, ResponseError)
    assert isinstance(caught.value, GroupError)
    assert isinstance(caught.value, redis.exceptions.RedisError)


async def test_a_server_that_is_away_is_no_refusal() -> None:
    """A lost connection stays a connection error."""
    async with GroupManager("s", redis_url="redis://127.0.0.1:1") as manager:
        with pytest.raises(redis.exceptions.ConnectionError):
            await manager.create_group("g")


async def test_a_group_is_removed_whoever_made_it(manager: GroupManager, raw: redis.asyncio.Redis) -> None:
    """1 when it was there, 0 when not, also when there is no stream."""
    assert await manager.destroy_group("g") == 0
    await raw.xgroup_create("s", "g", mkstream=True)

    assert await manager.destroy_group("g") == 1
    assert await manager.destroy_group("g") == 0
    assert await manager.get_groups_info() == []


async def test_what_is_pending_can_be_looked_at(manager: GroupManager, producer: MQProducer) -> None:
    """As a summary and one by one, of all consumers and of one, as the manual shows it."""
    group = await manager.create_group("g")
    one, two = await group.create_consumer("one"), await group.create_consumer("two")
    for n in range(1, 5):
        await producer.send_message({"n": n}, f"{n}-0")
    await one.read_messages({"s": ">"}, count=3)
    await two.read_messages({"s": ">"})

    assert await group.get_pending_info() == {
        "pending": 4,
        "min": "1-0",
        "max": "4-0",
        "consumers": [{"name": "one", "pending": 3}, {"name": "two", "pending": 1}],
    }
    assert sorted((c["name"], c["pending"]) for c in await group.get_consumers_info()) == [("one", 3), ("two", 1)]
    found = await group.query_pending_messages("-", "+", 10)
    assert [(p["message_id"], p["consumer"], p["times_delivered"]) for p in found] == [
        ("1-0", "one", 1),
        ("2-0", "one", 1),
        ("3-0", "one", 1),
        ("4-0", "two", 1),
    ]
    assert [p["message_id"] for p in await group.query_pending_messages("-", "+", 10, "two")] == ["4-0"]
    assert [p["message_id"] for p in await one.query_pending_messages("2-0", "+", 1)] == ["2-0"]
    assert await group.query_pending_messages(idle=3_600_000) == []
    assert await group.ack_message("1-0", "4-0", "9-0") == 2
    assert (await group.get_groups_info())[0]["pending"] == 2


async def test_a_group_can_be_set_back(manager: GroupManager, producer: MQProducer) -> None:
    """And reads again what it had."""
    group = await manager.create_group("g")
    consumer = await group.create_consumer("c")
    await producer.send_message({"f": 1}, "1-0")
    await consumer.read_messages({"s": ">"})
    assert await group.set_msg_id(0)

    assert [entry for entry, _ in (await consumer.read_messages({"s": ">"}))[0][1]] == ["1-0"]


async def pending_of_two(manager: GroupManager, producer: MQProducer) -> Group:
    """A group in which consumer `dead` has two messages pending."""
    group = await manager.create_group("g")
    await producer.send_message({"n": 1}, "1-0")
    await producer.send_message({"n": 2}, "2-0")
    await (await group.create_consumer("dead")).read_messages({"s": ">"})
    return group


async def test_pending_messages_are_claimed(manager: GroupManager, producer: MQProducer) -> None:
    """With content or as ids alone, with every option; too young ones are not."""
    group = await pending_of_two(manager, producer)

    assert await group.claim_message("heir", 3_600_000, ["1-0"]) == []
    assert await group.claim_message("heir", 0, ["1-0", "2-0"], retrycount=7) == [
        ("1-0", {"n": "1"}),
        ("2-0", {"n": "2"}),
    ]
    assert await group.claim_message("heir", 0, ("2-0",), justid=True, idle=5_000_000) == ["2-0"]
    assert [p["message_id"] for p in await group.query_pending_messages(idle=4_000_000)] == ["2-0"]
    assert {p["times_delivered"] for p in await group.query_pending_messages(consumer_id="heir")} == {7}
    await producer.send_message({"n": 3}, "3-0")
    assert await group.claim_message("heir", 0, ["3-0"], force=True) == [("3-0", {"n": "3"})]


async def test_a_claim_leaves_out_what_was_deleted(manager: GroupManager, producer: MQProducer) -> None:
    """No empty message among the claimed ones."""
    group = await pending_of_two(manager, producer)
    await producer.delete_message("s", "1-0")

    assert await group.claim_message("heir", 0, ["1-0", "2-0"]) == [("2-0", {"n": "2"})]


async def test_deleting_a_consumer_with_messages_pending_warns(
    manager: GroupManager, producer: MQProducer, caplog: pytest.LogCaptureFixture
) -> None:
    """It gives their number as before, and the log says that they are lost."""
    group = await pending_of_two(manager, producer)
    with caplog.at_level(logging.WARNING, "ombdriver.messaging"):
        assert await group.delete_consumer("dead") == 2
        assert await group.delete_consumer("dead") == 0

    assert [record.getMessage() for record in caplog.records] == [
        "consumer 'dead' of group 'g' was deleted with 2 messages pending; nobody gets them again"
    ]
    assert await group.get_consumers_info() == []


async def test_a_consumer_with_messages_pending_can_be_spared(manager: GroupManager, producer: MQProducer) -> None:
    """`force=False` refuses, names the way out, and deletes once nothing is pending."""
    group = await pending_of_two(manager, producer)

    with pytest.raises(GroupError, match="claim_message"):
        await group.delete_consumer("dead", force=False)
    assert (await group.get_pending_info())["pending"] == 2
    await group.ack_message("1-0", "2-0")
    assert await group.delete_consumer("dead", force=False) == 0
    assert await group.get_consumers_info() == []


@pytest.mark.parametrize("name", ["", None, 5])
async def test_names_are_text(manager: GroupManager, name: object) -> None:
    """An empty or missing name is refused before the server sees it."""
    with pytest.raises(MessagingValueError, match="group_name"):
        await manager.create_group(name)  # type: ignore[arg-type]
    with pytest.raises(MessagingError, match="consumer_id"):
        await (await manager.create_group("g")).create_consumer(name)  # type: ignore[arg-type]
    with pytest.raises(MessagingError, match="at least one"):
        (await manager.create_group("g")).ack_message()
