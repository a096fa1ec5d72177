"""What arrives: converted, booked by block, malformed; nothing escapes a transport's callback."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fake_server import Cable, call, turns
from redis.exceptions import ResponseError

from ombdriver.messaging.errors import NotSentError, OutcomeUnknownError
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.connection import READ_TURN, pack

Report = tuple[int, int, int, Exception | None]


@pytest.fixture
def cable() -> Cable:
    """The far end."""
    return Cable()


@pytest.fixture
async def channel(cable: Cable) -> AsyncIterator[Channel]:
    """A connected channel with room for 3 commands."""
    channel = Channel(cable.connect, max_in_flight=3)
    await channel.ready()
    yield channel
    await channel.aclose()


class Book:
    """A sink that writes down what it is told."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.last: list[Any] = []

    def __call__(self, token: int, first: int, count: int, error: Exception | None, time_ns: int, last: Any) -> None:
        """Takes one report."""
        assert time_ns > 0
        self.reports.append((token, first, count, error))
        self.last.append(last)


async def test_large_replies_yield_to_the_loop(cable: Cable, channel: Channel) -> None:
    """After 1 MiB reading pauses for one turn, so that others are served in between."""
    reply = b"$%d\r\n%b\r\n" % (READ_TURN, b"x" * READ_TURN)
    future = call(channel, "A")
    await turns()
    cable.receive(reply[:1000])
    assert cable.is_reading_now
    cable.receive(reply[1000:])
    assert not cable.is_reading_now

    await turns(1)

    assert cable.is_reading_now
    assert len(await future) == READ_TURN


async def test_a_reply_of_many_megabytes_in_small_pieces_is_whole(cable: Cable, channel: Channel) -> None:
    """The pauses change nothing about it."""
    body = bytes(range(256)) * 16384
    future = call(channel, "A")
    await turns()
    data = b"$%d\r\n%b\r\n" % (len(body), body)
    for start in range(0, len(data), 65536):
        cable.receive(data[start : start + 65536])
        await turns(1)

    assert await future == body


async def test_a_convert_that_raises_fails_its_caller_only(cable: Cable, channel: Channel) -> None:
    """Whatever it raises; StopIteration, which a future refuses, comes as a RuntimeError that names it."""
    failing = call(channel, "A", convert=lambda reply: int(reply))
    stopping = call(channel, "B", convert=lambda reply: next(iter(reply[:0])))
    good = call(channel, "C", convert=lambda reply: reply.decode())
    await turns()
    cable.receive(b"+x\r\n+y\r\n+z\r\n")

    with pytest.raises(ValueError, match="invalid literal"):
        await failing
    with pytest.raises(RuntimeError, match="StopIteration"):
        await stopping
    assert await good == "z"


async def test_an_error_reply_is_not_converted(cable: Cable, channel: Channel) -> None:
    """It reaches its caller as redis-py's class for it."""
    future = call(channel, "A", convert=lambda reply: 1 / 0)
    await turns()
    cable.receive(b"-WRONGTYPE no stream\r\n")

    with pytest.raises(ResponseError, match="no stream"):
        await future


async def test_a_sink_that_raises_harms_nobody_else(cable: Cable, channel: Channel) -> None:
    """The loop's exception handler is told, and the line stays in step; at the loss of the connection too."""
    told: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))

    def sink(*_: Any) -> None:
        raise LookupError("sink")

    channel.send_block(pack(("A",)) * 2, 2, sink, 0, 0)
    future = call(channel, "B")
    await turns()
    cable.receive(b"-ERR\r\n+OK\r\n:7\r\n")
    assert await future == 7

    channel.send_block(pack(("A",)), 1, sink, 0, 0)
    lost = call(channel, "B")
    await turns()
    cable.lose()
    with pytest.raises(OutcomeUnknownError):
        await lost
    assert [type(error) for error in told] == [LookupError] * 3


@pytest.mark.parametrize("garbage", [b"?\r\n", b"$x\r\n", b"*1\r\n?\r\n"])
async def test_a_malformed_reply_closes_the_connection(cable: Cable, channel: Channel, garbage: bytes) -> None:
    """What came before it was good; after it the order of replies can't be trusted."""
    first, second = call(channel, "A"), call(channel, "B")
    await turns()
    cable.receive(b":1\r\n" + garbage)
    third = call(channel, "C")  # not on this connection any more

    assert await first == 1
    with pytest.raises(OutcomeUnknownError, match="the command was sent: "):
        await second
    assert cable.is_closing()
    assert cable.words == [b"A", b"B"]
    third.cancel()


async def test_a_reply_that_nobody_asked_for_closes_the_connection(cable: Cable, channel: Channel) -> None:
    """Whether nothing is in flight, or one reply too many comes, or the command has not left yet."""
    cable.receive(b"+hello\r\n")
    await turns()
    assert [cable.is_closing(), channel.statistics().connected] == [True, False]

    again = Cable()
    channel = Channel(again.connect)
    await channel.ready()
    future = call(channel, "A")
    await turns()
    again.receive(b":1\r\n:2\r\n")
    assert await future == 1
    assert again.is_closing()

    early = Cable()
    channel = Channel(early.connect)
    await channel.ready()
    future = call(channel, "A")
    early.receive(b":1\r\n")
    with pytest.raises(NotSentError, match="before anything was asked"):
        await future
    assert early.writes == []


async def test_a_block_reports_runs_of_replies(cable: Cable, channel: Channel) -> None:
    """One report for the good ones of a read, one for each error, and one for all that a loss takes."""
    book = Book()
    channel.send_block(pack(("A",)) * 3, 3, book, 7, 100)
    await turns()
    cable.receive(b":1\r\n:2\r\n-ERR no\r\n")
    channel.send_block(pack(("B",)) * 2, 2, book, 8, 0)
    await turns()
    cable.receive(b":1\r")
    cable.lose(ConnectionResetError("reset"))
    await turns()

    (*first, none), (*second, error), (*third, lost) = book.reports
    assert [first, second, third] == [[7, 100, 2], [7, 102, 1], [8, 0, 2]]
    assert book.last == [2, None, None], "what the last of the good ones said"
    assert none is None
    assert isinstance(error, ResponseError)
    assert isinstance(lost, OutcomeUnknownError)
    assert isinstance(lost.__cause__, ConnectionResetError)


async def test_a_block_that_never_left_says_so(cable: Cable, channel: Channel) -> None:
    """The connection was lost before the write; what had left before it has an unknown outcome."""
    book = Book()
    channel.send_block(pack(("A",)), 1, book, 0, 0)
    await turns()
    channel.send_block(pack(("B",)) * 2, 2, book, 1, 0)
    cable.lose()
    await turns()

    assert [(token, count, type(error)) for token, _, count, error in book.reports] == [
        (0, 1, OutcomeUnknownError),
        (1, 2, NotSentError),
    ]


async def test_a_malformed_reply_in_a_block_is_booked_once(cable: Cable, channel: Channel) -> None:
    """What came before it in the same read counts as answered, each index once."""
    book = Book()
    channel.send_block(pack(("A",)) * 3, 3, book, 0, 0)
    await turns()
    cable.receive(b"-ERR\r\n:1\r\n?\r\n")
    await turns()

    assert [report[1:3] for report in book.reports] == [(0, 1), (1, 1), (2, 1)]
    assert [type(report[3]) for report in book.reports] == [ResponseError, type(None), OutcomeUnknownError]
    assert channel.statistics().replies == 2
