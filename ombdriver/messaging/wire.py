"""One connection: commands leave in one write per turn of the loop, replies are matched to them in order.

Knows RESP and nothing of streams, groups or reconnecting: a lost connection ends this object, and
`channel.Channel` makes a new one. The reach into redis-py's connection is in `takeover`, nowhere else.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from redis.asyncio.connection import AbstractConnection

from ombdriver.messaging.block import Block
from ombdriver.messaging.errors import ConnectionLost
from ombdriver.messaging.takeover import let_go, take_over
from ombdriver.messaging.unanswered import Convert, Unanswered

WRITE_HIGH_WATER = 1 << 20
"""Bytes that may wait, ours and the transport's, before there is no more room."""
LARGE = 1 << 14
"""Pieces of so many bytes on average are written one by one, for joining them would be one more copy."""
RETIRE_S = 5.0
"""How long a connection that gets no new commands waits for the replies that it is owed."""
READ_TURN = 1 << 20
"""Bytes of replies handled before other callbacks of the loop get a turn."""


class Wire(Unanswered, asyncio.Protocol):
    """A taken-over connection with its line of unanswered commands.

    A caller that was cancelled keeps its place in the line and its reply is thrown away, so a cancel never shifts
    the replies of the others. Nothing is raised out of a callback of the transport.
    """

    def __init__(
        self,
        max_in_flight: int,
        on_lost: "Callable[[Wire], None]",
        on_refusal: "Callable[[Wire, Exception], None] | None" = None,
    ) -> None:
        super().__init__(on_refusal)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set by connection_made
        self._connection: AbstractConnection | None = None
        self._on_lost = on_lost
        self._max_in_flight = max_in_flight
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._paused = False
        self._waiters: deque[Callable[[], None]] = deque()
        self._fed = 0
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._ending = False
        self.progress_ns = time.monotonic_ns()

    def adopt(self, connection: AbstractConnection) -> None:
        """Takes over the transport of `connection`, which redis-py has connected.

        Raises:
            ConnectionLost: if it is no longer connected, or redis-py holds bytes of it.
        """
        take_over(connection, self)
        self._connection = connection

    def __repr__(self) -> str:
        state = "lost" if self.is_lost else "paused" if self._paused else "open"
        return f"<Wire {state}, {self._in_flight} in flight, {self._in_flight - self._written} not sent>"

    @property
    def is_lost(self) -> bool:
        """Whether the connection ended."""
        return self._lost.done()

    @property
    def address(self) -> tuple[Any, Any]:
        """Host and port, or path, of the peer, as far as redis-py's connection tells."""
        connection = self._connection
        return getattr(connection, "host", None), getattr(connection, "port", getattr(connection, "path", None))

    @property
    def in_flight(self) -> int:
        """Commands without a reply, those not yet written among them."""
        return self._in_flight

    def room(self) -> int:
        """Commands that may be queued now; 0 while the transport is paused or enough bytes wait for the write."""
        if self._paused or self._out_bytes >= WRITE_HIGH_WATER or self._ending:
            return 0
        return self._max_in_flight - self._in_flight

    def submit(
        self, data: bytes, convert: Convert | None, future: asyncio.Future[Any] | None = None
    ) -> asyncio.Future[Any] | None:
        """Queues one packed command; the future gets `convert(reply)`, the server's error, or `ConnectionLost`.

        None when there is no room: nothing was queued then. Every command comes through, so this makes no calls.
        """
        in_flight = self._in_flight
        if in_flight >= self._max_in_flight or self._out_bytes >= WRITE_HIGH_WATER or self._paused or self._ending:
            return None
        if future is None:
            future = self._loop.create_future()
        self._line.append((future, convert))
        if not in_flight:
            self.progress_ns = time.monotonic_ns()
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(data)
        self._out_bytes += len(data)
        self._in_flight = in_flight + 1
        return future

    def submit_block(self, data: bytes, block: Block) -> None:
        """Queues `block.left` packed commands joined in `data`; `room` was asked before."""
        self._line.append(block)
        if self._lost.done():  # reported in a later turn, as a loss in flight would be
            self._in_flight += block.left
            self._loop.call_soon(self._fail_line)
            return
        if not self._in_flight:
            self.progress_ns = time.monotonic_ns()
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(data)
        self._out_bytes += len(data)
        self._in_flight += block.left

    def flush(self) -> None:
        """Writes what waits: small pieces joined (over TLS twice as fast as `writelines`), large ones as they are."""
        if not self._out or self._paused or self._ending or self._transport.is_closing():
            return  # a closing transport would drop it, and it would pass for sent
        pieces = self._out
        if len(pieces) > 1 and self._out_bytes < len(pieces) * LARGE:
            pieces = [b"".join(pieces)]
        self._out = []
        self._out_bytes = 0
        self._written = self._in_flight
        for piece in pieces:
            self._transport.write(piece)
        self._wake()

    def when_room(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once, in a later turn, when there is room, or when the connection is lost."""
        self._waiters.append(callback)
        self._wake()

    def _wake(self) -> None:
        if not self._waiters:
            return
        room = len(self._waiters) if self._lost.done() or not self._max_in_flight else self.room()
        while room > 0 and self._waiters:
            self._loop.call_soon(self._waiters.popleft())
            room -= 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the transport."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports have their own base
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)

    def pause_writing(self) -> None:
        """The transport holds more than it should: no room until it says so."""
        self._paused = True

    def resume_writing(self) -> None:
        """The transport has drained."""
        self._paused = False
        self.flush()
        self._wake()

    def data_received(self, data: bytes) -> None:
        """Hands each complete reply to the head of the line; all replies of one read share one arrival time."""
        now_ns = self.progress_ns = time.monotonic_ns()
        try:
            if not self._written:
                raise ConnectionLost("the server sent a reply before anything was asked")
            self._reader.feed(data)
            self._dispatch(now_ns)
        except Exception as error:  # a malformed or unexpected reply: the order of the replies can't be trusted
            self.fail(error)
            return
        self._wake()
        if not self._max_in_flight:
            self._end_when_idle()
        self._fed += len(data)
        if self._fed >= READ_TURN:
            self._transport.pause_reading()
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        self._fed = 0
        if not self._lost.done() and not self._transport.is_closing():
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        """The server closed its side: so do we."""
        self._ending = True
        self._cause = self._cause or ConnectionLost("the server closed the connection")
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fails everything in the line, and tells the channel."""
        self._ending = True
        if not self._lost.done():
            self._lost.set_result(None)
        self._cause = self._cause or exc
        self._fail_line()
        self._wake()
        let_go(self._connection)
        self._connection = None
        self._on_lost(self)

    def _fail_line(self) -> None:
        super()._fail_line()
        self._out.clear()
        self._out_bytes = 0

    def retire(self) -> None:
        """Takes no new commands. It ends when what is in flight has its replies, or after `RETIRE_S`."""
        if self._max_in_flight:
            self._max_in_flight = 0
            self._loop.call_soon(self._end_when_idle)
            self._loop.call_later(RETIRE_S, self._end_late)
            self._wake()

    def _end_when_idle(self) -> None:
        if not self._line and not self._lost.done():
            self._transport.close()

    def _end_late(self) -> None:
        if not self._lost.done():
            self.fail(ConnectionLost("the server is no longer the one to ask, and owed replies"))

    def fail(self, cause: BaseException) -> None:
        """Gives the connection up at once; whatever is in the line fails because of `cause`."""
        self._ending = True
        self._cause = self._cause or cause
        self._transport.abort()

    async def aclose(self) -> None:
        """Closes the transport, after what was queued has been written, and waits until that is done."""
        if not self._lost.done():
            self.flush()
            self._transport.close()
            await asyncio.wait([self._lost], timeout=1.0)
            if not self._lost.done():
                self._transport.abort()
                await self._lost
