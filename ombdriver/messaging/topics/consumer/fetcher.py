"""Reads the partitions of one place (a server, or a slot of a cluster) for a consumer, as long as it is open.

A read is never cancelled: what it was given is pending for this member already. Where a reply may have been lost, as
with a connection, what is pending for the member and not known to it is taken before anything else.

How group reads reach their server: on a connection of their own that blocks, or polled among the small commands.

One read can't cover two slots of a cluster, so a consumer of many partitions would need as many connections there.
A read that was sent is never cancelled; it is ended, and gives its reply.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from redis.exceptions import NoPermissionError, RedisError, ResponseError

from ombdriver.messaging.errors import ClosedError
from ombdriver.messaging.streams.entry_ids import is_after
from ombdriver.messaging.streams.readers import ignore_outcome
from ombdriver.messaging.streams.resumption import mark_of
from ombdriver.messaging.topics.consumer import group, pending
from ombdriver.messaging.topics.consumer.group import FlowControl, GroupMember, Partition
from ombdriver.messaging.transport.connection import Connection, pack
from ombdriver.messaging.transport.retry import Backoff, is_loss
from ombdriver.messaging.transport.router import BLOCK_GRACE_S

UNBLOCK_EVERY_S = 0.02
"""An UNBLOCK that came before its read has no effect, so it is repeated."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.001, 0.05
"""Between polls: at first after one that brought something, and in the end when none brings anything."""


class FetchTransport(Protocol):
    """The way of one reading to its server.

    Attributes:
        block_s: for so long the server may go on giving entries to a connection that is gone.
    """

    block_s: float

    async def ready(self) -> bool:
        """Connects; whether what was read last may have been lost since the last call."""

    def send(self, partitions: Sequence[Partition], count: int) -> "asyncio.Future[Any]":
        """Sends a read of what is new in these partitions, up to `count` of each; its reply as it is."""

    async def end(self, read: "asyncio.Future[Any]") -> None:
        """Has a read that was sent come to its end."""

    def pause_s(self, *, empty: bool) -> float:
        """How long to wait until the next read, after one that was empty or not."""

    async def aclose(self) -> None:
        """Closes the connection; a read that is still under way ends with an error."""


class BlockingFetch:
    """Reads on a connection of their own (`FetchTransport`).

    Args:
        member: who reads.
        key: tells the server.
        block_ms: how long a read waits there.
    """

    def __init__(self, member: GroupMember, key: bytes, block_ms: int) -> None:
        self._member, self._block_ms = member, block_ms
        self.block_s = block_ms / 1000
        self._channel = member.router.blocking(key)
        self._wire: Connection | None = None
        self._client_id: int | None = None

    def __repr__(self) -> str:
        return f"<BlockingReads {self._channel}>"

    async def ready(self) -> bool:
        """See `FetchTransport`: a new connection may have lost what the one before was given last."""
        wire = await self._channel.ready()
        if wire is self._wire:
            return False
        self._client_id = None
        with contextlib.suppress(ResponseError):  # not allowed to ask: then a BLOCK ends in its own time
            self._client_id = await self._channel.execute("CLIENT", "ID", reply_timeout_s=BLOCK_GRACE_S)
        is_first, self._wire = self._wire is None, wire
        return not is_first

    def send(self, partitions: Sequence[Partition], count: int) -> "asyncio.Future[Any]":
        """See `FetchTransport`."""
        data = _xreadgroup(self._member, partitions, "COUNT", count, "BLOCK", self._block_ms)
        return asyncio.ensure_future(self._channel.submit(data, reply_timeout_s=self.block_s + BLOCK_GRACE_S))

    async def end(self, read: "asyncio.Future[Any]") -> None:
        """See `FetchTransport`."""
        router = self._member.router
        while not read.done():
            control = None if router.is_closed else router.control_of(self._channel)
            if control is not None and self._client_id is not None:
                with contextlib.suppress(RedisError):
                    answer = control.execute("CLIENT", "UNBLOCK", self._client_id, reply_timeout_s=BLOCK_GRACE_S)
                    asyncio.ensure_future(answer).add_done_callback(ignore_outcome)
            await asyncio.wait([read], timeout=UNBLOCK_EVERY_S)

    def pause_s(self, *, empty: bool) -> float:
        """See `FetchTransport`: the server waits."""
        return 0.0

    async def aclose(self) -> None:
        """See `FetchTransport`."""
        await self._channel.aclose()


class PolledFetch:
    """Reads that don't block, over the connection of small commands (`FetchTransport`).

    Args:
        member: who reads.
        key: tells the server.
    """

    block_s = 0.0

    def __init__(self, member: GroupMember, key: bytes) -> None:
        self._member, self._key = member, key
        self._pause_s = FIRST_PAUSE_S
        self._lost = False

    def __repr__(self) -> str:
        return f"<PolledReads every {self._pause_s:g} s>"

    async def ready(self) -> bool:
        """See `FetchTransport`: whatever fails may have been carried out."""
        lost, self._lost = self._lost, False
        return lost

    def send(self, partitions: Sequence[Partition], count: int) -> "asyncio.Future[Any]":
        """See `FetchTransport`."""
        data = _xreadgroup(self._member, partitions, "COUNT", count)
        read = self._member.router.send(self._key, data, bulk=False)
        read.add_done_callback(self._note)
        return read

    def _note(self, read: "asyncio.Future[Any]") -> None:
        self._lost = self._lost or read.cancelled() or read.exception() is not None

    async def end(self, read: "asyncio.Future[Any]") -> None:
        """See `FetchTransport`: it ends by itself."""
        await asyncio.wait([read])

    def pause_s(self, *, empty: bool) -> float:
        """See `FetchTransport`."""
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S) if empty else FIRST_PAUSE_S
        return self._pause_s if empty else 0.0

    async def aclose(self) -> None:
        """See `FetchTransport`: the connection is everybody's."""


def _xreadgroup(member: GroupMember, partitions: Sequence[Partition], *options: str | int) -> bytes:
    streams = [partition.key for partition in partitions]
    words = ("XREADGROUP", "GROUP", member.group, member.name, *options, "STREAMS", *streams)
    return pack((*words, *(b">" for _ in streams)))


AGAIN = Backoff()
"""Waits after a failure, without end: a consumer goes on until it is closed."""
MARGIN_S = 0.5
"""For how long past its BLOCK a connection that is lost may still be given entries by its server."""


class Taker(Protocol):
    """Who takes what is read."""

    def deliver(self, partition: Partition, entries: Sequence[Any]) -> None:
        """Entries that are new to the group."""

    def retake(self, partition: Partition, taken: pending.Taken) -> None:
        """Entries that were pending for this member, or for another one that is gone."""

    def acknowledge(self, partition: Partition, entry_id: bytes) -> object:
        """An entry that was acknowledged, and is pending all the same."""

    def fault(self, error: Exception) -> None:
        """An error that is no lost connection; reading goes on."""

    def end(self, error: Exception) -> None:
        """The client was closed: nothing is read any more."""


class Fetcher:
    """The reading loop of one place; `run` is a task of the consumer.

    Args:
        member: who reads.
        partitions: that one command may cover.
        room: how much may be buffered of them.
        taker: see `Taker`.
        reads: the way to their server.
    """

    def __init__(
        self,
        member: GroupMember,
        partitions: Sequence[Partition],
        room: FlowControl,
        taker: Taker,
        reads: FetchTransport,
    ) -> None:
        self._member, self._partitions, self._room, self._taker = member, partitions, room, taker
        self._reads = reads
        self._read: asyncio.Future[Any] | None = None
        self._covered: list[Partition] = []
        self._ending: set[asyncio.Task[None]] = set()
        self._holders = 0
        self._stopping = False
        self._failures = 0
        self._pending_after: dict[Partition, bytes | None] = dict.fromkeys(partitions)
        self._look_again: tuple[float, dict[Partition, bytes | None]] | None = None
        for partition in partitions:
            partition.room = room

    def __repr__(self) -> str:
        state = "stopping" if self._stopping else "reading" if self._read else "waiting"
        return f"<Reading {len(self._partitions)} partitions, {state}, {self._reads}>"

    async def run(self) -> None:
        """Reads until `stop`."""
        while not self._stopping:
            try:
                await self._turn()
                self._failures = 0
            except ClosedError as error:
                if not self._stopping:
                    self._taker.end(error)
                return
            except Exception as error:  # whatever it is, a consumer goes on; who waits is told
                await self._recover(error)

    async def _turn(self) -> None:
        """Whatever is pending and not known, then one read."""
        if await self._reads.ready():
            self._member.counts.reconnects += 1
            self._doubt()
        await self._take_pending()
        if self._look_again is not None and time.monotonic() >= self._look_again[0]:
            self._pending_after, self._look_again = self._look_again[1], None
            await self._take_pending()
        active, free = await self._have_room()
        if self._stopping or not active:
            return
        self._covered = active
        self._read = self._reads.send(active, -(-free // len(active)))
        self._read.add_done_callback(ignore_outcome)
        try:
            reply = await asyncio.shield(self._read)
        finally:
            self._read = None
            self._room.changed.set()
        for key, entries in reply or ():
            self._receive(self._of(key), entries)
        if pause_s := self._reads.pause_s(empty=not reply):
            await self._sleep(pause_s)

    def _of(self, key: bytes) -> Partition:
        if len(self._partitions) == 1:
            return self._partitions[0]
        return next(partition for partition in self._partitions if partition.key == key)

    def _receive(self, partition: Partition, entries: list[Any]) -> None:
        """Hands over entries that are new to the group; they rise, save after it was set back."""
        end, fields = entries[-1]
        self._room.fit(sum(map(len, fields)))
        if not is_after(entries[0][0], partition.highest):
            entries = [entry for entry in entries if not self._has(partition, entry[0])]
        if is_after(end, partition.last.entry_id):
            partition.last = mark_of(end, fields)
        if is_after(end, partition.highest):
            partition.highest = end
        if entries:
            self._taker.deliver(partition, entries)

    def _has(self, partition: Partition, entry_id: bytes) -> bool:
        """Whether an entry is here already, pending anew; if it was acknowledged, then that is said again."""
        if partition.is_acknowledged(entry_id):
            self._taker.acknowledge(partition, entry_id)
        elif entry_id not in partition.held:
            partition.nacked.discard(entry_id)
            return False
        self._member.counts.repeated += 1
        return True

    def _doubt(self) -> None:
        """Has everything looked at that is above what was received last; twice.

        Twice, since the server may not have noticed the loss yet, and give entries to the connection that is gone.
        """
        marks: dict[Partition, bytes | None] = {partition: partition.last.entry_id for partition in self._partitions}
        self._pending_after = marks | self._pending_after  # what is to be looked at from further below stays
        if self._look_again is not None:
            marks = self._look_again[1]
        self._look_again = (time.monotonic() + self._reads.block_s + MARGIN_S, marks)

    async def _take_pending(self) -> None:
        """Takes again what is pending for the member and not known to it, oldest first, as there is room."""
        for partition in self._partitions:
            while partition in self._pending_after and not self._stopping:
                _, free = await self._have_room()
                count = max(1, min(pending.AT_ONCE, free))
                ids = await pending.pending(self._member, partition, self._pending_after[partition], count)
                if lost := partition.unknown(ids):
                    taken = await pending.take(self._member, partition, lost)
                    self._member.counts.replayed += len(taken.entries)
                    self._taker.retake(partition, taken)
                if len(ids) < count:
                    del self._pending_after[partition]
                else:
                    self._pending_after[partition] = ids[-1]

    async def _have_room(self) -> tuple[list[Partition], int]:
        """Waits until there is room, and the partitions that may be read; not when stopping."""
        while not self._stopping:
            free = self._room.free()
            active = [partition for partition in self._partitions if not partition.paused]
            if free and active and not self._holders:
                return active, free
            self._room.changed.clear()
            await self._room.changed.wait()
        return [], 0

    async def _recover(self, error: Exception) -> None:
        """Does what an error asks for, and waits a while."""
        attempt, self._failures = self._failures, self._failures + 1
        router = self._member.router
        if group.is_group_missing(error):
            if attempt:
                await self._sleep(AGAIN.wait_s(attempt))
            try:
                await group.heal(self._member, self._partitions)
            except Exception as fault:
                error = fault
            else:
                return
        if not router.learn(error) and not is_loss(error):
            self._taker.fault(error)
            if isinstance(error, NoPermissionError):
                attempt += 4  # nothing that passes soon
        await self._sleep(AGAIN.wait_s(attempt))

    async def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._stopping and (left := deadline - time.monotonic()) > 0:
            self._room.changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._room.changed.wait()

    # -- holding and stopping --------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Sends no more reads until `go_on`; see `end_read` for the one under way."""
        self._holders += 1

    def go_on(self) -> None:
        """See `hold`."""
        self._holders -= 1
        self._room.changed.set()

    def read_too(self, partitions: Iterable[Partition]) -> None:
        """Ends the read under way if it does not cover all of these, so that the next one does."""
        if self._read is not None and any(p in self._partitions and p not in self._covered for p in partitions):
            task = asyncio.get_running_loop().create_task(self.end_read())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def stop(self) -> None:
        """Has `run` come to its end, with the read under way; see `end_read`."""
        self._stopping = True
        self._room.changed.set()

    async def end_read(self) -> None:
        """Ends the read under way, and waits for its reply."""
        if self._read is not None and not self._read.done():
            await self._reads.end(self._read)

    async def aclose(self) -> None:
        """Closes the connection; a read that is still under way ends with an error."""
        self.stop()
        await self._reads.aclose()
