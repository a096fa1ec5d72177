"""Reads of several slots: no reply is lost wherever they are cancelled, and however often."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, cast

import pytest
from fake_server import FakeServer, Peer, turns, until

from ombdriver.messaging.errors import OutcomeUnknownError
from ombdriver.messaging.streams import commands, readers
from ombdriver.messaging.streams.readers import MultiSlotGroupReader, MultiSlotReader
from ombdriver.messaging.streams.replies import ReadReply
from ombdriver.messaging.transport.blocking import LONGEST_BLOCK_MS
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.retry import Backoff, RetryBudget
from ombdriver.messaging.transport.router import Router

MESSAGE = b"*1\r\n*2\r\n$1\r\nb\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"


class TwoSlots:
    """The connections to two servers: one has the key `a`, the other `b`; nobody carries UNBLOCK."""

    decodes = True
    is_closed = False

    def __init__(self, servers: Mapping[bytes, FakeServer]) -> None:
        self._servers = servers

    def slot(self, key: bytes) -> int:
        """Each key has one of its own."""
        return key[0]

    def by_slot(self, keys: Iterable[bytes]) -> list[list[bytes]]:
        """See `slot`."""
        return [[key] for key in keys]

    def blocking(self, key: bytes) -> Channel:
        """A channel to the key's server."""
        return Channel(self._servers[key].connect)

    def control_of(self, channel: Channel) -> None:
        """None: a BLOCK ends in its own time."""

    def read_budget(self) -> RetryBudget:
        """Nothing is tried again."""
        return RetryBudget(lambda _: False)


def xreadgroup(streams: Mapping[bytes, Any], block_ms: int | None) -> list[Any]:
    """The command that reads new messages."""
    return commands.xreadgroup("g", "c", streams, None, block_ms, False)


async def reading(peer: Peer) -> None:
    """Waits for the read, and says before which client it is that sends it."""
    await until(lambda: peer.commands)
    peer.send(b"+id=1 addr=127.0.0.1:1\r\n")
    await until(lambda: len(peer.commands) == 2)


@pytest.mark.parametrize("before", range(5))
@pytest.mark.parametrize("between", range(4))
async def test_a_reply_is_kept_when_a_read_is_cancelled_twice(before: int, between: int) -> None:
    """The second cancel comes while the first one is being seen to; the next read has the message."""
    async with FakeServer() as a, FakeServer() as b:
        reader = MultiSlotGroupReader(cast(Router, TwoSlots({b"a": a, b"b": b})))
        read = asyncio.ensure_future(reader.read({b"a": ">", b"b": ">"}, xreadgroup, None, 0))
        of_a, of_b = await a.peer(), await b.peer()
        await asyncio.gather(reading(of_a), reading(of_b))
        of_b.send(MESSAGE)
        await turns(before)
        read.cancel()
        await turns(between)
        read.cancel()
        await asyncio.wait([read])
        if not read.cancelled():  # it was over before
            found = read.result()
        else:
            found = await reader.read({b"b": ">"}, xreadgroup, None, 0)

        assert found.streams == [["b", [("1-0", {"f": "v"})]]]
        await reader.aclose()


class OneServer(TwoSlots):
    """The connections to one server that has all keys; losses are tried again."""

    def slot(self, key: bytes) -> int:
        """The same for all."""
        return 0

    def by_slot(self, keys: Iterable[bytes]) -> list[list[bytes]]:
        """One command covers all."""
        return [list(keys)]

    def read_budget(self, *, idempotent: bool = False) -> RetryBudget:
        """See `TwoSlots`."""
        return RetryBudget(lambda error: idempotent and isinstance(error, OutcomeUnknownError), Backoff(0, 0))


def asked(peer: Peer, word: bytes) -> list[list[bytes]]:
    """The reads that a server got."""
    return [command for command in peer.commands if command[0] == word]


@pytest.mark.parametrize("between", [None, *range(6)])
async def test_the_loss_of_a_cancelled_read_is_told_to_the_next_one(between: int | None) -> None:
    """Once, whichever comes first: what the server gave to it is pending, and nobody else could know."""
    async with FakeServer() as server:
        reader = MultiSlotGroupReader(cast(Router, OneServer({b"a": server})))
        read = asyncio.ensure_future(reader.read({b"a": ">"}, xreadgroup, None, 0))
        peer = await server.peer()
        await reading(peer)
        if between is not None:
            peer.cut()
            await turns(between)
        read.cancel()
        await asyncio.wait([read])
        peer.cut()
        told = [] if read.cancelled() else [type(read.exception())]
        if read.cancelled():
            with pytest.raises(OutcomeUnknownError) as caught:
                await reader.read({b"a": ">"}, xreadgroup, None, 0)
            told.append(caught.type)
        assert told == [OutcomeUnknownError]

        again = asyncio.ensure_future(reader.read({b"a": ">"}, xreadgroup, None, 0))
        peer = await server.peer(1)
        for number, reply in enumerate((b":1\r\n", b"+id=2 addr=127.0.0.1:2\r\n"), 1):  # CLIENT KILL and INFO
            await until(lambda number=number: len(peer.commands) == number)
            peer.send(reply)
        await until(lambda: asked(peer, b"XREADGROUP"))
        peer.send(MESSAGE.replace(b"$1\r\nb", b"$1\r\na"))
        assert (await again).streams == [["a", [("1-0", {"f": "v"})]]]
        await reader.aclose()


@pytest.mark.parametrize("between", range(6))
async def test_the_loss_of_one_slot_is_told_though_another_one_brings_messages(between: int) -> None:
    """In whatever order they come: the message is given, and the loss is told, once each."""
    async with FakeServer() as a, FakeServer() as b:
        reader = MultiSlotGroupReader(cast(Router, TwoSlots({b"a": a, b"b": b})))
        read = asyncio.ensure_future(reader.read({b"a": ">", b"b": ">"}, xreadgroup, None, 0))
        of_a, of_b = await a.peer(), await b.peer()
        await asyncio.gather(reading(of_a), reading(of_b))
        of_b.send(MESSAGE)
        await turns(between)
        of_a.cut()
        told = [await _outcome(read), await _outcome(reader.read({b"a": ">", b"b": ">"}, xreadgroup, None, 1))]
        assert sorted(told) == ["OutcomeUnknownError", "b"]
        await reader.aclose()


async def _outcome(read: Awaitable[ReadReply]) -> str:
    try:
        return ", ".join(str(stream) for stream, _ in (await read).streams)
    except OutcomeUnknownError as error:
        return type(error).__name__


async def test_a_long_block_is_sent_in_parts() -> None:
    """So that an empty reply shows that the connection lives; the caller hears of none of them."""
    async with FakeServer() as server:
        reader = MultiSlotGroupReader(cast(Router, OneServer({b"a": server})))
        read = asyncio.ensure_future(reader.read({b"a": ">"}, xreadgroup, None, 0))
        peer = await server.peer()
        await reading(peer)
        for number in range(2, 5):
            peer.send(b"*-1\r\n")
            await until(lambda number=number: len(asked(peer, b"XREADGROUP")) == number)
        peer.send(MESSAGE.replace(b"$1\r\nb", b"$1\r\na"))

        assert (await read).streams == [["a", [("1-0", {"f": "v"})]]]
        blocks = [int(command[command.index(b"BLOCK") + 1]) for command in asked(peer, b"XREADGROUP")]
        assert blocks == [LONGEST_BLOCK_MS] * 4
        await reader.aclose()


class _WithSleep:
    """asyncio, with a sleep of the test's."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.sleep = sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


@pytest.mark.parametrize("plain", [False, True])
async def test_a_server_that_ignores_block_is_asked_ever_less(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, plain: bool
) -> None:
    """From 1 ms to 50 ms between two reads, told once, for members of a group and for plain readers."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await turns(1)

    monkeypatch.setattr(readers, "asyncio", _WithSleep(sleep))
    word = b"XREAD" if plain else b"XREADGROUP"
    async with FakeServer() as server:
        router = cast(Router, OneServer({b"a": server}))
        reader: Any = MultiSlotReader(router) if plain else MultiSlotGroupReader(router)
        read = asyncio.ensure_future(
            reader.read({b"a": "0"}, None, 0) if plain else reader.read({b"a": ">"}, xreadgroup, None, 0)
        )
        peer = await server.peer()
        if not plain:
            await reading(peer)
        for number in range(1, 12):
            await until(lambda number=number: len(asked(peer, word)) == number)
            peer.send(b"*-1\r\n")
        await until(lambda: len(asked(peer, word)) == 12)
        read.cancel()
        await asyncio.wait([read])
        await reader.aclose()
    assert pauses == [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, *[0.05] * 5]
    assert [message.partition(" (BLOCK)")[0] for message in caplog.messages] == [
        "the server answers reads at once although they are to wait"
    ]


async def test_reads_of_one_consumer_take_turns() -> None:
    """One of them is on the server; the others wait here, for as long as they have, and are given what comes next."""
    async with FakeServer() as server:
        reader = MultiSlotGroupReader(cast(Router, OneServer({b"a": server})))
        first, second, short = (
            asyncio.ensure_future(reader.read({b"a": ">"}, xreadgroup, None, block)) for block in (0, 0, 1)
        )
        peer = await server.peer()
        await reading(peer)
        assert (await short).streams == []
        message = MESSAGE.replace(b"$1\r\nb", b"$1\r\na")
        peer.send(message)
        assert (await first).streams
        await until(lambda: len(asked(peer, b"XREADGROUP")) == 2)
        peer.send(message)
        assert (await second).streams
        assert len(asked(peer, b"XREADGROUP")) == 2
        await reader.aclose()


async def test_a_plain_read_whose_reply_ends_its_connection_asks_for_less() -> None:
    """For one entry at last; if that is too much, its caller is told which limits to look at."""
    async with FakeServer() as server:
        reader = MultiSlotReader(cast(Router, OneServer({b"a": server})))
        read = asyncio.ensure_future(reader.read({b"a": "0"}, 100, 0))
        counts = []
        for number in range(4):
            peer = await server.peer(number)
            await until(lambda peer=peer: asked(peer, b"XREAD"))
            (command,) = asked(peer, b"XREAD")
            counts.append(int(command[command.index(b"COUNT") + 1]))
            peer.end()
        with pytest.raises(OutcomeUnknownError, match="client-output-buffer-limit normal"):
            await read
        assert counts == [100, 1, 1, 1]
        await reader.aclose()


@pytest.mark.parametrize("later", range(8))
async def test_a_plain_read_that_is_cancelled_as_it_takes_anothers_place_leaves_the_next_one_its_way(
    later: int,
) -> None:
    """Whenever that is: the connection of the read that nobody wants is closed, and the next read has its own."""
    async with FakeServer() as server:
        reader = MultiSlotReader(cast(Router, OneServer({b"a": server})))
        unwanted = asyncio.ensure_future(reader.read({b"a": "0"}, 100, 0))
        await until(lambda: asked(server.peers[0], b"XREAD") if server.peers else None)
        unwanted.cancel()
        cancelled = asyncio.ensure_future(reader.read({b"a": "0"}, 5, 0))
        await turns(later)
        cancelled.cancel()

        read = asyncio.ensure_future(reader.read({b"a": "0"}, 7, 0))
        await until(lambda: [each for each in server.peers if any(b"7" in one for one in asked(each, b"XREAD"))])
        for peer in server.peers:
            peer.send(MESSAGE.replace(b"$1\r\nb", b"$1\r\na"))

        assert await asyncio.wait_for(read, 10) == [["a", [("1-0", {"f": "v"})]]]
        await reader.aclose()
