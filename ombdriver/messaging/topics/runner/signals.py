"""SIGTERM and SIGINT as calls in the event loop, for every runner of the loop: the first one stops, the next one ends.

One coordinator per loop: all runners hear of each signal, and what was there before the first of them comes back after
the last. Python's own handlers are exchanged, since those of a loop can't be asked for, and would be lost.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)

Order = Callable[[], None]


class SignalCoordinator:
    """Passes the signals of one event loop on to whoever listens.

    Args:
        loop: in which listeners are called.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._listeners: list[Order] = []
        self._handler = self._on_signal  # the same object each time, so that it can be found again
        self._before: dict[signal.Signals, Any] = {}

    def __repr__(self) -> str:
        return f"<SignalCoordinator of {len(self._listeners)} listeners>"

    def add(self, listener: Order) -> None:
        """Calls `listener` on each signal. Where this is not the main thread there are none."""
        self._listeners.append(listener)
        if len(self._listeners) > 1:
            return
        for number in SIGNALS:
            previous = signal.getsignal(number)
            if previous is None:  # set by something that is not Python, which could not be set again
                continue
            try:
                signal.signal(number, self._handler)
            except ValueError:  # not the main thread
                return
            self._before[number] = previous

    def remove(self, listener: Order) -> bool:
        """Undoes `add`; True after the last one. Then all is as it was, save what somebody else has set since."""
        self._listeners.remove(listener)
        if self._listeners:
            return False
        for number, previous in self._before.items():
            if signal.getsignal(number) is self._handler:
                signal.signal(number, previous)
        return True

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """Called between any two steps of the main thread."""
        self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()


_coordinators: dict[asyncio.AbstractEventLoop, SignalCoordinator] = {}
"""Those with listeners."""


@contextmanager
def handling_signals(on_first: Order, on_further: Order) -> Iterator[None]:
    """Calls `on_first` on the first of these signals, `on_further` on each after it; restores the handlers before.

    Nested or side by side in one loop, all are called. A handler that the program has set by `loop.add_signal_handler`
    is called too; one set by `signal.signal` is not until the last of these is left. In another thread than the main
    one nothing is called.
    """
    loop = asyncio.get_running_loop()
    orders = iter([on_first])

    def listener() -> None:
        next(orders, on_further)()

    coordinator = _coordinators.get(loop)
    if coordinator is None:
        coordinator = _coordinators[loop] = SignalCoordinator(loop)
    coordinator.add(listener)
    try:
        yield
    finally:
        if coordinator.remove(listener):
            del _coordinators[loop]
