"""Several readers as one: on a cluster a read can't cross slots, so each partition has a reader of its own.

The first that has something is handed over first. Each reader reads on only when its batch was taken, so that nobody
holds more than one batch for each partition.
"""

import asyncio
from collections.abc import Sequence

from ombdriver.bench.driver import Batch, DriverConsumer, OnAcknowledged


class JoinedConsumer:
    """Reads from some consumers, whichever has something (`driver.DriverConsumer`).

    Args:
        parts: of one subscription, each with partitions of its own.
        block_s: how long one `receive` waits for the first.
    """

    def __init__(self, parts: Sequence[DriverConsumer], block_s: float) -> None:
        self._parts, self._block_s = tuple(parts), block_s
        self._reading: dict[asyncio.Task[Batch | None], DriverConsumer] = {}
        self._of: dict[int, DriverConsumer] = {}

    def __repr__(self) -> str:
        return f"<JoinedConsumer of {len(self._parts)}>"

    async def receive(self) -> Batch | None:
        """See `driver.DriverConsumer.receive`.

        Raises:
            DriverError: if one of the readers can't go on.
        """
        reading = self._reading
        if not reading:
            self._read(self._parts)
        deadline = asyncio.get_running_loop().time() + self._block_s
        while True:
            for task in [task for task in reading if task.done()]:
                part = reading.pop(task)
                batch = task.result()
                self._read([part])
                if batch is not None:
                    self._of[id(batch)] = part
                    return batch
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return None
            await asyncio.wait(reading, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    def _read(self, parts: Sequence[DriverConsumer]) -> None:
        loop = asyncio.get_running_loop()
        self._reading |= {loop.create_task(part.receive()): part for part in parts}

    def acknowledge(self, batch: Batch, done: OnAcknowledged) -> None:
        """See `driver.DriverConsumer.acknowledge`."""
        self._of.pop(id(batch)).acknowledge(batch, done)

    async def aclose(self) -> None:
        """See `driver.DriverConsumer.aclose`."""
        await asyncio.gather(*(part.aclose() for part in self._parts))
        tasks, self._reading = list(self._reading), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
