"""Two members of a group through a random course of faults, by seed: nothing is lost, what comes twice says so."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable

import pytest
import redis.asyncio
from proxy import ReadLosingProxy
from records import TOPIC, pending, store

from ombdriver import MQClient
from ombdriver.messaging.topics.consumer.message import Message

STEPS = 60


class Worker:
    """A consumer with a name that stays, which is closed, killed and started again; handles what it gets, or not.

    Args:
        url: the server.
        name: its name.
        seed: of what it does with messages.
    """

    def __init__(self, url: str, name: str, seed: int) -> None:
        self._url, self._name = url, name
        self._random = random.Random(seed)
        self.handled: list[tuple[int, int]] = []
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins with a client of its own."""
        self._client = MQClient(redis_url=self._url)
        self._consumer = self._client.consumer(
            TOPIC, "g", self._name, prefetch=20, block_ms=100, visibility_timeout_ms=1_000
        )
        await self._consumer.start()
        self._task = asyncio.create_task(self._go())

    async def _go(self) -> None:
        async for message in self._consumer:
            await self._handle(message)

    async def _handle(self, message: Message[bytes]) -> None:
        chance = self._random.random()
        if chance < 0.1:
            await message.nack(delay=self._random.choice((0.0, 0.02)))
            return
        if chance < 0.2:
            await message.in_progress()
        self.handled.append((int(message.value), message.delivery_count))
        await message.ack()

    async def close(self) -> None:
        """In good order."""
        await self._consumer.close()
        if self._task is not None:
            await self._task
        await self._client.aclose()

    async def kill(self) -> None:
        """As a process that dies: what it holds, and has not said, is not said."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._client.aclose()
        await self._consumer.close()


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_lost_whatever_happens(
    server_url: str, raw: redis.asyncio.Redis, cut: Callable[[], Awaitable[None]], seed: int
) -> None:
    """Each message is handled; the second time, if there is one, its delivery count is above one; nothing is left."""
    chance, stored = random.Random(seed), 0
    async with ReadLosingProxy(server_url) as proxy:
        workers = [Worker(proxy.url, name, seed) for name in ("one", "other")]
        for worker in workers:
            await worker.start()
        for _ in range(STEPS):
            count = chance.randrange(1, 30)
            await store(raw, range(stored, stored + count))
            stored += count
            step, worker = chance.randrange(8), chance.choice(workers)
            if step == 0:
                await cut()
            elif step == 1:
                proxy.losing = 1
            elif step == 2:
                proxy.cut()
            elif step == 3:
                await worker.close()
                await worker.start()
            elif step == 4:
                await worker.kill()
                await worker.start()
            await asyncio.sleep(chance.random() * 0.02)  # the course of events itself
        proxy.losing = 0
        handled: dict[int, list[int]] = defaultdict(list)
        async with asyncio.timeout(30):
            while len(handled) < stored or await pending(raw):
                await asyncio.sleep(0.02)
                handled.clear()
                for worker in workers:
                    for number, count in worker.handled:
                        handled[number].append(count)
                    if worker._task is not None and worker._task.done():
                        worker._task.result()
        for worker in workers:
            await worker.close()
    assert handled.keys() == set(range(stored))
    twice = {number: counts for number, counts in handled.items() if len(counts) > 1 and max(counts) == 1}
    assert twice == {}, "what came twice did not say so"
