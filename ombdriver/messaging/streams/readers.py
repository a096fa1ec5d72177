"""Group reads over one channel, such that a cancelled read loses nothing.

Once XREADGROUP was sent, the server books what it delivers as pending for the consumer, whether anybody still waits or
not. So the reply of a cancelled read is parked here, and is the first thing that the next read gets.

Group reads of streams that lie on several servers: one `GroupReader` for each place, first come first served.

One XREADGROUP can't cover two slots of a cluster. A reply that comes besides, or to a call that was cancelled, is kept
for the next read, as `GroupReader` does.

Reads without a group of streams that lie on several servers: one connection for each place, first come first served.

One XREAD can't cover two slots of a cluster. A read that nobody waits for any more is left where it is, and serves the
next call if that asks from the same ids: reading without a group takes nothing away.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError, ResponseError

from ombdriver.messaging.streams import commands
from ombdriver.messaging.streams.commands import Id, Word, key_bytes
from ombdriver.messaging.streams.replies import ReadReply, ReplyDecoder, Streams
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.connection import Connection
from ombdriver.messaging.transport.router import BLOCK_GRACE_S, Router

_NOTHING = ReadReply([], {})


@dataclass(slots=True)
class _Parked:
    keys: frozenset[bytes]
    reply: asyncio.Future[ReadReply]

    def fits(self, keys: frozenset[bytes]) -> bool:
        """Whether a read of `keys` may be given this reply, as far as is known now."""
        if not self.reply.done():
            return self.keys <= keys
        if self.reply.cancelled() or self.reply.exception() is not None:
            return True  # to be cleared away
        return all(key_bytes(stream) in keys for stream, _ in self.reply.result().streams)


class GroupReader:
    """Reads for one consumer of one group, on a channel of its own.

    Args:
        router: where the channel comes from; a control channel ends a BLOCK that nobody waits for any more.
        key: the stream that tells the server; all that is read must be readable with it in one command.
    """

    def __init__(self, router: Router, key: bytes) -> None:
        self._router = router
        self._channel: Channel = router.blocking(key)
        self._parked: deque[_Parked] = deque()
        self._wire: Connection | None = None
        self._client_id: int | None = None
        self._unblocking: asyncio.Future[Any] | None = None

    @property
    def parked(self) -> int:
        """Replies of cancelled reads that wait for the next read."""
        return len(self._parked)

    async def read(
        self, words: Sequence[Word], keys: frozenset[bytes], count: int | None, block: int | None
    ) -> ReadReply:
        """Sends XREADGROUP and waits for its reply, or gives a parked one.

        Args:
            words: the command.
            keys: the streams that it reads with `>`; empty for a read of what is pending already, which moves nothing.
            count: entries per stream at most; a parked reply is held to it too.
            block: the command's BLOCK in milliseconds, None without.

        Raises:
            OutcomeUnknownError: if the connection was lost; what the server delivered is then pending for the consumer.
            redis.exceptions.ResponseError: if the server refuses.
        """
        retry_budget = self._router.read_budget()
        while True:
            try:
                return await self._read(words, keys, count, block)
            except RedisError as error:
                if not await retry_budget.allows(error):
                    raise

    async def _read(
        self, words: Sequence[Word], keys: frozenset[bytes], count: int | None, block: int | None
    ) -> ReadReply:
        if keys and (found := await self._from_parked(keys, count)).streams:
            return found
        if self._unblocking is not None:
            await asyncio.wait([self._unblocking])  # it is meant for the read before this one
            self._unblocking = None
        await self._know_client_id()
        reply_timeout_s = None if block == 0 else (block or 0) / 1000 + BLOCK_GRACE_S
        reply: asyncio.Future[ReadReply] = asyncio.ensure_future(
            self._channel.execute(
                *words, convert=ReplyDecoder(self._router.decodes).read, reply_timeout_s=reply_timeout_s
            )
        )
        if not keys:
            return await reply
        return await self._wait(_Parked(keys, reply), block is not None)

    async def _wait(self, read: _Parked, blocks: bool) -> ReadReply:
        try:
            return await asyncio.shield(read.reply)
        except asyncio.CancelledError:
            if not read.reply.cancelled():
                read.reply.add_done_callback(ignore_outcome)
                self._parked.append(read)
                if blocks and not read.reply.done():
                    self._unblock()
            raise

    def park(self, keys: frozenset[bytes], reply: ReadReply) -> None:
        """Keeps a reply that was not handed over, for the next read of `keys`."""
        kept: asyncio.Future[ReadReply] = asyncio.get_running_loop().create_future()
        kept.set_result(reply)
        self._parked.append(_Parked(keys, kept))

    async def _from_parked(self, keys: frozenset[bytes], count: int | None) -> ReadReply:
        """The first parked reply with messages of `keys`; replies without any are cleared away."""
        for parked in list(self._parked):
            if not parked.fits(keys):
                continue
            if not parked.reply.done():
                await asyncio.wait([parked.reply])  # a second cancel leaves it where it is
            if parked not in self._parked or not parked.fits(keys):
                continue  # another read of this consumer took it meanwhile
            self._parked.remove(parked)
            if parked.reply.cancelled() or parked.reply.exception() is not None or not parked.reply.result().streams:
                continue
            found, rest = _split(parked.reply.result(), count)
            if rest.streams:
                parked.reply = asyncio.get_running_loop().create_future()
                parked.reply.set_result(rest)
                self._parked.appendleft(parked)
            return found
        return _NOTHING

    async def _know_client_id(self) -> None:
        wire = await self._channel.ready()
        if wire is not self._wire:
            self._client_id = None
            with contextlib.suppress(ResponseError):  # not allowed to ask: then a BLOCK ends in its own time
                self._client_id = await self._channel.execute("CLIENT", "ID", reply_timeout_s=BLOCK_GRACE_S)
            self._wire = wire

    def _unblock(self) -> None:
        """Ends the BLOCK that nobody waits for, so that it takes no message, and the next read need not wait for it."""
        control = self._router.control_of(self._channel) if not self._router.is_closed else None
        if self._client_id is None or control is None:
            return
        with contextlib.suppress(RedisError):  # closed meanwhile: then there is nothing to end
            answer = asyncio.ensure_future(
                control.execute("CLIENT", "UNBLOCK", self._client_id, reply_timeout_s=BLOCK_GRACE_S)
            )
            answer.add_done_callback(ignore_outcome)
            self._unblocking = answer

    async def aclose(self) -> None:
        """Closes the channel. A read that still waits ends with an error; parked replies stay pending on the server."""
        self._parked.clear()
        await self._channel.aclose()


def _split(reply: ReadReply, count: int | None) -> tuple[ReadReply, ReadReply]:
    """The first `count` entries of each stream, and the rest."""
    if count is None:
        return reply, _NOTHING
    first = [[stream, entries[:count]] for stream, entries in reply.streams]
    rest = [[stream, entries[count:]] for stream, entries in reply.streams if len(entries) > count]
    return ReadReply(first, reply.deleted), ReadReply(rest, {})


def ignore_outcome(future: asyncio.Future[Any]) -> None:
    """A callback for a future whose result nobody may ask for: its error is not worth a log line."""
    if not future.cancelled():
        future.exception()


Make = Callable[[Mapping[bytes, Id]], list[Word]]
"""The command that reads these streams from these ids."""


class MultiSlotGroupReader:
    """Reads for one consumer of one group, wherever its streams are.

    Args:
        router: where the connections come from.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._readers: dict[int, GroupReader] = {}

    @property
    def parked(self) -> int:
        """Replies that wait for the next read."""
        return sum(reader.parked for reader in self._readers.values())

    def serves(self, router: Router) -> bool:
        """Whether this reads over `router`."""
        return self._router is router

    def _reader(self, keys: list[bytes]) -> GroupReader:
        place = self._router.slot(keys[0])
        found = self._readers.get(place)
        if found is None:
            found = self._readers[place] = GroupReader(self._router, keys[0])
        return found

    async def read(self, streams: Mapping[bytes, Id], make: Make, count: int | None, block: int | None) -> ReadReply:
        """As `GroupReader.read`; with `block` it gives what comes first, without it everything that is there.

        Args:
            streams: the streams with the ids to read from; `>` for new messages.
            make: the command for some of them.
            count: entries per stream at most.
            block: milliseconds, None without.
        """
        groups = self._router.by_slot(streams)
        if len(groups) == 1:
            return await self._reader(groups[0]).read(make(streams), _new(streams, groups[0]), count, block)
        reads = {}
        for keys in groups:
            words = make({key: streams[key] for key in keys})
            reader, new = self._reader(keys), _new(streams, keys)
            reads[asyncio.ensure_future(reader.read(words, new, count, block))] = reader, new
        try:
            found = await _first(reads) if block is not None else await asyncio.gather(*reads)
        except BaseException:
            await _end(reads)
            _park(reads)
            raise
        try:
            await _end(reads)
        except asyncio.CancelledError:
            _park(reads)
            raise
        given = set(map(id, found))
        _park({read: at for read, at in reads.items() if read.done() and not _is_given(read, given)})
        return _together(found, streams)

    async def aclose(self) -> None:
        """Closes the connections. A read that still waits ends with an error; parked replies stay pending."""
        await asyncio.gather(*(reader.aclose() for reader in self._readers.values()))


Reads = Mapping["asyncio.Task[ReadReply]", tuple[GroupReader, frozenset[bytes]]]


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
            return replies  # a fault is met again by the next read
        empty += replies
        if fault is not None:
            raise fault
    return empty


async def _end(reads: Reads) -> None:
    rest = [read for read in reads if not read.done()]
    for read in rest:
        read.cancel()
    if rest:
        await asyncio.wait(rest)


def _is_given(read: "asyncio.Task[ReadReply]", given: set[int]) -> bool:
    return read.cancelled() or read.exception() is not None or id(read.result()) in given


def _park(reads: Reads) -> None:
    """Keeps what has come and is not handed over."""
    for read, (reader, new) in reads.items():
        if read.done() and not read.cancelled() and read.exception() is None and new:
            reader.park(new, read.result())


def _new(streams: Mapping[bytes, Id], keys: Iterable[bytes]) -> frozenset[bytes]:
    return frozenset(key for key in keys if streams[key] in (">", b">"))


def _together(replies: Iterable[ReadReply], streams: Mapping[bytes, Id]) -> ReadReply:
    """Several replies as one, streams in the order in which they were asked for."""
    place = {key: number for number, key in enumerate(streams)}
    merged: list[Any] = [pair for reply in replies for pair in reply.streams]
    merged.sort(key=lambda pair: place[pair[0].encode() if isinstance(pair[0], str) else pair[0]])
    return ReadReply(merged, {stream: gone for reply in replies for stream, gone in reply.deleted.items()})


LATE_S = 0.2
"""How much later than its time the end of a BLOCK may be told. A read of an earlier call may block for longer."""
_Asked = tuple[tuple[tuple[bytes, Id], ...], int | None]


@dataclass(slots=True)
class _Lane:
    channel: Channel
    asked: _Asked | None = None
    reply: "asyncio.Future[ReadReply] | None" = None


class MultiSlotReader:
    """Blocking XREADs for one consumer, wherever its streams are.

    Args:
        router: where the connections come from.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._lanes: dict[int, _Lane] = {}

    def serves(self, router: Router) -> bool:
        """Whether this reads over `router`."""
        return self._router is router

    async def read(self, streams: Mapping[bytes, Id], count: int | None, block: int) -> Streams:
        """Waits for entries after the ids given, `block` milliseconds at most, 0 for ever; what comes first.

        It goes on at the new server after MOVED, a failover or a lost connection.

        Raises:
            redis.exceptions.RedisError: if a server refuses, or none could be reached for 30 s.
        """
        groups = self._router.by_slot(streams)
        retry_budget = self._router.read_budget(idempotent=True)
        deadline = time.monotonic() + block / 1000 if block else None
        ended: set[int] = set()
        while True:
            left_s = max(0.0, deadline - time.monotonic()) if deadline is not None else None
            reads: dict[asyncio.Future[ReadReply], int] = {}
            for number, keys in enumerate(groups):
                if number not in ended:
                    asked = tuple((key, streams[key]) for key in keys), count
                    reads[await self._reply(asked, 0 if left_s is None else max(1, int(left_s * 1000)))] = number
            limit_s = None if left_s is None else left_s + LATE_S
            done, _ = await asyncio.wait(reads, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            for read in done:
                self._lanes[self._router.slot(groups[reads[read]][0])].reply = None
            found = [read.result() for read in done if not read.exception()]
            messages = [pair for reply in found for pair in reply.streams]
            if messages:
                order = {key: number for number, key in enumerate(streams)}
                return sorted(messages, key=lambda pair: order[commands.key_bytes(pair[0])])
            over = deadline is not None and time.monotonic() >= deadline - 0.001
            if over:
                ended.update(reads[read] for read in done if not read.exception())
            for error in filter(None, (read.exception() for read in done)):
                if not await retry_budget.allows(error):
                    raise error
            if len(ended) == len(groups) or (over and not done):
                return []

    async def _reply(self, asked: _Asked, block: int) -> "asyncio.Future[ReadReply]":
        """The reply that is under way for this, or a new one."""
        first = asked[0][0][0]
        place = self._router.slot(first)
        lane = self._lanes.get(place)
        if lane is not None and lane.reply is not None and lane.asked != asked:
            await lane.channel.aclose()  # it waits for what nobody wants any more
            lane = None
        if lane is None:
            lane = self._lanes[place] = _Lane(self._router.blocking(first))
        if lane.reply is None:
            words = commands.xread(dict(asked[0]), asked[1], block)
            reply_timeout_s = block / 1000 + BLOCK_GRACE_S if block else None
            sent = lane.channel.execute(
                *words, convert=ReplyDecoder(self._router.decodes).read, reply_timeout_s=reply_timeout_s
            )
            lane.asked, lane.reply = asked, asyncio.ensure_future(sent)
            lane.reply.add_done_callback(ignore_outcome)
        return lane.reply

    async def aclose(self) -> None:
        """Closes the connections. A read that still waits ends with an error."""
        lanes, self._lanes = list(self._lanes.values()), {}
        await asyncio.gather(*(lane.channel.aclose() for lane in lanes))
