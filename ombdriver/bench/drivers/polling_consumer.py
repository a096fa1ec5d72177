"""Reads many partitions of a cluster without blocking: so many connections as blocking reads need would be too many.

All reads of one round leave together, one write for each node; after a round that brought nothing there is a pause,
which grows as long as nothing comes.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import Any

from ombdriver.bench.driver import Batch, OnAcknowledged
from ombdriver.bench.drivers.stream_consumer import StreamConsumer
from ombdriver.messaging.connection import Channels

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.001, 0.02


class NodeOf:
    """The channel to wherever a stream lies at the moment; stands where a channel does, for reads that don't block.

    Args:
        channels: of the process, which sends nothing in bulk otherwise.
        key: the stream's.
    """

    def __init__(self, channels: Channels, key: bytes) -> None:
        self._channels, self._key = channels, key

    def submit(self, data: bytes, *, convert: Any = None, guard_s: float | None = None) -> Awaitable[Any]:
        """See `Channel.submit`."""
        return self._channels.bulk_for(self._key).submit(data, convert=convert, guard_s=guard_s)

    async def ready(self) -> object:
        """See `Channel.ready`."""
        return await self._channels.bulk_for(self._key).ready()

    async def aclose(self) -> None:
        """The channels are the driver's."""


class PollingConsumer:
    """Reads from the readers of single partitions, which don't block (`driver.DriverConsumer`).

    Args:
        parts: of one subscription.
        block_s: how long one `receive` goes on when nothing comes.
        statistics: counts `pollingRounds`.
    """

    def __init__(self, parts: Sequence[StreamConsumer], block_s: float, statistics: Counter[str]) -> None:
        self._parts, self._block_s, self._statistics = tuple(parts), block_s, statistics
        self._ready: list[tuple[StreamConsumer, Batch]] = []
        self._of: dict[int, StreamConsumer] = {}

    def __repr__(self) -> str:
        return f"<PollingConsumer of {len(self._parts)}>"

    async def receive(self) -> Batch | None:
        """See `driver.DriverConsumer.receive`."""
        loop = asyncio.get_running_loop()
        deadline, pause_s = loop.time() + self._block_s, FIRST_PAUSE_S
        while not self._ready:
            self._statistics["pollingRounds"] += 1
            found = await asyncio.gather(*(part.receive() for part in self._parts))
            self._ready = [(part, one) for part, one in zip(self._parts, found, strict=True) if one is not None]
            if self._ready:
                break
            if loop.time() > deadline:
                return None
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        part, batch = self._ready.pop()
        self._of[id(batch)] = part
        return batch

    def acknowledge(self, batch: Batch, done: OnAcknowledged) -> None:
        """See `driver.DriverConsumer.acknowledge`."""
        self._of.pop(id(batch)).acknowledge(batch, done)

    async def aclose(self) -> None:
        """See `driver.DriverConsumer.aclose`."""
        for part in self._parts:
            await part.aclose()
