"""Calls a handler in a context of its own: the context variables that it sets are gone with its message.

A task for each message would do the same for ten times as much; here the runner's own task drives the handler.
"""

from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any

from ombdriver.messaging.topics.consumer.message import Message

Handler = Callable[[Message[Any]], Coroutine[Any, Any, object]]
"""Handles one message: what it returns is ignored, what it raises is a failure."""


class Handling:
    """What is left of a handler that waits for something: an awaitable, in the context that the handler has.

    Args:
        handling: the handler's coroutine.
        context: its context.
        awaited: what it waits for.
    """

    __slots__ = ("_awaited", "_context", "_handling")

    def __init__(self, handling: Coroutine[Any, Any, object], context: Context, awaited: Any) -> None:
        self._handling, self._context, self._awaited = handling, context, awaited

    def __await__(self) -> Generator[Any, Any, None]:
        run, handling, awaited = self._context.run, self._handling, self._awaited
        try:
            while True:
                try:
                    reply = yield awaited
                except GeneratorExit:
                    run(handling.close)
                    raise
                except BaseException as error:  # for the handler, a cancellation above all
                    awaited = run(handling.throw, error)
                else:
                    awaited = run(handling.send, reply)
        except StopIteration:
            return


def begin(handler: Handler, message: Message[Any]) -> Handling | None:
    """Calls `handler` in a copy of the current context, and carries it out until it waits for something.

    Returns:
        what is left to be awaited; None if the handler has returned.

    Raises:
        BaseException: what the handler raises.
    """
    context = copy_context()
    handling = handler(message)
    try:
        return Handling(handling, context, context.run(handling.send, None))
    except StopIteration:
        return None
