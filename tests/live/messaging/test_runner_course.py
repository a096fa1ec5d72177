"""A random course of things that happen to runners, by seed: whatever it is, every message is handled to the end."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
import redis.asyncio
from pending import STREAM, holds
from running import settled
from topologies import until

from ombdriver import MQClient, RetryPolicy, Runner
from ombdriver.messaging.errors import RedisError
from ombdriver.messaging.topics.consumer.message import Message

Cut = Callable[[], Awaitable[None]]
VISIBILITY_MS = 700


class Course:
    """Runners that come and go, and messages.

    Attributes:
        handled: how often each value was handled to the end.
        begun: how often a handler began.
    """

    def __init__(self, url: str, chance: random.Random, ordering: str) -> None:
        self._url, self._chance, self._ordering = url, chance, ordering
        self.handled: Counter[bytes] = Counter()
        self.begun: Counter[bytes] = Counter()
        self.at_work: list[tuple[MQClient, Runner[bytes], asyncio.Task[None]]] = []

    async def handle(self, message: Message[bytes]) -> None:
        """Takes a moment or two; fails at times, gives back at times."""
        value, chance = message.value, self._chance.random()
        self.begun[value] += 1
        if chance < 0.02:
            await asyncio.sleep(VISIBILITY_MS * 2 / 1000)  # longer than the visibility time-out
        elif chance < 0.5:
            await asyncio.sleep(0)
        if 0.5 < chance < 0.6:
            raise ValueError("again")
        if 0.6 < chance < 0.63:
            await message.nack(delay=self._chance.choice([0, 0.05, 1.5]))
            return
        self.handled[value] += 1

    def start(self) -> None:
        """One more runner."""
        client = MQClient(redis_url=self._url)
        runner = client.runner(
            "t",
            "g",
            concurrency=self._chance.choice([1, 4, 16]),
            ordering="key" if self._ordering == "key" else "none",
            retry=RetryPolicy(None, backoff=lambda _: self._chance.choice([0, 0.01, 1.2])),
            visibility_timeout_ms=VISIBILITY_MS,
            drain_timeout_s=self._chance.choice([0, 0.2]),
            prefetch=self._chance.choice([1, 16, 128]),
            block_ms=50,
        )
        runner.handler(self.handle)
        self.at_work.append((client, runner, asyncio.create_task(runner.run(signals=False))))

    async def end(self, how: str) -> None:
        """Ends a runner: told to stop, cancelled, or as if its process had died."""
        client, runner, task = self.at_work.pop(self._chance.randrange(len(self.at_work)))
        if how == "stops":
            runner.stop()
        elif how == "is cancelled":
            task.cancel()
        else:
            await client.aclose()
        await asyncio.wait([task])
        if not task.cancelled():
            assert isinstance(task.exception(), RedisError | None)
        await client.aclose()


@pytest.mark.parametrize("ordering", ["none", "key"])
@pytest.mark.parametrize("seed", range(2))
async def test_every_message_is_handled_to_the_end(
    server_url: str, raw: redis.asyncio.Redis, cut: Cut, seed: int, ordering: str
) -> None:
    """And nothing is among the dead letters, since nothing was to be given up."""
    chance = random.Random(f"{seed} {ordering}")
    course = Course(server_url, chance, ordering)
    sent = 0
    course.start()
    for _ in range(25):
        match chance.choice(["send", "send", "start", "stops", "is cancelled", "dies", "cut", "wait", "wait"]):
            case "send":
                pipeline = raw.pipeline(transaction=False)
                for _ in range(chance.randrange(1, 100)):
                    pipeline.xadd(STREAM, {"value": str(sent), "key": str(sent % 5)})
                    sent += 1
                await pipeline.execute()
            case "start":
                if len(course.at_work) < 3:
                    course.start()
            case "cut":
                await cut()
            case "wait":
                before = sum(course.handled.values())
                with contextlib.suppress(TimeoutError):
                    await until(lambda before=before: _more(course, before + 20), within_s=0.5)
            case how:
                if course.at_work:
                    await course.end(how)
    if not sent:
        await raw.xadd(STREAM, {"value": str(sent), "key": "0"})
        sent = 1
    course.start()
    try:
        await until(lambda: settled(raw), within_s=45)
    finally:
        print(await holds(raw))  # noqa: T201 - for a failure
        while course.at_work:
            await course.end("stops")

    assert set(course.handled) == {b"%d" % n for n in range(sent)}
    assert await raw.exists("{t:0}:dlq") == 0
    assert await raw.xlen(STREAM) == sent


async def _more(course: Course, count: int) -> bool:
    return sum(course.handled.values()) >= count
