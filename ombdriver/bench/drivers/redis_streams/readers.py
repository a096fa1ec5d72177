"""The kinds of readers besides the plain member of a group, and which kind a consumer gets.

Without a group: XREAD from where the reader is, nothing acknowledged, every reader gets all. On a cluster a read can't
cross slots, so each partition has a reader of its own: several that block, of which the first with a batch is served
(`JoinedConsumer`); or, of many partitions, reads that don't block, all of a round in one write for each node, with
growing pauses after rounds that brought nothing (`PollingConsumer`).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from ombdriver.bench.drivers.api import Batch, DriverConsumer, KillableConsumer, OnAcknowledged
from ombdriver.bench.drivers.redis_streams.consumer import (
    AFTER_A_LOSS,
    AckSender,
    StreamConsumer,
    ack_commands,
    to_batch,
)
from ombdriver.bench.drivers.redis_streams.control import Control
from ombdriver.bench.drivers.redis_streams.errors import Endpoint, with_way_out
from ombdriver.bench.drivers.redis_streams.options import StreamOptions
from ombdriver.errors import DriverError
from ombdriver.messaging.errors import ClosedError, ConnectionLost, OutcomeUnknownError
from ombdriver.messaging.transport.blocking import TOO_LARGE, EmptyReadPace, ReadSize
from ombdriver.messaging.transport.connection import pack
from ombdriver.messaging.transport.retry import RetryBudget
from ombdriver.messaging.transport.router import Router


class PlainConsumer:
    """A reader of some streams (`api.DriverConsumer`).

    Args:
        control: its router gives a connection, and learns when a stream has moved.
        server: how messages name the server.
        keys: the streams.
        count: entries per stream that one read may bring.
        block_ms: how long a read waits for the first of them.
        statistics: counts `lostReplies` and `earlyReads`.
        from_end: begin where the streams end, and not at their beginning.
    """

    def __init__(
        self,
        control: Control,
        server: Endpoint,
        keys: Sequence[bytes],
        count: int,
        block_ms: int,
        statistics: Counter[str],
        *,
        from_end: bool = False,
    ) -> None:
        self._from_end = from_end
        self._control, self._router, self._server = control, control.router, server
        self._channel = self._router.blocking(keys[0])
        self._block_s = block_ms / 1000
        self._statistics = statistics
        self._count = count
        self._head: tuple[bytes | str | int, ...] = ("BLOCK", block_ms, "STREAMS", *keys)
        self._size, self._pace, self._backoff = ReadSize(), EmptyReadPace(), RetryBudget(lambda _: True, AFTER_A_LOSS)
        self._last: dict[bytes, bytes] = dict.fromkeys(keys, b"0")
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<PlainConsumer on {len(self._last)} streams, {self._channel}>"

    async def ready(self) -> None:
        """Connects, and finds out where to begin."""
        await self._channel.ready()
        if self._from_end:
            asked = [self._control.ask(key, "XREVRANGE", key, "+", "-", "COUNT", 1) for key in self._last]
            for key, newest in zip(self._last, await asyncio.gather(*asked), strict=True):
                self._last[key] = newest[0][0] if newest else b"0"

    async def receive(self) -> Batch | None:
        """See `api.DriverConsumer.receive`. After a lost connection it goes on where it was: nothing is missed."""
        asked, sent_at = self._size.of(self._count), time.monotonic()
        words: tuple[bytes | str | int, ...] = ("XREAD", "COUNT", asked, *self._head, *self._last.values())
        try:
            batch: Batch | None = await self._channel.submit(pack(words), convert=to_batch, block_s=self._block_s)
        except ClosedError as error:
            raise DriverError("the consumer was closed") from error
        except Exception as error:
            if self._is_closed:  # and the read under way with it
                return None
            if isinstance(error, OutcomeUnknownError):
                self._statistics["lostReplies"] += 1
                if self._size.lost(asked, time.monotonic() - sent_at):
                    raise DriverError(
                        f"streams can't be read, the connection is lost each time: {TOO_LARGE}"
                    ) from error
            if self._router.learn(error) or isinstance(error, ConnectionLost):
                await self._backoff.allows(error)
                return None
            raise DriverError(f"streams can't be read: {with_way_out(error, self._server)}") from error
        self._size.came()
        self._backoff.renew()
        if batch is None and (pause_s := self._pace.pause_s(self._block_s, time.monotonic() - sent_at)):
            self._statistics["earlyReads"] += 1
            await asyncio.sleep(pause_s)
        if batch is not None:
            receipt: Any = batch.receipt
            for key, ids in receipt:
                if ids:
                    self._last[key] = ids[-1]
        return batch

    def acknowledge(self, batch: Batch, done: OnAcknowledged) -> None:
        """There is nothing to acknowledge."""

    async def aclose(self) -> None:
        """See `api.DriverConsumer.aclose`; the read under way is given up with its connection."""
        self._is_closed = True
        await self._channel.aclose()


class JoinedConsumer:
    """Reads from some consumers, whichever has something (`api.DriverConsumer`).

    Each reads on only when its batch was taken, so that no more than one batch of each partition is held.

    Args:
        parts: of one subscription, each with partitions of its own.
        block_s: how long one `receive` waits for the first.
    """

    def __init__(self, parts: Sequence[DriverConsumer], block_s: float) -> None:
        self._parts, self._block_s = tuple(parts), block_s
        self._reading: dict[asyncio.Task[Batch | None], DriverConsumer] = {}

    def __repr__(self) -> str:
        return f"<JoinedConsumer of {len(self._parts)}>"

    async def receive(self) -> Batch | None:
        """See `api.DriverConsumer.receive`.

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
                    return batch
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return None
            await asyncio.wait(reading, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    def _read(self, parts: Sequence[DriverConsumer]) -> None:
        loop = asyncio.get_running_loop()
        self._reading |= {loop.create_task(part.receive()): part for part in parts}

    def acknowledge(self, batch: Batch, done: OnAcknowledged) -> None:
        """See `api.DriverConsumer.acknowledge`; a batch names its streams, so any part can acknowledge it."""
        self._parts[0].acknowledge(batch, done)

    def abandon(self) -> None:
        """See `api.DriverConsumer.abandon`."""
        for task in self._reading:
            task.cancel()
        self._reading = {}
        for part in self._parts:
            cast(KillableConsumer, part).abandon()

    async def aclose(self) -> None:
        """See `api.DriverConsumer.aclose`."""
        await asyncio.gather(*(part.aclose() for part in self._parts))
        tasks, self._reading = list(self._reading), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.001, 0.02


class CurrentNode:
    """The channel to the node that has a stream at the moment, for reads that don't block (`ReadChannel`).

    Args:
        router: of the process, which sends nothing in bulk otherwise.
        key: the stream's.
    """

    def __init__(self, router: Router, key: bytes) -> None:
        self._router, self._key = router, key

    def submit(self, data: bytes, *, convert: Any = None, block_s: float = 0.0) -> Awaitable[Any]:
        """See `Channel.submit`."""
        return self._router.bulk_for(self._key).submit(data, convert=convert, block_s=block_s)

    async def ready(self) -> object:
        """See `Channel.ready`."""
        return await self._router.bulk_for(self._key).ready()

    async def aclose(self) -> None:
        """The channels are the driver's."""


class PollingConsumer:
    """Reads from the readers of single partitions, which don't block (`api.DriverConsumer`).

    Args:
        parts: of one subscription.
        block_s: how long one `receive` goes on when nothing comes.
        statistics: counts `pollingRounds`.
    """

    def __init__(self, parts: Sequence[StreamConsumer], block_s: float, statistics: Counter[str]) -> None:
        self._parts, self._block_s, self._statistics = tuple(parts), block_s, statistics
        self._ready: list[Batch] = []

    def __repr__(self) -> str:
        return f"<PollingConsumer of {len(self._parts)}>"

    async def receive(self) -> Batch | None:
        """See `api.DriverConsumer.receive`."""
        loop = asyncio.get_running_loop()
        deadline, pause_s = loop.time() + self._block_s, FIRST_PAUSE_S
        while not self._ready:
            self._statistics["pollingRounds"] += 1
            found = await asyncio.gather(*(part.receive() for part in self._parts))
            self._ready = [batch for batch in found if batch is not None]
            if self._ready:
                break
            if loop.time() > deadline:
                return None
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        return self._ready.pop()

    def acknowledge(self, batch: Batch, done: OnAcknowledged) -> None:
        """See `api.DriverConsumer.acknowledge`; a batch names its streams, so any part can acknowledge it."""
        self._parts[0].acknowledge(batch, done)

    def abandon(self) -> None:
        """See `api.DriverConsumer.abandon`."""
        for part in self._parts:
            part.abandon()

    async def aclose(self) -> None:
        """See `api.DriverConsumer.aclose`."""
        for part in self._parts:
            await part.aclose()


MOST_BLOCKING = 64
"""Connections that one consumer has for blocking reads on a cluster; with more partitions it polls."""


@dataclass(frozen=True, slots=True)
class ReaderContext:
    """What a consumer reads with.

    Attributes:
        control: of the process.
        acknowledger: of the process.
        options: of the driver.
        server: how messages name the server.
        group: the subscription.
        name: the consumer's.
        returns: there was a consumer of that name, which was abandoned.
    """

    control: Control
    acknowledger: AckSender
    options: StreamOptions
    server: Endpoint
    group: str
    name: str
    returns: bool = False


async def make_consumer(context: ReaderContext, keys: list[bytes]) -> DriverConsumer:
    """A consumer over the streams `keys`, connected.

    On one server one read covers all of them. On a cluster a read can't cross slots: each partition has a connection,
    up to `MOST_BLOCKING`; past that they are asked in turn, which statistics count as `pollingRounds`.
    """
    control, options = context.control, context.options
    router = control.router
    together = router.by_slot(keys)
    if len(together) > MOST_BLOCKING and not options.plain:
        parts = [_group_reader(context, part, polls=True) for part in together]
        return PollingConsumer(parts, options.block_ms / 1000, context.acknowledger.statistics)
    for key in keys:
        await control.outlast(partial(_connect, router, key))
    blocking: list[PlainConsumer | StreamConsumer] = []
    for part in together:
        one = _plain_reader(context, part) if options.plain else _group_reader(context, part, polls=False)
        await control.outlast(one.ready)
        blocking.append(one)
    return blocking[0] if len(blocking) == 1 else JoinedConsumer(blocking, options.block_ms / 1000)


async def _connect(router: Router, key: bytes) -> None:
    await router.control_for(key).ready()


def _plain_reader(context: ReaderContext, keys: list[bytes]) -> PlainConsumer:
    options = context.options
    statistics = context.acknowledger.statistics
    return PlainConsumer(
        context.control,
        context.server,
        keys,
        options.read_count,
        options.block_ms,
        statistics,
        from_end=options.from_end,
    )


def _group_reader(context: ReaderContext, keys: list[bytes], *, polls: bool) -> StreamConsumer:
    router, options = context.control.router, context.options
    return StreamConsumer(
        router,
        context.server,
        CurrentNode(router, keys[0]) if polls else router.blocking(keys[0]),
        context.acknowledger,
        ack_commands(options.ack, context.group, options.groups),
        keys,
        context.group,
        context.name,
        options.read_count,
        None if polls else options.block_ms,
        groups_again=options.groups_again,
        reclaim_ms=options.reclaim_ms,
        returns=context.returns,
    )
