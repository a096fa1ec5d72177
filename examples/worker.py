"""Handles the orders that `publisher.py` publishes, until SIGTERM or Ctrl-C; start as many as there is work for.

    python examples/worker.py redis://localhost:6379

An order that fails is tried again, and after three deliveries it is among the dead letters. A second Ctrl-C ends it at
once; the orders that were being handled then come to another worker.
"""

# ruff: noqa: T201 - a program that tells what it does

import asyncio
import logging
import sys
from typing import Any

from ombdriver import ExponentialBackoff, JsonCodec, Message, MQClient, RetryPolicy, Topic

ORDERS = Topic("orders", 4)


async def main(url: str) -> None:
    """Handles orders until it is told to stop."""
    async with MQClient(redis_url=url) as client:
        runner = client.runner(
            ORDERS,
            "billing",
            codec=JsonCodec(),
            concurrency=16,
            retry=RetryPolicy(max_deliveries=3, backoff=ExponentialBackoff(first_s=0.1, cap_s=5)),
        )

        @runner.handler
        async def bill(message: Message[Any]) -> None:
            order = message.value
            if order["amount"] == 0:
                raise ValueError(f"order {order['number']} is for nothing")
            await asyncio.sleep(0.001)  # here the work is done
            print(f"billed order {order['number']}", flush=True)

        await runner.run()

    told = runner.statistics()
    print(
        f"{told.handled} handled, {told.failed} failed, {told.dead_lettered} given up, {told.returned} left to others"
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(main(sys.argv[1]))
