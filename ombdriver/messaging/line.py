"""The connection side of a channel: the first connection, the next ones after a loss, and giving one up in good order.

Knows no command; `channel.Channel` sends over it.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from ombdriver.messaging.connecting import Connect, dial, watch_for_stalls
from ombdriver.messaging.errors import ClosedError, NotSentError
from ombdriver.messaging.following import Backoff
from ombdriver.messaging.refusals import is_of_wrong_server
from ombdriver.messaging.wire import Wire


class Line:
    """One connection at a time; `Channel` tells the arguments.

    What waits for a connection is the channel's: it is told by `_send_waiting` and `_fail_waiting`.
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
        self._connect = connect
        self._is_over = is_over
        self._on_trouble = on_trouble
        self._trouble_s = trouble_s
        self._stall_s = stall_s
        self._max_in_flight = max_in_flight
        self._backoff = backoff or Backoff()
        self._wire: Wire | None = None
        self._connecting: asyncio.Task[Wire] | None = None
        self._retired: set[Wire] = set()
        self._closed = False
        self._has_left = False
        self._replies = 0
        self._connections = 0

    def _send_waiting(self) -> None:
        raise NotImplementedError

    def _fail_waiting(self, error: BaseException) -> None:
        raise NotImplementedError

    def _is_waited_for(self) -> bool:
        raise NotImplementedError

    def _check_open(self) -> None:
        if self._has_left:
            raise NotSentError("this server has no part in the key any more; ask for the channel of the key anew")
        if self._closed:
            raise ClosedError("the channel was closed; make a new client")

    @property
    def address(self) -> tuple[Any, Any] | None:
        """Host and port of the server, None without a connection."""
        return self._wire.address if self._wire is not None else None

    @property
    def has_connected(self) -> bool:
        """Whether there was ever a connection: from then on callers wait through failures."""
        return self._connections > 0

    async def ready(self) -> Wire:
        """The connection, made if there is none. The first attempt fails fast, a reconnect backs off and goes on.

        Raises:
            ClosedError: if the channel was closed.
            NotSentError: if no connection could be made; its cause says why.
        """
        if self._wire is not None:
            return self._wire
        self._check_open()
        attempt = self._start_connecting()
        try:
            return await asyncio.shield(attempt)  # a cancelled caller must not end the attempt for the others
        except asyncio.CancelledError:
            if attempt.cancelled() and self._has_left:
                raise _left() from None
            if attempt.cancelled() and self._closed:
                raise ClosedError("the channel was closed while it was connecting") from None
            raise

    def _start_connecting(self) -> asyncio.Task[Wire]:
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._make_wire())
            self._connecting.add_done_callback(self._connected)
        return self._connecting

    def _connected(self, task: asyncio.Task[Wire]) -> None:
        self._connecting = None
        if task.cancelled():
            self._fail_waiting(
                _left() if self._has_left else ClosedError("the channel was closed before the command was sent")
            )
        elif error := task.exception():  # commands that wait get it; without any it is nobody's
            self._tell_trouble()
            self._fail_waiting(error)
        else:
            self._send_waiting()

    async def _make_wire(self) -> Wire:
        wire = await dial(
            self._connect,
            lambda: Wire(self._max_in_flight, self._on_lost, self._on_refusal),
            self._backoff,
            patient=self._connections > 0,
        )
        self._connections += 1
        self._wire = wire
        if self._stall_s is not None:
            watch_for_stalls(wire, self._stall_s)
        if self._trouble_s is not None:
            watch_for_stalls(wire, self._trouble_s, lambda _: self._tell_trouble())
        return wire

    def _tell_trouble(self) -> None:
        if self._on_trouble is not None and not self._closed:
            self._on_trouble()

    def _on_lost(self, wire: Wire) -> None:
        self._replies += wire.replies
        self._retired.discard(wire)
        if self._wire is wire:
            self._wire = None
            self._tell_trouble()

    def _on_refusal(self, wire: Wire, error: Exception) -> None:
        if self._is_over(error) and wire is self._wire:
            self.retire()

    def retire(self) -> None:
        """Gives up the connection in good order: no new commands on it, replies to those in flight, then a new one."""
        if self._wire is not None:
            wire, self._wire = self._wire, None
            self._retired.add(wire)
            wire.retire()
            if self._is_waited_for() and not self._closed:
                self._start_connecting()

    def leave(self) -> None:
        """The server has no part in this any more: ends the channel for good, with time for replies in flight.

        What waits fails with `NotSentError`, now and later; so does whoever comes after.
        """
        if not self._closed:
            self._closed = self._has_left = True
            if self._connecting is not None:
                self._connecting.cancel()
            self._fail_waiting(_left())
            self.retire()


def _left() -> NotSentError:
    return NotSentError("the server has left before the command was sent")
