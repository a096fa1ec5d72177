"""A runner in a process of its own; what its handler does is said by the message. Prints each value that it begins.

`kill` kills the process; `wait` waits until there is something in the list `go`; `sleep` takes a hundredth of a second.
"""

import asyncio
import logging
import os
import signal
import sys

import redis.asyncio

from ombdriver import MQClient
from ombdriver.messaging.topics.consumer.message import Message
from ombdriver.messaging.topics.recovery.dead_letters import DeadLetterPolicy
from ombdriver.messaging.topics.runner.config import Ordering
from ombdriver.messaging.topics.runner.retry import RetryPolicy


async def main(
    url: str, concurrency: int, visibility_ms: int, drain_s: float, name: str | None, ordering: Ordering
) -> None:
    """Runs until it is told to stop."""
    async with MQClient(redis_url=url) as client, redis.asyncio.Redis.from_url(url, socket_timeout=None) as other:
        runner = client.runner(
            "t",
            "g",
            name,
            concurrency=concurrency,
            ordering=ordering,
            retry=RetryPolicy(3, backoff=lambda _: 0),
            dead_letter=DeadLetterPolicy(),
            visibility_timeout_ms=visibility_ms,
            drain_timeout_s=drain_s,
            block_ms=50,
        )

        @runner.handler
        async def handle(message: Message[bytes]) -> None:
            sys.stdout.write(message.value.decode() + "\n")
            sys.stdout.flush()
            if message.value.startswith(b"kill"):
                os.kill(os.getpid(), signal.SIGKILL)
            elif message.value.startswith(b"wait"):
                await other.brpop(["go"], timeout=0)
            elif message.value.startswith(b"sleep"):
                await asyncio.sleep(0.01)

        await runner.run()


logging.basicConfig(level=logging.ERROR)
kind: Ordering = "key" if sys.argv[6] == "key" else "none"
asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5] or None, kind))
