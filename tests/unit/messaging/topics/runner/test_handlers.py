"""What can be a handler is looked at when it is registered, not when the first message comes."""

import functools
from typing import Any

import pytest

from ombdriver import Message, MessagingError, MessagingValueError, MQClient

URL = "redis://127.0.0.1:1"
M = Message[bytes]


async def plain(message: M) -> None:
    """What the pages show."""


async def with_default(message: M, retries: int = 3) -> str:
    """More than is asked for."""
    return "ignored"


async def any_arguments(*args: Any, **options: Any) -> None:
    """Takes whatever comes, as decorators do."""


async def needs_two(message: M, database: object) -> None:
    """Nobody gives it the second one."""


async def needs_none() -> None:
    """Nobody calls it without a message."""


async def by_keyword(*, message: M) -> None:
    """Nobody gives the message by its name."""


async def generates(message: M) -> Any:
    """An asynchronous generator."""
    yield message


def blocks(message: M) -> None:
    """No coroutine function."""


class Billing:
    """Handlers with a state."""

    async def bill(self, message: M) -> None:
        """A method is a handler."""

    async def __call__(self, message: M) -> None:
        """An object may be one too."""

    def blocks(self, message: M) -> None:
        """No coroutine function."""


GOOD: list[Any] = [
    plain,
    with_default,
    any_arguments,
    functools.partial(needs_two, database=None),
    Billing().bill,
    Billing(),
    functools.wraps(plain)(with_default),
]
BAD: list[tuple[Any, str]] = [
    (needs_two, "needs_two can't be called with a message alone: missing a required argument: 'database'"),
    (needs_none, "needs_none can't be called with a message alone: too many positional arguments"),
    (by_keyword, "by_keyword can't be called with a message alone"),
    (Billing.bill, "Billing.bill can't be called with a message alone: missing a required argument: 'message'"),
    (generates, "generates is no coroutine function"),
    (blocks, "blocks is no coroutine function"),
    (Billing().blocks, "Billing.blocks is no coroutine function"),
    (lambda message: None, "<lambda> is no coroutine function"),
    (Billing, "Billing is no coroutine function"),
    (None, "None is no coroutine function"),
]


@pytest.mark.parametrize("handler", GOOD)
def test_what_takes_a_message_is_a_handler(handler: Any) -> None:
    """By the decorator it stays what it was; or it is given with the rest."""
    assert MQClient(URL).runner("t", "g").handler(handler) is handler
    runner = MQClient(URL).runner("t", "g", handler=handler)
    with pytest.raises(MessagingError, match="has a handler already"):
        runner.handler(handler)


@pytest.mark.parametrize(("handler", "told"), BAD)
def test_what_does_not_is_refused_with_the_way_out(handler: Any, told: str) -> None:
    """By its name, and with what is missing."""
    with pytest.raises(MessagingValueError) as caught:
        MQClient(URL).runner("t", "g").handler(handler)
    assert str(caught.value).startswith(told)
    assert "async def handle(message)" in str(caught.value)
    if handler is not None:  # which stands for none
        with pytest.raises(MessagingValueError):
            MQClient(URL).runner("t", "g", handler=handler)
