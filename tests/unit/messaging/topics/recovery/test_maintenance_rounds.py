"""Rounds beside a consumer: they go on past what passes, and end with the client."""

import asyncio
import logging

import pytest

from ombdriver.messaging.errors import ClosedError, OutcomeUnknownError
from ombdriver.messaging.topics.recovery.maintenance import run_periodically


async def test_rounds_go_on_past_errors_of_the_server_and_end_with_the_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first failure in a row is told, not each; after a round that went well, the next one is told again."""
    results: list[Exception | None] = [OutcomeUnknownError("1"), OutcomeUnknownError("2"), None, OSError("3")]
    results.append(ClosedError("the client was closed"))

    async def work() -> None:
        if (error := results.pop(0)) is not None:
            raise error

    with caplog.at_level(logging.WARNING):
        await run_periodically(0, work, "looking", asyncio.Event())

    assert results == []
    assert [record.getMessage() for record in caplog.records] == [
        "looking failed (1 times in a row): 1",
        "looking failed (1 times in a row): 3",
    ]


async def test_a_fault_of_ours_is_not_passed_over() -> None:
    """It ends the rounds, and whoever watches them hears of it."""

    async def work() -> None:
        raise AssertionError("a fault")

    with pytest.raises(AssertionError):
        await run_periodically(0, work, "looking", asyncio.Event())


async def test_rounds_end_when_they_are_cancelled() -> None:
    """In the work, and in between."""
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()

    task = asyncio.create_task(run_periodically(3_600, work, "looking", asyncio.Event()))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
