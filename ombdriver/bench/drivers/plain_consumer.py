"""Reads streams without a group: XREAD, from where this reader is; nothing is acknowledged, and everybody sees all."""

import asyncio
from collections.abc import Sequence
from typing import Any

from ombdriver.bench.driver import Batch, OnAcknowledged
from ombdriver.bench.drivers.stream_consumer import AGAIN_S, GUARD_S, to_batch
from ombdriver.bench.drivers.stream_server import ask
from ombdriver.errors import DriverError
from ombdriver.messaging.connection import Channels
from ombdriver.messaging.errors import ClosedError, ConnectionLost
from ombdriver.messaging.resp import pack


class PlainConsumer:
    """A reader of some streams (`driver.DriverConsumer`).

    Args:
        channels: give a connection, and are told when a stream has moved.
        keys: the streams.
        count: entries per stream that one read may bring.
        block_ms: how long a read waits for the first of them.
        from_end: begin where the streams end, and not at their beginning.
    """

    def __init__(
        self, channels: Channels, keys: Sequence[bytes], count: int, block_ms: int, *, from_end: bool = False
    ) -> None:
        self._from_end = from_end
        self._channels, self._channel = channels, channels.blocking(keys[0])
        self._guard_s = block_ms / 1000 + GUARD_S
        self._head: tuple[bytes | str | int, ...] = ("XREAD", "COUNT", count, "BLOCK", block_ms, "STREAMS", *keys)
        self._last: dict[bytes, bytes] = dict.fromkeys(keys, b"0")

    def __repr__(self) -> str:
        return f"<PlainConsumer on {len(self._last)} streams, {self._channel}>"

    async def ready(self) -> None:
        """Connects, and finds out where to begin."""
        await self._channel.ready()
        if self._from_end:
            asked = [ask(self._channels, key, "XREVRANGE", key, "+", "-", "COUNT", 1) for key in self._last]
            for key, newest in zip(self._last, await asyncio.gather(*asked), strict=True):
                self._last[key] = newest[0][0] if newest else b"0"

    async def receive(self) -> Batch | None:
        """See `driver.DriverConsumer.receive`. After a lost connection it goes on where it was: nothing is missed."""
        words: tuple[bytes | str | int, ...] = (*self._head, *self._last.values())
        try:
            batch: Batch | None = await self._channel.submit(pack(words), convert=to_batch, guard_s=self._guard_s)
        except ClosedError as error:
            raise DriverError("the consumer was closed") from error
        except Exception as error:
            if self._channels.redirect(error) or isinstance(error, ConnectionLost):
                await asyncio.sleep(AGAIN_S)
                return None
            raise DriverError(f"streams can't be read: {error}") from error
        if batch is not None:
            receipt: Any = batch.receipt
            for key, ids in receipt:
                if ids:
                    self._last[key] = ids[-1]
        return batch

    def acknowledge(self, batch: Batch, done: OnAcknowledged) -> None:
        """There is nothing to acknowledge."""

    async def aclose(self) -> None:
        """See `driver.DriverConsumer.aclose`; the read under way is given up with its connection."""
        await self._channel.aclose()
