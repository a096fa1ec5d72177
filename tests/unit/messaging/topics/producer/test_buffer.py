"""The producer's space: limits that always hold, first come first served, and nothing lost to who gives up waiting."""

import asyncio

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ombdriver import BufferFullError, ClosedError, MessagingValueError
from ombdriver.messaging.topics.producer.buffer import SendBuffer

STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "release", "cancel", "turn"]), st.integers(1, 4), st.integers(0, 10)), max_size=40
)


@given(steps=STEPS)
@example(
    steps=[("ask", 1, 0), ("ask", 3, 0), ("ask", 1, 0), ("ask", 1, 0), ("turn", 1, 0), ("release", 1, 0), ("ask", 1, 0)]
)
def test_limits_hold_and_everybody_gets_space_in_turn(steps: list[tuple[str, int, int]]) -> None:
    """Whatever is asked for, given back and cancelled in any order."""
    asyncio.run(_play(steps))


async def _play(steps: list[tuple[str, int, int]]) -> None:
    buffer = SendBuffer(4, 10)
    asked: list[tuple[asyncio.Task[None], int, int]] = []
    held: list[tuple[int, int]] = []
    got: list[int] = []

    async def ask(number: int, messages: int, size: int) -> None:
        if not buffer.try_reserve(messages, size):
            await buffer.reserve(messages, size, None)
        held.append((messages, size))
        got.append(number)

    def check() -> None:
        assert buffer.messages <= 4
        assert buffer.bytes <= 10

    for what, messages, size in steps:
        if what == "ask":
            asked.append((asyncio.create_task(ask(len(asked), messages, size)), messages, size))
        elif what == "release" and held:
            buffer.release(*held.pop(0))
        elif what == "cancel" and asked:
            asked[size % len(asked)][0].cancel()
        else:
            await asyncio.sleep(0)
        check()
    while not all(task.done() for task, _, _ in asked):
        await asyncio.sleep(0)
        if held:
            buffer.release(*held.pop(0))
        check()
    assert got == sorted(got)
    while held:
        buffer.release(*held.pop(0))
    assert (buffer.messages, buffer.bytes, buffer.waiting) == (0, 0, 0)


async def test_waiting_has_an_end() -> None:
    """And whoever is behind gets a turn then."""
    buffer = SendBuffer(3, 100)
    assert buffer.try_reserve(2, 10)
    large = asyncio.create_task(buffer.reserve(2, 10, 0.01))
    await asyncio.sleep(0)
    assert not buffer.try_reserve(1, 10), "a small one does not overtake a large one"
    small = asyncio.create_task(buffer.reserve(1, 10, None))
    with pytest.raises(BufferFullError, match=r"within 0\.01 s.*2 messages, 20 bytes|within 0\.01 s"):
        await large
    await small
    assert (buffer.messages, buffer.bytes) == (3, 20)


async def test_what_can_never_fit_is_refused_at_once() -> None:
    """With the numbers."""
    buffer = SendBuffer(3, 100)
    for messages, size in ((4, 1), (1, 101)):
        with pytest.raises(MessagingValueError, match=f"{messages} messages of {size} bytes"):
            await buffer.reserve(messages, size, None)


async def test_closing_ends_all_waiting() -> None:
    """Those who wait, and those who come."""
    buffer = SendBuffer(1, 10)
    assert buffer.try_reserve(1, 1)
    waiting = asyncio.create_task(buffer.reserve(1, 1, None))
    await asyncio.sleep(0)
    buffer.close(ClosedError("closed"))
    with pytest.raises(ClosedError):
        await waiting
    buffer.release(1, 1)
    assert not buffer.try_reserve(1, 1)
    with pytest.raises(ClosedError):
        await buffer.reserve(1, 1, None)
    assert "0 waiting" in repr(buffer)
