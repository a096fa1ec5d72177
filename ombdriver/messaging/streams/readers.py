"""Reads of one consumer, wherever its streams lie, such that a cancelled read loses nothing.

One command can't cover two slots of a cluster, so there is a reader for each slot, and what comes first is given; on
one server all streams share a slot. Knows stream keys, ids and replies; what a call may ask for is its caller's.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from redis.exceptions import RedisError

from ombdriver.messaging.errors import ClosedError, OutcomeUnknownError
from ombdriver.messaging.streams import commands
from ombdriver.messaging.streams.commands import Id, key_bytes
from ombdriver.messaging.streams.replies import ReadReply, ReplyDecoder, Streams
from ombdriver.messaging.transport.blocking import (
    TOO_LARGE,
    BlockingReader,
    EmptyReadPace,
    ReadSize,
    block_part,
    ignore_outcome,
)
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.connection import Argument, pack
from ombdriver.messaging.transport.router import Router

DEFAULT_BLOCK_MS = 2_000
"""How long a blocking read waits when the caller names no time: a loop over it neither spins nor hangs for ever."""
LATE_S = 0.2
"""How much later than its time the end of a BLOCK may be told. A read of an earlier call may block for longer."""

MANY = 1024
"""What a read without COUNT is taken to ask for when its reply was lost."""
EARLY_S = 0.02
"""A server may end a BLOCK so much before its time, by the clock here."""

Command = Callable[[Mapping[bytes, Id], int | None], list[Argument]]
"""The command that reads these streams from these ids, with this BLOCK in milliseconds."""

# -- as a member of a group ----------------------------------------------------------------------------------------


class MultiSlotGroupReader:
    """Reads for one consumer of one group.

    Once XREADGROUP was sent, the server books what it delivers as pending for the consumer, whether anybody still
    waits or not. So the reply of a cancelled read, and one that comes besides, is parked for the next read.

    Args:
        router: where the connections come from.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._readers: dict[int, GroupReader] = {}
        self._waiting = asyncio.Lock()  # what waits here can be cancelled, or be over, without a trace
        self._pace = EmptyReadPace()

    @property
    def parked(self) -> int:
        """Replies that wait for the next read."""
        return sum(reader.parked for reader in self._readers.values())

    async def read(
        self, streams: Mapping[bytes, Id], command: Command, count: int | None, block_ms: int | None
    ) -> ReadReply:
        """Reads `streams`; with `block_ms` it gives what comes first, without it everything that is there.

        Reads that block take turns; one that does not block ends the BLOCK of the one before it.

        Args:
            streams: the streams with the ids to read from; `>` for new messages.
            command: makes the XREADGROUP for some of them.
            count: entries per stream at most.
            block_ms: how long to wait in milliseconds: 0 for ever, None not at all.

        Raises:
            OutcomeUnknownError: if a connection was lost; what the server delivered is then pending for the consumer.
            redis.exceptions.ResponseError: if a server refuses.
        """
        if block_ms is None:
            return await self._read(streams, command, count, None)
        deadline = time.monotonic() + block_ms / 1000 if block_ms else None
        try:
            async with asyncio.timeout(block_ms / 1000 or None):
                await self._waiting.acquire()
        except TimeoutError:
            return ReadReply([], {})
        try:
            while True:
                began = time.monotonic()
                left_s = 0.0 if deadline is None else max(0.001, deadline - began)
                part_ms = block_part(round(left_s * 1000))
                reply = await self._read(streams, command, count, part_ms)
                ended = time.monotonic()
                if reply.streams or reply.deleted or (deadline is not None and ended >= deadline - EARLY_S):
                    return reply
                await asyncio.sleep(self._pace.pause_s(part_ms / 1000, ended - began))
        finally:
            self._waiting.release()

    async def _read(
        self, streams: Mapping[bytes, Id], command: Command, count: int | None, block_ms: int | None
    ) -> ReadReply:
        groups = self._router.by_slot(streams)
        if len(groups) == 1:
            return await self._reader(groups[0]).read(
                command(streams, block_ms), _new(streams, groups[0]), count, block_ms
            )
        reads: dict[asyncio.Task[ReadReply], tuple[GroupReader, frozenset[bytes]]] = {}
        for keys in groups:
            reader, new = self._reader(keys), _new(streams, keys)
            words = command({key: streams[key] for key in keys}, block_ms)
            read = asyncio.ensure_future(reader.read(words, new, count, block_ms))
            read.add_done_callback(ignore_outcome)
            reads[read] = reader, new
        told: list[ReadReply | BaseException] = []
        try:
            found = await (asyncio.gather(*reads) if block_ms is None else _first(reads))
            await _end(reads)
            told += found
        except RedisError as error:
            told.append(error)
            raise
        finally:  # without a wait, so that no second cancel comes in between
            for read, (reader, new) in reads.items():
                if not read.done():
                    read.cancel()  # parks its reply by itself
                elif new and not read.cancelled():
                    outcome = read.exception() or read.result()
                    if not any(outcome is each for each in told):
                        reader.park(new, outcome)
        return _together(found, streams)

    def _reader(self, keys: list[bytes]) -> "GroupReader":
        slot = self._router.slot(keys[0])
        found = self._readers.get(slot)
        if found is None:
            found = self._readers[slot] = GroupReader(self._router, keys[0])
        return found

    async def aclose(self) -> None:
        """Closes the connections. A read that still waits ends with an error; parked replies stay pending."""
        await asyncio.gather(*(reader.aclose() for reader in self._readers.values()))


def _new(streams: Mapping[bytes, Id], keys: Iterable[bytes]) -> frozenset[bytes]:
    """Those of `keys` of which new messages are read: what is delivered of them becomes pending."""
    return frozenset(key for key in keys if streams[key] in (">", b">"))


async def _first(reads: Iterable["asyncio.Task[ReadReply]"]) -> list[ReadReply]:
    """The replies of all that are done when one has brought messages; of all if none brings any."""
    waiting = set(reads)
    empty: list[ReadReply] = []
    fault: BaseException | None = None
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        replies = []
        for read in done:
            error = read.exception()
            if error is None:
                replies.append(read.result())
            elif fault is None or isinstance(fault, RedisError):
                fault = error
        if any(entries for reply in replies for _, entries in reply.streams):
            return replies  # a fault is met again by the next read, or is parked
        empty += replies
        if fault is not None:
            raise fault
    return empty


async def _end(reads: Iterable["asyncio.Task[ReadReply]"]) -> None:
    rest = [read for read in reads if not read.done()]
    for read in rest:
        read.cancel()
    if rest:
        await asyncio.wait(rest)


def _together(replies: Iterable[ReadReply], streams: Mapping[bytes, Id]) -> ReadReply:
    """Several replies as one, streams in the order in which they were asked for."""
    deleted = {stream: gone for reply in replies for stream, gone in reply.deleted.items()}
    return ReadReply(_in_order([pair for reply in replies for pair in reply.streams], streams), deleted)


def _in_order(found: Streams, streams: Mapping[bytes, Id]) -> Streams:
    place = {key: number for number, key in enumerate(streams)}
    return sorted(found, key=lambda pair: place[key_bytes(pair[0])])


class GroupReader:
    """Reads for one consumer of one group, of streams that one command can cover.

    Args:
        router: where the connection comes from.
        key: the stream that tells the server.
    """

    def __init__(self, router: Router, key: bytes) -> None:
        self._router = router
        self._reader = BlockingReader(router, key)
        self._decode = ReplyDecoder(router.decodes).read
        self._parked: deque[_Parked] = deque()
        self._ending: set[asyncio.Task[None]] = set()
        self._blocked: asyncio.Future[ReadReply] | None = None

    @property
    def parked(self) -> int:
        """Replies that wait for the next read."""
        return len(self._parked)

    async def read(
        self, words: Sequence[Argument], new: frozenset[bytes], count: int | None, block_ms: int | None
    ) -> ReadReply:
        """Sends XREADGROUP and waits for its reply, or gives a parked one; raises as `MultiSlotGroupReader.read`.

        Args:
            words: the command.
            new: the streams that it reads with `>`; empty for a read of what is pending already, which moves nothing.
            count: entries per stream at most; a parked reply is held to it too.
            block_ms: the command's BLOCK in milliseconds; None without.
        """
        budget = self._router.read_budget()
        while True:
            try:
                return await self._read(pack(tuple(words)), new, count, block_ms)
            except RedisError as error:
                if not await budget.allows(error):
                    raise

    async def _read(self, data: bytes, new: frozenset[bytes], count: int | None, block_ms: int | None) -> ReadReply:
        if new and (found := await self._from_parked(new, count)).streams:
            return found
        if self._ending:
            await asyncio.wait(self._ending)  # an UNBLOCK is meant for the read before this one
        await self._reader.connect()
        reply: asyncio.Future[ReadReply] = self._reader.send(data, block_ms, self._decode)
        if block_ms is not None:
            self._blocked = reply
        elif self._blocked is not None and not self._blocked.done():
            self._end_block(self._blocked)
        if not new:
            return await reply
        try:
            return await asyncio.shield(reply)
        except asyncio.CancelledError:
            if not reply.cancelled():
                self._parked.append(_Parked(new, reply))
            if block_ms is not None and not reply.done():  # so that it takes no message that nobody waits for
                self._end_block(reply)
            raise

    def _end_block(self, read: "asyncio.Future[ReadReply]") -> None:
        ending = asyncio.get_running_loop().create_task(self._reader.interrupt(read))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def park(self, new: frozenset[bytes], outcome: ReadReply | BaseException) -> None:
        """Keeps a reply that was not handed over, or a loss that was not told, for the next read of `new`."""
        self._parked.append(_Parked.of(new, outcome))

    async def _from_parked(self, new: frozenset[bytes], count: int | None) -> ReadReply:
        """The first parked reply with messages of `new`; replies without any are cleared away.

        Raises:
            OutcomeUnknownError: if one was lost: what the server delivered is pending, and nobody has told.
        """
        for parked in list(self._parked):
            if not parked.fits(new):
                continue
            if not parked.reply.done():
                await asyncio.wait([parked.reply])  # a second cancel leaves it where it is
            if parked not in self._parked or not parked.fits(new):
                continue  # another read of this consumer took it meanwhile
            self._parked.remove(parked)
            if parked.loss is not None:
                raise parked.loss
            if parked.reply.cancelled() or parked.reply.exception() is not None or not parked.reply.result().streams:
                continue
            found, rest = _split(parked.reply.result(), count)
            if rest.streams:
                self._parked.appendleft(_Parked.of(parked.new, rest))
            return found
        return ReadReply([], {})

    async def aclose(self) -> None:
        """Closes the channel. A read that still waits ends with an error; parked replies stay pending on the server."""
        self._parked.clear()
        await self._reader.aclose()


@dataclass(frozen=True, slots=True, eq=False)
class _Parked:
    """The outcome of a read of `new` that nobody waits for."""

    new: frozenset[bytes]
    reply: "asyncio.Future[ReadReply]"

    @classmethod
    def of(cls, new: frozenset[bytes], outcome: ReadReply | BaseException) -> "_Parked":
        future: asyncio.Future[ReadReply] = asyncio.get_running_loop().create_future()
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
            future.exception()  # it need not be asked for
        else:
            future.set_result(outcome)
        return cls(new, future)

    @property
    def loss(self) -> OutcomeUnknownError | None:
        """The error, if the reply may have been lost."""
        error = None if not self.reply.done() or self.reply.cancelled() else self.reply.exception()
        return error if isinstance(error, OutcomeUnknownError) else None

    def fits(self, keys: frozenset[bytes]) -> bool:
        """Whether a read of `keys` may be given this reply, as far as is known now."""
        if not self.reply.done():
            return self.new <= keys
        if self.loss is not None:
            return bool(self.new & keys)
        if self.reply.cancelled() or self.reply.exception() is not None:
            return True  # to be cleared away
        return all(key_bytes(stream) in keys for stream, _ in self.reply.result().streams)


def _split(reply: ReadReply, count: int | None) -> tuple[ReadReply, ReadReply]:
    """The first `count` entries of each stream, and the rest."""
    if count is None:
        return reply, ReadReply([], {})
    first = [[stream, entries[:count]] for stream, entries in reply.streams]
    rest = [[stream, entries[count:]] for stream, entries in reply.streams if len(entries) > count]
    return ReadReply(first, reply.deleted), ReadReply(rest, {})


# -- without a group -----------------------------------------------------------------------------------------------


class MultiSlotReader:
    """Blocking XREADs of one consumer.

    A read that nobody waits for any more is left where it is, and serves the next call if that asks from the same
    ids: reading without a group takes nothing away.

    Args:
        router: where the connections come from.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._reads: dict[int, _PlainRead] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._pace, self._size = EmptyReadPace(), ReadSize()
        self._is_closed = False

    async def read(self, streams: Mapping[bytes, Id], count: int | None, block_ms: int) -> Streams:
        """Waits for entries after the ids given, `block_ms` milliseconds at most, 0 for ever; what comes first.

        It goes on at the new server after MOVED, a failover or a lost connection.

        Raises:
            ClosedError: if this was closed meanwhile.
            redis.exceptions.RedisError: if a server refuses, or none could be reached for 30 s.
        """
        groups = self._router.by_slot(streams)
        budget = self._router.read_budget(idempotent=True)
        deadline = time.monotonic() + block_ms / 1000 if block_ms else None
        ended: set[int] = set()  # groups whose time is over
        while True:
            began = time.monotonic()
            left_s = max(0.0, deadline - began) if deadline is not None else None
            left_ms = 0 if left_s is None else max(1, int(left_s * 1000))
            asks_for = self._size.of(count or MANY)
            reads: dict[asyncio.Future[ReadReply], int] = {}
            for number, keys in enumerate(groups):
                if number not in ended:
                    asked = tuple((key, streams[key]) for key in keys), count if asks_for == MANY else asks_for
                    reads[self._reply(asked, block_part(left_ms))] = number
            limit_s = None if left_s is None else left_s + LATE_S
            done, _ = await asyncio.wait(reads, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            found = [pair for read in done if not read.exception() for pair in read.result().streams]
            if any(not read.exception() for read in done):
                self._size.came()
            if found:
                return _in_order(found, streams)
            is_over = deadline is not None and time.monotonic() >= deadline - EARLY_S
            if is_over:
                ended.update(reads[read] for read in done if not read.exception())
            for error in filter(None, (read.exception() for read in done)):
                if self._is_closed:
                    raise ClosedError("the consumer was closed") from error
                is_too_large = isinstance(error, OutcomeUnknownError) and self._size.lost(
                    asks_for, time.monotonic() - began
                )
                if is_too_large:
                    raise OutcomeUnknownError(f"a read of one entry is lost again and again: {TOO_LARGE}") from error
                if not await budget.allows(error):
                    raise error
            if len(ended) == len(groups) or (is_over and not done):
                return []
            if not is_over and all(read.done() and not read.exception() for read in reads):
                await asyncio.sleep(self._pace.pause_s(block_part(left_ms) / 1000, time.monotonic() - began))

    def _reply(self, asked: "_Asked", block_ms: int) -> "asyncio.Future[ReadReply]":
        """The reply of a read for this that is under way, or of a new one."""
        if self._is_closed:
            raise ClosedError("the consumer was closed")
        first = asked[0][0][0]
        slot = self._router.slot(first)
        read = self._reads.get(slot)
        if read is not None and read.asked != asked and read.reply is not None and not read.reply.done():
            # It waits for what nobody wants any more.
            self._close_soon(self._reads.pop(slot).channel)
            read = None
        if read is None:
            read = self._reads[slot] = _PlainRead(self._router.blocking(first))
        if read.reply is None or read.reply.done():
            data = pack(tuple(commands.xread(dict(asked[0]), asked[1], block_ms)))
            decode = ReplyDecoder(self._router.decodes).read
            read.asked = asked
            read.reply = asyncio.ensure_future(read.channel.submit(data, convert=decode, block_s=block_ms / 1000))
            read.reply.add_done_callback(ignore_outcome)
        return read.reply

    def _close_soon(self, channel: Channel) -> None:
        """Closes a channel whoever is cancelled meanwhile; nobody waits for it but `aclose`."""
        closing = asyncio.get_running_loop().create_task(channel.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        """Closes the connections. A read that still waits ends with an error."""
        self._is_closed = True
        await asyncio.gather(*(read.channel.aclose() for read in self._reads.values()), *self._closing)


_Asked = tuple[tuple[tuple[bytes, Id], ...], int | None]
"""Streams with the ids to read from, and entries per stream at most."""


@dataclass(slots=True)
class _PlainRead:
    """The connection to one slot, and the read that is under way on it."""

    channel: Channel
    asked: _Asked | None = None
    reply: "asyncio.Future[ReadReply] | None" = None
