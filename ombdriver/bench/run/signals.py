"""Ctrl-C and SIGTERM: the first one asks the run to end in order, a second one ends the process at once."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

EXIT_CODE = 130


class Interrupt:
    """Whether the user has asked to stop; a context manager that listens for the signals while it is open."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._task: asyncio.Task[object] | None = None
        self.name: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupt":
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.getsignal(number)
            loop.add_signal_handler(number, self.ask, signal.Signals(number).name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            signal.signal(number, self._before[number])

    @property
    def asked(self) -> bool:
        """Whether a signal has come."""
        return self._asked.is_set()

    def ask(self, name: str) -> None:
        """What signal `name` does; the reaper and the workers notice by themselves when this process is gone."""
        if self.asked:
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
