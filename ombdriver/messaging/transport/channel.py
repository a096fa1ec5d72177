"""A pipelined connection that many callers share: the hot path of the library.

All commands of one turn of the loop leave in one write, replies resolve in order. A channel outlives its connections:
it makes the first on first use and a new one after a loss, with a jittered back-off; redis-py's own retries are off.
It never sends a command twice: what was in flight fails with an error that says whether it may have been carried out.
Knows no stream command, and not which keys its server has.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from ombdriver.messaging.errors import ClosedError, NotSentError, WouldBlock
from ombdriver.messaging.transport.background import shared
from ombdriver.messaging.transport.connection import (
    REPLY_DEADLINE_S,
    SUSPECT_S,
    Argument,
    Block,
    Connection,
    Convert,
    Sink,
    pack,
    pack_command,
)
from ombdriver.messaging.transport.retry import UNKNOWN_HOSTS, AskError, Backoff, is_of_wrong_server

NEXT_TRY_S = 0.5
"""After a failed attempt to connect, who waits for room is called so many seconds later."""

Connect = Callable[[], Awaitable[AbstractConnection]]
"""Gives a new redis-py connection of its own, connected, with protocol 2 and no retries."""


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """What a channel has done, and what it waits for.

    Attributes:
        connected: whether there is a connection now.
        in_flight: commands without a reply.
        replies: replies received over all connections.
        reconnects: connections made after the first.
        given_up: connections that owed replies, and over which nothing came any more.
        idle_ns: time since the last reply, or since there was nothing in flight; 0 when nothing is in flight.
            A large value means that the peer stalls (or blocks, on a blocking read).
    """

    connected: bool
    in_flight: int
    replies: int
    reconnects: int
    given_up: int
    idle_ns: int

    @classmethod
    def together(
        cls, channels: "Iterable[Channel]", tally: "Tally", leaving: "Iterable[Channel]" = ()
    ) -> "ChannelStatistics":
        """Several channels seen as one: connected if all are, idle as long as the idlest.

        Args:
            channels: those in use.
            tally: of these, and of all that were in use before.
            leaving: those that take no new commands.
        """
        every = tuple(channels)
        parts = [channel.statistics() for channel in every]
        return cls(
            connected=bool(parts) and all(part.connected for part in parts),
            in_flight=sum(channel.in_flight for channel in (*every, *leaving)),
            replies=tally.replies + sum(channel.open_replies for channel in (*every, *leaving)),
            reconnects=tally.reconnects,
            given_up=tally.given_up,
            idle_ns=max((part.idle_ns for part in parts), default=0),
        )


@dataclass(slots=True)
class Tally:
    """What channels have counted, whether they are there still or not: so that no sum over them ever goes back.

    Attributes:
        replies: over connections that have ended.
        reconnects: connections made after the first of each channel.
        given_up: connections that owed replies, and over which nothing came any more.
    """

    replies: int = 0
    reconnects: int = 0
    given_up: int = 0


@dataclass(frozen=True, slots=True)
class ConnectionStatistics:
    """What the channels of one client have done.

    Attributes:
        bulk: the channel that sends messages; in a cluster those of all primaries together.
        control: the channel of acknowledgements and other small commands; likewise.
        blocking: one per reader that is in use.
        reading: the channels of all readers together; counted are those of readers that are done as well.
    """

    bulk: ChannelStatistics
    control: ChannelStatistics
    blocking: tuple[ChannelStatistics, ...]
    reading: ChannelStatistics


class Channel:
    """A pipelined connection that many callers share.

    Args:
        connect: makes the redis-py connection that is taken over.
        max_in_flight: commands that may be without a reply; callers past it wait.
        backoff: the policy for reconnecting.
        deadline_s: a connection that owes replies and over which nothing has moved for so many seconds is given up:
            what is in flight fails, and a new one is made.
        is_wrong_server: whether an error reply says that this server is the wrong one. The connection then takes no
            new commands, what is in flight gets its replies, and the next command goes over a new connection.
        on_suspect: called when a connection was lost, or its peer has owed replies for `SUSPECT_S`.
        tally: counts what this channel does together with others.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        max_in_flight: int = 10_000,
        backoff: Backoff | None = None,
        deadline_s: float = REPLY_DEADLINE_S,
        is_wrong_server: Callable[[Exception], bool] = is_of_wrong_server,
        on_suspect: Callable[[], None] | None = None,
        tally: Tally | None = None,
    ) -> None:
        self._connect = connect
        self._shared_tally = tally or Tally()
        self._is_wrong_server = is_wrong_server
        self._on_suspect = on_suspect
        self._deadline_s = deadline_s
        self._max_in_flight = max_in_flight
        self._backoff = backoff or Backoff()
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._draining: set[Connection] = set()
        self._waiting: deque[tuple[asyncio.Future[Any], bytes, Convert | None, float]] = deque()
        self._closed = False
        self._is_drained = False
        self._tally, self._connections = Tally(), 0

    def __repr__(self) -> str:
        return f"<Channel {'closed' if self._closed else self._connection or 'not connected'}>"

    @property
    def address(self) -> tuple[Any, Any] | None:
        """Host and port of the server, None without a connection."""
        return self._connection.address if self._connection is not None else None

    @property
    def received(self) -> int:
        """Bytes of replies over this connection; 0 without one."""
        return self._connection.received if self._connection is not None else 0

    @property
    def is_overdue(self) -> bool:
        """Whether the server has owed replies for `SUSPECT_S`, besides the time for which commands may block."""
        return self._connection is not None and self._connection.overdue_s >= SUSPECT_S

    @property
    def has_connected(self) -> bool:
        """Whether there was ever a connection: from then on callers wait through failures."""
        return self._connections > 0

    @property
    def is_connecting(self) -> bool:
        """Whether a connection is being made."""
        return self._connecting is not None

    @property
    def generation(self) -> int:
        """How many connections it has had: what one of them was sent, the next one does not know of."""
        return self._connections

    @property
    def is_open(self) -> bool:
        """Whether it has a connection, be it one that takes no new commands."""
        return bool(self._open)

    @property
    def in_flight(self) -> int:
        """Commands without a reply."""
        return sum(connection.in_flight for connection in self._open)

    @property
    def open_replies(self) -> int:
        """Replies received over connections that have not ended."""
        return sum(connection.replies for connection in self._open)

    @property
    def _open(self) -> list[Connection]:
        return [each for each in (self._connection, *self._draining) if each is not None]

    def statistics(self) -> ChannelStatistics:
        """The figures of this moment."""
        connection, idle_ns = self._connection, 0
        if connection is not None and connection.in_flight:
            idle_ns = time.monotonic_ns() - connection.last_progress_ns
        return ChannelStatistics(
            connected=connection is not None,
            in_flight=self.in_flight,
            replies=self._tally.replies + self.open_replies,
            reconnects=self._tally.reconnects,
            given_up=self._tally.given_up,
            idle_ns=idle_ns,
        )

    # -- one command -----------------------------------------------------------------------------------------------

    def execute(self, *args: Argument, convert: Convert | None = None, block_s: float = 0.0) -> Awaitable[Any]:
        """Sends one command; the awaitable gives `convert(reply)`, with the reply's strings as bytes.

        Args:
            args: the command's words.
            convert: makes the caller's shape of the reply; what it raises, this caller gets.
            block_s: the server may take so many seconds before it answers; the deadline comes after that.

        Raises:
            MessagingValueError: at once, if an argument is of a type that can't be sent.
            ClosedError: at once, if the channel was closed; when awaited, if that happened before the command was sent.
            NotSentError: when awaited, if the command never left.
            OutcomeUnknownError: when awaited, if the connection was lost after the command had left.
            redis.exceptions.RedisError: when awaited, the server's error reply, as redis-py's class for it.
        """
        try:
            data: bytes = pack_command(args)  # type: ignore[arg-type]  # its stub says one-tuple
        except (TypeError, UnicodeEncodeError):
            data = pack(args)  # says what is wrong
        connection = self._connection
        if connection is not None and not block_s and not self._waiting and not self._closed:
            future = connection.submit(data, convert)
            if future is not None:
                return future
        return self.submit(data, convert=convert, block_s=block_s)

    def submit(
        self,
        data: bytes,
        *,
        convert: Convert | None = None,
        block_s: float = 0.0,
        future: asyncio.Future[Any] | None = None,
    ) -> Awaitable[Any]:
        """As `execute`, for one command that is already packed; `future` gets the reply, if given."""
        connection = self._connection
        if (
            connection is None
            or self._waiting
            or self._closed
            or (found := connection.submit(data, convert, future)) is None
        ):
            return self._queue_up(data, convert, block_s, future)
        if block_s:
            connection.may_block(block_s)
        return found

    def _queue_up(
        self, data: bytes, convert: Convert | None, block_s: float, future: asyncio.Future[Any] | None
    ) -> asyncio.Future[Any]:
        """Commands that can't go at once wait here, so that nobody who comes later can overtake them."""
        self._check_open()
        if future is None:
            future = asyncio.get_running_loop().create_future()
        self._waiting.append((future, data, convert, block_s))
        if self._connection is None:
            self._start_connecting()
        elif len(self._waiting) == 1:
            self._connection.when_room(self._send_waiting)
        return future

    def _send_waiting(self) -> None:
        """Sends what waits, in order, as far as there is room; a caller that was cancelled is passed over."""
        connection = self._connection
        while self._waiting and connection is not None and connection.room() > 0:
            future, data, convert, block_s = self._waiting.popleft()
            if not future.done():
                connection.submit(data, convert, future)
                if block_s:
                    connection.may_block(block_s)
        if connection is None and self._closed:
            self._fail_waiting(ClosedError("the channel was closed before the command was sent"))
        elif connection is None and self._waiting:
            self._start_connecting()
        elif connection is not None and self._waiting:
            connection.when_room(self._send_waiting)

    def _fail_waiting(self, error: BaseException) -> None:
        while self._waiting:
            future = self._waiting.popleft()[0]
            if not future.done():
                future.set_exception(error)

    # -- many commands as a block ----------------------------------------------------------------------------------

    def room(self) -> int:
        """Commands that may be sent at once, without waiting; 0 when there is no connection."""
        connection = self._connection
        return 0 if connection is None or self._closed else connection.room()

    def send_block(self, data: bytes, count: int, sink: Sink, token: int, first: int, *, block_s: float = 0.0) -> None:
        """Sends `count` packed commands, joined in `data`; `sink(token, first, …)` is told of their replies.

        The server may take `block_s` seconds before it answers, as `execute` has it.

        Raises:
            ClosedError: if the channel was closed.
            NotSentError: if its server has left (`drain`).
            WouldBlock: if there is no connection; `when_room` tells when there is.
        """
        connection = self._connection
        if connection is None or self._closed:
            self._check_open()
            raise WouldBlock("the channel is not connected; wait for room first")
        connection.submit_block(data, Block(sink, token, first, count))
        if block_s:
            connection.may_block(block_s)

    def when_room(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once, in a later turn: when it is worth looking again. Never, if the channel is closed."""
        if self._connection is not None and not self._closed:
            self._connection.when_room(callback)
        elif not self._closed:
            loop = asyncio.get_running_loop()

            def attempted(task: asyncio.Task[Connection]) -> None:
                failed = task.cancelled() or task.exception() is not None
                loop.call_later(NEXT_TRY_S if failed else 0, callback)  # whoever waits will ask again at once

            self._start_connecting().add_done_callback(attempted)

    # -- the connection --------------------------------------------------------------------------------------------

    async def ready(self) -> Connection:
        """The connection, made if there is none. The first attempt fails fast, a reconnect backs off and goes on.

        Raises:
            ClosedError: if the channel was closed.
            NotSentError: if no connection could be made; its cause says why.
        """
        if self._connection is not None:
            return self._connection
        self._check_open()
        return await shared(self._start_connecting(), self._why_not_connected)

    def _why_not_connected(self) -> Exception:
        return _has_left() if self._is_drained else ClosedError("the channel was closed while it was connecting")

    def _check_open(self) -> None:
        if self._is_drained:
            raise NotSentError("this server has no part in the key any more; ask for the channel of the key anew")
        if self._closed:
            raise ClosedError("the channel was closed; make a new client")

    def _start_connecting(self) -> asyncio.Task[Connection]:
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._make_connection())
            self._connecting.add_done_callback(self._connected)
        return self._connecting

    async def _make_connection(self) -> Connection:
        """Connects; after the first connection it goes on past failures, for `backoff.give_up_s`."""
        deadline = time.monotonic() + self._backoff.give_up_s
        attempt = 0
        while True:
            try:
                connection = await self._take_new()
                break
            except (RedisError, OSError) as error:
                is_final = not self._connections or isinstance(error, AuthenticationError)
                if is_final or time.monotonic() >= deadline:
                    raise connect_error(error) from error
            await asyncio.sleep(self._backoff.wait_s(attempt))
            attempt += 1
        for tally in (self._tally, self._shared_tally):
            tally.reconnects += self._connections > 0
        self._connections += 1
        self._connection = connection
        return connection

    async def _take_new(self) -> Connection:
        redis_connection = await self._connect()
        try:
            connection = Connection(
                self._max_in_flight,
                self._on_lost,
                self._on_error_reply,
                deadline_s=self._deadline_s,
                on_suspect=self._suspect,
            )
            connection.adopt(redis_connection)
        except BaseException:
            await redis_connection.disconnect(nowait=True)
            raise
        return connection

    def _connected(self, task: asyncio.Task[Connection]) -> None:
        self._connecting = None
        if task.cancelled():
            self._fail_waiting(
                _has_left() if self._is_drained else ClosedError("the channel was closed before the command was sent")
            )
        elif error := task.exception():  # commands that wait get it; without any it is nobody's
            self._suspect()
            self._fail_waiting(error)
        else:
            self._send_waiting()

    def _suspect(self) -> None:
        if self._on_suspect is not None and not self._closed:
            self._on_suspect()

    def _on_lost(self, connection: Connection) -> None:
        for tally in (self._tally, self._shared_tally):
            tally.replies += connection.replies
            tally.given_up += connection.was_given_up
        self._draining.discard(connection)
        if self._connection is connection:
            self._connection = None
            self._suspect()

    def _on_error_reply(self, connection: Connection, error: Exception) -> None:
        if isinstance(error, AskError) and error.host in UNKNOWN_HOSTS:  # it is where the connection is to
            error.host = connection.address[0] or ""
        if self._is_wrong_server(error) and connection is self._connection:
            self.reconnect()

    # -- ends ------------------------------------------------------------------------------------------------------

    def reconnect(self) -> None:
        """Gives up the connection in good order: no new commands on it, replies to those in flight, then a new one."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._draining.add(connection)
            connection.drain()
            if self._waiting and not self._closed:
                self._start_connecting()

    def drain(self) -> None:
        """The server has no part in this any more: ends the channel for good, with time for replies in flight.

        What waits fails with `NotSentError`, now and later; so does whoever comes after.
        """
        if not self._closed:
            self._closed = self._is_drained = True
            if self._connecting is not None:
                self._connecting.cancel()
            self._fail_waiting(_has_left())
            self.reconnect()

    async def aclose(self, wait_s: float = 0.0) -> None:
        """Closes the channel. When it is closed already this does nothing; a call that still waits, it cuts short.

        Args:
            wait_s: how long to wait for the replies in flight, in seconds; what is left then fails.
        """
        last: asyncio.Future[Any] | None = None
        if wait_s > 0 and not self._closed and self._connection and (self._connection.in_flight or self._waiting):
            last = asyncio.ensure_future(self.submit(pack(("PING",))))  # any answer to it comes after all others
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if last is not None:
            await asyncio.wait([last], timeout=wait_s)
            if not last.cancel() and not last.cancelled():
                last.exception()
        self._fail_waiting(ClosedError("the channel was closed before the command was sent"))
        for connection in (*self._draining, self._connection):
            if connection is not None:
                await connection.aclose()


class NodeChannels(NamedTuple):
    """The channels to one server.

    Attributes:
        bulk: for XADD.
        control: for XACK and other small commands, which must not wait behind a thousand XADDs.
    """

    bulk: Channel
    control: Channel


def connect_error(error: Exception) -> Exception:
    """What a failed attempt to connect raises.

    A refusal by the server keeps its class, so that callers can tell a wrong password from an absent server.
    """
    if not isinstance(error, RedisConnectionError | OSError) or isinstance(error, AuthenticationError):
        return error
    return NotSentError(f"{str(error).rstrip('.')}; is the server up, and its address right?")


def _has_left() -> NotSentError:
    return NotSentError("the server has left before the command was sent")
