"""Both clocks of this machine, and the kernel's opinion of them, by adjtimex(2) without changing anything."""

import ctypes
import sys
import time

from ombdriver.bench.hosts.clock_witness import WallReading

READINGS = 5
"""Of so many the one counts whose two clocks were read closest to each other."""
_UNSYNCHRONISED, _ERROR = 0x40, 5
"""STA_UNSYNC of the status, and TIME_ERROR, which adjtimex returns then."""


class _Timex(ctypes.Structure):
    """The kernel's `struct timex`."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        *((name, ctypes.c_long) for name in ("constant", "precision", "tolerance", "sec", "usec", "tick", "ppsfreq")),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        *((name, ctypes.c_long) for name in ("stabil", "jitcnt", "calcnt", "errcnt", "stbcnt")),
        ("tai", ctypes.c_int),
        ("padding", ctypes.c_int * 11),
    ]


def read_wall() -> WallReading:
    """The clocks now; what the kernel does not tell, or may not, is not synchronised and None."""
    readings = []
    for _ in range(READINGS):
        before_ns, wall_ns, after_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        readings.append((after_ns - before_ns, before_ns, wall_ns))
    between_ns, monotonic_ns, wall_ns = min(readings)
    told = _adjtimex()
    if told is None:
        return WallReading(monotonic_ns, wall_ns, between_ns)
    state, kernel = told
    return WallReading(
        monotonic_ns,
        wall_ns,
        between_ns,
        synchronised=state != _ERROR and not kernel.status & _UNSYNCHRONISED,
        max_error_ns=kernel.maxerror * 1000,
        estimated_error_ns=kernel.esterror * 1000,
        frequency_ppm=kernel.freq / 65_536,
    )


def _adjtimex() -> tuple[int, _Timex] | None:
    if sys.platform != "linux":
        return None
    kernel = _Timex()
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(kernel))
    except AttributeError:
        return None
    return None if state < 0 else (state, kernel)
