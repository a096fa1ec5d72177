"""The messages of one partition until they are sent: added to an open batch, which closes when it is full or due.

Knows no connection; `lane.Lane` sends what is ready.
"""

import asyncio
from collections import deque

from ombdriver.messaging.topics.batch import Batch
from ombdriver.messaging.topics.sent import RecordMetadata
from ombdriver.messaging.topics.shared import Shared


class Accumulator:
    """The accepting side of a partition.

    Args:
        partition: counted from 0.
        shared: see `Shared`.
    """

    def __init__(self, partition: int, shared: Shared) -> None:
        self.partition = partition
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        settings = shared.settings
        self._max_messages, self._max_bytes = settings.max_batch_messages, settings.max_batch_bytes
        self._linger_s = settings.linger_ms / 1000
        self._open: Batch | None = None
        self._ready: deque[Batch] = deque()

    def _schedule(self) -> None:
        """Has what is ready sent in a later turn, so that all of this turn goes together."""
        raise NotImplementedError

    def add(self, body: bytes, count: int) -> "asyncio.Future[RecordMetadata]":
        """Takes one message, packed by `packing.body_of`; the future is its caller's."""
        batch = self._open
        if batch is not None and batch.size + len(body) > self._max_bytes:
            self.close_open()
            batch = None
        if batch is None:
            batch = self._begin()
        future: asyncio.Future[RecordMetadata] = self._loop.create_future()
        batch.futures.append(future)
        batch.bodies.append(body)
        batch.counts.append(count)
        batch.times.append(self._loop.time())
        batch.size += len(body)
        if len(batch.bodies) >= self._max_messages:
            self.close_open()
        return future

    def _begin(self) -> Batch:
        batch = self._open = Batch()
        self._shared.opened()
        if not self._linger_s:
            self._schedule()
        elif self._shared.buffer.is_short:  # to linger would keep the space that others wait for
            self._loop.call_soon(self._lingered, batch)
        else:
            self._loop.call_later(self._linger_s, self._lingered, batch)
        return batch

    def _lingered(self, batch: Batch) -> None:
        if self._open is batch:
            self.close_open()

    def close_open(self) -> None:
        """The batch that messages are added to takes no more, and is due."""
        if self._open is not None:
            self._close()
            self._schedule()

    def _close(self) -> None:
        """The open batch takes no more; who calls this sends it."""
        if self._open is not None:
            self._ready.append(self._open)
            self._open = None
            self._shared.closed(self.partition)
