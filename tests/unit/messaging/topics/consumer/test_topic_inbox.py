"""The buffer of a consumer: what goes in comes out once and in order, whatever is paused in between."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.messaging.topics.consumer.group import FlowControl, Partition
from ombdriver.messaging.topics.consumer.message import Message
from ombdriver.messaging.topics.consumer.receive_buffer import ReceiveBuffer

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("accept"), st.integers(0, 2), st.integers(1, 5)),
        st.tuples(st.just("take"), st.just(0), st.integers(1, 5)),
        st.tuples(st.just("pause"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("resume"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("withdraw"), st.integers(0, 2), st.just(0)),
    ),
    max_size=60,
)


def messages(partition: Partition, first: int, count: int) -> list[Message[Any]]:
    """Messages with rising ids."""
    return [Message[Any](None, partition, b"%d-0" % n, [b"f", b""], 1) for n in range(first, first + count)]  # type: ignore[arg-type]


@given(STEPS)
def test_each_message_comes_out_once_and_in_order_of_its_partition(steps: list[tuple[str, int, int]]) -> None:
    """Handed out or withdrawn; nothing of a paused partition is handed out; the books of the room are right."""
    inbox, room = ReceiveBuffer(), FlowControl(10)
    partitions = [Partition(n, f"{{t:{n}}}") for n in range(3)]
    for partition in partitions:
        partition.room = room
    stored, out = [0, 0, 0], [[] for _ in range(3)]  # type: list[int], list[list[int]]
    for step, number, count in steps:
        partition = partitions[number]
        if step == "accept":
            inbox.accept(partition, messages(partition, stored[number], count))
            stored[number] += count
        elif step == "take":
            for message in inbox.take(count):
                assert not message._partition.paused
                out[message.partition].append(message.timestamp)
        elif step == "pause":
            inbox.pause([partition])
        elif step == "resume":
            inbox.resume([partition])
        else:
            out[number] += [message.timestamp for message in inbox.withdraw(partition)]
        assert room.buffered == inbox.buffered
    inbox.close()
    assert inbox.take(None) == []
    for partition in partitions:
        out[partition.number] += [message.timestamp for message in inbox.withdraw(partition)]
    assert out == [list(range(count)) for count in stored]
    assert room.buffered == 0


async def test_whoever_waits_is_woken_by_a_message_an_error_or_the_end() -> None:
    """An error is told once, and only when there is nothing to hand out."""
    inbox, partition = ReceiveBuffer(), Partition(0, "{t:0}")
    waiting = asyncio.create_task(inbox.wait())
    await asyncio.sleep(0)
    inbox.accept(partition, messages(partition, 0, 1))
    assert await waiting
    inbox.fail(ValueError("no"))
    assert await inbox.wait()
    assert [message.id for message in inbox.take(None)] == ["0-0"]
    with pytest.raises(ValueError, match="no"):
        await inbox.wait()
    waiting = asyncio.create_task(inbox.wait())
    await asyncio.sleep(0)
    inbox.close()
    assert not await waiting


async def test_the_reader_is_called_when_half_of_the_buffer_is_used() -> None:
    """Not for each message, or its reads would become small."""
    inbox, partition = ReceiveBuffer(), Partition(0, "{t:0}")
    partition.room = room = FlowControl(10)
    assert room.free() == 10
    inbox.accept(partition, messages(partition, 0, 10))
    assert room.free() == 0
    inbox.take(4)
    assert not room.changed.is_set()
    inbox.take(1)
    assert room.changed.is_set()
    assert inbox.wants_turn
    assert room.free() == 5


def test_large_messages_make_the_buffer_short() -> None:
    """By their size as it was last, and back again when they are small; one message may always be read."""
    room = FlowControl(256, 1 << 20)
    assert room.free() == 32  # nothing is known yet
    room.fit(1 << 10)
    assert (room.high, room.free()) == (256, 256)
    room.fit(1 << 18)
    assert (room.high, room.low) == (4, 2)
    room.fit(1 << 30)
    assert room.free() == 1
    room.fit(0)
    assert room.high == 256
