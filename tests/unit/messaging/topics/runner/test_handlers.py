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


class Order:
    """What a codec makes."""


async def takes_an_order(order: Order) -> None:
    """As with a library that gives the value alone."""


async def takes_a_dict(body: dict) -> None:  # type: ignore[type-arg]
    """Likewise."""


async def says_any(message: Any) -> None:
    """Says nothing of what it takes."""


async def says_object(message: object) -> None:
    """Takes whatever comes."""


async def says_what_is_not_there(message: "NotThere") -> None:  # type: ignore[name-defined]  # noqa: F821
    """As with a name that only a type checker sees."""


async def either(message: M | Order) -> None:
    """Takes a message, too."""


class Billing:
    """Handlers with a state."""

    async def bill_order(self, order: Order) -> None:
        """A method that takes the value alone."""

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
    says_any,
    says_object,
    says_what_is_not_there,
    either,
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
    (
        takes_an_order,
        "takes_an_order says that it takes Order, and a handler is given a Message, whose value that may be",
    ),
    (takes_a_dict, "takes_a_dict says that it takes dict, and a handler is given a Message"),
    (Billing().bill_order, "Billing.bill_order says that it takes Order, and a handler is given a Message"),
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
    assert "async def handle(message" in str(caught.value)
    if handler is not None:  # which stands for none
        with pytest.raises(MessagingValueError):
            MQClient(URL).runner("t", "g", handler=handler)


def test_the_decorator_may_have_brackets() -> None:
    """As that of many libraries."""
    runner = MQClient(URL).runner("t", "g")

    assert runner.handler()(plain) is plain
    with pytest.raises(MessagingError, match="has a handler already"):
        runner.handler()(plain)
