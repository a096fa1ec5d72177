"""Signals that end a run: the first one asks it to end in order, a second one by somebody's hand ends it at once.

These are all whose default is to end a process: Ctrl-C, SIGTERM, a terminal that is closed (SIGHUP), what a scheduler
of jobs sends before it kills (SIGUSR1, SIGUSR2), limits and timers (SIGXCPU, SIGALRM). Left alone are those by which
the program itself is at fault, those that Python turns into errors (SIGPIPE, SIGXFSZ), and SIGKILL.
"""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

EXIT_CODE = 130
BY_HAND = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
"""Those of which a second one ends a run at once; others come again by themselves, as SIGXCPU does each second."""
_OF_SYSTEMS = ("HUP", "XCPU", "USR1", "USR2", "ALRM", "VTALRM", "PROF", "IO", "PWR", "STKFLT")
_REAL_TIME = range(signal.SIGRTMIN, signal.SIGRTMAX + 1) if hasattr(signal, "SIGRTMIN") else range(0)
ENDING: tuple[int, ...] = (
    *BY_HAND,
    *(getattr(signal, f"SIG{each}") for each in _OF_SYSTEMS if hasattr(signal, f"SIG{each}")),
    *_REAL_TIME,
)
"""What ends a run."""
_ENDS_AT_ONCE = [each.name for each in BY_HAND]
_ALWAYS = (*BY_HAND, signal.SIGHUP, signal.SIGXCPU)


def name_of(number: int) -> str:
    """The name of a signal, as `kill -l` has it."""
    if number in _REAL_TIME and number not in (_REAL_TIME.start, _REAL_TIME.stop - 1):
        return f"SIGRTMIN+{number - _REAL_TIME.start}"
    return signal.Signals(number).name


def heeded() -> list[int]:
    """Those of `ENDING` that this process heeds.

    SIGHUP is none of them under `nohup`, and neither are the less usual ones where they are ignored, or somebody else
    in this process (a profiler, the time limit of a test) has a use for them.
    """
    return [number for number in ENDING if _is_heeded(number)]


def _is_heeded(number: int) -> bool:
    handler = signal.getsignal(number)
    if number in _ALWAYS:
        return number != signal.SIGHUP or handler is not signal.SIG_IGN
    return handler in (signal.SIG_DFL, signal.default_int_handler)


class Interrupt:
    """Whether the user has asked to stop; a context manager that listens for the signals while it is open."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._task: asyncio.Task[object] | None = None
        self.name: str | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupt":
        loop = asyncio.get_running_loop()
        for number in heeded():
            self._before[number] = signal.getsignal(number)
            loop.add_signal_handler(number, self.ask, name_of(number))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for number, before in self._before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, before)

    @property
    def asked(self) -> bool:
        """Whether a signal has come."""
        return self._asked.is_set()

    def ask(self, name: str) -> None:
        """What signal `name` does; the reaper and the workers notice by themselves when this process is gone."""
        if self.asked:
            if name in _ENDS_AT_ONCE:
                os._exit(EXIT_CODE)
            return
        self.name = name
        self._asked.set()
        if self._task is not None:
            self._task.cancel()

    @contextmanager
    def cancels(self) -> Iterator[None]:
        """While this is open, a signal cancels the current task instead of leaving it to look up.

        For the parts of a run that wait for somebody else and have nothing to keep.
        """
        self._task = asyncio.current_task()
        try:
            if self.asked:
                raise asyncio.CancelledError
            yield
        finally:
            self._task = None

    async def wait(self, timeout_s: float) -> bool:
        """Sleeps for `timeout_s` seconds, or until a signal comes; returns whether one has."""
        if timeout_s > 0 and not self.asked:
            try:
                await asyncio.wait_for(self._asked.wait(), timeout_s)
            except TimeoutError:
                return False
        return self.asked
