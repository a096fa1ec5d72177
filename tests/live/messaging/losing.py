"""A proxy that loses what a producer sends, or what it is answered, or holds it up, when the test says so."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import hiredis
import redis.asyncio
from proxy import CHUNK, Link, Proxy

from ombdriver import MQClient, Producer, RecordMetadata
from ombdriver.messaging.topics.producer.config import ProducerOptions


class LosingProxy(Proxy):
    """Breaks connections that carry messages, at a place that is known.

    Attributes:
        lost: how many connections it broke.
        passing: cleared, nothing goes on to the server.
    """

    def __init__(self, server_url: str) -> None:
        super().__init__(server_url)
        self._replies_to_lose = self._requests_to_lose = 0
        self.lost = 0
        self.passing = asyncio.Event()
        self.passing.set()

    def lose_replies(self, times: int = 1) -> None:
        """So many times: what comes next is carried out, and the connection breaks with none of the replies through."""
        self._replies_to_lose += times

    def lose_requests(self, times: int = 1) -> None:
        """So many times: what comes next does not reach the server, and the connection breaks."""
        self._requests_to_lose += times

    async def requests(self, link: Link) -> None:
        """Counts commands, and drops them while requests are to be lost."""
        reader = hiredis.Reader()
        while data := await link.near_reader.read(CHUNK):
            await self.passing.wait()
            reader.feed(data)
            while reader.gets() is not False:
                link.seen += 1
            link.sends = link.sends or b"XADD" in data or b"EVAL" in data
            if link.sends and self._requests_to_lose:
                self._requests_to_lose -= 1
                self.lost += 1
                return
            link.far_writer.write(data)
            await link.far_writer.drain()

    async def replies(self, link: Link) -> None:
        """Counts replies, and keeps them while they are to be lost."""
        reader = hiredis.Reader()
        while data := await link.far_reader.read(CHUNK):
            reader.feed(data)
            while reader.gets() is not False:
                link.answered += 1
            if link.sends and self._replies_to_lose:
                if link.answered >= link.seen:
                    self._replies_to_lose -= 1
                    self.lost += 1
                    return
                continue
            link.near_writer.write(data)
            await link.near_writer.drain()


async def values(raw: redis.asyncio.Redis, stream: str = "{t:0}") -> list[int]:
    """The numbers that lie in a stream, in order."""
    return [int(fields[b"value"]) for _, fields in await raw.xrange(stream)]


@contextlib.asynccontextmanager
async def through_proxy(server_url: str, **options: object) -> AsyncIterator[tuple[LosingProxy, Producer[bytes]]]:
    """A producer to topic `t` whose connections can be broken."""
    given: ProducerOptions = options  # type: ignore[assignment]  # the tests know what they give
    async with (
        LosingProxy(server_url) as proxy,
        MQClient(redis_url=proxy.url) as client,
        client.producer("t", **given) as producer,
    ):
        yield proxy, producer


async def outcomes_of(producer: Producer[bytes], numbers: range) -> list[object]:
    """Sends numbers in one turn; what became of each."""
    futures = [await producer.send(b"%d" % n) for n in numbers]
    return list(await asyncio.gather(*futures, return_exceptions=True))


async def held(proxy: LosingProxy, producer: Producer[bytes]) -> "asyncio.Future[RecordMetadata]":
    """A message that is on its way and does not arrive until the proxy lets it."""
    proxy.passing.clear()
    future = await producer.send(b"0")
    while not producer.statistics().in_flight:  # noqa: ASYNC110 - until it has left
        await asyncio.sleep(0)
    return future
