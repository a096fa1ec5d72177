"""`Interrupt`: the first signal asks, the second one ends."""

import asyncio
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from ombdriver.bench.run.signals import ENDING, Interrupt, name_of

STUBBORN = """
import asyncio
from ombdriver.bench.run.signals import Interrupt

async def main():
    with Interrupt() as stop:
        print("listening", flush=True)
        while True:
            await asyncio.sleep(3600) if stop.asked else await stop.wait(3600)
            print("asked by", stop.name, flush=True)

asyncio.run(main())
"""

OF_THE_PROGRAM = {"SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV", "SIGSYS"}
ERRORS_IN_PYTHON = {"SIGPIPE", "SIGXFSZ"}
STOPPING = {"SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"}
OF_NO_EFFECT = {"SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"}
EACH = """
import asyncio, os
from ombdriver.bench.run.signals import ENDING, Interrupt

async def main():
    for number in ENDING:
        with Interrupt() as stop:
            os.kill(os.getpid(), number)
            assert await stop.wait(3600)
            print(stop.name)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other signals")
def test_each_signal_that_would_end_a_process_ends_a_run_in_order() -> None:
    """All that this system has but for SIGKILL, those of a fault of the program, and those that Python makes errors."""
    others = OF_THE_PROGRAM | ERRORS_IN_PYTHON | STOPPING | OF_NO_EFFECT | {"SIGKILL"}

    assert {name_of(each) for each in signal.valid_signals()} == others | {name_of(each) for each in ENDING}
    assert not others & {name_of(each) for each in ENDING}
    told = subprocess.run([sys.executable, "-c", EACH], capture_output=True, text=True, check=True).stdout
    assert told.split() == [name_of(each) for each in ENDING]


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None])
async def test_a_signal_that_somebody_has_a_use_for_is_left_to_them(handler: Any) -> None:
    """A profiler's, or one that a shell ignores."""
    before = signal.signal(signal.SIGUSR2, handler)
    try:
        with Interrupt() as stop:
            assert signal.getsignal(signal.SIGUSR2) is handler
            os.kill(os.getpid(), signal.SIGUSR2)
            assert not await stop.wait(0)
    finally:
        signal.signal(signal.SIGUSR2, before)


async def test_a_signal_that_comes_again_by_itself_ends_nothing_at_once() -> None:
    """Timers and schedulers of jobs repeat theirs; the run ends in order."""
    with Interrupt() as stop:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGUSR1)
            assert await stop.wait(3600)
            await asyncio.sleep(0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_a_wait(number: signal.Signals) -> None:
    """Whoever waits is told, and by which signal; later waits return at once."""
    with Interrupt() as stop:
        assert not stop.asked
        assert not await stop.wait(0)
        os.kill(os.getpid(), number)

        assert await stop.wait(3600)
        assert await stop.wait(3600)
        assert stop.asked
        assert stop.name == number.name


async def test_a_wait_without_a_signal_ends_by_itself() -> None:
    """A time in the past is no wait at all."""
    with Interrupt() as stop:
        assert not await stop.wait(0.001)
        assert not await stop.wait(-1)


async def test_a_signal_cancels_what_may_be_cancelled() -> None:
    """Inside of `cancels` a wait for somebody else is cut short; outside of it the signal is only noted."""

    async def build() -> str:
        with Interrupt() as stop:
            try:
                with stop.cancels():
                    os.kill(os.getpid(), signal.SIGINT)
                    await asyncio.Event().wait()
            except asyncio.CancelledError:
                return f"cancelled by {stop.name}"
        return "not cancelled"

    assert await asyncio.create_task(build()) == "cancelled by SIGINT"


async def test_after_the_cancellable_part_a_signal_cancels_nothing() -> None:
    """From there on, the run looks up by itself."""
    with Interrupt() as stop:
        with stop.cancels():
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        assert await stop.wait(3600)
        await asyncio.sleep(0)  # a cancel would come here


async def test_what_may_be_cancelled_does_not_begin_after_a_signal() -> None:
    """A signal that came just before is not overlooked."""
    with Interrupt() as stop:
        stop.ask("SIGINT")
        with pytest.raises(asyncio.CancelledError), stop.cancels():
            raise AssertionError("unreachable")


async def test_after_the_end_signals_are_what_they_were() -> None:
    """Nobody listens any more once the run is over."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Interrupt():
            assert signal.getsignal(signal.SIGTERM) is not signal.default_int_handler

        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)])
def test_the_second_signal_ends_the_process_at_once(numbers: tuple[signal.Signals, signal.Signals]) -> None:
    """Whatever the process is at: exit code 130, and no traceback."""
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "listening\n"
        process.send_signal(numbers[0])
        assert process.stdout.readline() == "asked by SIGINT\n"
        process.send_signal(numbers[1])

        assert process.wait() == 130
        assert process.stderr.read() == ""
