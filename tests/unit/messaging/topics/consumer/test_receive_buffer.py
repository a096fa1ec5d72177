"""The buffer of a consumer: what goes in comes out once and in order, whatever is paused; and its flow control."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.messaging.topics.consumer.message import Message
from ombdriver.messaging.topics.consumer.partition import FlowControl, Partition
from ombdriver.messaging.topics.consumer.receive_buffer import ReceiveBuffer

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 2), st.integers(1, 5)),
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
    """Handed out or withdrawn; nothing of a paused partition is handed out; flow control knows how many are here."""
    buffer, flow = ReceiveBuffer(), FlowControl(10)
    partitions = [Partition(n, f"{{t:{n}}}") for n in range(3)]
    for partition in partitions:
        partition.flow = flow
    stored, out = [0, 0, 0], [[] for _ in range(3)]  # type: list[int], list[list[int]]
    for step, number, count in steps:
        partition = partitions[number]
        if step == "add":
            buffer.add(partition, messages(partition, stored[number], count))
            stored[number] += count
        elif step == "take":
            for message in buffer.take(count):
                assert not message._partition.paused
                out[message.partition].append(message.timestamp)
        elif step == "pause":
            buffer.pause([partition])
        elif step == "resume":
            buffer.resume([partition])
        else:
            out[number] += [message.timestamp for message in buffer.withdraw(partition)]
        assert flow.buffered == buffer.buffered
    buffer.close()
    assert buffer.take(None) == []
    for partition in partitions:
        out[partition.number] += [message.timestamp for message in buffer.withdraw(partition)]
    assert out == [list(range(count)) for count in stored]
    assert flow.buffered == 0


async def test_whoever_waits_is_woken_by_a_message_an_error_or_the_end() -> None:
    """An error is told once, and only when there is nothing to hand out."""
    buffer, partition = ReceiveBuffer(), Partition(0, "{t:0}")
    waiting = asyncio.create_task(buffer.wait())
    await asyncio.sleep(0)
    buffer.add(partition, messages(partition, 0, 1))
    assert await waiting
    buffer.fail(ValueError("no"))
    assert await buffer.wait()
    assert [message.id for message in buffer.take(None)] == ["0-0"]
    with pytest.raises(ValueError, match="no"):
        await buffer.wait()
    waiting = asyncio.create_task(buffer.wait())
    await asyncio.sleep(0)
    buffer.close()
    assert not await waiting


async def test_the_fetcher_is_called_when_half_of_the_buffer_is_used() -> None:
    """Not for each message, or its reads would become small."""
    buffer, partition = ReceiveBuffer(), Partition(0, "{t:0}")
    partition.flow = flow = FlowControl(10)
    for _ in range(4):
        flow.adapt(1)
    assert flow.credit() == 10
    buffer.add(partition, messages(partition, 0, 10))
    assert flow.credit() == 0
    flow.changed.clear()  # as whoever waits for room does
    buffer.take(4)
    assert not flow.changed.is_set()
    buffer.take(1)
    assert flow.changed.is_set()
    assert buffer.wants_turn
    assert flow.credit() == 5


ROOM_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "pop", "pop", "drop", "pause", "resume", "withdraw", "lose", "lose", "adapt"]),
        st.integers(0, 1),
        st.integers(1, 6),
    ),
    max_size=60,
)


@given(ROOM_STEPS)
def test_whatever_makes_room_tells_who_waits_for_it(steps: list[tuple[str, int, int]]) -> None:
    """A fetcher that has found no room is woken by each step after which there is some, or it would sleep for ever."""
    buffer, flow = ReceiveBuffer(), FlowControl(10)
    partitions = [Partition(n, f"{{t:{n}}}") for n in range(2)]
    for partition in partitions:
        partition.flow = flow
    stored = 0

    def has_room() -> bool:
        return flow.credit() > 0 and any(not partition.paused for partition in partitions)

    for step, number, count in steps:
        partition, waits = partitions[number], not has_room()
        if waits:
            flow.changed.clear()  # as `wait_for_change` does
        if step == "add":  # what was given back or left by others comes besides reads, and is as large as it is
            buffer.add(partition, messages(partition, stored, count))
            flow.adapt(10.0**count)
            stored += count
        elif step == "pop":
            buffer.take(count)
        elif step == "drop":
            buffer.drop(partition, b"%d-0" % max(0, stored - count))
        elif step == "pause":
            buffer.pause([partition])
        elif step == "resume":
            buffer.resume([partition])
        elif step == "withdraw":
            buffer.withdraw(partition)
        elif step == "lose":
            flow.lose(8 * count)
        else:
            flow.adapt(10.0**count)
        assert flow.changed.is_set() or not waits or not has_room()


SIZES = st.lists(st.sampled_from([1, 1_000, 1 << 16, 1 << 23]), max_size=200)


def test_reads_begin_small_and_grow() -> None:
    """Nothing is known yet of how large messages are; small ones fill the buffer after some replies."""
    flow = FlowControl(256, 1 << 24)
    asked = []
    for _ in range(10):
        asked.append(flow.credit())
        flow.adapt(100)
    assert asked == [4, 8, 16, 32, 64, 128, 256, 256, 256, 256]


@given(SIZES, st.integers(1, 8))
def test_large_messages_make_the_buffer_short(sizes: list[int], late: int) -> None:
    """Whatever comes in turn, of a kind that has come lately no more is asked for than 16 MiB hold, or one message."""
    flow = FlowControl(256, 1 << 24)
    for at, size in enumerate(sizes):
        flow.adapt(size)
        lately = max(sizes[max(0, at + 1 - late) : at + 1]) * 0.8 ** (late - 1)
        assert 1 <= flow.high_water <= max(1, (1 << 24) // lately)
    for _ in range(80):
        flow.adapt(1)
    assert flow.high_water == 256, "and back again when they are small"


def test_a_lost_reply_makes_reads_small_for_a_while() -> None:
    """It begins with one message, stays at half of what was lost, and forgets that after many replies."""
    flow = FlowControl(256)
    for _ in range(10):
        flow.adapt(100)
    flow.lose(flow.credit())
    asked = []
    for _ in range(63 + 64):
        asked.append(flow.credit())
        flow.adapt(100)
    assert asked == [1, 2, 4, 8, 16, 32, 64, *[128] * 57, *[256] * 63]
    for _ in range(9):
        flow.lose(flow.credit())
    assert (flow.credit(), flow.bound) == (1, 1)
