"""The driver seam as a test uses it: replies to wait for, messages to send by block, batches to read."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ombdriver.bench.drivers.api import Batch, Driver, DriverConsumer, DriverProducer, TopicSpec

RUN_ID = "conform1"
ONE = TopicSpec(f"ombdriver-{RUN_ID}-0000", 1)
ONE_KEY = f"{{{ONE.name}:0}}"
THREE = TopicSpec(f"ombdriver-{RUN_ID}-0001", 3)

Open = Callable[[], Awaitable[Driver]]


class Replies:
    """Notes what a producer reported, and lets a test wait for it."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int, int, Exception | None, int, Any]] = []
        self._more = asyncio.Event()

    def __call__(self, *reply: Any) -> None:
        """`api.OnReplies`."""
        self.told.append(reply)
        self._more.set()

    @property
    def count(self) -> int:
        """Messages answered."""
        return sum(count for _, _, count, *_ in self.told)

    async def until(self, count: int) -> None:
        """Waits for so many messages to be answered."""
        while self.count < count:
            self._more.clear()
            await self._more.wait()

    def indices(self, partition: int) -> list[int]:
        """The indices reported as acknowledged, in the order of the reports."""
        return [
            first + at
            for where, first, count, error, *_ in self.told
            if where == partition and error is None
            for at in range(count)
        ]


def ignored(_time_ns: int) -> None:
    """`api.OnAcknowledged`, of a test that does not look at when an acknowledgement was confirmed."""


async def receive(consumer: DriverConsumer, count: int) -> list[Batch]:
    """Batches with exactly so many messages together."""
    batches: list[Batch] = []
    while sum(len(batch.payloads) for batch in batches) < count:
        if (batch := await consumer.receive()) is not None:
            batches.append(batch)
    assert sum(len(batch.payloads) for batch in batches) == count
    return batches


def payloads(batches: Sequence[Batch]) -> list[bytes]:
    """All messages of these batches."""
    return [payload for batch in batches for payload in batch.payloads]


def send(producer: DriverProducer, messages: Sequence[bytes], keys: Sequence[bytes] | None = None) -> dict[int, int]:
    """Sends as the publisher does, by partition; returns how many went to each."""
    partitions = producer.route(len(messages), keys) or [0] * len(messages)
    for partition in sorted(set(partitions)):
        places = [at for at, where in enumerate(partitions) if where == partition]
        some_keys = None if keys is None else [keys[at] for at in places]
        producer.send(partition, [messages[at] for at in places], some_keys)
    return {partition: list(partitions).count(partition) for partition in set(partitions)}


async def acknowledged(driver: Driver, topics: Sequence[TopicSpec], subscription: str) -> None:
    """Returns when nothing is left for the subscription; acknowledgements are answered some time after they left."""
    while await driver.backlog(topics, subscription):  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0)
