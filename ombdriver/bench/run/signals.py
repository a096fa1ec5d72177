"""Signals that end a run: the first one asks it to end in order, a second one by somebody's hand ends it at once.

Ctrl-C, SIGTERM, SIGQUIT, a terminal that is closed (SIGHUP) and a limit on processor time (SIGXCPU).
"""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

EXIT_CODE = 130
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGXCPU)
"""What ends a run."""
_REPEATED = (signal.SIGHUP.name, signal.SIGXCPU.name)
"""Those that come again by themselves: kernel and shell both send SIGHUP, and SIGXCPU comes each second."""


def heeded() -> list[signal.Signals]:
    """Those of `ENDING` that this process heeds: SIGHUP is none of them under `nohup`."""
    return [each for each in ENDING if each is not signal.SIGHUP or signal.getsignal(each) is not signal.SIG_IGN]


class Interrupt:
    """Whether the user has asked to stop; a context manager that listens for the signals while it is open."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._task: asyncio.Task[object] | None = None
        self.name: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupt":
        loop = asyncio.get_running_loop()
        for number in heeded():
            self._before[number] = signal.getsignal(number)
            loop.add_signal_handler(number, self.ask, number.name)
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
            if name in _REPEATED:
                return
            os._exit(EXIT_CODE)
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
