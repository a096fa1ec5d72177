"""Wakes the event loop at a time of the monotonic clock.

uvloop's timers are whole milliseconds, and a sleep shorter than that returns at once, so pacing by them spins a core
away. On Linux a timerfd watched by the loop woke 31 us late on average at 13 % of a core for 5,000 wake-ups a second.
Elsewhere the loop's own timer is used, never for less than a millisecond. Whoever is woken sends everything due, and
each message keeps its own intended time either way. Knows no schedule and sends nothing.
"""

import asyncio
import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Protocol

_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK = 0o4000
_TFD_CLOEXEC = 0o2000000
_TFD_TIMER_ABSTIME = 1

NEAR_NS = 10_000
"""A `SpinPacer` waits for what is so near without giving the loop another turn, which takes some microseconds."""


class Pacer(Protocol):
    """One pending wake-up at most; arming again replaces it."""

    def arm(self, at_ns: int) -> None:
        """Calls the callback once, as soon as the monotonic clock has reached `at_ns`."""
        ...

    def close(self) -> None:
        """Cancels what is pending and frees the timer."""
        ...


class TimerfdPacer:
    """A Linux timerfd, watched with `loop.add_reader`.

    Raises:
        OSError: if the kernel gives no timer.
    """

    def __init__(self, callback: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._callback = callback
        self._value = (ctypes.c_long * 4)()  # struct itimerspec: interval and value, each seconds and nanoseconds
        self._set_time, self._value_ref = libc.timerfd_settime, ctypes.byref(self._value)
        self._at_ns = 0
        self._times_armed = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._fire)

    def arm(self, at_ns: int) -> None:
        """See `Pacer.arm`."""
        self._at_ns = at_ns = max(at_ns, 1)  # 0 would disarm the timer
        self._times_armed += 1
        self._value[2], self._value[3] = divmod(at_ns, 10**9)
        self._set_time(self._fd, _TFD_TIMER_ABSTIME, self._value_ref, None)

    def _fire(self) -> None:
        if time.monotonic_ns() < self._at_ns:  # armed anew since it became readable
            return
        times_armed = self._times_armed
        self._callback()
        # Arming the timer anew clears it; reading it for that would be one more system call for each wake-up.
        if self._times_armed == times_armed and self._fd >= 0:
            with contextlib.suppress(BlockingIOError):
                os.read(self._fd, 8)

    def close(self) -> None:
        """See `Pacer.close`."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


class LoopPacer:
    """The loop's own timer, for at least a millisecond at a time."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None

    def arm(self, at_ns: int) -> None:
        """See `Pacer.arm`."""
        if self._handle is not None:
            self._handle.cancel()
        delay_s = max((at_ns - time.monotonic_ns()) / 1e9, 0.001)
        self._handle = self._loop.call_later(delay_s, self._fire, at_ns)

    def _fire(self, at_ns: int) -> None:
        self._handle = None
        if time.monotonic_ns() < at_ns:  # loop timers may end a little early; a message must never be early
            self.arm(at_ns)
        else:
            self._callback()

    def close(self) -> None:
        """See `Pacer.close`."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class SpinPacer:
    """Never lets the loop sleep: it looks at the clock in each of its turns, and takes a whole core for that."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        self._at_ns: int | None = None
        self._handle: asyncio.Handle | None = None

    def arm(self, at_ns: int) -> None:
        """See `Pacer.arm`."""
        self._at_ns = at_ns
        if self._handle is None:
            self._handle = self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._handle = None
        at_ns = self._at_ns
        if at_ns is None:
            return
        now_ns = time.monotonic_ns()
        if at_ns - now_ns > NEAR_NS:
            self._handle = self._loop.call_soon(self._turn)
            return
        while now_ns < at_ns:
            now_ns = time.monotonic_ns()
        self._at_ns = None
        self._callback()

    def close(self) -> None:
        """See `Pacer.close`."""
        self._at_ns = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


def make_pacer(callback: Callable[[], None]) -> Pacer:
    """The best pacer of this platform, for the running loop."""
    if sys.platform == "linux":
        return TimerfdPacer(callback)
    return LoopPacer(callback)
