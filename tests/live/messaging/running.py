"""What tests of the Runner share: sending records, a runner at work, and questions to wait for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import redis.asyncio
from pending import STREAM, holds

from ombdriver import MQClient
from ombdriver.messaging.topics.consumer.message import Message
from ombdriver.messaging.topics.runner.retry import RetryPolicy
from ombdriver.messaging.topics.runner.runner import Runner

AT_ONCE = RetryPolicy(max_deliveries=3, backoff=lambda _: 0)
Handle = Callable[[Message[bytes]], Awaitable[object]]


async def send(raw: redis.asyncio.Redis, *values: object, key: str | None = None) -> list[bytes]:
    """Sends records; gives their ids."""
    fields: dict[Any, Any] = {} if key is None else {"key": key}
    return [await raw.xadd(STREAM, {"value": str(value), **fields}) for value in values]


@contextlib.asynccontextmanager
async def running(client: MQClient, handle: Handle, **options: Any) -> AsyncIterator[Runner[Any]]:
    """A runner at work; stopped at the end."""
    runner = client.runner("t", "g", **{"block_ms": 50, "retry": AT_ONCE, **options})
    runner.handler(handle)
    task = asyncio.create_task(runner.run(signals=False))
    try:
        yield runner
    finally:
        runner.stop()
        await task


async def settled(raw: redis.asyncio.Redis, stream: bytes = STREAM) -> bool:
    """Whether the group has been given everything, and nothing is pending."""
    groups = await raw.xinfo_groups(stream)
    last = (await raw.xinfo_stream(stream))["last-generated-id"]
    return bool(groups) and groups[0]["pending"] == 0 and groups[0]["last-delivered-id"] == last


async def met(answer: bool) -> bool:
    """For `until`: what is known here."""
    return answer


async def holds_are(raw: redis.asyncio.Redis, expected: dict[bytes, tuple[str, int]]) -> bool:
    """Whether exactly these entries are pending, by consumer and delivery count."""
    return await holds(raw) == expected
