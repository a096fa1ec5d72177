"""Reads of several slots: no reply is lost wherever they are cancelled, and however often."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, cast

import pytest
from fake_server import FakeServer, Peer, turns, until

from ombdriver.messaging.streams import commands
from ombdriver.messaging.streams.readers import MultiSlotGroupReader
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.retry import RetryBudget
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
