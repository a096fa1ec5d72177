"""Tickers of both kinds, on both loops: never early, one wake-up at most, nothing after closing."""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from ombdriver.bench.worker.pacer import LoopPacer, Pacer, SpinPacer, TimerfdPacer, make_pacer

MS = 10**6
Test = Callable[[], Coroutine[Any, Any, None]]
Run = Callable[[Test], None]

linux = pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs a coroutine on one loop and on the other."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        yield lambda test: runner.run(test())


@pytest.fixture(params=[pytest.param(TimerfdPacer, marks=linux), LoopPacer, SpinPacer])
def kind(request: pytest.FixtureRequest) -> type[TimerfdPacer] | type[LoopPacer] | type[SpinPacer]:
    """Each kind of pacer."""
    return request.param  # type: ignore[no-any-return]


class Fired:
    """When a pacer fired; `until(n)` waits for the n-th time."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self._more = asyncio.Event()

    def __call__(self) -> None:
        """The pacer's callback."""
        self.times.append(time.monotonic_ns())
        self._more.set()

    async def until(self, count: int) -> None:
        """Returns when it fired so often."""
        while len(self.times) < count:
            self._more.clear()
            await self._more.wait()


async def passed(at_ns: int) -> None:
    """Returns some turns of the loop after `at_ns`, so that whatever was due then has been called."""
    later = Fired()
    pacer = LoopPacer(later)
    pacer.arm(at_ns)
    await later.until(1)
    for _ in range(5):
        await asyncio.sleep(0)


def test_it_never_fires_before_its_time(run: Run, kind: type[LoopPacer]) -> None:
    """Not even by the fraction of a millisecond by which timers of a loop end early."""

    async def test() -> None:
        fired = Fired()
        pacer = kind(fired)
        wanted = []
        for number, delay_ns in enumerate([300_000, 1_500_000, 1_000, 2_700_000, 1_999_999]):
            wanted.append(time.monotonic_ns() + delay_ns)
            pacer.arm(wanted[-1])
            await fired.until(number + 1)
        pacer.close()

        assert all(at >= due for at, due in zip(fired.times, wanted, strict=True))

    run(test)


@pytest.mark.parametrize("at_ns", [0, 1, -5])
def test_a_time_that_has_passed_fires_soon(run: Run, kind: type[LoopPacer], at_ns: int) -> None:
    """Late is late, also for times that would disarm a timer."""

    async def test() -> None:
        fired = Fired()
        pacer = kind(fired)
        pacer.arm(at_ns)
        await fired.until(1)
        pacer.close()

    run(test)


def test_arming_again_replaces_a_later_time_by_an_earlier_one(run: Run, kind: type[LoopPacer]) -> None:
    """It fires once, at the last time that was asked for."""

    async def test() -> None:
        fired = Fired()
        pacer = kind(fired)
        now = time.monotonic_ns()
        pacer.arm(now + 3600 * 10**9)
        pacer.arm(now + 2 * MS)
        await fired.until(1)
        await passed(now + 6 * MS)
        pacer.close()

        assert len(fired.times) == 1

    run(test)


def test_arming_again_replaces_an_earlier_time_by_a_later_one(run: Run, kind: type[LoopPacer]) -> None:
    """Also when the earlier one has passed already, and only the loop has not looked yet."""

    async def test() -> None:
        fired = Fired()
        pacer = kind(fired)
        first = time.monotonic_ns() + MS
        pacer.arm(first)
        while time.monotonic_ns() < first + MS:  # the loop gets no turn
            pass
        later = time.monotonic_ns() + 5 * MS
        pacer.arm(later)
        await fired.until(1)
        await passed(later + 3 * MS)
        pacer.close()

        assert len(fired.times) == 1
        assert fired.times[0] >= later

    run(test)


def test_a_callback_may_arm_anew(run: Run, kind: type[LoopPacer]) -> None:
    """As the publisher does for its next message."""

    async def test() -> None:
        done = Fired()

        def again() -> None:
            done()
            if len(done.times) < 20:
                pacer.arm(time.monotonic_ns() + 200_000)

        pacer: Pacer = kind(again)
        pacer.arm(time.monotonic_ns())
        await done.until(20)
        pacer.close()

        assert all(b - a >= 200_000 for a, b in zip(done.times, done.times[1:], strict=False))

    run(test)


def test_nothing_fires_after_closing(run: Run, kind: type[LoopPacer]) -> None:
    """Closing cancels what is pending, and may be called again."""

    async def test() -> None:
        fired = Fired()
        pacer = kind(fired)
        at_ns = time.monotonic_ns() + MS
        pacer.arm(at_ns)
        pacer.close()
        pacer.close()
        await passed(at_ns + 2 * MS)

        assert fired.times == []

    run(test)


@linux
def test_on_linux_a_timerfd_is_used() -> None:
    """The loop's own timers are a fallback."""

    async def test() -> None:
        pacer = make_pacer(lambda: None)
        assert isinstance(pacer, TimerfdPacer)
        pacer.close()

    asyncio.run(test())


def test_elsewhere_the_loops_own_timer_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other platform has timerfd."""
    monkeypatch.setattr(sys, "platform", "darwin")

    async def test() -> None:
        pacer = make_pacer(lambda: None)
        assert isinstance(pacer, LoopPacer)
        pacer.close()

    asyncio.run(test())
