"""A connection that owes replies and over which nothing moves is given up in time, and no other one is."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fake_server import Cable, FakeServer, call, turns, until
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.messaging.errors import NotSentError, OutcomeUnknownError
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.connection import REPLY_DEADLINE_S, Connection

OK = b"+OK\r\n"


class Looks:
    """The looks of connections at whether anything moves, in the hand of a test: no time passes."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._set_timer = loop.call_later
        self.waiting: list[tuple[float, Callable[[], None], asyncio.TimerHandle]] = []
        loop.call_later = self._call_later  # type: ignore[method-assign]  # until the loop is closed, with the test

    def _call_later(self, delay: float, callback: Any, *args: Any, **options: Any) -> asyncio.TimerHandle:
        if getattr(callback, "__func__", None) is not Connection._look:
            return self._set_timer(delay, callback, *args, **options)
        handle = self._set_timer(3600, lambda: None)
        self.waiting.append((delay, callback, handle))
        return handle

    @property
    def pending(self) -> int:
        """How many are still to come."""
        return sum(not handle.cancelled() for _, _, handle in self.waiting)

    async def next(self) -> float:
        """Makes the next one of each connection that is open; gives the seconds before it."""
        due, self.waiting = self.waiting, []
        for _, look, handle in due:
            if not handle.cancelled():
                handle.cancel()
                look()
        await turns()
        return due[0][0] if due else 0.0


async def connected(**options: Any) -> tuple[Cable, Channel, Looks]:
    """A channel on a cable, and its looks."""
    looks, cable = Looks(), Cable()
    channel = Channel(cable.connect, **options)
    await channel.ready()
    return cable, channel, looks


async def silence(looks: Looks, channel: Channel) -> float:
    """For how many seconds nothing moves until the connection is given up."""
    passed = 0.0
    while channel.statistics().connected:
        passed += await looks.next()
    return passed


@pytest.mark.parametrize("block_s", [0.0, 3.0])
async def test_what_is_in_flight_fails_after_the_deadline(block_s: float, caplog: pytest.LogCaptureFixture) -> None:
    """10 s without a byte, and as long as the server may block: all fail alike, it is told, counted, and repaired."""
    _, channel, looks = await connected()
    calls = [call(channel, "DO", n, block_s=block_s) for n in range(3)]
    await turns()
    passed = await silence(looks, channel)

    assert REPLY_DEADLINE_S + block_s <= passed <= REPLY_DEADLINE_S + block_s + 1
    for future in calls:
        assert isinstance(future.exception(), OutcomeUnknownError)
        assert f"no reply within {REPLY_DEADLINE_S + block_s:g} s" in str(future.exception())
    assert channel.statistics().given_up == 1
    assert [message.partition(": ")[2] for message in caplog.messages] == [
        f"3 replies owed for {REPLY_DEADLINE_S + block_s:.3g} s; the connection is given up"
    ]
    assert looks.pending == 0, "a timer would hold the connection in memory"


async def test_what_waited_for_room_was_not_sent() -> None:
    """It goes over the next connection; here there is none, and the error says so."""
    _, channel, looks = await connected(max_in_flight=1)
    first, second = call(channel, "DO", 1), call(channel, "DO", 2)
    await turns()
    await silence(looks, channel)
    await channel.aclose()

    assert isinstance(first.exception(), OutcomeUnknownError)
    assert not isinstance(second.exception(), OutcomeUnknownError)


async def test_an_idle_connection_is_left_alone() -> None:
    """Nothing is owed: it may be silent for as long as it likes."""
    cable, channel, looks = await connected()
    await_ok = call(channel, "DO")
    await turns()
    cable.receive(OK)
    for _ in range(50):
        await looks.next()

    assert (await await_ok, channel.statistics().connected) == (b"OK", True)
    await channel.aclose()
    assert looks.pending == 0


EVENTS = st.lists(st.sampled_from(["command", "blocking", "reply", "part", "write", "more", "nothing"]), max_size=40)


@given(EVENTS, st.booleans())
async def test_only_silence_is_counted(events: list[str], is_slow: bool) -> None:
    """Any byte that comes or leaves begins the time anew, and so does the first command; a part of a reply counts.

    `is_slow`: the loop stands still between two looks, however long: what came meanwhile was read before the second.
    """
    cable, channel, looks = await connected(deadline_s=5.0)
    rest, silent, block, owed = b"", 0, 0.0, 0
    for event in events:
        moved = False
        if event in ("command", "blocking"):
            moved, owed = owed == 0, owed + 1
            block = max(block if owed > 1 else 0.0, 2.0 if event == "blocking" else 0.0 if owed > 1 else block)
            call(channel, "DO", block_s=2.0 if event == "blocking" else 0.0)
            await turns()
        elif event == "reply" and owed:
            cable.receive(rest or OK)
            rest, moved, owed = b"", True, owed - 1
        elif event == "part" and owed and not rest:
            cable.receive(b"+O")
            rest, moved = b"K\r\n", True
        elif event == "write":
            moved, cable.unsent = cable.unsent > 0 and owed > 0, 0
        elif event == "more":
            cable.unsent += 1000
        silent = 0 if moved or not owed else silent + 1
        await looks.next()
        if is_slow:
            await turns(9)
        assert channel.statistics().connected == (silent < 5 + block), event
        if not channel.statistics().connected:
            return
    await channel.aclose()


@pytest.mark.parametrize("block_s", [0.0, 2.0])
async def test_an_event_loop_that_stood_still_ends_no_connection(block_s: float) -> None:
    """However long: nothing was read meanwhile, so nothing is known of the server. The reply comes after that."""
    loop, passed_s = asyncio.get_running_loop(), 0.0
    real = loop.time
    loop.time = lambda: real() + passed_s  # type: ignore[method-assign]  # until the loop is closed, with the test
    cable = Cable()
    channel = Channel(cable.connect)
    await channel.ready()
    future = call(channel, "DO", block_s=block_s)
    for _ in range(2):
        await turns()
        passed_s += 13.0
    await turns()
    cable.receive(OK)

    assert (await future, channel.statistics().given_up) == (b"OK", 0)
    await channel.aclose()


async def test_a_read_that_blocks_is_not_overdue_before_its_time() -> None:
    """So Sentinels are not asked for another master as long as a reader only waits."""
    _, channel, looks = await connected()
    call(channel, "DO", block_s=5.0)
    await turns()
    overdue = []
    for _ in range(9):
        await looks.next()
        overdue.append(channel.is_overdue)
    assert overdue == [False] * 7 + [True] * 2
    await channel.aclose()


async def test_a_server_that_swallows_everything_is_left_for_a_new_connection() -> None:
    """On a real socket: commands go unanswered, the connection is given up, and the next one works."""
    async with FakeServer() as server:
        channel = Channel(server.connect, deadline_s=0.05)
        swallowed = call(channel, "DO", 1)
        await asyncio.wait([swallowed])
        assert isinstance(swallowed.exception(), OutcomeUnknownError)

        server.answers = True
        assert await channel.execute("DO", 2) == b"2"
        assert (len(server.peers), channel.statistics().reconnects) == (2, 1)
        await channel.aclose()


async def test_a_connection_that_is_lost_before_the_deadline_leaves_no_look() -> None:
    """Its timer would hold it in memory."""
    cable, channel, looks = await connected()
    future = call(channel, "DO")
    cable.lose()
    await until(future.done)

    assert isinstance(future.exception(), NotSentError)
    assert looks.pending == 0
