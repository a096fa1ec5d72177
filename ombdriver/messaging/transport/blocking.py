"""Reads that may block, on a connection of their own, ended from outside without the loss of a reply.

Once a group read was sent, the server books what it delivers as pending for the consumer, whether anybody still waits
or not. So a read that was sent is not given up: CLIENT UNBLOCK ends it, and its reply comes. For the same reason a
connection that is replaced is killed on the server before the new one reads: it would be given entries that nobody
sees, and later ones would overtake them. Knows no stream command.
"""

import asyncio
import contextlib
import logging
from collections.abc import Hashable
from typing import Any, NamedTuple

from redis.exceptions import RedisError, ResponseError

from ombdriver.messaging.transport.connection import Connection, Convert
from ombdriver.messaging.transport.router import Router

logger = logging.getLogger(__name__)

LONGEST_BLOCK_MS = 5_000
"""No read blocks for longer, so that an empty reply shows that the connection lives: whoever waits longer reads again.
"""
LOSS_MARGIN_S = 0.5
"""For so long after its BLOCK a connection that is gone may still be given entries, where it could not be killed."""
UNBLOCK_EVERY_S = 0.02
"""An UNBLOCK that came before its read has no effect, so it is repeated."""
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.001, 0.05
"""Between reads that brought nothing at once: at first, and in the end."""


def block_part(block_ms: int) -> int:
    """The BLOCK in ms of the next read of somebody who waits for `block_ms`, 0 for ever."""
    return min(block_ms or LONGEST_BLOCK_MS, LONGEST_BLOCK_MS)


class _Client(NamedTuple):
    """A connection as the server knows it: its number, and the address that it came from, None if that is not known."""

    number: int
    address: bytes | None


class BlockingReader:
    """Sends reads to one server, one at a time.

    Args:
        router: where the channel comes from; a control channel to the same server carries UNBLOCK.
        key: tells the server, each time the channel connects.
    """

    def __init__(self, router: Router, key: bytes) -> None:
        self._router = router
        self._channel = router.blocking(key)
        self._connection: Connection | None = None
        self._client: _Client | None = None
        self._address: object = None
        self._block_s = 0.0
        self._connecting = asyncio.Lock()
        self._closed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<BlockingReader {self._channel}>"

    @property
    def received(self) -> int:
        """Bytes of replies over this connection."""
        return self._channel.received

    async def connect(self) -> bool:
        """Connects, unless it is connected; whether the connection replaces one that may have lost a reply.

        The one that is replaced gets nothing more from the server when this returns.

        Raises:
            ClosedError: if the router or this was closed.
            redis.exceptions.RedisError: if no connection could be made.
        """
        if await self._channel.ready() is self._connection:
            return False
        async with self._connecting:
            while (connection := await self._channel.ready()) is not self._connection:
                is_first = self._connection is None
                if not is_first:
                    await self._end_replaced()
                client = await self._ask_client()
                if await self._channel.ready() is connection:
                    self._connection, self._client, self._address = connection, client, self._channel.address
                    return not is_first
        return False  # another caller has seen to it

    async def _end_replaced(self) -> None:
        """Has the server give nothing more to the connection before this one; waits for that where it may not kill.

        Its address is named too: a server that was started again gives the same numbers to others.
        """
        if self._channel.address != self._address:
            return  # it was to another server
        if self._client is not None and self._client.address is not None:
            with contextlib.suppress(ResponseError):
                await self._channel.execute("CLIENT", "KILL", "ID", self._client.number, "ADDR", self._client.address)
                return
        logger.info("a lost connection can't be killed on the server (CLIENT KILL); its BLOCK is waited for")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._block_s + LOSS_MARGIN_S):
                await self._closed.wait()

    async def _ask_client(self) -> _Client | None:
        """Who this connection is; None if the user may not ask, and then a BLOCK ends in its own time."""
        with contextlib.suppress(ResponseError):
            reply: bytes = await self._channel.execute("CLIENT", "INFO")
            told = dict(word.partition(b"=")[::2] for word in reply.split())
            address = told.get(b"addr")  # by a unix socket all have the same, and the server hears of their end at once
            return _Client(int(told[b"id"]), address if address and not address.endswith(b":0") else None)
        with contextlib.suppress(ResponseError):
            return _Client(await self._channel.execute("CLIENT", "ID"), None)
        return None

    def send(self, data: bytes, block_ms: int | None, convert: Convert | None = None) -> "asyncio.Future[Any]":
        """Sends one read; its outcome need not be asked for.

        Args:
            data: the command, packed.
            block_ms: its BLOCK in milliseconds, not 0; None without.
            convert: makes the caller's shape of the reply.
        """
        self._block_s = (block_ms or 0) / 1000
        read = asyncio.ensure_future(self._channel.submit(data, convert=convert, block_s=self._block_s))
        read.add_done_callback(ignore_outcome)
        return read

    async def interrupt(self, read: "asyncio.Future[Any]") -> None:
        """Ends the BLOCK of a read that was sent, and waits for its reply."""
        while not read.done():
            control = None if self._router.is_closed else self._router.control_of(self._channel)
            if control is not None and self._client is not None:
                with contextlib.suppress(RedisError):  # closed meanwhile: then there is nothing to end
                    answer = asyncio.ensure_future(control.execute("CLIENT", "UNBLOCK", self._client.number))
                    answer.add_done_callback(ignore_outcome)
                    await asyncio.wait([read, answer], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([read], timeout=UNBLOCK_EVERY_S)

    async def aclose(self) -> None:
        """Closes the channel; a read that is still under way ends with an error."""
        self._closed.set()
        await self._channel.aclose()


class EmptyReadPace:
    """Pauses after reads that a server answers at once with nothing, though it was asked to wait.

    Some servers and proxies ignore BLOCK, and a reader would ask them thousands of times a second.
    """

    def __init__(self) -> None:
        self._pause_s = 0.0

    def pause_s(self, block_s: float, took_s: float) -> float:
        """How long to wait after an empty reply that took `took_s`, to a read with a BLOCK of `block_s`; mostly 0."""
        if took_s >= block_s / 2:
            self._pause_s = 0.0
            return 0.0
        was_s, self._pause_s = self._pause_s, min(LONGEST_PAUSE_S, 2 * self._pause_s or SHORTEST_PAUSE_S)
        if was_s < LONGEST_PAUSE_S <= self._pause_s:
            logger.warning(
                "the server answers reads at once although they are to wait (BLOCK): it is asked %d times a second; "
                "is it one that ignores BLOCK?",
                round(1 / LONGEST_PAUSE_S),
            )
        return self._pause_s


class ReadSize:
    """How many entries a read asks for, when replies were lost with their connections.

    A server closes a connection whose reply is above its limits, and would do so again. So after a loss a read asks for
    one entry, later ones for twice as many each, up to half of what was lost; that bound doubles from time to time.
    """

    def __init__(self) -> None:
        self._now = self._bound = _ANY
        self._replies = 0
        self._losses = RepeatedLoss()

    def of(self, count: int) -> int:
        """What to ask for, of `count`."""
        return min(count, self._now)

    def came(self) -> None:
        """A reply came."""
        self._losses.came()
        if self._now != _ANY:
            self._replies += 1
            if self._replies % BOUND_REPLIES == 0:
                self._bound = min(_ANY, 2 * self._bound)
            self._now = min(2 * self._now, self._bound)

    def lost(self, asked: int, after_s: float) -> bool:
        """The reply to a read of `asked` entries was lost; whether one entry must be too much for the server."""
        self._now, self._bound, self._replies = 1, max(1, asked // 2), 0
        return self._losses.lost("one entry" if asked <= 1 else None, after_s)


class RepeatedLoss:
    """Tells a reply that a server can't give from connections that are lost by chance.

    What a server can't give is lost at once, and again each time it is asked for. Another request, a reply, or a loss
    after a while say that it was chance: the request may have waited for a message, and the connection been cut.
    """

    def __init__(self) -> None:
        self._request: Hashable = None
        self._in_a_row = 0

    def came(self) -> None:
        """A reply came."""
        self._in_a_row = 0

    def lost(self, request: Hashable, after_s: float) -> bool:
        """The reply to `request` was lost after so many seconds; whether the server can't give it.

        Args:
            request: what was asked for, the same value if it is asked for again; None if it could be asked for in
                smaller parts.
            after_s: seconds from sending it to the loss.
        """
        if request is None or after_s >= AT_ONCE_S:
            self._in_a_row = 0
        else:
            self._in_a_row = self._in_a_row + 1 if request == self._request else 1
        self._request = request
        return self._in_a_row >= LOST_IN_A_ROW


TOO_LARGE = (
    "is a message larger than client-output-buffer-limit normal or maxmemory-clients of the server allow? "
    "raise that limit"
)
"""Why a connection is lost in place of the reply to a small read, again and again."""
BOUND_REPLIES = 64
"""After so many replies twice as much may be asked for as after one that was lost."""
LOST_IN_A_ROW, AT_ONCE_S = 3, 0.5
"""So many replies in a row to the same small request, each lost within so many seconds, are no loss by chance."""
_ANY = 1 << 40


def ignore_outcome(future: "asyncio.Future[Any]") -> None:
    """A callback for a future whose result nobody may ask for: its error is not worth a log line."""
    if not future.cancelled():
        future.exception()
