"""Proxies that make a server exactly as slow, or as faulty, as a situation wants it."""

import asyncio
import time
from collections.abc import Callable

from tests.live.proxy import CHUNK, SEND, Link, Proxy

BURST_S = 0.004


class CapacityProxy(Proxy):
    """Hands on so many sends a second and no more; bursts are some milliseconds' worth.

    Args:
        server_url: the server.
        per_second: how many.
    """

    def __init__(self, server_url: str, per_second: float) -> None:
        super().__init__(server_url)
        self._per_second, self._next_s = per_second, 0.0

    async def sends(self, link: Link, whole: list[bytes]) -> bool:
        """As many as are due; the others wait."""
        first = 0
        while first < len(whole):
            now_s = time.monotonic()
            self._next_s = max(self._next_s, now_s - BURST_S)
            may = min(len(whole) - first, int((now_s - self._next_s) * self._per_second))
            if may:
                self._next_s += may / self._per_second
                link.far_writer.write(b"".join(whole[first : first + may]))
                first += may
            if first < len(whole):
                await asyncio.sleep(0.001)  # the slowness itself
        return True


class DelayingProxy(Proxy):
    """Passes replies on later, by what `delay_ms` says at the time; their order is kept.

    Args:
        server_url: the server.
        delay_ms: for how long.
        of_reads: the replies of group reads, in place of those of sends.
    """

    def __init__(self, server_url: str, delay_ms: Callable[[], float], *, of_reads: bool = False) -> None:
        super().__init__(server_url)
        self._delay_ms, self._of_reads = delay_ms, of_reads

    async def replies(self, link: Link) -> None:
        """Each piece waits its time; those behind it wait as well."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        passing = asyncio.create_task(self._pass_on(link, waiting))
        try:
            while data := await link.far_reader.read(CHUNK):
                slow = link.reads if self._of_reads else link.sends
                waiting.put_nowait((time.monotonic() + (self._delay_ms() / 1000 if slow else 0), data))
        finally:
            passing.cancel()

    async def _pass_on(self, link: Link, waiting: "asyncio.Queue[tuple[float, bytes]]") -> None:
        while True:
            at_s, data = await waiting.get()
            if (left_s := at_s - time.monotonic()) > 0:
                await asyncio.sleep(left_s)  # the delay itself
            link.near_writer.write(data)


class CorruptingProxy(Proxy):
    """Changes `which` sends, counted from 0: the last byte of the payload; all go on."""

    which = range(0)

    def __init__(self, server_url: str) -> None:
        super().__init__(server_url)
        self._sends = 0

    async def sends(self, link: Link, whole: list[bytes]) -> bool:
        """See `Proxy.sends`."""
        for request in whole:
            is_send = SEND.match(request) is not None
            link.far_writer.write(self.change(request) if is_send and self._sends in self.which else request)
            self._sends += is_send
        return True

    def change(self, request: bytes) -> bytes:
        """What goes on in place of a send: its payload with another last byte."""
        return request[:-3] + bytes((request[-3] ^ 1,)) + request[-2:]


class RefusingProxy(CorruptingProxy):
    """Makes the server refuse `which` sends, counted from 0."""

    def change(self, request: bytes) -> bytes:
        """One that lacks its fields."""
        return b"*2\r\n$4\r\nXADD\r\n$1\r\nk\r\n"


class SwappingProxy(Proxy):
    """Lets each of `which` sends, counted from 0, be overtaken by the one behind it."""

    which = range(0)

    def __init__(self, server_url: str) -> None:
        super().__init__(server_url)
        self._sends, self._kept = 0, b""

    async def sends(self, link: Link, whole: list[bytes]) -> bool:
        """What is overtaken waits for the next one."""
        for request in whole:
            if self._sends in self.which and not self._kept:
                self._kept = request
            else:
                link.far_writer.write(request + self._kept)
                self._kept = b""
            self._sends += 1
        return True


class HoldingProxy(Proxy):
    """Holds sends back while asked to, and then hands them on, or breaks their connection."""

    def __init__(self, server_url: str) -> None:
        super().__init__(server_url)
        self._goes = asyncio.Event()
        self._goes.set()
        self._breaks = False

    async def hold(self, until_ns: int, *, breaks: bool) -> tuple[int, int]:
        """From now on; when that was, and when it ended."""
        self._goes.clear()
        first_ns = time.monotonic_ns()
        await asyncio.sleep((until_ns - first_ns) / 1e9)  # the fault itself
        self._breaks = breaks
        self._goes.set()
        return first_ns, time.monotonic_ns()

    async def sends(self, link: Link, whole: list[bytes]) -> bool:
        """What was held when the connection breaks never goes on."""
        held = not self._goes.is_set()
        await self._goes.wait()
        if held and self._breaks:
            return False
        link.far_writer.write(b"".join(whole))
        return True
