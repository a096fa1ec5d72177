"""How group reads reach their server: on a connection of their own that blocks, or polled among the small commands.

One read can't cover two slots of a cluster, so a consumer of many partitions would need as many connections there.
A read that was sent is never cancelled; it is ended, and gives its reply.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Protocol

from redis.exceptions import RedisError, ResponseError

from ombdriver.messaging.connection import GUARD_S
from ombdriver.messaging.group_reader import look_at
from ombdriver.messaging.resp import pack
from ombdriver.messaging.topics.member import Member
from ombdriver.messaging.topics.partition import Partition
from ombdriver.messaging.wire import Wire

UNBLOCK_EVERY_S = 0.02
"""An UNBLOCK that came before its read has no effect, so it is repeated."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.001, 0.05
"""Between polls: at first after one that brought something, and in the end when none brings anything."""


class Reads(Protocol):
    """The way of one reading to its server.

    Attributes:
        block_s: for so long the server may go on giving entries to a connection that is gone.
    """

    block_s: float

    async def ready(self) -> bool:
        """Connects; whether what was read last may have been lost since the last call."""

    def send(self, partitions: Sequence[Partition], count: int) -> "asyncio.Future[Any]":
        """Sends a read of what is new in these partitions, up to `count` of each; its reply as it is."""

    async def end(self, read: "asyncio.Future[Any]") -> None:
        """Has a read that was sent come to its end."""

    def pause_s(self, *, empty: bool) -> float:
        """How long to wait until the next read, after one that was empty or not."""

    async def aclose(self) -> None:
        """Closes the connection; a read that is still under way ends with an error."""


class BlockingReads:
    """Reads on a connection of their own (`Reads`).

    Args:
        member: who reads.
        key: tells the server.
        block_ms: how long a read waits there.
    """

    def __init__(self, member: Member, key: bytes, block_ms: int) -> None:
        self._member, self._block_ms = member, block_ms
        self.block_s = block_ms / 1000
        self._channel = member.channels.blocking(key)
        self._wire: Wire | None = None
        self._client_id: int | None = None

    def __repr__(self) -> str:
        return f"<BlockingReads {self._channel}>"

    async def ready(self) -> bool:
        """See `Reads`: a new connection may have lost what the one before was given last."""
        wire = await self._channel.ready()
        if wire is self._wire:
            return False
        self._client_id = None
        with contextlib.suppress(ResponseError):  # not allowed to ask: then a BLOCK ends in its own time
            self._client_id = await self._channel.execute("CLIENT", "ID", guard_s=GUARD_S)
        is_first, self._wire = self._wire is None, wire
        return not is_first

    def send(self, partitions: Sequence[Partition], count: int) -> "asyncio.Future[Any]":
        """See `Reads`."""
        data = _xreadgroup(self._member, partitions, "COUNT", count, "BLOCK", self._block_ms)
        return asyncio.ensure_future(self._channel.submit(data, guard_s=self.block_s + GUARD_S))

    async def end(self, read: "asyncio.Future[Any]") -> None:
        """See `Reads`."""
        channels = self._member.channels
        while not read.done():
            control = None if channels.is_closed else channels.control_beside(self._channel)
            if control is not None and self._client_id is not None:
                with contextlib.suppress(RedisError):
                    answer = control.execute("CLIENT", "UNBLOCK", self._client_id, guard_s=GUARD_S)
                    asyncio.ensure_future(answer).add_done_callback(look_at)
            await asyncio.wait([read], timeout=UNBLOCK_EVERY_S)

    def pause_s(self, *, empty: bool) -> float:
        """See `Reads`: the server waits."""
        return 0.0

    async def aclose(self) -> None:
        """See `Reads`."""
        await self._channel.aclose()


class PolledReads:
    """Reads that don't block, over the connection of small commands (`Reads`).

    Args:
        member: who reads.
        key: tells the server.
    """

    block_s = 0.0

    def __init__(self, member: Member, key: bytes) -> None:
        self._member, self._key = member, key
        self._pause_s = FIRST_PAUSE_S
        self._lost = False

    def __repr__(self) -> str:
        return f"<PolledReads every {self._pause_s:g} s>"

    async def ready(self) -> bool:
        """See `Reads`: whatever fails may have been carried out."""
        lost, self._lost = self._lost, False
        return lost

    def send(self, partitions: Sequence[Partition], count: int) -> "asyncio.Future[Any]":
        """See `Reads`."""
        data = _xreadgroup(self._member, partitions, "COUNT", count)
        read = self._member.channels.send(self._key, data, bulk=False)
        read.add_done_callback(self._note)
        return read

    def _note(self, read: "asyncio.Future[Any]") -> None:
        self._lost = self._lost or read.cancelled() or read.exception() is not None

    async def end(self, read: "asyncio.Future[Any]") -> None:
        """See `Reads`: it ends by itself."""
        await asyncio.wait([read])

    def pause_s(self, *, empty: bool) -> float:
        """See `Reads`."""
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S) if empty else FIRST_PAUSE_S
        return self._pause_s if empty else 0.0

    async def aclose(self) -> None:
        """See `Reads`: the connection is everybody's."""


def _xreadgroup(member: Member, partitions: Sequence[Partition], *options: str | int) -> bytes:
    streams = [partition.key for partition in partitions]
    words = ("XREADGROUP", "GROUP", member.group, member.name, *options, "STREAMS", *streams)
    return pack((*words, *(b">" for _ in streams)))
