"""All classes on a cluster of three primaries: what one server does by key, a cluster does wherever the key is."""

import asyncio
import contextlib
import random
import time
from collections import Counter

import pytest
import redis.asyncio
from topologies import Cluster

from ombdriver import (
    Group,
    GroupConsumer,
    GroupManager,
    MessagingError,
    MessagingValueError,
    MQClient,
    MQConsumer,
    MQProducer,
    NotSentError,
    RedisPool,
    Topic,
)

TOPIC = Topic("t", 12)


async def fill(producer: MQProducer, count: int) -> list[str]:
    """Sends messages 0 to count - 1."""
    return list(await asyncio.gather(*(producer.send_message({"n": n}) for n in range(count))))


async def test_messages_of_a_topic_go_to_their_partitions(three: Cluster) -> None:
    """Each on the primary that has it; ids come back, and keys go where they always go."""
    async with MQProducer(TOPIC, redis_url=three.url) as producer:
        ids = await fill(producer, 120)
        assert len(ids) == 120
        assert all(isinstance(one, str) for one in ids)
        assert [await producer.get_stream_length(key) for key in TOPIC.keys] == [10] * 12
        keyed = await producer.send_message({"f": 1}, key="customer", nomkstream=True)

    partition = TOPIC.keys[TOPIC.partition_of("customer")]
    assert await three.raw[three.owner(partition)].xrange(partition, keyed, keyed)
    assert {three.owner(key) for key in TOPIC.keys} == {0, 1, 2}


async def test_queries_and_changes_find_their_stream(three: Cluster) -> None:
    """The rare commands, in the shapes that one server gives."""
    async with MQProducer("s", redis_url=three.url) as producer:
        ids = await fill(producer, 5)
        assert await producer.check_health() is True
        assert await producer.query_messages("s", count=2) == [(ids[0], {"n": "0"}), (ids[1], {"n": "1"})]
        assert (await producer.reverse_query_messages("s", count=1))[0][0] == ids[4]
        info = await producer.get_stream_info("s")
        assert (info["length"], info["first-entry"]) == (5, (ids[0], {"n": "0"}))
        assert await producer.delete_message("s", ids[0]) == 1
        assert await producer.trim_stream("s", maxlen=2, approximate=False) == 2
        with pytest.raises(redis.exceptions.ResponseError, match="no such key"):
            await producer.get_stream_info("nothing")


async def test_groups_are_made_read_acknowledged_and_claimed(three: Cluster) -> None:
    """The life of a group on one stream."""
    async with MQProducer("s", redis_url=three.url) as producer, GroupManager("s", redis_url=three.url) as manager:
        group: Group = await manager.create_group("g")
        assert await manager.create_group("g") is group
        one, two = await group.create_consumer("one"), await group.create_consumer("two")
        ids = await fill(producer, 4)
        ((stream, entries),) = await one.block_read_messages(count=3)
        assert (stream, [entry for entry, _ in entries]) == ("s", ids[:3])
        assert await one.ack_message(ids[0]) == 1
        assert [each["message_id"] for each in await one.query_pending_messages("-", "+", 10)] == ids[1:3]
        assert await group.claim_message("two", 0, ids[1:2]) == [(ids[1], {"n": "1"})]
        assert await two.read_messages({"s": 0}) == [["s", [(ids[1], {"n": "1"})]]]
        assert (await group.get_pending_info())["pending"] == 2
        with pytest.raises(Exception, match="pending messages"):
            await group.delete_consumer("two", force=False)
        assert {each["name"] for each in await group.get_consumers_info()} == {"one", "two"}
        assert await group.delete_consumer("two") == 1
        assert (await manager.get_groups_info())[0]["name"] == "g"
        assert await group.set_msg_id("$") is True
        assert await manager.destroy_group("g") == 1
        assert await manager.destroy_group("g") == 0


async def test_one_group_read_covers_streams_of_several_slots(three: Cluster) -> None:
    """Each message comes once, whatever server it is on; time without messages is an empty list."""
    async with MQProducer(TOPIC, redis_url=three.url) as producer:
        managers = [GroupManager(key, redis_pool=producer.redis_pool) for key in TOPIC.keys]
        for manager in managers:
            await manager.create_group("g")
        async with GroupConsumer(TOPIC.keys[0], "g", "c", redis_url=three.url) as consumer:
            assert await consumer.block_read_messages(*TOPIC.keys[1:], block=10) == []
            await fill(producer, 300)
            seen: list[int] = []
            while len(seen) < 300:
                for stream, entries in await consumer.block_read_messages(*TOPIC.keys[1:], count=7):
                    seen += [int(fields["n"]) for _, fields in entries]
                    ids = [entry for entry, _ in entries]
                    assert await consumer.ack_message(*ids, stream_key=stream) == len(ids)
            assert sorted(seen) == list(range(300))
            assert await consumer.read_messages(dict.fromkeys(TOPIC.keys, ">")) == []
            assert consumer.statistics().received == 300
        for manager in managers:
            await manager.aclose()


async def test_a_read_now_gathers_from_all_servers(three: Cluster) -> None:
    """Without waiting: everything that is there, streams in the order asked for; own pending messages too."""
    async with MQProducer(TOPIC, redis_url=three.url) as producer, MQConsumer("x", redis_url=three.url) as plain:
        for key in TOPIC.keys:
            async with GroupManager(key, redis_pool=producer.redis_pool) as manager:
                await manager.create_group("g")
        await fill(producer, 24)
        assert [key for key, _ in await plain.read_messages(dict.fromkeys(TOPIC.keys, 0))] == list(TOPIC.keys)
        async with GroupConsumer(TOPIC.keys[0], "g", "c", redis_url=three.url) as consumer:
            for start in (">", 0):
                got = await consumer.read_messages(dict.fromkeys(TOPIC.keys, start))
                assert [(key, len(entries)) for key, entries in got] == [(key, 2) for key in TOPIC.keys]


async def test_group_reads_of_several_slots_that_are_cancelled_lose_nothing(three: Cluster) -> None:
    """What the servers gave to a read that was cancelled comes with a later one."""
    rng = random.Random(1)
    async with MQProducer(TOPIC, redis_url=three.url) as producer:
        for key in TOPIC.keys:
            async with GroupManager(key, redis_pool=producer.redis_pool) as manager:
                await manager.create_group("g")
        async with GroupConsumer(TOPIC.keys[0], "g", "c", redis_url=three.url) as consumer:
            seen: list[int] = []

            async def read() -> None:
                got = await consumer.block_read_messages(*TOPIC.keys[1:], count=3, block=500)
                seen.extend(int(fields["n"]) for _, entries in got for _, fields in entries)

            sent = 0
            while len(seen) < 300:
                task = asyncio.create_task(read())
                if sent < 300:
                    batch = [producer.send_message({"n": n}) for n in range(sent, min(sent + 20, 300))]
                    sent += len(batch)
                    await asyncio.gather(*batch)
                for _ in range(rng.randrange(40)):
                    await asyncio.sleep(0)
                if rng.random() < 0.7:
                    task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            assert sorted(seen) == list(range(300))


async def test_a_consumer_without_a_group_misses_nothing_on_several_slots(three: Cluster) -> None:
    """Its cursors go on where they stood, whichever server answers first."""
    async with MQProducer(TOPIC, redis_url=three.url) as producer, MQConsumer(TOPIC.keys[0], None, three.url) as reader:
        assert await reader.block_read_messages(*TOPIC.keys[1:], block=5) == []
        seen: list[int] = []
        for start in range(0, 300, 60):
            await asyncio.gather(*(producer.send_message({"n": n}) for n in range(start, start + 60)))
            task = asyncio.create_task(reader.block_read_messages(*TOPIC.keys[1:], count=4))
            await asyncio.sleep(0)
            task.cancel()
            while len(seen) < start + 60:
                got = await reader.block_read_messages(*TOPIC.keys[1:], count=4)
                seen += [int(fields["n"]) for _, entries in got for _, fields in entries]
        assert sorted(seen) == list(range(300))
        began = time.monotonic()
        assert await reader.block_read_messages(*TOPIC.keys[1:], block=30) == []
        assert time.monotonic() - began < 5


async def test_no_command_asks_where_its_keys_are(three: Cluster) -> None:
    """redis-py's cluster client asks COMMAND GETKEYS twice for each read; here the map serves all reads."""
    asked, looked = await three.calls("command|getkeys"), await three.calls("cluster|slots")
    async with MQProducer(TOPIC, redis_url=three.url) as producer:
        manager = GroupManager(TOPIC.keys[0], redis_pool=producer.redis_pool)
        consumer = await (await manager.create_group("g")).create_consumer("c")
        plain = MQConsumer(TOPIC.keys[0], redis_pool=producer.redis_pool)
        await fill(producer, 24)
        for _ in range(3):
            await consumer.read_messages({TOPIC.keys[0]: ">"}, count=1)
            await consumer.block_read_messages(block=1)
            await plain.read_messages({TOPIC.keys[0]: 0})
            await plain.block_read_messages(block=1)
        await plain.aclose()
        await manager.aclose()

    assert await three.calls("command|getkeys") == asked
    assert await three.calls("command") == 0
    assert await three.calls("cluster|slots") - looked < 12  # the reads; a server that stalls is a reason to ask again


async def test_a_redis_py_cluster_client_lends_its_settings(three: Cluster) -> None:
    """Its own connections are not used, so it is never opened."""
    cluster = redis.asyncio.RedisCluster(host="127.0.0.1", port=three.port(1))
    async with MQProducer(TOPIC, redis_pool=cluster) as producer, MQClient(redis_pool=cluster) as client:
        await fill(producer, 12)
        assert [await client.get_stream_length(key) for key in TOPIC.keys] == [1] * 12
        assert client.redis_pool is cluster
        assert (await client.query_messages(TOPIC.keys[0]))[0][1] == {b"n": b"0"}
        assert cluster.get_nodes() == []


async def test_clients_of_a_name_share_the_connections_of_a_cluster(three: Cluster) -> None:
    """As on one server."""
    await RedisPool.init_redis("cluster", redis_url=three.url)
    one, two = MQClient("cluster"), MQProducer("s", "cluster")
    await two.send_message({"f": 1})
    assert await one.get_stream_length("s") == 1
    assert one._router() is two._router()
    await RedisPool.close_redis("cluster")


async def test_seeds_that_are_gone_are_passed_over(three: Cluster) -> None:
    """One that answers is enough; with none the caller is told at once, with the way out."""
    async with MQProducer("s", redis_url=f"redis+cluster://127.0.0.1:1,127.0.0.1:{three.port(2)}") as producer:
        assert await producer.send_message({"f": 1})
    async with MQProducer("s", redis_url="redis+cluster://u:s3cr3t@127.0.0.1:1,127.0.0.1:2") as producer:
        for call in (producer.send_message({"f": 1}), producer.get_stream_length("s"), producer.check_health()):
            with pytest.raises(NotSentError, match="is the server up") as caught:
                await call
            assert "s3cr3t" not in str(caught.value)
        assert "s3cr3t" not in repr(producer._router()) + repr(producer)


async def test_a_server_that_is_no_cluster_is_told(valkey_url: str) -> None:
    """Rather than tried for half a minute."""
    url = valkey_url.replace("redis://", "redis+cluster://")
    async with MQProducer("s", redis_url=url) as producer:
        with pytest.raises(redis.exceptions.ResponseError, match="cluster support disabled"):
            await producer.send_message({"f": 1})


async def test_a_cluster_client_that_is_dropped_is_closed_with_a_warning(three: Cluster) -> None:
    """As one of a single server."""
    holder = [MQProducer("s", redis_url=three.url)]
    await holder[0].send_message({"f": 1})
    before = len(await three.raw[three.owner("s")].client_list())
    with pytest.warns(ResourceWarning, match="dropped without aclose"):
        holder.clear()
    while len(await three.raw[three.owner("s")].client_list()) == before:  # noqa: ASYNC110 - the server's
        await asyncio.sleep(0.002)


async def test_a_balanced_topic_has_even_shares_and_is_recorded(three: Cluster) -> None:
    """Whoever asks later gets what the first one chose, also when slots have moved; another number is refused."""
    async with MQClient(redis_url=three.url) as first, MQClient(redis_url=three.url) as second:
        topic = await first.balanced_topic("orders", 12)
        assert [three.owner(key) for key in topic.keys] == [0, 1, 2] * 4
        assert await second.balanced_topic("orders", 12) == topic
        with pytest.raises(MessagingValueError, match="recorded with 12 partitions"):
            await second.balanced_topic("orders", 6)
        async with MQProducer(topic, redis_url=three.url) as producer:
            await fill(producer, 24)
            assert [await producer.get_stream_length(key) for key in topic.keys] == [2] * 12
        record = "{orders}:placement"
        await three.raw[three.owner(record)].set(record, '["other:0", "other:1"]')
        assert (await second.balanced_topic("orders", 2)).keys == ("{other:0}", "{other:1}")
        await three.raw[three.owner(record)].set(record, "nonsense")
        with pytest.raises(MessagingError, match="no placement"):
            await second.balanced_topic("orders", 2)


async def test_topics_of_one_partition_are_spread_over_the_primaries(three: Cluster) -> None:
    """The first primary moves on from topic to topic, whoever asks; and who asks again finds what was recorded."""
    async with MQClient(redis_url=three.url) as first, MQClient(redis_url=three.url) as second:
        topics = [await (first, second)[at % 2].balanced_topic(f"t{at}", 1) for at in range(12)]
        assert Counter(three.owner(topic.keys[0]) for topic in topics) == {0: 4, 1: 4, 2: 4}
        assert [await second.balanced_topic(f"t{at}", 1) for at in range(12)] == topics


async def test_many_who_ask_for_a_balanced_topic_at_once_agree(three: Cluster) -> None:
    """One of them is first."""
    clients = [MQClient(redis_url=three.url) for _ in range(5)]
    topics = await asyncio.gather(*(client.balanced_topic("t", 7) for client in clients))
    assert len(set(topics)) == 1
    for client in clients:
        await client.aclose()


async def test_a_topic_on_one_server_is_placed_naturally(valkey_url: str) -> None:
    """And nothing is recorded."""
    async with MQClient(redis_url=valkey_url) as client:
        assert await client.balanced_topic("t", 3) == Topic("t", 3)
        assert await client.redis_pool.keys("*") == []
