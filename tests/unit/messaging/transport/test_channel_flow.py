"""Room, order and turns: when commands leave, and who waits for whom."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fake_server import Cable, call, turns
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.messaging.errors import OutcomeUnknownError
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.connection import WRITE_HIGH_WATER, pack


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


async def test_all_commands_of_a_turn_leave_in_one_write(cable: Cable, channel: Channel) -> None:
    """Single ones and blocks, in the order given; the next turn's in the next write."""
    call(channel, "A")
    channel.send_block(pack(("B",)), 1, lambda *_: None, 0, 0)
    call(channel, "C")
    assert cable.writes == []
    await turns(1)
    assert [len(cable.writes), cable.words] == [1, [b"A", b"B", b"C"]]

    cable.receive(b"+OK\r\n")
    call(channel, "D")
    await turns(1)
    assert [len(cable.writes), cable.words] == [2, [b"A", b"B", b"C", b"D"]]


async def test_callers_that_waited_leave_in_one_write(cable: Cable, channel: Channel) -> None:
    """As many as there is room for, together."""
    for word in "ABCDEFG":
        call(channel, word)
    await turns()
    assert cable.words == [b"A", b"B", b"C"]

    cable.receive(b"+OK\r\n+OK\r\n+OK\r\n")
    await turns()

    assert cable.words == [b"A", b"B", b"C", b"D", b"E", b"F"]
    assert len(cable.writes) == 2


async def test_a_newcomer_does_not_overtake_callers_that_wait(cable: Cable, channel: Channel) -> None:
    """Also in the very turn in which room has come and those who wait have not been woken yet."""
    for word in "ABCDE":
        call(channel, word)
    await turns()
    cable.receive(b"+OK\r\n+OK\r\n")
    call(channel, "F")

    await turns()
    cable.receive(b"+OK\r\n" * 3)
    await turns()

    assert cable.words == [b"A", b"B", b"C", b"D", b"E", b"F"]


async def test_a_busy_caller_does_not_starve_one_that_waits() -> None:
    """Who calls again as soon as it has its reply waits behind the others."""
    cable = Cable()
    channel = Channel(cable.connect, max_in_flight=1)
    await channel.ready()

    async def busy() -> None:
        while True:
            await channel.execute("BUSY")

    task = asyncio.create_task(busy())
    await turns()
    other = call(channel, "OTHER")
    await turns()
    for _ in range(2):
        cable.receive(b"+OK\r\n")
        await turns()
    assert other.done()

    task.cancel()
    await channel.aclose()


async def test_a_cancelled_waiter_passes_its_turn_on(cable: Cable, channel: Channel) -> None:
    """Before it has been given the turn, and after."""
    futures = [call(channel, word) for word in "ABCDEF"]
    await turns()
    futures[3].cancel()
    cable.receive(b"+OK\r\n")
    futures[4].cancel()

    await turns()

    assert cable.words == [b"A", b"B", b"C", b"F"]


async def test_a_paused_transport_gives_no_room_and_resumes(cable: Cable, channel: Channel) -> None:
    """What was queued before the pause, and who came in it, leaves when the transport has drained."""
    called: list[int] = []
    call(channel, "A")
    cable.protocol.pause_writing()
    call(channel, "B")
    channel.when_room(lambda: called.append(channel.room()))
    await turns()
    assert [cable.writes, channel.room(), called] == [[], 0, []]
    assert "paused, 1 in flight, 1 not sent" in repr(channel)

    cable.protocol.resume_writing()
    await turns()

    assert [cable.words, channel.room(), called] == [[b"A", b"B"], 1, [1]]


async def test_bytes_are_a_limit_too(cable: Cable, channel: Channel) -> None:
    """Commands of more than 1 MiB in all don't leave in one turn; the next ones go in the next."""
    large = b"x" * WRITE_HIGH_WATER
    call(channel, "A", large)
    assert channel.room() == 0
    call(channel, "B")
    assert cable.writes == []

    await turns()

    assert [len(cable.writes), cable.words] == [2, [b"A", b"B"]]
    assert channel.room() == 1


async def test_when_room_calls_once_and_in_a_later_turn(cable: Cable, channel: Channel) -> None:
    """Also when there is room already."""
    called: list[int] = []
    channel.when_room(lambda: called.append(1))
    assert called == []
    await turns()
    assert called == [1]

    for word in "ABC":
        call(channel, word)
    channel.when_room(lambda: called.append(2))
    await turns()
    assert called == [1]
    cable.receive(b"+OK\r\n")
    cable.receive(b"+OK\r\n")
    await turns()
    assert called == [1, 2]


async def test_waiting_callers_outlive_the_connection() -> None:
    """A caller that waited for room had nothing to lose: its command goes over the next connection."""
    cables = [Cable(), Cable()]
    comes = iter(cables)
    channel = Channel(lambda: next(comes).connect(), max_in_flight=1)
    await channel.ready()
    first, second = call(channel, "A"), call(channel, "B")
    await turns()
    cables[0].lose()

    with pytest.raises(OutcomeUnknownError):
        await first
    await turns(10)
    cables[1].receive(b":2\r\n")
    assert await second == 2
    assert cables[0].words == [b"A"]
    await channel.aclose()


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 5),
    st.lists(st.sampled_from(["call", "reply", "cancel", "pause", "resume", "turn"]), max_size=60),
)
async def test_callers_past_the_limit_wait_in_order(limit: int, script: list[str]) -> None:
    """What is written is a subsequence of what was called, in order, and never more than the limit in flight."""
    cable = Cable()
    channel = Channel(cable.connect, max_in_flight=limit)
    await channel.ready()
    futures: list[asyncio.Future[Any]] = []
    replies = 0
    for step in [*script, "resume", *["turn", "reply"] * 60]:
        match step:
            case "call":
                futures.append(call(channel, len(futures)))
            case "reply" if len(cable.commands) > replies:
                cable.receive(b":%s\r\n" % cable.commands[replies][0])
                replies += 1
            case "cancel":
                futures[len(futures) // 2].cancel() if futures else None
            case "pause" | "resume":
                getattr(cable.protocol, step + "_writing")()
            case "turn":
                await turns(3)
        assert len(cable.commands) - replies <= limit
    written = [int(command[0]) for command in cable.commands]
    assert written == sorted(set(written))
    for number, future in enumerate(futures):
        assert future.done()
        assert future.cancelled() or (future.result() == number and number in written)
    await channel.aclose()
