"""Reads that may block, on a connection of their own, ended from outside without the loss of a reply.

Once a group read was sent, the server books what it delivers as pending for the consumer, whether anybody still waits
or not. So a read that was sent is not given up: CLIENT UNBLOCK ends it, and its reply comes. Knows no stream command.
"""

import asyncio
import contextlib
from typing import Any

from redis.exceptions import RedisError, ResponseError

from ombdriver.messaging.transport.connection import Connection, Convert
from ombdriver.messaging.transport.router import Router

BLOCK_GRACE_S = 5.0
"""How long past its BLOCK time a blocking read may stay without a reply before the peer is taken for gone."""
UNBLOCK_EVERY_S = 0.02
"""An UNBLOCK that came before its read has no effect, so it is repeated."""


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
        self._client_id: int | None = None

    def __repr__(self) -> str:
        return f"<BlockingReader {self._channel}>"

    async def connect(self) -> bool:
        """Connects, unless it is connected; whether the connection replaces one that may have lost a reply.

        Raises:
            ClosedError: if the router was closed.
            redis.exceptions.RedisError: if no connection could be made.
        """
        connection = await self._channel.ready()
        if connection is self._connection:
            return False
        self._client_id = None
        with contextlib.suppress(ResponseError):  # not allowed to ask: then a BLOCK ends in its own time
            self._client_id = await self._channel.execute("CLIENT", "ID", reply_timeout_s=BLOCK_GRACE_S)
        is_first, self._connection = self._connection is None, connection
        return not is_first

    def send(self, data: bytes, block_ms: int | None, convert: Convert | None = None) -> "asyncio.Future[Any]":
        """Sends one read; its outcome need not be asked for.

        Args:
            data: the command, packed.
            block_ms: its BLOCK in milliseconds: 0 for ever, None without.
            convert: makes the caller's shape of the reply.
        """
        limit_s = None if block_ms == 0 else (block_ms or 0) / 1000 + BLOCK_GRACE_S
        read = asyncio.ensure_future(self._channel.submit(data, convert=convert, reply_timeout_s=limit_s))
        read.add_done_callback(ignore_outcome)
        return read

    async def interrupt(self, read: "asyncio.Future[Any]") -> None:
        """Ends the BLOCK of a read that was sent, and waits for its reply."""
        while not read.done():
            control = None if self._router.is_closed else self._router.control_of(self._channel)
            if control is not None and self._client_id is not None:
                with contextlib.suppress(RedisError):  # closed meanwhile: then there is nothing to end
                    answer = control.execute("CLIENT", "UNBLOCK", self._client_id, reply_timeout_s=BLOCK_GRACE_S)
                    asyncio.ensure_future(answer).add_done_callback(ignore_outcome)
            await asyncio.wait([read], timeout=UNBLOCK_EVERY_S)

    async def aclose(self) -> None:
        """Closes the channel; a read that is still under way ends with an error."""
        await self._channel.aclose()


def ignore_outcome(future: "asyncio.Future[Any]") -> None:
    """A callback for a future whose result nobody may ask for: its error is not worth a log line."""
    if not future.cancelled():
        future.exception()
