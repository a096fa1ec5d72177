"""Messages in hand: whoever waits for one is woken, also when others who wait are cancelled in the same turn."""

import asyncio
from typing import Any

import pytest

from ombdriver.messaging.topics.consumer.message import Message
from ombdriver.messaging.topics.consumer.partition import Partition
from ombdriver.messaging.topics.runner.config import RunnerStatistics
from ombdriver.messaging.topics.runner.in_flight import Delivery, InFlight

NOBODY: Any = None
"""Session and acknowledger: nothing here asks them."""


def in_flight() -> InFlight:
    """With room for all that comes."""
    return InFlight(NOBODY, RunnerStatistics(), most=100, low_water=10, by_key=False)


def message(number: int) -> Message[Any]:
    """One that was just read."""
    return Message(NOBODY, Partition(0, "s"), b"%d-0" % number, [b"value", b"v"], 1)


@pytest.mark.parametrize("cancelled", [{0}, {1}, {2}, {0, 1}, {0, 1, 2}])
@pytest.mark.parametrize("woken_first", [False, True])
async def test_a_message_reaches_a_waiter_whoever_else_is_cancelled(cancelled: set[int], woken_first: bool) -> None:
    """Before it comes, or just after it has woken one of them: the message is taken by another one, or stays."""
    made = in_flight()
    waiting = [asyncio.create_task(made.next()) for _ in range(3)]
    await asyncio.sleep(0)

    def cancel() -> None:
        for number in cancelled:
            waiting[number].cancel()

    if not woken_first:
        cancel()
    made.add([message(1)])
    if woken_first:
        cancel()
    left = [task for number, task in enumerate(waiting) if number not in cancelled]
    if not left:
        await asyncio.wait(waiting)
        assert made.queue.ready == 1
        return
    done, pending = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
    (taken,) = done
    found: Delivery = taken.result()
    assert found.message.id == "1-0"
    for task in pending:
        task.cancel()
