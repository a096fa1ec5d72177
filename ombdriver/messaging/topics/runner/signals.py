"""SIGTERM and SIGINT as calls in the event loop: the first signal stops a program, the second ends it at once."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def handling_signals(on_first: Callable[[], None], on_further: Callable[[], None]) -> Iterator[None]:
    """Calls `on_first` on the first of these signals, `on_further` on each after it; restores the handlers before.

    Where the loop can't handle signals, as in another thread than the main one, nothing is called.
    """
    loop = asyncio.get_running_loop()
    calls = iter([on_first])

    def on_signal() -> None:
        next(calls, on_further)()

    before = {}
    for number in SIGNALS:
        previous = signal.getsignal(number)
        try:
            loop.add_signal_handler(number, on_signal)
        except (NotImplementedError, RuntimeError, ValueError):
            break
        before[number] = previous
    try:
        yield
    finally:
        for number, previous in before.items():
            loop.remove_signal_handler(number)
            if previous is not None:  # None: set by something that is not Python
                signal.signal(number, previous)
