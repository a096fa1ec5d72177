"""What one object has in each event loop that uses it, and what belongs to one loop alone and is refused elsewhere."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from ombdriver.messaging.errors import MessagingError

Value = TypeVar("Value")

_closing: set["asyncio.Task[None]"] = set()
"""Tasks that close what was left in their loops, held until they are done."""


class PerLoop(Generic[Value]):
    """One value for each event loop, by the loop that runs. Several threads may use it at a time."""

    def __init__(self) -> None:
        self._values: dict[asyncio.AbstractEventLoop, Value] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<PerLoop {list(self._values.values())}>"

    def get(self) -> Value | None:
        """The value of the running loop; None if it has none, or no loop runs."""
        loop = asyncio._get_running_loop()
        return None if loop is None else self._values.get(loop)

    def set(self, value: Value) -> Value:
        """Gives the running loop its value, and forgets those of closed loops."""
        loop = asyncio.get_running_loop()
        with self._lock:
            for other in [each for each in self._values if each.is_closed()]:
                del self._values[other]
            self._values[loop] = value
        return value

    async def aclose(self, close: Callable[[Value], Awaitable[None]]) -> None:
        """Closes all values, each in its loop; waits for that of the running one."""
        with self._lock:
            values, self._values = self._values, {}
        here = asyncio.get_running_loop()
        mine = values.pop(here, None)
        for loop, value in values.items():
            with contextlib.suppress(RuntimeError):  # it was closed
                loop.call_soon_threadsafe(_close_soon, close, value)
        if mine is not None:
            await close(mine)


def _close_soon(close: Callable[[Value], Awaitable[None]], value: Value) -> None:
    async def closing() -> None:
        await close(value)

    task = asyncio.get_running_loop().create_task(closing())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


class HomeLoop:
    """The event loop that something belongs to: the one in which this is made.

    Attributes:
        loop: as said.
        thread: the thread that ran it when it was looked at last. To compare that with `threading.get_ident()` costs a
            twentieth of `check`, and is enough where loops don't take turns in one thread.
    """

    __slots__ = ("loop", "thread")

    def __init__(self) -> None:
        self.loop, self.thread = asyncio.get_running_loop(), threading.get_ident()

    def check(self, what: object) -> None:
        """Does nothing in that loop.

        Raises:
            MessagingError: in another one, and outside of any; the message names `what`.
        """
        if asyncio._get_running_loop() is not self.loop:
            raise MessagingError(
                f"{what!r} belongs to another event loop than the one that runs here; use it there, from another "
                "thread by asyncio.run_coroutine_threadsafe(…, loop), or make another one here"
            )
        self.thread = threading.get_ident()
