"""Who shares a connection: by name, by client, or not at all; within one event loop, and never by accident.

Repairs of aio-redis-mq that are shown here: a cache that ignored URL and options, one entry for all unnamed clients, a
warm entry that was collected at once, closing by name that failed or closed nothing, group objects shared by a text key
that could be equal for different streams, constructors that refused their own documented arguments, clients that
outlived their loop, and a check for one client class.
"""

import asyncio
import gc
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import redis.asyncio

from ombdriver import (
    ClosedError,
    Group,
    GroupConsumer,
    GroupManager,
    MessagingError,
    MessagingValueError,
    MQClient,
    MQConsumer,
    MQProducer,
    RedisPool,
)

Waits = Callable[[int], Awaitable[None]]


async def test_clients_of_one_name_share_their_connections(valkey_url: str) -> None:
    """The second may leave the URL out, or write it in another way; closing one leaves the other."""
    first = MQProducer("s", "shared", valkey_url)
    second = MQClient("shared")
    third = MQClient("shared", valkey_url + "/0")

    assert first.redis_pool is second.redis_pool is third.redis_pool
    await first.send_message({"f": 1})
    await first.aclose()
    assert await second.get_stream_length("s") == 1
    await RedisPool.close_redis("shared")


async def test_a_name_never_stands_for_two_servers(valkey_url: str) -> None:
    """Another URL, database or option under a known name is refused, and the difference named; no password is told."""
    MQClient("one", valkey_url)

    with pytest.raises(MessagingValueError, match="differs in: host, port"):
        MQClient("one", "redis://localhost:1")
    with pytest.raises(MessagingValueError, match="db"):
        MQClient("one", valkey_url + "/5")
    with pytest.raises(MessagingValueError, match="decode_responses"):
        MQClient("one", decode_responses=False)
    with pytest.raises(MessagingValueError, match="password") as caught:
        MQClient("one", valkey_url.replace("redis://", "redis://:s3cr3t@"))
    assert "s3cr3t" not in str(caught.value)


async def test_options_of_a_named_client_hold(server_url: str) -> None:
    """They are not lost on the way to the registry."""
    client = MQProducer("raw", redis_name="bytes", redis_url=server_url, decode_responses=False)

    assert await client.send_message({"f": 1}, "1-0") == b"1-0"


async def test_unnamed_clients_go_to_the_server_of_their_own_url(valkey_url: str) -> None:
    """Two URLs in one process are two servers (here: databases)."""
    async with (
        MQProducer("s", redis_url=valkey_url + "/1") as first,
        MQProducer("s", redis_url=valkey_url + "/2") as second,
    ):
        await first.send_message({"f": 1})

        assert await first.get_stream_length("s") == 1
        assert await second.get_stream_length("s") == 0
        await first.redis_pool.flushdb()


async def test_a_name_opened_at_start_up_stays_open(server_url: str) -> None:
    """Nobody needs to hold on to it."""
    assert await RedisPool.init_redis("warm", redis_url=server_url) is True
    gc.collect()

    assert await MQClient("warm").check_health() is True
    assert await RedisPool.check_health("warm") is True


async def test_a_name_that_could_not_be_reached_is_free_again(server_url: str) -> None:
    """A corrected URL can take it; the failure is a connection error that says so, not a wrapped text."""
    with pytest.raises(redis.exceptions.ConnectionError) as caught:
        await RedisPool.init_redis("wrong", redis_url="redis://127.0.0.1:1")
    assert isinstance(caught.value, MessagingError)
    assert caught.value.__cause__ is not None

    assert await RedisPool.init_redis("wrong", redis_url=server_url) is True


async def test_an_unknown_name_says_how_to_open_it(server_url: str) -> None:
    """A name alone is enough only when it is open in this loop."""
    with pytest.raises(MessagingError, match="give redis_url"):
        MQClient("never opened")


async def test_closing_a_name_closes_its_connections(server_url: str, connected: Waits) -> None:
    """All of them, on the server too; whoever still uses the name is told, and the name is free."""
    client = MQProducer("s", "closing", server_url)
    await client.send_message({"f": 1})
    await client.get_stream_length("s")
    await RedisPool.close_redis("closing")

    await connected(0)
    with pytest.raises(ClosedError, match="make a new client"):
        client.send_message({"f": 1})
    assert await MQClient("closing", server_url).get_stream_length("s") == 1


@pytest.mark.parametrize("name", [None, "never opened"])
async def test_closing_a_name_that_is_not_open_is_no_error(name: str | None) -> None:
    """And opens nothing in order to close it."""
    await RedisPool.close_redis(name)


async def test_a_client_of_the_users_is_never_closed(server_url: str, connected: Waits) -> None:
    """Its settings are used, its pool is left alone, and our own connections beside it are shared and go."""
    async with redis.asyncio.Redis.from_url(server_url, decode_responses=True) as below:
        await below.ping()
        producer = MQProducer("s", redis_pool=below)
        consumer = MQConsumer("s", None, below)
        assert producer.redis_pool is consumer.redis_pool is below
        await producer.send_message({"f": 1})
        await consumer.check_health()
        await producer.aclose()
        assert await consumer.check_health()
        await consumer.aclose()

        await connected(1)
        assert await below.ping()


async def test_url_and_client_are_told_apart_by_type(server_url: str) -> None:
    """The manual and the signature print different orders for the third argument."""
    async with (
        redis.asyncio.Redis.from_url(server_url, decode_responses=True) as below,
        MQProducer("s", "third", server_url) as by_url,
        MQProducer("s", "third", below) as by_client,
        GroupManager("s", "third", server_url) as manager,
        Group("s", "g", "third", below) as group,
        Group("s", "g", "third", server_url) as other_group,
    ):
        for client in (by_url, by_client, manager, group, other_group):
            assert await client.check_health()


async def test_every_class_can_be_made_from_a_url_or_a_client(server_url: str) -> None:
    """`create_from_url` and `create_from_redis_pool` take what the class needs."""
    async with redis.asyncio.Redis.from_url(server_url) as below:
        for kind, needs in (
            (MQClient, {}),
            (MQProducer, {"stream_key": "s"}),
            (MQConsumer, {"stream_key": "s"}),
            (GroupManager, {"stream_key": "s"}),
            (Group, {"stream_key": "s", "group_name": "g"}),
            (GroupConsumer, {"stream_key": "s", "group_name": "g", "consumer_id": "c"}),
        ):
            for client in (
                kind.create_from_url(None, server_url, **needs),
                kind.create_from_redis_pool(below, **needs),
            ):
                assert type(client) is kind
                assert await client.check_health()
                await client.aclose()


async def test_group_objects_of_different_streams_are_never_mixed_up(valkey_url: str) -> None:
    """Whatever the names hold, and however often a manager is made: each object keeps its own stream."""
    first = GroupManager("c", "a_b", valkey_url)
    second = GroupManager("b_c", "a", valkey_url)
    group = await first.create_group("g")
    third = GroupManager("c", "a_b", valkey_url)
    other = GroupManager("c", redis_url=valkey_url + "/3")

    assert (first.stream_key, second.stream_key, third.stream_key) == ("c", "b_c", "c")
    assert first is not third
    assert await first.create_group("g") is group
    assert await (await other.create_group("g")).get_groups_info() != []
    assert other.redis_pool is not first.redis_pool
    assert group.redis_pool is first.redis_pool
    await other.redis_pool.flushdb()
    await other.aclose()


async def test_closing_a_manager_closes_what_it_gave_out(server_url: str) -> None:
    """Its groups and their consumers; everything is usable in `async with`."""
    async with GroupManager("s", redis_url=server_url) as manager:
        group = await manager.create_group("g")
        consumer = await group.create_consumer("c")
        assert await group.create_consumer("c") is consumer
        await consumer.block_read_messages(block=1)

    with pytest.raises(ClosedError):
        await consumer.block_read_messages(block=1)
    with pytest.raises(ClosedError):
        await group.get_groups_info()
    with pytest.raises(ClosedError):
        await group.create_consumer("d")


async def test_a_consumer_or_group_stands_on_its_own(server_url: str) -> None:
    """Neither needs a name when it is given a client or URL, nor the object above it."""
    async with GroupManager("s", redis_url=server_url) as manager:
        await manager.create_group("g", 0)
        async with MQProducer("s", redis_pool=manager.redis_pool) as producer:
            await producer.send_message({"f": 1}, "1-0")
        async with GroupConsumer("s", "g", "c", redis_pool=manager.redis_pool) as consumer:
            assert await consumer.read_messages({"s": ">"}) == [["s", [("1-0", {"f": "1"})]]]
        async with Group("s", "g", redis_url=server_url) as group:
            assert (await group.get_pending_info())["pending"] == 1


def test_a_second_event_loop_gets_connections_of_its_own(server_url: str) -> None:
    """The same name, and even the same object, in one `asyncio.run` after the other."""
    producer = MQProducer("s", "again", server_url)

    async def once() -> int:
        await producer.send_message({"f": 1})
        async with MQProducer("s", "again", server_url) as second:
            await second.send_message({"f": 1})
        return await producer.get_stream_length("s")

    assert [asyncio.run(once()), asyncio.run(once())] == [2, 4]


PROGRAM = """
import asyncio, sys
import uvloop
from ombdriver import GroupManager, MQConsumer, MQProducer

async def main(name):
    producer = MQProducer("s", name, sys.argv[1])
    consumer = await (await GroupManager("s", name, sys.argv[1]).create_group("g", 0)).create_consumer("c")
    await producer.send_message({"f": 1})
    print(len((await consumer.block_read_messages(block=1000))[0][1]))
    await producer.get_stream_length("s")

for run in (asyncio.run, uvloop.run, asyncio.run):
    run(main("n"))
"""


def test_a_program_that_closes_nothing_ends_without_a_warning(server_url: str) -> None:
    """On asyncio and uvloop, one after the other, in a strict interpreter: what is open by name goes with the loop."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, server_url],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        cwd=Path(__file__).parents[3],
    )

    assert done.stderr == ""
    assert done.stdout.split() == ["1", "1", "1"]


async def test_a_client_that_is_dropped_gives_its_connections_back(
    server_url: str, raw: redis.asyncio.Redis, connected: Waits
) -> None:
    """With a ResourceWarning; the message that was under way is stored and answered."""
    with pytest.warns(ResourceWarning, match="without aclose"):
        entry = await MQProducer("s", redis_url=server_url).send_message({"f": 1})

    await connected(0)
    assert [stored for stored, _ in await raw.xrange("s") or ()] == [entry.encode()]
