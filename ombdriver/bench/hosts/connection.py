"""One connection between a coordinator and an agent: messages both ways, and when each arrived."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

from ombdriver.bench.hosts import agent_protocol
from ombdriver.errors import OmbdriverError

OnMessage = Callable[[Any, int], None]
"""Is called with each message, and with the monotonic time (ns) at which its last bytes were here."""


class Connection(asyncio.Protocol):
    """Either end of a connection.

    Args:
        on_message: see `OnMessage`.
        on_lost: is called once, with the reason, when nothing more can come.
        first_bytes: the first frame that comes is no longer.

    Attributes:
        heard_ns: when something came last, on the monotonic clock.
    """

    def __init__(
        self,
        on_message: OnMessage,
        on_lost: Callable[[str], None],
        first_bytes: int = agent_protocol.MOST_BYTES,
    ) -> None:
        self._on_lost: Callable[[str], None] | None = on_lost
        self._arrived_ns = 0
        self._unpacker = agent_protocol.Unpacker(lambda message: on_message(message, self._arrived_ns), first_bytes)
        self._transport: asyncio.Transport | None = None
        self.heard_ns = time.monotonic_ns()

    def __repr__(self) -> str:
        return f"<Connection {'to ' + self.peer if self._transport else 'closed'}>"

    @property
    def peer(self) -> str:
        """The address of the other end; empty when there is none."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return str(name[0]) if name else ""

    @property
    def own_address(self) -> str:
        """The address of this machine by which it is connected; empty when there is no other end."""
        name = self._transport.get_extra_info("sockname") if self._transport else None
        return str(name[0]) if name else ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are of no class of asyncio's
        self.heard_ns = time.monotonic_ns()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._arrived_ns = self.heard_ns = time.monotonic_ns()
        try:
            self._unpacker.feed(data)
        except OmbdriverError as error:
            self.lose(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.lose(f"its connection is gone ({exc or 'it was closed'})")

    def send(self, message: agent_protocol.Message) -> None:
        """Gives `message` to the other end, if it is there."""
        if self._transport is not None:
            self._transport.write(agent_protocol.pack(message))

    def lose(self, reason: str) -> None:
        """Takes the other end for gone, and tells so; nothing is sent or told after that."""
        on_lost, self._on_lost = self._on_lost, None
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        if on_lost is not None:
            on_lost(reason)

    def close(self) -> None:
        """Ends the connection once all that was sent is written; the end is told nobody here."""
        self._on_lost = None
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    async def watch(self, every_s: float) -> None:
        """Until nothing has been heard for `agent_protocol.SILENCE_S`; then takes the other end for gone."""
        silence_ns = int(agent_protocol.SILENCE_S * 1e9)
        while time.monotonic_ns() - self.heard_ns < silence_ns:  # noqa: ASYNC110 - silence is no event
            await asyncio.sleep(every_s)
        self.lose(f"nothing was heard of it for {agent_protocol.SILENCE_S:g} s")
