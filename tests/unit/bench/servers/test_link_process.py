"""What a link does at the moment of an order; what it does to bytes, `tests/live/test_links.py` holds."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, cast

import pytest

from ombdriver.bench.servers.link_process import HOST, Link, _Near

CALLER = "127.1.0.1"


class AcceptedTransport:
    """Of a connection that has just been accepted.

    Attributes:
        ended: how it was ended; None while it is open.
    """

    def __init__(self) -> None:
        self.ended: str | None = None
        self._socket = socket.socket()

    def set_write_buffer_limits(self, high: int) -> None:
        """Has no buffer."""

    def get_extra_info(self, name: str) -> Any:
        """Its socket, or where it comes from."""
        return (CALLER, 1) if name == "peername" else self._socket

    def close(self) -> None:
        """In order."""
        self.ended = "close"
        self._socket.close()

    def abort(self) -> None:
        """By a reset."""
        self.ended = "abort"
        self._socket.close()


@pytest.mark.parametrize("callers", [(), (CALLER,)])
@pytest.mark.parametrize(("mode", "ended"), [("down", "close"), ("reset", "abort")])
async def test_a_connection_that_is_being_accepted_when_a_link_is_cut_does_not_get_through(
    mode: str, ended: str, callers: Sequence[str], unused_tcp_port: int
) -> None:
    """It has no transport yet when the others are ended. Of a caller that is cut alone, too."""
    link = Link((HOST, unused_tcp_port), asyncio.get_running_loop(), callers=callers)
    near, transport = _Near(link), AcceptedTransport()

    await (link.by_caller[CALLER] if callers else link).set_shape({"mode": mode})
    near.connection_made(cast(asyncio.Transport, transport))

    assert transport.ended == ended
    assert near.peer is None
    if link._server is not None:
        link._server.close()
    link._holder.close()
