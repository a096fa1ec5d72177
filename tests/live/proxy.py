"""Proxies between the harness and a server that lose or slow down what goes through the sending connection."""

import asyncio
import contextlib
import re
import time
from typing import Self
from urllib.parse import urlsplit

CHUNK = 1 << 16
SEND = re.compile(rb"\*[0-9]+\r\n\$4\r\nXADD\r\n")
"""How a send begins. The name alone also stands in what asks for commands, and in scripts."""


class Link:
    """One connection of the harness and its counterpart.

    Attributes:
        sends: XADD was seen on it; what follows is of requests since then.
        reads: XREADGROUP was seen on it.
        seen, forwarded: requests that came, and that went on.
        answered, passed: replies that came, and that went on.
    """

    def __init__(
        self,
        near_reader: asyncio.StreamReader,
        near_writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        self.near_reader, self.near_writer = near_reader, near_writer
        self.far_reader, self.far_writer = far_reader, far_writer
        self.sends = self.reads = False
        self.seen = self.forwarded = self.answered = self.passed = 0


class Proxy:
    """Hands bytes on in both directions; subclasses meddle with the connection that carries XADD.

    Args:
        server_url: the server.
    """

    def __init__(self, server_url: str) -> None:
        address = urlsplit(server_url)
        self._port, self._database = address.port, address.path
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._listening.sockets[0].getsockname()[1]}{self._database}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
            link = Link(reader, writer, far_reader, far_writer)
            there = asyncio.create_task(self.requests(link))
            back = asyncio.create_task(self.replies(link))
            try:
                await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in (there, back):
                    each.cancel()
                await asyncio.gather(there, back, return_exceptions=True)
                writer.close()
                far_writer.close()
        self._tasks.discard(task)

    async def requests(self, link: Link) -> None:
        """From the harness to the server; whole requests where they are sends."""
        rest = b""
        while data := await link.near_reader.read(CHUNK):
            link.sends = link.sends or SEND.search(data) is not None
            link.reads = link.reads or b"XREADGROUP" in data
            if link.sends:
                whole, rest = split(rest + data)
                if not await self.sends(link, whole):
                    return
            else:
                link.far_writer.write(data)
            await link.far_writer.drain()

    async def sends(self, link: Link, whole: list[bytes]) -> bool:
        """Hands sends on; False ends the connection."""
        link.far_writer.write(b"".join(whole))
        return True

    async def replies(self, link: Link) -> None:
        """From the server to the harness."""
        while data := await link.far_reader.read(CHUNK):
            link.near_writer.write(data)
            await link.near_writer.drain()


class LossyProxy(Proxy):
    """Breaks the sending connection once, with a known number of requests carried out and not carried out."""

    def __init__(self, server_url: str) -> None:
        super().__init__(server_url)
        self._most = self._carry_out = 0
        self._losing = False
        self._lost: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def lose(self, in_flight: int, carry_out: int) -> int:
        """From now on passes no reply on; breaks the connection when so many requests are without one.

        Args:
            in_flight: at so many the harness stops sending.
            carry_out: so many of them, or those that are with the server already, reach the server.

        Returns:
            how many did, whose replies were lost.
        """
        self._most, self._carry_out = in_flight, carry_out
        self._losing = True
        return await self._lost

    async def sends(self, link: Link, whole: list[bytes]) -> bool:
        """They are counted; while the connection is being lost only some of them go on."""
        for request in whole:
            link.seen += 1
            if not self._losing or self._lost.done() or link.forwarded - link.passed < self._carry_out:
                link.forwarded += 1
                link.far_writer.write(request)
        return not self._is_over(link)

    async def replies(self, link: Link) -> None:
        """Whole replies go on, and are counted; none while the connection is being lost."""
        rest = b""
        while data := await link.far_reader.read(CHUNK):
            if not link.sends:
                link.near_writer.write(data)
                continue
            whole, rest = split(rest + data)
            link.answered += len(whole)
            if not self._losing or self._lost.done():
                link.passed += len(whole)
                link.near_writer.write(b"".join(whole))
            if self._is_over(link):
                return

    def _is_over(self, link: Link) -> bool:
        """Whether everything in flight is accounted for; the connection ends with that."""
        if not self._losing or self._lost.done():
            return False
        if link.seen - link.passed < self._most or link.answered < link.forwarded:
            return False
        self._lost.set_result(link.forwarded - link.passed)
        return True


class ThrottlingProxy(Proxy):
    """Hands on only so many requests per second of the sending connection.

    Args:
        server_url: the server.
        per_second: how many.
    """

    def __init__(self, server_url: str, per_second: int) -> None:
        super().__init__(server_url)
        self._pause_s = 0.01
        self._at_once = max(1, round(per_second * self._pause_s))

    async def sends(self, link: Link, whole: list[bytes]) -> bool:
        """A few at a time, with a pause behind them."""
        for first in range(0, len(whole), self._at_once):
            link.far_writer.write(b"".join(whole[first : first + self._at_once]))
            await asyncio.sleep(self._pause_s)  # the slowness itself
        return True


class CapacityProxy(Proxy):
    """Hands on so many requests per second of the sending connections, and no more, by an absolute schedule.

    Args:
        server_url: the server.
        per_second: how many.
    """

    BURST_S = 0.03
    """Of what it could have done when it was not asked, or had no processor, it makes up for so much."""

    def __init__(self, server_url: str, per_second: float) -> None:
        super().__init__(server_url)
        self._per_second = per_second
        self._next_s = 0.0

    async def sends(self, link: Link, whole: list[bytes]) -> bool:
        """Each when it is its turn."""
        while whole:
            now_s = time.monotonic()
            self._next_s = max(self._next_s, now_s - self.BURST_S)
            if (count := min(len(whole), int((now_s - self._next_s) * self._per_second))) > 0:
                self._next_s += count / self._per_second
                link.far_writer.write(b"".join(whole[:count]))
                whole = whole[count:]
            else:
                await asyncio.sleep(self._next_s + 1 / self._per_second - now_s)  # the slowness itself
        return True


class ReadLosingProxy(Proxy):
    """Loses replies of group reads, with the connection or with our side of it alone.

    Attributes:
        losing: so many of the next replies that bring something are lost, each with its connection.
        lost: replies that were.
        reading: connections over which a group was read.
    """

    def __init__(self, server_url: str) -> None:
        super().__init__(server_url)
        self.losing = self.lost = 0
        self.reading: set[Link] = set()
        self._cut: set[Link] = set()

    def cut(self) -> None:
        """Ends each reading connection on our side alone: the server goes on serving it for a while."""
        for link in self.reading - self._cut:
            self._cut.add(link)
            link.near_writer.close()

    async def requests(self, link: Link) -> None:
        """All go on; those of a connection that was cut are over, and the server is not told."""
        while data := await link.near_reader.read(CHUNK):
            if b"XREADGROUP" in data:
                self.reading.add(link)
            link.far_writer.write(data)
            await link.far_writer.drain()
        if link in self._cut:
            await asyncio.Event().wait()

    async def replies(self, link: Link) -> None:
        """Go on unless they are to be lost."""
        while data := await link.far_reader.read(CHUNK):
            brings = link in self.reading and b"$" in data.replace(b"$-1", b"")
            if link in self._cut:
                self.lost += brings
            elif self.losing and brings:
                self.losing -= 1
                self.lost += 1
                return
            else:
                link.near_writer.write(data)
                await link.near_writer.drain()


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole commands or replies at the beginning of `data`, and what is left."""
    whole = []
    while (end := _end_of(data)) is not None:
        whole.append(data[:end])
        data = data[end:]
    return whole, data


def _end_of(data: bytes) -> int | None:
    """Where the first array of strings, or the first string, ends; None when it is not there yet."""
    head = data.find(b"\r\n") + 2
    if head < 2:
        return None
    strings, end = (int(data[1 : head - 2]), head) if data[:1] == b"*" else (1, 0)
    for _ in range(strings):
        head = data.find(b"\r\n", end) + 2
        if head < 2:
            return None
        end = head + int(data[end + 1 : head - 2]) + 2
    return end if end <= len(data) else None
