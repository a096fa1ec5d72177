"""The reach into redis-py: its connected connection hands its transport to a protocol of ours.

Everything that depends on redis-py's private parts stands here, so that an upgrade that breaks it fails in one place.
"""

import asyncio
from typing import Any

from redis.asyncio.connection import AbstractConnection

from ombdriver.messaging.errors import ConnectionLost


def take_over(connection: AbstractConnection, protocol: asyncio.Protocol) -> None:
    """Gives the transport of a connected redis-py `connection` to `protocol`.

    The handshake (AUTH, SELECT, CLIENT SETINFO) stays redis-py's. `set_protocol` does not call `connection_made`, so
    this does. Keep the redis-py connection alive until `let_go`: its stream writer closes the transport when it is
    collected.

    Raises:
        ConnectionLost: if redis-py holds bytes that it has read and not used, or is no longer connected.
    """
    reader, writer = connection._reader, connection._writer
    if reader is None or writer is None or reader.at_eof() or writer.is_closing():
        raise ConnectionLost("the connection was lost during the handshake; try again")
    parser_reader = getattr(connection._parser, "_reader", None)
    if reader._buffer or (parser_reader is not None and parser_reader.has_data()):  # type: ignore[attr-defined]
        raise ConnectionLost("redis-py holds unread bytes, so its connection can't be taken over")
    transport: Any = writer.transport
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    transport.resume_reading()


def let_go(connection: AbstractConnection | None) -> None:
    """The transport is closed: redis-py's destructor has nothing left to warn of or to close."""
    if connection is not None:
        connection._reader = connection._writer = None
