"""A proxy before a server that loses replies, and swallows bytes, of connections that are chosen by what they carry.

Two of these stand before a server: members of groups come through one, producers through the other.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

from ombdriver.bench.servers.topology import HOST

CHUNK = 1 << 16


@dataclass(eq=False, slots=True)
class Link:
    """One connection of the library and its counterpart at the server.

    Attributes:
        near: to the library.
        far: to the server.
        reads: XREADGROUP was seen on it.
        swallows: nothing goes through any more, and neither side is told.
        loses: its next reply is lost, and then the connection.
    """

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    reads: bool = False
    swallows: bool = False
    loses: bool = False


class FaultProxy:
    """Hands bytes on, until it is told otherwise.

    Args:
        port: of the server, on loopback.

    Attributes:
        port: its own.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._links: list[Link] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._losses: list[tuple[bool, Callable[[], Awaitable[object]] | None]] = []
        self._words: list[bytes] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._listening.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def swallow(self, *, reads: bool) -> None:
        """The connections of that kind carry nothing any more; they are not closed."""
        for link in self._of(reads):
            link.swallows = True

    def halve(self, *, reads: bool) -> None:
        """The connections of that kind are lost to the library; the server does not hear of it, and goes on serving."""
        for link in self._of(reads):
            link.swallows = True
            link.near.close()

    def _of(self, reads: bool) -> list[Link]:
        return [link for link in self._links if link.reads == reads and not link.swallows]

    def lose(self, *, reads: bool, then: Callable[[], Awaitable[object]] | None = None) -> None:
        """The next reply to one connection of that kind is lost, and then the connection; `then` comes in between."""
        self._losses.append((reads, then))

    def lose_answer(self, word: bytes) -> None:
        """The next reply is lost to a connection that asks for something with this word in it, and the connection."""
        self._words.append(word)

    async def _serve(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.CancelledError):  # cancelled at the end, by `__aexit__`
            far_reader, far = await asyncio.open_connection(HOST, self._to)
            self._links.append(link := Link(near, far))
            ways = [asyncio.create_task(self._up(link, reader)), asyncio.create_task(self._down(link, far_reader))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                if link.swallows:  # that one side is gone, the other does not hear
                    await asyncio.wait(ways)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                self._links.remove(link)
                near.close()
                far.close()
        self._tasks.discard(task)

    async def _up(self, link: Link, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK):
            link.reads = link.reads or b"XREADGROUP" in data
            if word := next((each for each in self._words if each in data), None):
                self._words.remove(word)
                link.loses = True
            if not link.swallows:
                link.far.write(data)
                await link.far.drain()

    async def _down(self, link: Link, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK):
            if link.swallows:
                continue
            if link.loses:
                return
            for at, (reads, then) in enumerate(self._losses):
                # A read that brings nothing is no loss; one that brings something holds strings.
                if reads == link.reads and (not reads or b"$" in data.replace(b"$-1", b"")):
                    del self._losses[at]
                    if then is not None:
                        await then()
                    return
            link.near.write(data)
            await link.near.drain()
