"""One connection, many callers: the hot path of the library.

All commands of one turn of the loop leave in one write, replies resolve in order. A channel outlives its connections:
it makes the first on first use and a new one after a loss, with a jittered back-off that is ours. It never sends a
command twice: what was in flight fails with an error that says whether it may have been carried out.
Knows no stream command; `wire.Wire` is one connection of it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from ombdriver.messaging.block import Block, Sink
from ombdriver.messaging.channel_statistics import ChannelStatistics
from ombdriver.messaging.connecting import Connect
from ombdriver.messaging.errors import ClosedError, ConnectionLost, WouldBlock
from ombdriver.messaging.following import Backoff
from ombdriver.messaging.line import Line
from ombdriver.messaging.refusals import is_of_wrong_server
from ombdriver.messaging.resp import Argument, pack, pack_command
from ombdriver.messaging.unanswered import Convert
from ombdriver.messaging.wire import Wire

AGAIN_S = 0.5
"""After a failed attempt to connect, who waits for room is called so many seconds later."""


class Channel(Line):
    """A pipelined connection that many callers share.

    Args:
        connect: makes the redis-py connection that is taken over.
        max_in_flight: commands that may be without a reply; callers past it wait.
        backoff: the policy for reconnecting.
        stall_s: a peer that has owed replies for so many seconds is reported in the log; None for a channel whose
            commands may block. The connection is left as it is: a stall is not a loss.
        is_over: whether an error reply says that this server is the wrong one. The connection then takes no new
            commands, what is in flight gets its replies, and the next command goes over a new connection.
        on_trouble: called when a connection was lost, or its peer has owed replies for `trouble_s` seconds.
        trouble_s: see `on_trouble`.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        max_in_flight: int = 10_000,
        backoff: Backoff | None = None,
        stall_s: float | None = 30.0,
        is_over: Callable[[Exception], bool] = is_of_wrong_server,
        on_trouble: Callable[[], None] | None = None,
        trouble_s: float | None = None,
    ) -> None:
        super().__init__(
            connect,
            max_in_flight=max_in_flight,
            backoff=backoff,
            stall_s=stall_s,
            is_over=is_over,
            on_trouble=on_trouble,
            trouble_s=trouble_s,
        )
        self._waiting: deque[tuple[asyncio.Future[Any], bytes, Convert | None, float | None]] = deque()

    def __repr__(self) -> str:
        return f"<Channel {'closed' if self._closed else self._wire or 'not connected'}>"

    def statistics(self) -> ChannelStatistics:
        """The figures of this moment."""
        wire = self._wire
        busy = wire is not None and wire.in_flight > 0
        return ChannelStatistics(
            connected=wire is not None,
            in_flight=sum(each.in_flight for each in (wire, *self._retired) if each),
            replies=self._replies + sum(each.replies for each in (wire, *self._retired) if each),
            reconnects=max(0, self._connections - 1),
            idle_ns=time.monotonic_ns() - wire.progress_ns if wire and busy else 0,
        )

    # -- one command -----------------------------------------------------------------------------------------------

    def execute(self, *args: Argument, convert: Convert | None = None, guard_s: float | None = None) -> Awaitable[Any]:
        """Sends one command; the awaitable gives `convert(reply)`, with the reply's strings as bytes.

        Args:
            args: the command's words.
            convert: makes the caller's shape of the reply; what it raises, this caller gets.
            guard_s: with no reply after so many seconds the peer is taken for gone, and the connection is given up.

        Raises:
            AioRedisMQValueError: at once, if an argument is of a type that can't be sent.
            ClosedError: at once, if the channel was closed; when awaited, if that happened before the command was sent.
            NotSentError: when awaited, if the command never left.
            OutcomeUnknownError: when awaited, if the connection was lost after the command had left.
            redis.exceptions.RedisError: when awaited, the server's error reply, as redis-py's class for it.
        """
        try:
            data: bytes = pack_command(args)  # type: ignore[arg-type]  # its stub says one-tuple
        except (TypeError, UnicodeEncodeError):
            data = pack(args)  # says what is wrong
        wire = self._wire
        if wire is not None and guard_s is None and not self._waiting and not self._closed:
            future = wire.submit(data, convert)
            if future is not None:
                return future
        return self.submit(data, convert=convert, guard_s=guard_s)

    def submit(
        self,
        data: bytes,
        *,
        convert: Convert | None = None,
        guard_s: float | None = None,
        future: asyncio.Future[Any] | None = None,
    ) -> Awaitable[Any]:
        """As `execute`, for one command that is already packed (`resp.pack`); `future` gets the reply, if given."""
        wire = self._wire
        if wire is None or self._waiting or self._closed or (found := wire.submit(data, convert, future)) is None:
            return self._queue_up(data, convert, guard_s, future)
        if guard_s is not None:
            self._guard(wire, found, guard_s)
        return found

    def _queue_up(
        self, data: bytes, convert: Convert | None, guard_s: float | None, future: asyncio.Future[Any] | None
    ) -> asyncio.Future[Any]:
        """Commands that can't go at once wait here, so that nobody who comes later can overtake them."""
        self._check_open()
        if future is None:
            future = asyncio.get_running_loop().create_future()
        self._waiting.append((future, data, convert, guard_s))
        if self._wire is None:
            self._start_connecting()
        elif len(self._waiting) == 1:
            self._wire.when_room(self._send_waiting)
        return future

    def _send_waiting(self) -> None:
        """Sends what waits, in order, as far as there is room; a caller that was cancelled is passed over."""
        wire = self._wire
        while self._waiting and wire is not None and wire.room() > 0:
            future, data, convert, guard_s = self._waiting.popleft()
            if not future.done():
                wire.submit(data, convert, future)
                if guard_s is not None:
                    self._guard(wire, future, guard_s)
        if wire is None and self._closed:
            self._fail_waiting(ClosedError("the channel was closed before the command was sent"))
        elif wire is None and self._waiting:
            self._start_connecting()
        elif wire is not None and self._waiting:
            wire.when_room(self._send_waiting)

    def _is_waited_for(self) -> bool:
        return bool(self._waiting)

    def _fail_waiting(self, error: BaseException) -> None:
        while self._waiting:
            future = self._waiting.popleft()[0]
            if not future.done():
                future.set_exception(error)

    def _guard(self, wire: Wire, future: asyncio.Future[Any], guard_s: float) -> None:
        def expire() -> None:
            wire.fail(ConnectionLost(f"no reply within {guard_s:g} s, the server or the network is gone"))

        handle = asyncio.get_running_loop().call_later(guard_s, expire)
        future.add_done_callback(lambda _: handle.cancel())

    # -- many commands as a block ----------------------------------------------------------------------------------

    def room(self) -> int:
        """Commands that may be sent at once, without waiting; 0 when there is no connection."""
        wire = self._wire
        return 0 if wire is None or self._closed else wire.room()

    def send_block(self, data: bytes, count: int, sink: Sink, token: int, first: int) -> None:
        """Sends `count` packed commands, joined in `data`; `sink(token, first, …)` is told of their replies.

        Raises:
            ClosedError: if the channel was closed.
            NotSentError: if its server has left (`leave`).
            WouldBlock: if there is no connection; `when_room` tells when there is.
        """
        wire = self._wire
        if wire is None or self._closed:
            self._check_open()
            raise WouldBlock("the channel is not connected; wait for room first")
        wire.submit_block(data, Block(sink, token, first, count))

    def when_room(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once, in a later turn: when it is worth looking again. Never, if the channel is closed."""
        if self._wire is not None and not self._closed:
            self._wire.when_room(callback)
        elif not self._closed:
            loop = asyncio.get_running_loop()

            def attempted(task: asyncio.Task[Wire]) -> None:
                failed = task.cancelled() or task.exception() is not None
                loop.call_later(AGAIN_S if failed else 0, callback)  # whoever waits will ask again at once

            self._start_connecting().add_done_callback(attempted)

    async def aclose(self, wait_s: float = 0.0) -> None:
        """Closes the channel. When it is closed already this does nothing; a call that still waits, it cuts short.

        Args:
            wait_s: how long to wait for the replies in flight, in seconds; what is left then fails.
        """
        last: asyncio.Future[Any] | None = None
        if wait_s > 0 and not self._closed and self._wire is not None and (self._wire.in_flight or self._waiting):
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
        for wire in (*self._retired, self._wire):
            if wire is not None:
                await wire.aclose()
