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
    assert flow.credit() == 10
    buffer.add(partition, messages(partition, 0, 10))
    assert flow.credit() == 0
    buffer.take(4)
    assert not flow.changed.is_set()
    buffer.take(1)
    assert flow.changed.is_set()
    assert buffer.wants_turn
    assert flow.credit() == 5


def test_large_messages_make_the_buffer_short() -> None:
    """By their size as it was last, and back again when they are small; one message may always be read."""
    flow = FlowControl(256, 1 << 20)
    assert flow.credit() == 32  # nothing is known yet
    flow.adapt(1 << 10)
    assert (flow.high_water, flow.credit()) == (256, 256)
    flow.adapt(1 << 18)
    assert (flow.high_water, flow.low_water) == (4, 2)
    flow.adapt(1 << 30)
    assert flow.credit() == 1
    flow.adapt(0)
    assert flow.high_water == 256
