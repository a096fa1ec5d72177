"""Publishes orders to a topic of four partitions; `worker.py` handles them.

    python examples/publisher.py redis://localhost:6379 1000

Each order goes to the partition of its customer. Every message is acknowledged by the server before this ends.
"""

# ruff: noqa: T201 - a program that tells what it does

import asyncio
import sys

from ombdriver import JsonCodec, MQClient, Topic

ORDERS = Topic("orders", 4)


async def main(url: str, count: int) -> None:
    """Publishes `count` orders of ten customers."""
    async with (
        MQClient(redis_url=url) as client,
        client.producer(ORDERS, codec=JsonCodec(), on_unknown="idempotent") as producer,
    ):
        futures = [
            await producer.send(
                {"number": number, "amount": number % 50}, key=f"customer-{number % 10}", headers={"source": "shop"}
            )
            for number in range(count)
        ]
        stored = await asyncio.gather(*futures)
        for partition in range(ORDERS.partitions):
            print(f"partition {partition}: {sum(each.partition == partition for each in stored)} orders")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
