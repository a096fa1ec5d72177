"""Records for the tests of the topic level: stored by the test's own client, and taken by a consumer."""

from collections.abc import Iterable
from typing import Any

import redis.asyncio

from ombdriver import Topic
from ombdriver.messaging.topics.consumer.consumer import Consumer
from ombdriver.messaging.topics.record import record_fields

TOPIC = Topic("t", 3)


async def store(raw: Any, values: Iterable[int], topic: Topic = TOPIC) -> list[str]:
    """Stores each number as a value, in turn on all partitions; the ids."""
    stored = [await raw.xadd(topic.keys[n % topic.partitions], record_fields(b"%d" % n)) for n in values]
    return [one.decode() for one in stored]


async def take(consumer: Consumer[bytes], count: int, *, ack: bool = True) -> list[int]:
    """The numbers of the next `count` messages."""
    found = []
    for _ in range(count):
        message = await consumer.getone()
        found.append(int(message.value))
        if ack:
            await message.ack()
    return found


async def pending(raw: redis.asyncio.Redis, group: str = "g", topic: Topic = TOPIC) -> int:
    """How many messages of the group are pending, on all partitions."""
    return sum([(await raw.xpending(key, group))["pending"] for key in topic.keys])
