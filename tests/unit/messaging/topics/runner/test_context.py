"""A handler has a context of its own, and is awaited as if it had none."""

import asyncio
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any

import pytest

from ombdriver.messaging.topics.consumer.message import Message
from ombdriver.messaging.topics.runner.context import Handler, begin

VARIABLE = ContextVar("VARIABLE", default="unset")
MESSAGE: Message[Any] = object()  # type: ignore[assignment]  # it is passed on, and not looked at


async def handle(handler: Handler) -> None:
    """As a runner does."""
    if (handling := begin(handler, MESSAGE)) is not None:
        await handling


async def at_once(message: Message[Any]) -> None:
    """Never waits."""
    VARIABLE.set("handler")


async def later(message: Message[Any]) -> None:
    """Waits for a turn, for a time, and for a task of its own."""
    VARIABLE.set("handler")
    for wait in (asyncio.sleep(0), asyncio.sleep(0.001), asyncio.create_task(at_once(message))):
        await wait
        assert VARIABLE.get() == "handler"


async def failing(message: Message[Any]) -> None:
    """Sets it, and raises."""
    await later(message)
    raise StopAsyncIteration("a mistake of the handler's")


@pytest.mark.parametrize("handler", [at_once, later, failing])
async def test_what_a_handler_sets_is_gone_with_its_message(
    handler: Handler,
) -> None:
    """However it ends; what was set before is seen in it."""
    VARIABLE.set("before")
    for _ in range(2):
        with pytest.raises(StopAsyncIteration) if handler is failing else nullcontext():
            await handle(handler)
        assert VARIABLE.get() == "before"


async def test_a_cancellation_reaches_the_handler_which_may_go_on() -> None:
    """As in a task of its own; its variables are still there."""
    seen: list[str] = []
    waiting = asyncio.Event()

    async def handler(message: Message[Any]) -> None:
        VARIABLE.set("handler")
        try:
            waiting.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            seen.append(VARIABLE.get())
            raise

    task = asyncio.create_task(handle(handler))
    await waiting.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert seen == ["handler"]


def test_a_handler_that_is_never_awaited_to_its_end_is_closed() -> None:
    """As a coroutine is when it is thrown away."""
    ended: list[str] = []

    async def handler(message: Message[Any]) -> None:
        VARIABLE.set("handler")
        try:
            await asyncio.sleep(0)
        finally:
            ended.append(VARIABLE.get())

    handling = begin(handler, MESSAGE)
    assert handling is not None
    steps = handling.__await__()
    next(steps)
    steps.close()
    assert ended == ["handler"]
