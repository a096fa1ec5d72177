"""SIGTERM and SIGINT, as orders to a program's event loop: the first to come to an end, the second to end at once."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ORDERS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def obeying(first: Callable[[], None], further: Callable[[], None]) -> Iterator[None]:
    """Calls `first` on the first of these signals, `further` on each after it; before and after, all is as it was.

    Where there are no signal handlers, as in another thread than the main one, nothing is called.
    """
    loop = asyncio.get_running_loop()
    orders = iter([first])

    def received() -> None:
        next(orders, further)()

    before = {}
    for number in ORDERS:
        previous = signal.getsignal(number)
        try:
            loop.add_signal_handler(number, received)
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
