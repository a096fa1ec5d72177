"""Signals as orders: to all runners of a loop, first one and then another; before and after as it was."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from ombdriver.messaging.topics.runner.signals import SIGNALS, handling_signals


class Orders:
    """What was ordered, by whom, and a way to wait for it."""

    def __init__(self) -> None:
        self.given: list[str] = []
        self._came: asyncio.Queue[None] = asyncio.Queue()

    def note(self, order: str) -> Callable[[], None]:
        """A call that notes `order`."""

        def call() -> None:
            self.given.append(order)
            self._came.put_nowait(None)

        return call

    async def of(self, number: int, count: int = 1) -> list[str]:
        """What is ordered when this process gets a signal: so many orders."""
        self.given.clear()
        os.kill(os.getpid(), number)
        for _ in range(count):
            await self._came.get()
        return list(self.given)


async def test_the_first_signal_is_one_order_and_each_after_it_another() -> None:
    """Whichever of the two comes."""
    orders = Orders()
    with handling_signals(orders.note("end"), orders.note("at once")):
        assert await orders.of(signal.SIGTERM) == ["end"]
        assert await orders.of(signal.SIGINT) == ["at once"]
        assert await orders.of(signal.SIGTERM) == ["at once"]


async def test_all_runners_of_a_loop_hear_of_each_signal() -> None:
    """In the order in which they began; each that is left hears of the next one, also when the first has gone."""
    orders = Orders()
    with ExitStack() as second:
        with handling_signals(orders.note("1 ends"), orders.note("1 at once")):
            second.enter_context(handling_signals(orders.note("2 ends"), orders.note("2 at once")))
            assert await orders.of(signal.SIGTERM, 2) == ["1 ends", "2 ends"]
            with handling_signals(orders.note("3 ends"), orders.note("3 at once")):
                assert await orders.of(signal.SIGTERM, 3) == ["1 at once", "2 at once", "3 ends"]
        assert await orders.of(signal.SIGTERM) == ["2 at once"]


@pytest.mark.parametrize("many", [1, 2])
async def test_afterwards_signals_do_what_they_did_before(many: int) -> None:
    """Also when the block is left by an error: whatever Python calls, and whatever the loop calls."""
    orders = Orders()
    loop = asyncio.get_running_loop()
    previous = signal.signal(signal.SIGTERM, lambda *_: orders.note("a handler of Python")())
    loop.add_signal_handler(signal.SIGINT, orders.note("a handler of the loop"))
    before = [signal.getsignal(number) for number in SIGNALS]
    try:
        with ExitStack() as runners:
            runners.enter_context(pytest.raises(ValueError, match="an error"))
            for _ in range(many):
                runners.enter_context(handling_signals(orders.note("end"), orders.note("at once")))
            assert await orders.of(signal.SIGTERM, many) == ["end"] * many
            raise ValueError("an error")
        assert [signal.getsignal(number) for number in SIGNALS] == before
        assert await orders.of(signal.SIGTERM) == ["a handler of Python"]
        assert await orders.of(signal.SIGINT) == ["a handler of the loop"]
    finally:
        signal.signal(signal.SIGTERM, previous)
        loop.remove_signal_handler(signal.SIGINT)


async def test_what_was_set_meanwhile_stays() -> None:
    """Whoever sets a handler while a runner runs has the last word."""
    previous = signal.getsignal(signal.SIGTERM)
    try:
        with handling_signals(lambda: None, lambda: None):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, previous)


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
