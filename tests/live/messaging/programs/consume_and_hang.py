"""Consumes as a member of a group: acknowledges some messages, takes more, says so, and hangs until it is killed."""

import asyncio
import sys

from ombdriver import MQClient, Topic


async def main(url: str, acknowledged: int, taken: int) -> None:
    """Takes `taken` messages, of which it acknowledges the first ones, and makes sure of that."""
    async with MQClient(redis_url=url) as client, client.consumer(Topic("t", 3), "g", "me") as consumer:
        for n in range(taken):
            message = await consumer.getone()
            if n < acknowledged:
                await message.ack()
        await consumer.flush()
        sys.stdout.write("taken\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
