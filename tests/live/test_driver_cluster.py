"""The driver for streams on a cluster whose slots move while it sends and reads."""

import asyncio

from redis.crc import key_slot
from seam import ONE, ONE_KEY, RUN_ID, Replies, ignored, receive

from ombdriver.bench.drivers.api import TopicSpec, load_driver
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.topology import ServerPlan, slot_ranges


async def test_a_partition_that_has_moved_is_found_where_it_is(valkey_cluster: ManagedServers) -> None:
    """A message that meets MOVED has failed, and is not stored; those after it arrive, are read and acknowledged."""
    for node in valkey_cluster.nodes:
        await node.ask(["FLUSHALL"])
    driver = await load_driver("redis-streams")({"url": valkey_cluster.url, "run_id": RUN_ID, "block_ms": 50})
    await driver.create_topics([ONE], ["g"])
    replies = Replies()
    producer = await driver.create_producer(ONE, replies)
    consumer = await driver.create_consumer([ONE], "g", "c")
    producer.send(0, [b"before"], None)
    await replies.until(1)
    for batch in await receive(consumer, 1):
        consumer.acknowledge(batch, ignored)
    while await driver.backlog([ONE], "g"):  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.01)

    await _move(valkey_cluster, f"{{{ONE.name}:0}}")
    sent = 1
    while not any(first > 0 and error is None for _, first, _, error, *_ in replies.told):
        while producer.room() <= 0:
            roomy = asyncio.Event()
            producer.when_room(roomy.set)
            await roomy.wait()
        producer.send(0, [b"after"], None)
        sent += 1
        await replies.until(sent)

    stored = len(replies.indices(0)) - 1
    got = [payload for batch in await receive(consumer, stored) for payload in batch.payloads]
    assert got == [b"after"] * stored
    await driver.delete_created()
    await driver.aclose()


async def test_a_slot_that_nobody_has_is_waited_for() -> None:
    """Messages and acknowledgements are held until some server has it again; nothing ends, and nothing is left over."""
    async with await ManagedServers.start(ServerPlan(topology="cluster")) as servers:
        driver = await load_driver("redis-streams")({"url": servers.url, "run_id": RUN_ID, "block_ms": 50})
        await driver.create_topics([ONE], ["g"])
        replies = Replies()
        producer = await driver.create_producer(ONE, replies)
        consumer = await driver.create_consumer([ONE], "g", "c")
        producer.send(0, [b"before"], None)
        await replies.until(1)
        (batch,) = await receive(consumer, 1)
        slot = key_slot(ONE_KEY.encode())
        owner = servers.nodes[next(at for at, slots in enumerate(slot_ranges(3)) if slot in slots)]
        for node in servers.nodes:
            await node.ask(["CLUSTER", "DELSLOTS", str(slot)])

        sent = 1
        while producer.room() > 0:  # the first messages tell that it is gone
            producer.send(0, [b"refused"], None)
            sent += 1
            await replies.until(sent)
            await asyncio.sleep(0)
        roomy, acknowledged = asyncio.Event(), asyncio.Event()
        producer.when_room(roomy.set)
        consumer.acknowledge(batch, lambda _: acknowledged.set())
        await owner.ask(["CLUSTER", "ADDSLOTS", str(slot)])
        await acknowledged.wait()
        await roomy.wait()
        while producer.room() <= 0:
            roomy.clear()
            producer.when_room(roomy.set)
            await roomy.wait()
        producer.send(0, [b"after"], None)

        assert [one.payloads for one in await receive(consumer, 1)] == [[b"after"]]
        await replies.until(sent + 1)  # it may be read before it is answered: those are two connections
        assert replies.indices(0) == [0, sent]
        await driver.aclose()


async def test_producers_share_room_where_they_share_a_server(valkey_cluster: ManagedServers) -> None:
    """One that is full leaves those of other primaries their room."""
    driver = await load_driver("redis-streams")({"url": valkey_cluster.url, "run_id": RUN_ID})
    topics = [TopicSpec(f"ombdriver-{RUN_ID}-{number:04d}") for number in range(12)]
    await driver.create_topics(topics, ["g"])
    producers = [await driver.create_producer(topic, Replies()) for topic in topics]
    held = [str(await node.ask(["KEYS", "{ombdriver-*"])) for node in valkey_cluster.nodes]
    owners = [next(at for at, keys in enumerate(held) if f"{{{topic.name}:0}}" in keys) for topic in topics]
    assert len(set(owners)) == 3

    producers[0].send(0, [b"m"] * producers[0].room(), None)

    for producer, owner in zip(producers, owners, strict=True):
        assert (producer.shared_room() == producers[0].shared_room()) == (owner == owners[0])
        assert (producer.room() > 0) == (owner != owners[0])
    await driver.delete_created()
    await driver.aclose()


async def _move(servers: ManagedServers, key: str) -> None:
    """Gives the slot of `key`, with its one stream, to the next primary."""
    slot = str(key_slot(key.encode()))
    owners = [await node.ask(["CLUSTER", "MYID"]) for node in servers.nodes]
    ids = [one.decode() if isinstance(one, bytes) else str(one) for (one,) in owners]
    counts = [await node.ask(["CLUSTER", "COUNTKEYSINSLOT", slot]) for node in servers.nodes]
    source = next(at for at, (count,) in enumerate(counts) if count)
    target = (source + 1) % len(servers.nodes)
    here, there = servers.nodes[source], servers.nodes[target]
    await there.ask(["CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source]])
    await here.ask(["CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target]])
    await here.ask(["MIGRATE", "127.0.0.1", str(there.port), key, "0", "5000"])
    for node in (there, here):
        await node.ask(["CLUSTER", "SETSLOT", slot, "NODE", ids[target]])
