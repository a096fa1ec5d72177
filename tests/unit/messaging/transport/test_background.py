"""Rounds in the background: they go on past whatever they meet, tell of it, and end with the client."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from ombdriver.messaging.errors import AuthenticationError, ClosedError, MessagingError, OutcomeUnknownError
from ombdriver.messaging.transport.background import TELL_EVERY, Health, run_periodically


def rounds(work: Callable[[], Awaitable[object]], health: Health) -> Awaitable[None]:
    """Without waits in between."""
    return run_periodically(0, work, "looking", asyncio.Event(), health)


async def test_rounds_go_on_past_every_error_and_end_with_the_client(caplog: pytest.LogCaptureFixture) -> None:
    """The first failure in a row is told, not each, with its trace if nobody expected it; later failures are news."""
    results: list[Exception | None] = [OutcomeUnknownError("1"), OutcomeUnknownError("2"), None, OSError("3"), None]
    results += [AssertionError("a fault of ours"), ClosedError("the client was closed")]
    met: list[Exception] = []

    async def work() -> None:
        if (error := results.pop(0)) is not None:
            raise error

    with caplog.at_level(logging.WARNING):
        await run_periodically(0, work, "looking", asyncio.Event(), Health(), met.append)

    assert results == []
    assert [(record.getMessage(), bool(record.exc_info)) for record in caplog.records] == [
        ("looking failed (1 times): 1", False),
        ("looking failed (1 times): 3", False),
        ("looking failed (1 times), and is tried again: AssertionError('a fault of ours')", True),
    ]
    assert [str(error) for error in met] == ["1", "2", "3", "a fault of ours"]


async def test_what_fails_for_long_is_told_again_and_again(caplog: pytest.LogCaptureFixture) -> None:
    """With how often it did."""
    left = 2 * TELL_EVERY

    async def work() -> None:
        nonlocal left
        left -= 1
        raise ValueError if left else ClosedError

    await rounds(work, Health())
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "looking failed (1 times)",
        f"looking failed ({TELL_EVERY + 1} times)",
    ]


@pytest.mark.parametrize(
    ("error", "is_told"),
    [(ValueError("why"), True), (AuthenticationError("why"), True), (OutcomeUnknownError("why"), False)],
)
async def test_health_tells_what_fails_until_it_goes_well_or_ends(error: Exception, is_told: bool) -> None:
    """A lost connection is no fault of the work's: whoever asks the server hears of it."""
    health = Health()
    told: list[str] = []
    causes: list[BaseException | None] = []
    results = [None, error, None, error, ClosedError("the client was closed")]

    async def work() -> None:
        try:
            health.check()
        except MessagingError as fault:
            told.append(str(fault))
            causes.append(fault.__cause__)
        if (result := results.pop(0)) is not None:
            raise result

    await rounds(work, health)
    assert told == [f"looking fails: {error!r}; it is tried again, see the log"] * 2 * is_told
    assert causes == [error, error] * is_told
    health.check()


async def test_rounds_end_when_they_are_cancelled() -> None:
    """In the work, and in between."""
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()

    task = asyncio.create_task(run_periodically(3_600, work, "looking", asyncio.Event(), Health()))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
