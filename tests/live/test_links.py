"""The links of a run carry bytes as they are, and do to them what is asked for; nothing of them is left."""

import asyncio
import random
import resource
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psutil  # type: ignore[import-untyped]
import pytest

from ombdriver.bench.servers.link_shape import LinkShape
from ombdriver.bench.servers.links import LinkError, Links
from ombdriver.bench.units import MS

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """A server that sends back what it gets.

    Attributes:
        got: all that it got.
        ended: connections that have ended.
    """

    def __init__(self) -> None:
        self.got = b""
        self.begun = self.ended = 0
        self.port = 0
        self._news = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.begun += 1
        try:
            while data := await reader.read(1 << 16):
                self.got += data
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
            async with self._news:
                self.ended += 1
                self._news.notify_all()

    async def until_all_ended(self) -> None:
        """Waits until there is no connection."""
        async with self._news:
            await self._news.wait_for(lambda: self.ended == self.begun)

    async def until_ended(self, count: int) -> None:
        """Waits until so many connections have ended."""
        async with self._news:
            await self._news.wait_for(lambda: self.ended >= count)


OPEN: list[asyncio.StreamWriter] = []
"""Connections of the test that runs."""


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[Echo, Links, int]]:
    """An echo, and a link to it."""
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.port = server.sockets[0].getsockname()[1]
    async with closing(), Links.start() as links:
        yield echo, links, await links.open(echo.port)
    await echo.until_all_ended()
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def closing() -> AsyncIterator[None]:
    """Closes the connections that are made in it."""
    yield
    writers, OPEN[:] = [*OPEN], []
    for writer in writers:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


async def connected(port: int) -> Streams:
    """A connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    OPEN.append(writer)
    return reader, writer


@contextmanager
def few_files(count: int) -> Iterator[None]:
    """What is started meanwhile may open so few files, unless it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def echoes(streams: Streams, data: bytes) -> bool:
    """Whether it comes back."""
    reader, writer = streams
    writer.write(data)
    return await reader.readexactly(len(data)) == data


@pytest.mark.parametrize(
    ("shape", "least_s"),
    [
        (LinkShape(), 0.0),
        (LinkShape(latency_ns=20 * MS, jitter_ns=20 * MS), 0.0),
        (LinkShape(latency_ns=50 * MS), 0.1),
        (LinkShape(bandwidth=2_000_000), 0.2),
    ],
)
async def test_bytes_come_whole_and_in_their_order_whatever_slows_them_down(shape: LinkShape, least_s: float) -> None:
    """More than any buffer holds, in pieces of all sizes; and not sooner than they can."""
    data = random.Random(7).randbytes(400_000)
    async with linked() as (_, links, port):
        reader, writer = await connected(port)
        await links.shape(port, shape)
        began_s = time.monotonic()

        async def send() -> None:
            sizes, at = random.Random(8), 0
            while at < len(data):
                size = sizes.randint(1, 20_000)
                writer.write(data[at : at + size])
                await writer.drain()
                at += size

        _, came = await asyncio.gather(send(), reader.readexactly(len(data)))

        assert came == data
        assert time.monotonic() - began_s >= least_s


async def test_what_is_on_its_way_still_comes_when_a_link_is_as_it_was_again() -> None:
    """In front of what is sent after that."""
    async with linked() as (_, links, port):
        reader, writer = await connected(port)
        await links.shape(port, LinkShape(latency_ns=100 * MS))
        writer.write(b"first")
        await writer.drain()
        await links.shape(port, LinkShape())
        writer.write(b"second")

        assert await reader.readexactly(11) == b"firstsecond"


async def test_a_link_that_is_down_ends_connections_and_takes_none() -> None:
    """And takes them again, on the same port, when it is up."""
    async with linked() as (_, links, port):
        old = await connected(port)
        assert await echoes(old, b"before")

        assert await links.shape(port, LinkShape("down")) == 1
        assert await old[0].read() == b""
        with pytest.raises(ConnectionRefusedError):
            await connected(port)

        await links.shape(port, LinkShape())
        assert await echoes(await connected(port), b"after")


async def test_a_reset_is_a_reset() -> None:
    """Of connections that are there, and of new ones as long as it lasts."""
    async with linked() as (echo, links, port):
        old = await connected(port)
        assert await echoes(old, b"before")

        await links.shape(port, LinkShape("reset"))
        with pytest.raises(ConnectionResetError):
            await old[0].read()
        await echo.until_ended(1)
        with pytest.raises(ConnectionResetError):
            await echoes(await connected(port), b"meanwhile")

        await links.shape(port, LinkShape())
        assert await echoes(await connected(port), b"after")
        assert echo.got == b"beforeafter"


async def test_of_a_half_open_connection_only_the_server_knows() -> None:
    """The client sends, and waits in vain; new connections are as ever."""
    async with linked() as (echo, links, port):
        reader, writer = await connected(port)
        assert await echoes((reader, writer), b"before")

        await links.shape(port, LinkShape("halfOpen"))
        await echo.until_ended(1)
        writer.write(b"in vain")
        await writer.drain()

        assert await echoes(await connected(port), b"new")
        await links.shape(port, LinkShape())
        assert await echoes(await connected(port), b"after")
        assert echo.got == b"beforenewafter"
        assert not reader.at_eof()


async def test_what_is_swallowed_is_gone_and_its_connection_ends_later() -> None:
    """No bytes come after bytes that are missing."""
    async with linked() as (echo, links, port):
        old, idle = await connected(port), await connected(port)
        assert await echoes(old, b"before")
        assert await echoes(idle, b"idle")

        await links.shape(port, LinkShape("swallow"))
        old[1].write(b"swallowed")
        await old[1].drain()
        new = await connected(port)
        new[1].write(b"swallowed too")
        await new[1].drain()
        await until_read(links, port)
        await links.shape(port, LinkShape())

        with pytest.raises(ConnectionResetError):
            await old[0].read()
        assert await echoes(idle, b"again")
        assert b"swallowed" not in echo.got


async def until_read(links: Links, port: int) -> None:
    """Orders are carried out in turns of the loop that also read what has come by then."""
    for _ in range(20):
        await links.shape(port, LinkShape("swallow"))


async def test_nothing_is_left_of_links() -> None:
    """Their process ends; what is ordered after that is an error, and no hang."""
    links = Links.start()
    process = psutil.Process(links.pid)
    port = await links.open(1)
    async with closing():
        with pytest.raises(ConnectionResetError):  # nobody listens there
            await echoes(await connected(port), b"x")

    await links.aclose()

    assert not process.is_running()
    with pytest.raises(LinkError, match="has ended"):
        await links.open(1)


async def test_an_order_that_can_not_be_carried_out_is_an_error() -> None:
    """And the others go on."""
    async with Links.start() as links:
        with pytest.raises(LinkError, match="could not do"):
            await links.shape(1, LinkShape("down"))
        assert await links.open(1)


async def test_a_process_of_links_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a run does not wait for it."""
    monkeypatch.setattr("ombdriver.bench.servers.links.END_TIMEOUT_S", 0.2)
    links = Links.start()
    process = psutil.Process(links.pid)
    process.suspend()

    await links.aclose()

    assert not psutil.pid_exists(process.pid)


async def test_as_many_connections_go_through_as_the_system_lets_a_process_have() -> None:
    """The limit that a shell gives is the lower of two, and half as many connections would go through it."""
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.port = server.sockets[0].getsockname()[1]
    with few_files(128):
        links = Links.start()
        port = await links.open(echo.port)  # it has begun by then
    async with closing(), links:
        every = await asyncio.gather(*(connected(port) for _ in range(150)))
        assert all(await asyncio.gather(*(echoes(one, b"x") for one in every)))
    await echo.until_all_ended()
    server.close()
    await server.wait_closed()
