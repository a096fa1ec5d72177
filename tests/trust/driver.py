"""The driver `trust`: `redis-streams`, whose workers do on a signal (SIGUSR1) what a situation wants from within.

What that is, is in the environment: a name, a colon, and a number.

    collect:MS    a run of the garbage collector that takes so long
    clock:MS      the consumers' clock goes on by so much; back, below 0
    wall:S        the wall clock goes on by so much; back, below 0

The driver is registered for this process and the workers that it starts alone, by a folder on the path.
"""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ombdriver.bench.drivers.api import (
    Batch,
    Driver,
    DriverConsumer,
    DriverProducer,
    OnAcknowledged,
    OnReplies,
    TopicSpec,
)
from ombdriver.bench.drivers.redis_streams.driver import open_driver as open_streams

MEDDLING = "OMBDRIVER_TRUST"
"""The variable of the environment that says what is to be done."""
ACCOUNT = "OMBDRIVER_TRUST_ACCOUNT"
"""That with the path of the file into which is written when the garbage collector ran."""


def register(folder: Path) -> None:
    """Makes this driver known as `trust`."""
    about = folder / "trust-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: trust\nVersion: 0\n")
    (about / "entry_points.txt").write_text("[ombdriver.drivers]\ntrust = tests.trust.driver:open_driver\n")
    sys.path.append(str(folder))


class _Consumer:
    """A consumer whose clock may be wrong."""

    def __init__(self, inner: DriverConsumer, driver: "MeddledDriver") -> None:
        self._inner, self._driver = inner, driver

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def receive(self) -> Batch | None:
        """See `api.DriverConsumer.receive`."""
        batch = await self._inner.receive()
        if batch is not None:
            batch.arrival_ns += self._driver.clock_ns
        return batch

    def acknowledge(self, batch: Batch, done: OnAcknowledged) -> None:
        """See `api.DriverConsumer.acknowledge`."""
        self._inner.acknowledge(batch, lambda time_ns: done(time_ns + self._driver.clock_ns))


class MeddledDriver:
    """Does what the environment says on each signal.

    Attributes:
        clock_ns: by how much the consumers' clock is wrong.
    """

    def __init__(self, inner: Driver) -> None:
        self._inner = inner
        self.clock_ns = 0
        self._objects: list[list[object]] = []
        self._object_ns = 25.0  # of one object's share in a collection, as a first guess

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def create_producer(self, topic: TopicSpec, on_replies: OnReplies) -> DriverProducer:
        """See `api.Driver.create_producer`."""
        self._listen()
        return await self._inner.create_producer(topic, on_replies)

    async def create_consumer(
        self, topics: Sequence[TopicSpec], subscription: str, name: str, partitions: Sequence[int] | None = None
    ) -> _Consumer:
        """See `api.Driver.create_consumer`."""
        self._listen()
        assigned = {} if partitions is None else {"partitions": partitions}
        return _Consumer(await self._inner.create_consumer(topics, subscription, name, **assigned), self)

    def _listen(self) -> None:
        what, _, number = os.environ[MEDDLING].partition(":")
        does: dict[str, Callable[[float], None]] = {
            "collect": self._collect,
            "clock": self._step_clock,
            "wall": self._step_wall_clock,
        }
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, does[what], float(number))

    def _collect(self, ms: float) -> None:
        """Collects among so many objects that this takes so long, by what it took the last time."""
        wanted = round(1e6 * ms / self._object_ns) - len(self._objects)
        began_ns = time.monotonic_ns()
        self._objects += [[] for _ in range(wanted)]
        collects_ns = time.monotonic_ns()
        gc.collect()
        ended_ns = time.monotonic_ns()
        self._object_ns = max(1.0, (ended_ns - collects_ns) / len(self._objects))
        with Path(os.environ[ACCOUNT]).open("a") as account:
            account.write(f"{began_ns} {ended_ns}\n")

    def _step_clock(self, ms: float) -> None:
        self.clock_ns += round(1e6 * ms)

    def _step_wall_clock(self, seconds: float) -> None:
        right, right_ns = time.time, time.time_ns
        time.time = lambda: right() + seconds
        time.time_ns = lambda: right_ns() + round(1e9 * seconds)


async def open_driver(options: Mapping[str, object]) -> MeddledDriver:
    """See `api.DriverFactory`."""
    return MeddledDriver(await open_streams(options))
