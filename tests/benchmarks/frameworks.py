"""What a user of FastStream has on the same server: publishing to a stream, and a subscriber that acknowledges each."""

import asyncio
import time

from faststream.redis import RedisBroker, StreamSub
from redis.asyncio import Redis

from tests.benchmarks.library import BATCH, KEPT, PAYLOAD, rate

STREAM = "faststream"


async def publish_faststream(url: str, messages: int, callers: int) -> float:
    """Messages per second, each awaited: `RedisBroker.publish(stream=…)`; its pool has 100 connections at most."""
    async with RedisBroker(url, logger=None) as broker:
        await broker.publish(PAYLOAD, stream=STREAM)
        return await rate(lambda: broker.publish(PAYLOAD, stream=STREAM, maxlen=KEPT), messages, callers)


async def consume_faststream(url: str, messages: int, workers: int) -> float:
    """Messages per second through a subscriber in a group, acknowledged after its handler, which looks at each.

    Raises:
        AssertionError: if they were not acknowledged in the end.
    """
    async with Redis.from_url(url) as client:
        await client.delete(STREAM)
        broker = RedisBroker(url, logger=None)
        await broker.connect()
        await rate(lambda: broker.publish(PAYLOAD, stream=STREAM), messages, 50)
        await client.xgroup_create(STREAM, "g", "0")
        done, got = asyncio.Event(), 0
        place = StreamSub(STREAM, group="g", consumer="c", last_id=">", max_records=BATCH, polling_interval=100)

        @broker.subscriber(stream=place, max_workers=workers)
        async def handle(body: bytes) -> None:
            nonlocal got
            got += len(body) == len(PAYLOAD)
            if got == messages:
                done.set()

        start = time.perf_counter()
        await broker.start()
        await done.wait()
        passed = time.perf_counter() - start
        await broker.stop()
        assert (await client.xpending(STREAM, "g"))["pending"] <= workers, "it does not acknowledge"
        return messages / passed
