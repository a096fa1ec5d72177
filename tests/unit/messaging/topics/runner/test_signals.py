"""Signals as orders: the first, those after it, and before and after as it was."""

import asyncio
import os
import signal
import threading

from ombdriver.messaging.topics.runner.signals import SIGNALS, handling_signals


async def test_the_first_signal_is_one_order_and_each_after_it_another() -> None:
    """Whichever of the two comes."""
    orders: list[str] = []
    came: asyncio.Queue[None] = asyncio.Queue()

    def note(order: str) -> None:
        orders.append(order)
        came.put_nowait(None)

    with handling_signals(lambda: note("end"), lambda: note("at once")):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
            await came.get()

    assert orders == ["end", "at once", "at once"]


async def test_afterwards_signals_do_what_they_did_before() -> None:
    """Also when the block is left by an error."""
    before = [signal.getsignal(number) for number in SIGNALS]
    try:
        with handling_signals(lambda: None, lambda: None):
            assert [signal.getsignal(number) for number in SIGNALS] != before
            raise ValueError
    except ValueError:
        pass

    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_in_another_thread_there_are_no_signals_to_obey() -> None:
    """Nothing is installed, and nothing fails."""
    before = [signal.getsignal(number) for number in SIGNALS]
    found: list[bool] = []

    async def look() -> None:
        with handling_signals(lambda: None, lambda: None):
            found.append([signal.getsignal(number) for number in SIGNALS] == before)

    thread = threading.Thread(target=asyncio.run, args=[look()])
    thread.start()
    thread.join()
    assert found == [True]
