"""One connection: commands leave in one write per turn of the loop, and replies are matched to them in order.

Speaks RESP 2, by hiredis both ways. Knows nothing of streams, groups or reconnecting: a lost connection ends this
object, and `channel.Channel` makes a new one. redis-py connects and logs in; then `take_over` moves its transport to
a `Connection`. What depends on redis-py's private parts stands at the end of this module, so that an upgrade that
breaks it fails in one place.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from hiredis import Reader, ReplyError, pack_command
from redis._parsers.base import BaseParser
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.connection import Connection as TcpConnection
from redis.exceptions import ResponseError

from ombdriver.messaging.errors import ConnectionLost, MessagingValueError, lost

__all__ = ["Argument", "Reader", "ReplyError", "pack", "pack_command", "server_error"]

logger = logging.getLogger(__name__)

REPLY_DEADLINE_S = 10.0
"""A connection that owes replies and over which nothing moves for so long is given up."""
SUSPECT_S = 2.0
"""A server that owes replies for so long is asked whether it is still the one to ask."""
WRITE_HIGH_WATER = 1 << 20
"""Bytes that may wait, ours and the transport's, before there is no more room."""
LARGE = 1 << 14
"""Pieces of so many bytes on average are written one by one: joining them would be one more copy."""
DRAIN_S = 5.0
"""How long a connection that takes no new commands waits for the replies that it is owed."""
READ_TURN = 1 << 20
"""Bytes of replies handled before other callbacks of the loop get a turn."""

Argument = bytes | str | int | float
Convert = Callable[[Any], Any]
"""Makes the caller's shape of a reply."""
Sink = Callable[[int, int, int, Exception | None, int, Any], None]
"""`sink(token, first, count, error, time_ns, last)`: `count` replies of a block arrived, from index `first` on.

`last` is the last reply of them; None with an `error`.
"""


def pack(args: tuple[Argument, ...]) -> bytes:
    """One command in RESP.

    Raises:
        MessagingValueError: if an argument is not bytes, str, int or float.
    """
    try:
        data: bytes = pack_command(args)  # type: ignore[arg-type]  # its stub says one-tuple
    except (TypeError, UnicodeEncodeError) as error:
        for arg in args:
            if not isinstance(arg, bytes | str | int | float) or isinstance(arg, bool):
                raise MessagingValueError(
                    f"{args[0]!s}: {type(arg).__name__} can't be stored; give bytes, str, int or float"
                ) from error
        raise MessagingValueError(f"{args[0]!s}: {error}") from error
    return data


class Connection(asyncio.Protocol):
    """A redis-py connection that was taken over, and the replies that it owes.

    A caller that was cancelled keeps its place in the queue and its reply is thrown away, so a cancel never shifts
    the replies of the others. Nothing is raised out of a callback of the transport.

    Args:
        max_in_flight: commands that may be without a reply.
        on_lost: called once, when the connection has ended.
        on_error_reply: called with each error reply, before its caller gets it.
        deadline_s: it is given up when replies are owed and nothing has moved for so many seconds, besides the time
            for which commands may block.
        on_suspect: called once for each time that it has been so for `SUSPECT_S`.

    Attributes:
        last_progress_ns: when the last reply came, or the first command after there was none in flight; monotonic.
        received: bytes of replies so far.
        overdue_s: for so long nothing has moved while replies were owed, besides the time for which commands may block.
        was_given_up: it was past its deadline.
    """

    def __init__(
        self,
        max_in_flight: int,
        on_lost: "Callable[[Connection], None]",
        on_error_reply: "Callable[[Connection, Exception], None] | None" = None,
        *,
        deadline_s: float = REPLY_DEADLINE_S,
        on_suspect: Callable[[], None] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue = ReplyQueue(None if on_error_reply is None else lambda error: on_error_reply(self, error))
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set by connection_made
        self._redis_connection: AbstractConnection | None = None
        self._on_lost = on_lost
        self._max_in_flight = max_in_flight  # 0: takes no new commands
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._paused = False
        self._waiters: deque[Callable[[], None]] = deque()
        self._fed = 0
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._ending = False
        self._cause: BaseException | None = None
        self.last_progress_ns = time.monotonic_ns()
        self.received = 0
        self._deadline_s, self._on_suspect = deadline_s, on_suspect
        self._look_every_s = min(1.0, deadline_s / 5)
        self._looking: asyncio.TimerHandle | None = None
        self._seen = (self.last_progress_ns, 0)
        self._silent_s = self._block_s = self.overdue_s = 0.0
        self.was_given_up = False

    def adopt(self, redis_connection: AbstractConnection) -> None:
        """Takes over the transport of `redis_connection`, which redis-py has connected.

        Raises:
            ConnectionLost: if it is no longer connected, or redis-py holds bytes of it.
        """
        take_over(redis_connection, self)
        self._redis_connection = redis_connection
        self._looking = self._loop.call_later(self._look_every_s, self._look)

    def __repr__(self) -> str:
        state = "lost" if self.is_lost else "paused" if self._paused else "open"
        queue = self._queue
        return f"<Connection {state}, {queue.in_flight} in flight, {queue.in_flight - queue.written} not sent>"

    @property
    def is_lost(self) -> bool:
        """Whether the connection ended."""
        return self._lost.done()

    @property
    def address(self) -> tuple[Any, Any]:
        """Host and port, or path, of the peer, as far as redis-py's connection tells."""
        found = self._redis_connection
        return getattr(found, "host", None), getattr(found, "port", getattr(found, "path", None))

    @property
    def in_flight(self) -> int:
        """Commands without a reply, those not yet written among them."""
        return self._queue.in_flight

    @property
    def replies(self) -> int:
        """Replies received."""
        return self._queue.replies

    # -- sending ---------------------------------------------------------------------------------------------------

    def room(self) -> int:
        """Commands that may be queued now; 0 while the transport is paused or enough bytes wait for the write."""
        if self._paused or self._out_bytes >= WRITE_HIGH_WATER or self._ending:
            return 0
        return self._max_in_flight - self._queue.in_flight

    def submit(
        self, data: bytes, convert: Convert | None, future: asyncio.Future[Any] | None = None
    ) -> asyncio.Future[Any] | None:
        """Queues one packed command; the future gets `convert(reply)`, the server's error, or `ConnectionLost`.

        None when there is no room: nothing was queued then. Every command comes through, so this makes few calls.
        """
        queue = self._queue
        in_flight = queue.in_flight
        if in_flight >= self._max_in_flight or self._out_bytes >= WRITE_HIGH_WATER or self._paused or self._ending:
            return None
        if future is None:
            future = self._loop.create_future()
        queue.entries.append((future, convert))
        if not in_flight:
            self.last_progress_ns = time.monotonic_ns()
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(data)
        self._out_bytes += len(data)
        queue.in_flight = in_flight + 1
        return future

    def submit_block(self, data: bytes, block: "Block") -> None:
        """Queues `block.left` packed commands joined in `data`; `room` was asked before."""
        queue = self._queue
        queue.entries.append(block)
        if self._lost.done():  # reported in a later turn, as a loss in flight would be
            queue.in_flight += block.left
            self._loop.call_soon(queue.fail, self._cause)
            return
        if not queue.in_flight:
            self.last_progress_ns = time.monotonic_ns()
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(data)
        self._out_bytes += len(data)
        queue.in_flight += block.left

    def flush(self) -> None:
        """Writes what waits: small pieces joined (over TLS twice as fast as `writelines`), large ones as they are."""
        if not self._out or self._paused or self._ending or self._transport.is_closing():
            return  # a closing transport would drop it, and it would pass for sent
        pieces = self._out
        if len(pieces) > 1 and self._out_bytes < len(pieces) * LARGE:
            pieces = [b"".join(pieces)]
        self._out = []
        self._out_bytes = 0
        self._queue.written = self._queue.in_flight
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

    # -- whether anything moves ------------------------------------------------------------------------------------

    def may_block(self, block_s: float) -> None:
        """The server may take so long before it answers what was submitted last; the deadline comes after that."""
        self._block_s = block_s if self._queue.in_flight <= 1 else max(self._block_s, block_s)

    def _look(self) -> None:
        """Counts for how long nothing has moved while replies are owed; gives the connection up past its deadline.

        It counts looks, and not the time between them: a loop that stood still has not read what came meanwhile.
        """
        self._looking = self._loop.call_later(self._look_every_s, self._look)
        seen, self._seen = self._seen, (self.last_progress_ns, self._transport.get_write_buffer_size())
        if not self._queue.in_flight or seen[0] != self._seen[0] or seen[1] > self._seen[1]:
            self._silent_s = self.overdue_s = 0.0
            return
        self._silent_s += self._look_every_s
        was_overdue_s, self.overdue_s = self.overdue_s, max(0.0, self._silent_s - self._block_s)
        if self.overdue_s >= self._deadline_s:
            self.was_given_up = True
            server = ":".join(str(part) for part in self.address if part is not None)
            owed = self._queue.in_flight
            logger.warning("%s: %d replies owed for %.3g s; the connection is given up", server, owed, self._silent_s)
            limit_s = self._block_s + self._deadline_s
            self.fail(ConnectionLost(f"no reply within {limit_s:g} s, the server or the network is gone"))
        elif was_overdue_s < SUSPECT_S <= self.overdue_s and self._on_suspect is not None:
            self._on_suspect()

    # -- what the transport tells ----------------------------------------------------------------------------------

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
        """Hands each complete reply to the command that is due; all replies of one read share one arrival time."""
        now_ns = self.last_progress_ns = time.monotonic_ns()
        self.received += len(data)
        try:
            self._queue.feed(data, now_ns)
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
        """Fails every command without a reply, and tells the channel."""
        self._ending = True
        if self._looking is not None:
            self._looking.cancel()
        if not self._lost.done():
            self._lost.set_result(None)
        self._cause = self._cause or exc
        self._queue.fail(self._cause)
        self._out.clear()
        self._out_bytes = 0
        self._wake()
        release(self._redis_connection)
        self._redis_connection = None
        self._on_lost(self)

    # -- the end ---------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Takes no new commands. It ends when what is in flight has its replies, or after `DRAIN_S`."""
        if self._max_in_flight:
            self._max_in_flight = 0
            self._loop.call_soon(self._end_when_idle)
            self._loop.call_later(DRAIN_S, self._end_late)
            self._wake()

    def _end_when_idle(self) -> None:
        if not self._queue.entries and not self._lost.done():
            self._transport.close()

    def _end_late(self) -> None:
        if not self._lost.done():
            self.fail(ConnectionLost("the server is no longer the one to ask, and owed replies"))

    def fail(self, cause: BaseException) -> None:
        """Gives the connection up at once; every command without a reply fails because of `cause`."""
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


class Block:
    """Commands that left together and whose replies are counted, not given out one by one.

    The benchmark's way through a channel: nothing per message is a future.

    Args:
        sink: told of the replies.
        token: handed to the sink.
        first: index of the first command.
        count: how many commands.
    """

    __slots__ = ("first", "left", "sink", "token")

    def __init__(self, sink: Sink, token: int, first: int, count: int) -> None:
        self.sink, self.token, self.first, self.left = sink, token, first, count

    def report(self, count: int, error: Exception | None, time_ns: int, last: Any) -> None:
        """Tells the sink of the next `count` replies."""
        first = self.first
        self.first = first + count
        self.sink(self.token, first, count, error, time_ns, last)


class ReplyQueue:
    """Commands in the order in which they leave, and the replies to them. Knows no transport.

    Args:
        on_error_reply: called with each error reply, before its caller gets it.

    Attributes:
        entries: what waits for a reply: a future with the conversion of its reply, or a `Block`.
        in_flight: commands without a reply.
        written: those of them that the transport has; the last `in_flight - written` have not left.
        replies: replies received.
    """

    __slots__ = ("_loop", "_on_error_reply", "_reader", "entries", "in_flight", "replies", "written")

    def __init__(self, on_error_reply: Callable[[Exception], None] | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = Reader()
        self._on_error_reply = on_error_reply
        self.entries: deque[tuple[asyncio.Future[Any], Convert | None] | Block] = deque()
        self.in_flight = 0
        self.written = 0
        self.replies = 0

    def feed(self, data: bytes, now_ns: int) -> None:
        """Gives each complete reply to the entry that is due.

        Raises:
            ConnectionLost: if a reply came that no command is due for.
            hiredis.ProtocolError: if the bytes are no RESP.
        """
        if not self.written:
            raise ConnectionLost("the server sent a reply before anything was asked")
        self._reader.feed(data)
        entries, gets = self.entries, self._reader.gets
        before = self.replies
        try:
            while (reply := gets()) is not False:
                if not entries:
                    raise ConnectionLost("the server sent a reply that nobody asked for")
                entry = entries[0]
                if entry.__class__ is Block:
                    self._feed_block(entry, reply, now_ns)
                    continue
                entries.popleft()
                self.replies += 1
                future, convert = entry  # type: ignore[misc]  # not a Block
                if future.done():
                    continue
                if reply.__class__ is ReplyError:
                    future.set_exception(self._error(reply))
                elif convert is None:
                    future.set_result(reply)
                else:
                    try:
                        future.set_result(convert(reply))
                    except Exception as error:  # a future refuses StopIteration
                        future.set_exception(RuntimeError(repr(error)) if isinstance(error, StopIteration) else error)
        finally:
            self.in_flight -= self.replies - before
            self.written -= self.replies - before

    def _feed_block(self, block: Any, reply: Any, now_ns: int) -> None:
        """Counts the replies to `block` that have arrived, from `reply` on; each error reply is told by itself."""
        gets = self._reader.gets
        left = before = block.left
        good, last = 0, None
        try:
            while True:
                left -= 1
                if reply.__class__ is ReplyError:
                    if good:
                        self._report(block, good, None, now_ns, last)
                        good = 0
                    self._report(block, 1, self._error(reply), now_ns)
                else:
                    good += 1
                    last = reply
                if not left:
                    self.entries.popleft()
                    break
                reply = gets()
                if reply is False:
                    break
        finally:  # what came before a malformed reply is booked
            block.left = left
            self.replies += before - left
            if good:
                self._report(block, good, None, now_ns, last)

    def fail(self, cause: BaseException | None) -> None:
        """Fails every entry: what is not written was not sent, the outcome of the rest is unknown."""
        now_ns = time.monotonic_ns()
        written = self.written
        while self.entries:
            entry = self.entries.popleft()
            count = entry.left if isinstance(entry, Block) else 1
            error = lost(was_sent=written > 0, cause=cause)
            written -= count
            if isinstance(entry, Block):
                entry.left = 0
                self._report(entry, count, error, now_ns)
            elif not entry[0].done():
                entry[0].set_exception(error)
        self.in_flight = self.written = 0

    def _error(self, reply: ReplyError) -> Exception:
        error = server_error(reply)
        if self._on_error_reply is not None:
            self._on_error_reply(error)
        return error

    def _report(self, block: Block, count: int, error: Exception | None, time_ns: int, last: Any = None) -> None:
        try:
            block.report(count, error, time_ns, last)
        except Exception as fault:
            self._loop.call_exception_handler({"message": "a sink of replies failed", "exception": fault})


# -- the reach into redis-py ---------------------------------------------------------------------------------------


def server_error(reply: ReplyError) -> Exception:
    """The error class that redis-py raises for this error reply."""
    error: Exception = BaseParser.parse_error(str(reply))  # type: ignore[no-untyped-call]
    return error


def note_refusals(redis_connection: AbstractConnection) -> list[str]:
    """Has a redis-py connection keep what the server refuses while it connects, of which redis-py passes over some.

    Returns a list that is filled meanwhile: the words of each error reply.
    """
    refused: list[str] = []
    read = redis_connection.read_response

    async def noting(*args: Any, **options: Any) -> Any:
        try:
            return await read(*args, **options)
        except ResponseError as error:
            refused.append(str(error))
            raise

    setattr(redis_connection, "read_response", noting)  # noqa: B010 - a method, to mypy
    return refused


def take_over(redis_connection: AbstractConnection, protocol: asyncio.Protocol) -> None:
    """Gives the transport of a connected redis-py connection to `protocol`.

    The handshake (AUTH, SELECT, CLIENT SETINFO) stays redis-py's. `set_protocol` does not call `connection_made`, so
    this does. Keep the redis-py connection alive until `release`: its stream writer closes the transport when it is
    collected.

    Raises:
        ConnectionLost: if redis-py holds bytes that it has read and not used, or is no longer connected.
    """
    reader, writer = redis_connection._reader, redis_connection._writer
    if reader is None or writer is None or reader.at_eof() or writer.is_closing():
        raise ConnectionLost("the connection was lost during the handshake; try again")
    parser_reader = getattr(redis_connection._parser, "_reader", None)
    if reader._buffer or (parser_reader is not None and parser_reader.has_data()):  # type: ignore[attr-defined]
        raise ConnectionLost("redis-py holds unread bytes, so its connection can't be taken over")
    transport: Any = writer.transport
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    transport.resume_reading()


def reached_by(connection_class: Any, remap: Callable[[tuple[Any, Any]], tuple[Any, Any]]) -> Any:
    """A class of redis-py's connections that go to another address, as that of a proxy, than the one they are for.

    Their server's certificate has to be for the name that they are for.

    Args:
        connection_class: redis-py's, to a host and a port.
        remap: makes the address that they go to of the one that they are for.

    Raises:
        ValueError: if they go to a unix socket.
    """
    if not issubclass(connection_class, TcpConnection):
        raise ValueError("a unix socket has no address to map")

    class Reached(connection_class):  # type: ignore[misc]  # any of redis-py's
        def _connection_arguments(self) -> dict[str, Any]:
            arguments = dict(super()._connection_arguments())
            if "ssl" in arguments:
                arguments["server_hostname"] = self.host
            arguments["host"], arguments["port"] = remap((self.host, self.port))
            return arguments

    return Reached


def release(redis_connection: AbstractConnection | None) -> None:
    """The transport is closed: leaves redis-py's destructor nothing to warn of or to close."""
    if redis_connection is not None:
        redis_connection._reader = redis_connection._writer = None
