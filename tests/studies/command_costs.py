"""What single commands cost a server, by its own clock (INFO commandstats): no network and no client is in these times.

Alternatives take turns in many short rounds, and each is told by its median, so that what else the machine does meets
all alike.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import redis.asyncio

Client = redis.asyncio.Redis
BATCH = 500
"""Commands of one pipeline."""
Command = tuple[Any, ...]


async def send(client: Client, commands: Sequence[Command]) -> None:
    """Sends them in pipelines of `BATCH`."""
    for first in range(0, len(commands), BATCH):
        async with client.pipeline(transaction=False) as pipeline:
            for command in commands[first : first + BATCH]:
                pipeline.execute_command(*command)
            await pipeline.execute()


async def cost(client: Client, commands: Sequence[Command]) -> float:
    """The server's time for all of them in µs for each of them."""
    await client.config_resetstat()
    await send(client, commands)
    stats: Mapping[str, Mapping[str, float]] = await client.info("commandstats")
    names = {str(command[0]).lower() for command in commands}
    return sum(stats[f"cmdstat_{name}"]["usec"] for name in names) / len(commands)


async def costs(
    client: Client, alternatives: Mapping[str, Callable[[], Sequence[Command]]], rounds: int
) -> dict[str, float]:
    """The median over the rounds of what the commands of each alternative cost; each is asked for them anew."""
    found: dict[str, list[float]] = {name: [] for name in alternatives}
    for at in range(rounds):
        order = list(alternatives)
        random.Random(at).shuffle(order)
        for name in order:
            found[name].append(await cost(client, alternatives[name]()))
    return {name: round(median(each), 3) for name, each in found.items()}


async def memory(client: Client) -> int:
    """The bytes that the server has in use."""
    used: int = (await client.info("memory"))["used_memory"]
    return used
