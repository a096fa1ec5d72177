"""What tests of pending entries share: a stream with a group, entries delivered to a consumer, and a look at them."""

import contextlib
from typing import Any

import redis.asyncio

from ombdriver import MQClient
from ombdriver.messaging.topics.consumer.config import ConsumerStatistics
from ombdriver.messaging.topics.consumer.group import GroupMember
from ombdriver.messaging.topics.consumer.partition import Partition

STREAM = b"{t:0}"
PARTITION = Partition(0, "{t:0}")
GROUP = b"g"
VISIBILITY_MS = 30_000


def member(client: MQClient, name: str, group: bytes = GROUP) -> GroupMember:
    """A member of the group, on the client's connections."""
    return GroupMember(client._router(), group, name.encode(), True, VISIBILITY_MS, ConsumerStatistics())


async def deliver(raw: redis.asyncio.Redis, count: int, to: str, stream: bytes = STREAM) -> list[bytes]:
    """Adds entries with the values 0 to count - 1, and has `to` read them; gives their ids."""
    with contextlib.suppress(redis.exceptions.ResponseError):  # it is there already
        await raw.xgroup_create(stream, GROUP, "0", mkstream=True)
    pipeline = raw.pipeline(transaction=False)
    for n in range(count):
        pipeline.xadd(stream, {"value": str(n)})
    ids: list[bytes] = await pipeline.execute()
    await raw.xreadgroup(GROUP, to, {stream: ">"}, count=count)
    return ids


async def abandon(raw: redis.asyncio.Redis, ids: list[bytes], owner: str, idle_ms: int = 60_000) -> None:
    """Makes entries look as if nobody had touched them for so long."""
    for start in range(0, len(ids), 1000):
        await raw.xclaim(STREAM, GROUP, owner, 0, ids[start : start + 1000], idle=idle_ms, justid=True)


async def holds(raw: redis.asyncio.Redis, count: int = 10_000, stream: bytes = STREAM) -> dict[bytes, tuple[str, int]]:
    """Per pending id its consumer and its delivery count."""
    rows: list[dict[str, Any]] = await raw.xpending_range(stream, GROUP, "-", "+", count)
    return {row["message_id"]: (row["consumer"].decode(), row["times_delivered"]) for row in rows}


async def idle_ms(raw: redis.asyncio.Redis, entry_id: bytes) -> int:
    """For how long an entry was not touched."""
    (row,) = await raw.xpending_range(STREAM, GROUP, entry_id, entry_id, 1)
    return int(row["time_since_delivered"])
