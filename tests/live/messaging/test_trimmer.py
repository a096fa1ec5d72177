"""Retention `acknowledged`: what some group still needs stays, whatever the groups are like; a breach is told."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
import redis.asyncio
from topologies import Cluster, until

from ombdriver import (
    AcknowledgedTrimmer,
    ConnectionLost,
    GroupConsumer,
    GroupManager,
    MessagingValueError,
    MQClient,
    MQProducer,
    Topic,
)
from ombdriver.bench.servers.private_server import PrivateServer

Cut = Callable[[], Awaitable[None]]


async def fill(producer: MQProducer, count: int, start: int = 0) -> list[str]:
    """Sends messages."""
    return list(await asyncio.gather(*(producer.send_message({"n": n}) for n in range(start, start + count))))


async def take(consumer: GroupConsumer, count: int, *, acknowledge: bool = True) -> list[int]:
    """Reads so many new messages."""
    ((_, entries),) = await consumer.read_messages({consumer.stream_key: ">"}, count=count)
    if acknowledge:
        await consumer.ack_message(*(entry for entry, _ in entries))
    return [int(fields["n"]) for _, fields in entries]


async def test_nothing_that_a_group_needs_is_cut(server_url: str) -> None:
    """A slow group, a group that nobody reads, and pending entries each hold what they need; then it goes."""
    async with (
        MQProducer("s", redis_url=server_url) as producer,
        GroupManager("s", redis_url=server_url) as manager,
        MQClient(redis_url=server_url) as client,
    ):
        trimmer = client.keep_trimmed(["s", "missing"], approximate=False)
        await fill(producer, 300)
        assert await trimmer.trim() == 0, "no group: nothing may go"
        fast, slow = [await (await manager.create_group(g, 0)).create_consumer("c") for g in ("fast", "slow")]
        assert await take(fast, 300) == list(range(300))
        assert await trimmer.trim() == 0, "slow has read nothing"
        await take(slow, 100)
        assert await trimmer.trim() == 100
        await take(slow, 50, acknowledge=False)
        assert await trimmer.trim() == 0, "what slow has pending stays"
        await slow.ack_message(*(one["message_id"] for one in await slow.query_pending_messages(count=50)))
        assert await trimmer.trim() == 50
        await manager.create_group("dead", 0)
        await take(slow, 150)
        assert await trimmer.trim() == 0, "nobody reads dead, which needs it all"
        assert await manager.destroy_group("dead") == 1
        assert await trimmer.trim() == 150
        assert trimmer.statistics()[b"s"].trimmed == 300
        assert trimmer.statistics()[b"s"].breached == trimmer.statistics()[b"missing"].failures == 0


async def test_every_message_is_read_while_streams_are_trimmed_under_load(server_url: str) -> None:
    """Groups at different speeds, members that leave messages pending and take them up later."""
    async with (
        MQProducer("s", redis_url=server_url) as producer,
        GroupManager("s", redis_url=server_url) as manager,
        MQClient(redis_url=server_url) as client,
    ):
        seen: dict[str, list[int]] = {"quick": [], "slow": [], "late": []}
        members = {}
        for name in seen:
            members[name] = await (await manager.create_group(name, 0)).create_consumer("c")

        async def read(name: str, count: int) -> None:
            while len(seen[name]) < 3_000:
                for _, entries in await members[name].block_read_messages(count=count):
                    seen[name] += [int(fields["n"]) for _, fields in entries]
                    ids = [entry for entry, _ in entries]
                    if name == "late":  # acknowledged a while after: until then they are read again by id 0
                        kept = await members[name].read_messages({"s": 0})
                        assert {entry for _, found in kept for entry, _ in found} >= set(ids)
                    await members[name].ack_message(*ids)

        async with client.keep_trimmed(["s"], every_s=0.001, approximate=False) as trimmer:
            readers = [asyncio.create_task(read(*each)) for each in (("quick", 100), ("slow", 7), ("late", 30))]
            for start in range(0, 3_000, 100):
                await fill(producer, 100, start)
            await asyncio.gather(*readers)
            while await client.get_stream_length("s"):  # noqa: ASYNC110 - until the trimmer has caught up
                await asyncio.sleep(0.001)
        assert all(numbers == list(range(3_000)) for numbers in seen.values())
        assert trimmer.statistics()[b"s"].trimmed == 3_000


async def test_a_bound_cuts_what_only_dead_groups_need_and_tells(
    server_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Counted per stream, told with the names; a live group is not cut into, however far behind."""
    caplog.set_level(logging.WARNING, "ombdriver.messaging.streams.trimmer")
    async with (
        MQProducer("s", redis_url=server_url) as producer,
        GroupManager("s", redis_url=server_url) as manager,
        MQClient(redis_url=server_url) as client,
    ):
        trimmer = client.keep_trimmed(["s"], maxlen=1_000, approximate=False)
        await manager.create_group("dead", 0)
        alive = await (await manager.create_group("alive", 0)).create_consumer("c")
        await fill(producer, 3_000)
        await take(alive, 1_500)
        await trimmer.trim()
        assert await client.get_stream_length("s") == 1_500, "alive holds the rest, though it is past the bound"
        told = trimmer.statistics()[b"s"]
        assert (told.trimmed, told.breached) == (1_500, 1_500)
        assert "b's'" in caplog.text
        assert "b'dead'" in caplog.text
        assert "b'alive'" not in caplog.text
        await take(alive, 1_500)
        await trimmer.trim()
        assert await client.get_stream_length("s") == 1_000
        assert trimmer.statistics()[b"s"].breached == 2_000
        assert await trimmer.trim() == 0


@pytest.mark.parametrize("why", ["paused", "full"])
async def test_a_consumer_that_asks_for_nothing_says_that_it_is_alive(
    server_url: str, raw: redis.asyncio.Redis, why: str
) -> None:
    """Paused, or without room: its group is not cut into, however long ago it asked; once it is gone, it is."""
    async with MQClient(redis_url=server_url) as client, client.producer("t") as producer:
        trimmer = client.keep_trimmed(["{t:0}"], maxlen=1, approximate=False, dead_after_s=0.001)
        consumer = client.consumer("t", "g", prefetch=1, block_ms=50)
        if why == "paused":
            consumer.pause()
        async with consumer:
            await asyncio.gather(*await producer.send_batch([b"%d" % n for n in range(10)]))
            await until(lambda: raw.exists("{t:0}:alive:g"))
            assert await trimmer.trim() == 0
        assert await raw.pttl("{t:0}:alive:g") > 0
        await raw.delete("{t:0}:alive:g")

        async def cut() -> bool:  # the server counts how long a consumer has been silent in whole milliseconds
            return await trimmer.trim() == 9

        await until(cut)
        assert trimmer.statistics()[b"{t:0}"].breached == 9


async def test_a_round_that_removes_nothing_reads_nothing(server_url: str, raw: redis.asyncio.Redis) -> None:
    """However large the entries are that a live group still needs; the server sends none, and looks at the first."""
    async with MQClient(redis_url=server_url) as client:
        for _ in range(30):
            await raw.xadd("s", {"value": b"x" * 100_000})
        await raw.xgroup_create("s", "g", 0)
        await raw.xreadgroup("g", "alive", {"s": ">"}, count=1)
        trimmer = client.keep_trimmed(["s"], maxlen=1)
        await trimmer.trim()
        before = (await raw.info("stats"))["total_net_output_bytes"]
        assert await trimmer.trim() == 0
        assert (await raw.info("stats"))["total_net_output_bytes"] - before < 100_000


async def test_a_bound_is_kept_where_nodes_of_a_stream_are_large() -> None:
    """Whole nodes are cut, so what one step looks at has to reach beyond one, whatever `stream-node-max-entries` is."""
    large = {"stream-node-max-entries": "2000", "stream-node-max-bytes": "0"}
    async with (
        await PrivateServer.start(config=large) as server,
        MQProducer("s", redis_url=server.url) as producer,
        GroupManager("s", redis_url=server.url) as manager,
    ):
        ids = await fill(producer, 9000)
        await manager.create_group("dead", ids[1500])  # what it has not read begins within a node
        trimmer = producer.keep_trimmed(["s"], maxlen=1000)

        assert await trimmer.trim() == 8000
        assert await producer.get_stream_length("s") == 1000


async def test_a_bound_on_age_cuts_what_is_older(server_url: str) -> None:
    """By the ids that the server makes."""
    async with (
        MQProducer("s", redis_url=server_url) as producer,
        GroupManager("s", redis_url=server_url) as manager,
        MQClient(redis_url=server_url) as client,
    ):
        trimmer = client.keep_trimmed(["s"], max_age_s=3600, approximate=False)
        await producer.send_message({"n": 0}, msg_id="1000-0")
        await producer.send_message({"n": 1})
        await manager.create_group("dead", 0)
        assert await trimmer.trim() == 1
        assert trimmer.statistics()[b"s"].breached == 1
        assert [fields["n"] for _, fields in await client.query_messages("s")] == ["1"]


async def test_a_lost_connection_does_not_end_the_trimming(server_url: str, cut: Cut, raw: redis.asyncio.Redis) -> None:
    """Nor does a key of another kind; failures are counted."""
    await raw.set("other", "no stream")
    async with (
        MQProducer("s", redis_url=server_url) as producer,
        GroupManager("s", redis_url=server_url) as manager,
        MQClient(redis_url=server_url) as client,
        client.keep_trimmed(["s", "other"], every_s=0.001, approximate=False) as trimmer,
    ):
        member = await (await manager.create_group("g", 0)).create_consumer("c")
        for n in range(20):
            for attempt in range(5):  # the cut may meet any of them
                try:
                    await producer.send_message({"n": n})
                    await take(member, 10)
                    break
                except (ConnectionLost, redis.exceptions.ConnectionError, ValueError):
                    assert attempt < 4
            if n % 4 == 0:
                await cut()
        for _, entries in await member.read_messages({"s": 0}):
            for entry, _ in entries:
                await member.ack_message(entry)
        while await client.get_stream_length("s"):  # noqa: ASYNC110 - until the trimmer has caught up
            await asyncio.sleep(0.001)
        assert trimmer.statistics()[b"other"].failures > 0


async def test_streams_of_a_cluster_are_trimmed_where_they_are(three: Cluster) -> None:
    """All partitions of a topic, by one trimmer."""
    topic = Topic("t", 6)
    async with MQProducer(topic, redis_url=three.url) as producer, MQClient(redis_url=three.url) as client:
        for key in topic.keys:
            async with GroupManager(key, redis_pool=client.redis_pool) as manager:
                await manager.create_group("g")
        await fill(producer, 60)
        async with GroupConsumer(topic.keys[0], "g", "c", redis_url=three.url) as member:
            for key, entries in await member.read_messages(dict.fromkeys(topic.keys, ">")):
                await member.ack_message(*(entry for entry, _ in entries[:5]), stream_key=key)
        assert await client.keep_trimmed(topic.keys, approximate=False).trim() == 30
        assert [await client.get_stream_length(key) for key in topic.keys] == [5] * 6


async def test_closing_the_client_ends_the_trimming(valkey_url: str) -> None:
    """Without an error, and `aclose` may follow."""
    client = MQClient(redis_url=valkey_url)
    async with client.keep_trimmed(["s"], every_s=0.001) as trimmer:
        task = trimmer._task
        await client.aclose()
        assert task is not None
        await task
    assert repr(trimmer) == "<AcknowledgedTrimmer 1 streams, not running>"


@pytest.mark.parametrize("wrong", [{"every_s": 0}, {"maxlen": -1}, {"max_age_s": -1.0}, {"dead_after_s": 0}])
async def test_arguments_that_can_not_be_are_refused(valkey_url: str, wrong: dict[str, float]) -> None:
    """At once."""
    async with MQClient(redis_url=valkey_url) as client:
        with pytest.raises(MessagingValueError, match=next(iter(wrong))):
            client.keep_trimmed(["s"], **wrong)  # type: ignore[arg-type]
        with pytest.raises(MessagingValueError, match="no stream key"):
            AcknowledgedTrimmer(client._router, [])
