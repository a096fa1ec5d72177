"""The library against redis-py, on one server: messages per second, sent or consumed and acknowledged."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from redis.asyncio import BlockingConnectionPool, Redis

from ombdriver import GroupManager, Message, MQClient, MQProducer, Retention, Topic
from ombdriver.bench.drivers.api import TopicSpec
from ombdriver.bench.drivers.redis_streams.driver import open_driver
from ombdriver.messaging.topics.producer.config import OnUnknown

PAYLOAD = b"x" * 1024
MESSAGE = {"payload": PAYLOAD}
KEPT = 10_000
BATCH = 500
FILLED = 60_000
IDLE_RUNNERS, IDLE_PARTITIONS, IDLE_S = 50, 64, 10.0

Send = Callable[[], Awaitable[object]]


class Idle(NamedTuple):
    """Commands a second that clients send for a group with nothing to do; what scripts call is not counted.

    Attributes:
        reads: XREADGROUP, one for each BLOCK of each member.
        others: all other commands: leases, reclaiming, what is due.
    """

    reads: float
    others: float


async def rate(send: Send, messages: int, callers: int) -> float:
    """Messages per second when `callers` callers await one send after the other."""

    async def caller(count: int) -> None:
        for _ in range(count):
            await send()

    start = time.perf_counter()
    await asyncio.gather(*(caller(messages // callers) for _ in range(callers)))
    return messages // callers * callers / (time.perf_counter() - start)


async def ours(url: str, messages: int, callers: int) -> float:
    """`MQProducer.send_message`."""
    async with MQProducer("bench", redis_url=url) as producer:
        await producer.send_message(MESSAGE)
        return await rate(lambda: producer.send_message(MESSAGE, maxlen=KEPT), messages, callers)


async def topic(url: str, messages: int, callers: int, on_unknown: OnUnknown = "raise") -> float:
    """`Producer.send_and_wait`, of the topic level."""
    kept = Retention(max_length=KEPT)
    async with (
        MQClient(redis_url=url) as client,
        client.producer("bench", retention=kept, on_unknown=on_unknown) as producer,
    ):
        await producer.send_and_wait(PAYLOAD)
        return await rate(lambda: producer.send_and_wait(PAYLOAD), messages, callers)


async def topic_unwaited(url: str, messages: int) -> float:
    """`Producer.send` by one caller, who waits for space alone, then for all."""
    kept = Retention(max_length=KEPT)
    async with (
        MQClient(redis_url=url) as client,
        client.producer("bench", retention=kept, buffer_messages=5_000) as producer,
    ):
        await producer.send_and_wait(PAYLOAD)
        start = time.perf_counter()
        for _ in range(messages):
            await producer.send(PAYLOAD)
        await producer.flush()
        return messages / (time.perf_counter() - start)


async def redis_py(url: str, messages: int, callers: int) -> float:
    """`Redis.xadd` over a pool with a connection for each caller."""
    pool = BlockingConnectionPool.from_url(url, max_connections=callers, timeout=60)
    async with Redis(connection_pool=pool) as client:
        await client.xadd("bench", MESSAGE)
        found = await rate(lambda: client.xadd("bench", MESSAGE, maxlen=KEPT), messages, callers)
    await pool.aclose()
    return found


async def redis_py_pipeline(url: str, messages: int, depth: int) -> float:
    """`Redis.xadd` in pipelines of `depth` commands, on one connection."""
    async with Redis.from_url(url) as client:

        async def send() -> None:
            pipeline = client.pipeline(transaction=False)
            for _ in range(depth):
                pipeline.xadd("bench", MESSAGE, maxlen=KEPT)
            await pipeline.execute()

        return depth * await rate(send, messages // depth, 1)


async def filled(url: str, field: str = "p") -> Redis:
    """A client, and `FILLED` messages of one field in the stream `filled` that no group has read."""
    client = Redis.from_url(url)
    await client.delete("filled")
    pipeline = client.pipeline(transaction=False)
    for at in range(FILLED):
        pipeline.xadd("filled", {field: PAYLOAD})
        if at % 1000 == 999:
            await pipeline.execute()
    return client


async def consume_redis_py(url: str) -> float:
    """Messages per second read 500 at a time, decoded, and acknowledged with one XACK per batch: redis-py."""
    async with await filled(url) as client, Redis.from_url(url, decode_responses=True) as reader:
        await client.xgroup_create("filled", "g", "0")
        start, got = time.perf_counter(), 0
        while got < FILLED:
            found = await reader.xreadgroup("g", "c", {"filled": ">"}, count=BATCH, block=1000)
            ids = [entry_id for entry_id, _ in found[0][1]]
            await reader.xack("filled", "g", *ids)
            got += len(ids)
        return got / (time.perf_counter() - start)


async def consume_ours(url: str) -> float:
    """The same through `GroupConsumer`, in the same shape."""
    async with await filled(url), GroupManager("filled", redis_url=url) as manager:
        group = await manager.create_group("g", msg_id="0")
        consumer = await group.create_consumer("c")
        async with consumer:
            start, got = time.perf_counter(), 0
            while got < FILLED:
                found = await consumer.block_read_messages(count=BATCH, block=1000)
                ids = [entry_id for entry_id, _ in found[0][1]]
                await consumer.ack_message(*ids)
                got += len(ids)
            return got / (time.perf_counter() - start)


async def consume_topic(url: str) -> float:
    """Messages per second through the topic level's `Consumer`: taken one by one, looked at, and acknowledged."""
    async with await filled(url, "value") as client:
        await client.delete("{filled:0}")
        await client.rename("filled", "{filled:0}")
        async with MQClient(redis_url=url) as ours, ours.consumer("filled", "g") as consumer:
            start, got = time.perf_counter(), 0
            async for message in consumer:
                got += len(message.value) == len(PAYLOAD)
                await message.ack()
                if got == FILLED:
                    break
            await consumer.flush()
            return got / (time.perf_counter() - start)


async def run_topic(url: str) -> float:
    """Messages per second through a `Runner` whose handler looks at each message."""
    async with await filled(url, "value") as client:
        await client.delete("{filled:0}")
        await client.rename("filled", "{filled:0}")
        async with MQClient(redis_url=url) as ours:
            runner = ours.runner("filled", "g")
            got = 0

            @runner.handler
            async def handle(message: Message[bytes]) -> None:
                nonlocal got
                got += len(message.value) == len(PAYLOAD)
                if got == FILLED:
                    runner.stop()

            start = time.perf_counter()
            await runner.run(signals=False)
            return got / (time.perf_counter() - start)


async def idle_group(url: str) -> Idle:
    """What a group of runners on a topic of many partitions asks of the server while there is nothing to do."""
    async with MQClient(redis_url=url) as client, Redis.from_url(url) as eyes:
        runners = [client.runner(Topic("idle", IDLE_PARTITIONS), "g") for _ in range(IDLE_RUNNERS)]
        for runner in runners:
            runner.handler(_nothing)
        runs = [asyncio.create_task(runner.run(signals=False)) for runner in runners]
        await asyncio.sleep(IDLE_S)  # until all of them have started, and what is done once is over
        reads = others = 0
        async with eyes.monitor() as monitor:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_S):
                    async for command in monitor.listen():
                        if command["client_type"] != "lua":
                            reads += (is_read := command["command"].startswith("XREADGROUP"))
                            others += not is_read
        for runner in runners:
            runner.stop()
        await asyncio.gather(*runs)
        return Idle(reads / IDLE_S, others / IDLE_S)


async def _nothing(_: Message[bytes]) -> None:
    """Handles nothing: there is nothing."""


async def consume_driver(url: str) -> float:
    """The same through the harness's driver, which hands over payloads by batch."""
    async with await filled(url) as client:
        driver = await open_driver({"url": url, "run_id": "bench", "read_count": BATCH})
        topic = TopicSpec("ombdriver-bench-0000")
        await driver.create_topics([topic], ["g"])
        await client.rename("filled", "{ombdriver-bench-0000:0}")
        await client.xgroup_create("{ombdriver-bench-0000:0}", "g", "0")
        consumer = await driver.create_consumer([topic], "g", "c")
        start, got = time.perf_counter(), 0
        while got < FILLED:
            batch = await consumer.receive()
            if batch is not None:
                consumer.acknowledge(batch, lambda _: None)
                got += len(batch.payloads)
        await consumer.aclose()
        found = got / (time.perf_counter() - start)
        await driver.delete_created()
        await driver.aclose()
        return found
