"""Group reads over one channel, such that a cancelled read loses nothing.

Once XREADGROUP was sent, the server books what it delivers as pending for the consumer, whether anybody still waits or
not. So the reply of a cancelled read is parked here, and is the first thing that the next read gets.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError, ResponseError

from ombdriver.messaging.channel import Channel
from ombdriver.messaging.commands import Word, key_bytes
from ombdriver.messaging.connection import GUARD_S, Channels
from ombdriver.messaging.replies import ReadReply
from ombdriver.messaging.wire import Wire

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
        channels: where the channel comes from; a control channel ends a BLOCK that nobody waits for any more.
        key: the stream that tells the server; all that is read must be readable with it in one command.
    """

    def __init__(self, channels: Channels, key: bytes) -> None:
        self._channels = channels
        self._channel: Channel = channels.blocking(key)
        self._parked: deque[_Parked] = deque()
        self._wire: Wire | None = None
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
        patience = self._channels.patience()
        while True:
            try:
                return await self._read(words, keys, count, block)
            except RedisError as error:
                if not await patience.allows(error):
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
        guard_s = None if block == 0 else (block or 0) / 1000 + GUARD_S
        reply: asyncio.Future[ReadReply] = asyncio.ensure_future(
            self._channel.execute(*words, convert=self._channels.codec.read, guard_s=guard_s)
        )
        if not keys:
            return await reply
        return await self._wait(_Parked(keys, reply), block is not None)

    async def _wait(self, read: _Parked, blocks: bool) -> ReadReply:
        try:
            return await asyncio.shield(read.reply)
        except asyncio.CancelledError:
            if not read.reply.cancelled():
                read.reply.add_done_callback(look_at)
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
                self._client_id = await self._channel.execute("CLIENT", "ID", guard_s=GUARD_S)
            self._wire = wire

    def _unblock(self) -> None:
        """Ends the BLOCK that nobody waits for, so that it takes no message, and the next read need not wait for it."""
        control = self._channels.control_beside(self._channel) if not self._channels.is_closed else None
        if self._client_id is None or control is None:
            return
        with contextlib.suppress(RedisError):  # closed meanwhile: then there is nothing to end
            answer = asyncio.ensure_future(control.execute("CLIENT", "UNBLOCK", self._client_id, guard_s=GUARD_S))
            answer.add_done_callback(look_at)
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


def look_at(future: asyncio.Future[Any]) -> None:
    """A callback for a future whose result nobody may ask for: its error is not worth a log line."""
    if not future.cancelled():
        future.exception()
