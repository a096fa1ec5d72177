"""The time limit of a test (pytest-timeout's alarm) and what it must not interrupt."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_limit() -> Iterator[None]:
    """Within it no limit runs out, and afterwards what was left of it goes on.

    The alarm raises wherever the program is. In a test that fails the test; in pytest's own account of it, as when a
    process of many sends a report, it ends the whole run.
    """
    left_s, every_s = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        if left_s:
            signal.setitimer(signal.ITIMER_REAL, left_s, every_s)
