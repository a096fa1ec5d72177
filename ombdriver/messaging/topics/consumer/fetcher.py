"""Reads the partitions that one command may cover (of a server, or of a slot of a cluster) while a consumer is open.

A read that was sent is never cancelled, since the server has made its entries pending for this member already: it is
interrupted, and gives its reply. Where a reply may have been lost, as with a connection, the fetcher first claims what
is pending for the member and not known here. How reads travel is a `FetchTransport`; what becomes of entries is the
`RecordSink`'s.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from ombdriver.messaging.errors import ClosedError, ConnectionLost, OutcomeUnknownError, RedisError
from ombdriver.messaging.streams.entry_ids import is_after
from ombdriver.messaging.streams.resumption import mark_of
from ombdriver.messaging.topics.consumer import leases
from ombdriver.messaging.topics.consumer.group import GroupMember, group_info, is_group_missing, recreate_group
from ombdriver.messaging.topics.consumer.partition import FlowControl, Partition
from ombdriver.messaging.topics.consumer.receive_buffer import RecordSink
from ombdriver.messaging.transport.background import tell
from ombdriver.messaging.transport.blocking import (
    LONGEST_PAUSE_S,
    LOSS_MARGIN_S,
    LOST_IN_A_ROW,
    SHORTEST_PAUSE_S,
    TOO_LARGE,
    BlockingReader,
    EmptyReadPace,
    RepeatedLoss,
    block_part,
    ignore_outcome,
)
from ombdriver.messaging.transport.connection import pack
from ombdriver.messaging.transport.retry import Backoff, RetryBudget, is_loss


class _Claiming(NamedTuple):
    """Entries that are claimed, by their ids, and when that was sent (`time.monotonic`)."""

    partition: Partition
    entries: Sequence[bytes]
    sent_at: float


class FetchTransport(Protocol):
    """How the reads of one fetcher reach their server."""

    async def ready(self) -> bool:
        """Connects; whether a reply may have been lost since the last call.

        When this returns the server gives nothing more to the connection that lost it, so that it can be replayed.
        """

    def send(self, partitions: Sequence[Partition], count: int) -> "asyncio.Future[Any]":
        """Sends a read of what is new in these partitions, up to `count` of each; its reply as it is."""

    async def interrupt(self, read: "asyncio.Future[Any]") -> None:
        """Makes the server answer a read that was sent, and waits for that."""

    def pause_s(self, *, empty: bool) -> float:
        """How long to wait until the next read, after one that was empty or not."""

    def reply_size(self) -> int:
        """Bytes of the reply that has just come; 0 if that is not known."""

    async def aclose(self) -> None:
        """Closes the connection; a read that is still under way ends with an error."""


class BlockingFetch:
    """Reads that block, on a connection of their own (`FetchTransport`).

    Args:
        member: who reads.
        key: tells the server.
        block_ms: how long a read waits there.
    """

    def __init__(self, member: GroupMember, key: bytes, block_ms: int) -> None:
        self._member, self._block_ms = member, block_part(block_ms)
        self._reader = BlockingReader(member.router, key)
        self._pace = EmptyReadPace()
        self._sent_at, self._received = 0.0, 0

    def __repr__(self) -> str:
        return f"<BlockingFetch {self._reader}>"

    async def ready(self) -> bool:
        """See `FetchTransport`: the connection before a new one may have lost a reply."""
        return await self._reader.connect()

    def send(self, partitions: Sequence[Partition], count: int) -> "asyncio.Future[Any]":
        """See `FetchTransport`."""
        data = _xreadgroup(self._member, partitions, "COUNT", count, "BLOCK", self._block_ms)
        self._sent_at, self._received = time.monotonic(), self._reader.received
        return self._reader.send(data, self._block_ms)

    async def interrupt(self, read: "asyncio.Future[Any]") -> None:
        """See `FetchTransport`: by CLIENT UNBLOCK."""
        self._sent_at = -math.inf  # its answer is not early
        await self._reader.interrupt(read)

    def pause_s(self, *, empty: bool) -> float:
        """See `FetchTransport`: none, unless the server does not wait."""
        if not empty:
            return 0.0
        pause_s = self._pace.pause_s(self._block_ms / 1000, time.monotonic() - self._sent_at)
        self._member.statistics.early_reads += pause_s > 0
        return pause_s

    def reply_size(self) -> int:
        """See `FetchTransport`: nothing else comes over this connection."""
        return max(0, self._reader.received - self._received)

    async def aclose(self) -> None:
        """See `FetchTransport`."""
        await self._reader.aclose()


class PolledFetch:
    """Reads that don't block, on the connection of small commands (`FetchTransport`).

    A consumer of partitions in many slots of a cluster would need as many connections that block.

    Args:
        member: who reads.
        key: tells the server.
    """

    def __init__(self, member: GroupMember, key: bytes) -> None:
        self._member, self._key = member, key
        self._pause_s = SHORTEST_PAUSE_S
        self._may_have_lost = False

    def __repr__(self) -> str:
        return f"<PolledFetch every {self._pause_s:g} s>"

    async def ready(self) -> bool:
        """See `FetchTransport`: a read that failed may have been carried out, or may be in a moment."""
        if self._may_have_lost:
            await asyncio.sleep(LOSS_MARGIN_S)
        may_have_lost, self._may_have_lost = self._may_have_lost, False
        return may_have_lost

    def send(self, partitions: Sequence[Partition], count: int) -> "asyncio.Future[Any]":
        """See `FetchTransport`."""
        data = _xreadgroup(self._member, partitions, "COUNT", count)
        read = self._member.router.send(self._key, data, bulk=False)
        read.add_done_callback(self._on_reply)
        return read

    def _on_reply(self, read: "asyncio.Future[Any]") -> None:
        self._may_have_lost = self._may_have_lost or read.cancelled() or isinstance(read.exception(), ConnectionLost)

    async def interrupt(self, read: "asyncio.Future[Any]") -> None:
        """See `FetchTransport`: it is answered at once anyway."""
        await asyncio.wait([read])

    def pause_s(self, *, empty: bool) -> float:
        """See `FetchTransport`."""
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S) if empty else SHORTEST_PAUSE_S
        return self._pause_s if empty else 0.0

    def reply_size(self) -> int:
        """See `FetchTransport`: other replies come over the connection too."""
        return 0

    async def aclose(self) -> None:
        """See `FetchTransport`: the connection is not this one's own."""


def _size_of(reply: Sequence[Any]) -> int:
    """Bytes of all fields and values of a reply."""
    return sum(sum(map(len, fields)) for _, entries in reply for _, fields in entries)


def _xreadgroup(member: GroupMember, partitions: Sequence[Partition], *options: str | int) -> bytes:
    streams = [partition.key for partition in partitions]
    words = ("XREADGROUP", "GROUP", member.group, member.name, *options, "STREAMS", *streams)
    return pack((*words, *(b">" for _ in streams)))


BACKOFF = Backoff(give_up_s=math.inf)
"""Waits after a failure, without end: a consumer goes on until it is closed."""


class Fetcher:
    """The read loop of some partitions; `run` is a task of the consumer.

    Args:
        member: who reads.
        partitions: that one command may cover.
        flow: how much may be buffered of them.
        sink: takes what is read.
        transport: the way to their server.

    Attributes:
        replayed: is set while nothing is pending for the member that may be older than what comes, and is not known.
    """

    def __init__(
        self,
        member: GroupMember,
        partitions: Sequence[Partition],
        flow: FlowControl,
        sink: RecordSink,
        transport: FetchTransport,
    ) -> None:
        self._member, self._partitions, self._flow, self._sink = member, partitions, flow, sink
        self._transport = transport
        self._read: asyncio.Future[Any] | None = None
        self._asked = self._turn = 0
        self._claiming: _Claiming | None = None
        self._losses = RepeatedLoss()
        self._covered: list[Partition] = []
        self._interrupts: set[asyncio.Task[None]] = set()
        self._suspensions = 0
        self._stopping = False
        self._budget = RetryBudget(lambda _: True, BACKOFF)
        self._replay_after: dict[Partition, bytes | None] = dict.fromkeys(partitions)
        self.replayed = asyncio.Event()
        for partition in partitions:
            partition.flow = flow

    def __repr__(self) -> str:
        state = "stopping" if self._stopping else "reading" if self._read else "waiting"
        replays = ", replays" if self._replay_after else ""
        failed = f", failed {self._budget.failures} times" if self._budget.failures else ""
        return (
            f"<Fetcher {len(self._partitions)} partitions, {state}{replays}{failed}, {self._flow!r}, {self._transport}>"
        )

    async def run(self) -> None:
        """Reads until `stop`."""
        while not self._stopping:
            try:
                await self._fetch()
                if self._budget.failures:
                    self._budget.renew()
                    self._member.router.health.well(self)
            except ClosedError as error:
                if not self._stopping:
                    self._sink.end(error)
                return
            except Exception as error:  # whatever it is, a consumer goes on; callers that wait get it
                self.replayed.clear()  # until it is known again that no reply was lost
                await self._recover(error)

    async def _fetch(self) -> None:
        """Replays what is pending and not known, then sends one read."""
        self._claiming = None
        if await self._transport.ready():
            self._member.statistics.reconnects += 1
            received: dict[Partition, bytes | None] = {p: p.last_delivered.entry_id for p in self._partitions}
            self._replay_after = received | self._replay_after  # what is to be replayed from further below stays
        await self._replay()
        self.replayed.set()
        active, credit = await self._wait_for_credit()
        if self._stopping or not active:
            return
        if self._flow.bound < len(active):
            active = self._take_turns(active, self._flow.bound)
        count = -(-credit // len(active))
        self._covered, self._asked = active, count * len(active)
        self._read = self._transport.send(active, count)
        self._read.add_done_callback(ignore_outcome)
        self._flow.is_asking = True
        try:
            reply = await asyncio.shield(self._read)
        finally:
            self._read = None
            self._flow.is_asking = False
            self._flow.changed.set()
        if reply:
            count = sum([len(entries) for _, entries in reply])
            for key, entries in reply:
                self._receive(self._partition_of(key), entries)
            self._flow.adapt((self._transport.reply_size() or _size_of(reply)) / max(1, count))
        if pause_s := self._transport.pause_s(empty=not reply):
            await self._sleep(pause_s)

    def _take_turns(self, active: list[Partition], count: int) -> list[Partition]:
        """`count` of the partitions, others the next time: each would bring a message, and that is too much."""
        first = self._turn % len(active)
        self._turn += count
        return (active[first:] + active[:first])[:count]

    def _partition_of(self, key: bytes) -> Partition:
        if len(self._partitions) == 1:
            return self._partitions[0]
        return next(partition for partition in self._partitions if partition.key == key)

    def _receive(self, partition: Partition, entries: list[Any]) -> None:
        """Hands over entries that are new to the group; their ids rise, save after the group was set back."""
        end, fields = entries[-1]
        if not is_after(entries[0][0], partition.highest):
            entries = [entry for entry in entries if not self._is_here(partition, entry[0])]
        if is_after(end, partition.last_delivered.entry_id):
            partition.last_delivered = mark_of(end, fields)
        if is_after(end, partition.highest):
            partition.highest = end
        if entries:
            self._sink.deliver(partition, entries)

    def _is_here(self, partition: Partition, entry_id: bytes) -> bool:
        """Whether an entry is here already, pending anew; if it was acknowledged, then that is sent again."""
        if partition.is_acknowledged(entry_id):
            self._sink.acknowledge(partition, entry_id)
        elif entry_id not in partition.leased:
            partition.nacked.discard(entry_id)
            return False
        self._member.statistics.repeated += 1
        return True

    # -- replay ----------------------------------------------------------------------------------------------------

    async def _replay(self) -> None:
        """Claims what is pending for the member and not known here, oldest first, as there is credit.

        Not what is above the group's place. The group was set back then, and that comes by a read, after what is older.
        """
        for partition in self._partitions:
            while partition in self._replay_after and not self._stopping:
                _, credit = await self._wait_for_credit()
                count = max(1, min(leases.AT_ONCE, credit))
                place = await group_info(self._member, partition)
                last = None if place is None else place[b"last-delivered-id"]
                ids = await leases.list_pending(self._member, partition, self._replay_after[partition], last, count)
                if lost := partition.unknown(ids):
                    self._asked, self._claiming = len(lost), _Claiming(partition, lost, time.monotonic())
                    claimed = await leases.claim(self._member, partition, lost, once=True)
                    self._claiming = None
                    self._losses.came()
                    self._sink.replay(partition, claimed)
                if len(ids) < count:
                    del self._replay_after[partition]
                else:
                    self._replay_after[partition] = ids[-1]

    # -- waiting ---------------------------------------------------------------------------------------------------

    async def _wait_for_credit(self) -> tuple[list[Partition], int]:
        """Waits until more may be buffered: the partitions that may be read, and how much; nothing when stopping."""
        while not self._stopping:
            credit = self._flow.credit()
            active = [partition for partition in self._partitions if not partition.paused]
            if credit and active and not self._suspensions:
                return active, credit
            await self._flow.wait_for_change()
        return [], 0

    async def _recover(self, error: Exception) -> None:
        """Does what an error asks for, and waits a while."""
        is_first = not self._budget.failures
        wait_s = self._budget.wait_s(error) or 0.0
        if isinstance(error, OutcomeUnknownError):
            self._on_lost_reply(error)
        if is_group_missing(error):
            if not is_first:
                await self._sleep(wait_s)
            try:
                await recreate_group(self._member, self._partitions)
            except Exception as fault:
                error = fault
            else:
                return
        if not self._member.router.learn(error) and not is_loss(error):
            what = f"reading {self._partitions[0].stream}"
            self._member.router.health.failed(self, what, error)
            if not isinstance(error, RedisError):
                tell(what, self._budget.failures, error)
            self._sink.fault(error)
        await self._sleep(wait_s)

    def _on_lost_reply(self, error: OutcomeUnknownError) -> None:
        """The next reads ask for less; where one message is too much, that is told to whoever waits for it.

        Of a read nobody knows what it would have brought; but what it brought is claimed after it, by its id.
        """
        self._member.statistics.lost_replies += 1
        self._flow.lose(self._asked)
        claiming, self._claiming = self._claiming, None
        if claiming is None:
            return
        (partition, entries, sent_at), only = claiming, len(claiming.entries) == 1
        request = (partition.key, entries[0]) if only else None
        if self._losses.lost(request, time.monotonic() - sent_at):
            told = OutcomeUnknownError(
                f"{LOST_IN_A_ROW} times in a row the connection was lost in place of message {entries[0].decode()} of "
                f"{partition.stream}: {TOO_LARGE} ({error})"
            )
            told.__cause__ = error
            self._sink.fault(told)

    async def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._stopping and (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._flow.wait_for_change()

    # -- suspending and stopping -----------------------------------------------------------------------------------

    def suspend(self) -> None:
        """Sends no more reads until `resume`; see `interrupt` for the one under way."""
        self._suspensions += 1

    def resume(self) -> None:
        """See `suspend`."""
        self._suspensions -= 1
        self._flow.changed.set()

    def include(self, partitions: Iterable[Partition]) -> None:
        """Interrupts the read under way if it does not cover all of these, so that the next one does."""
        if self._read is not None and any(p in self._partitions and p not in self._covered for p in partitions):
            task = asyncio.get_running_loop().create_task(self.interrupt())
            self._interrupts.add(task)
            task.add_done_callback(self._interrupts.discard)

    def stop(self) -> None:
        """Ends `run` after the read under way; see `interrupt`."""
        self._stopping = True
        self._flow.changed.set()

    async def interrupt(self) -> None:
        """Makes the server answer the read under way, and waits for that."""
        if self._read is not None and not self._read.done():
            await self._transport.interrupt(self._read)

    async def aclose(self) -> None:
        """Closes the connection; a read that is still under way ends with an error."""
        self.stop()
        self._member.router.health.well(self)
        await self._transport.aclose()
