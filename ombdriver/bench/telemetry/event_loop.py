"""What holds an event loop up, counted where it happens: long callbacks, a processor not given, the garbage collector.

Knows a loop and a clock; no phase or report. The watchers are reset when a phase begins.
"""

import asyncio
import gc
import time
from array import array
from collections.abc import Callable
from typing import Protocol

import numpy as np

from ombdriver.bench.metrics.histogram import Histogram

LEAST_STALL_NS = 5_000_000
"""A heartbeat later than this found the loop held up. libuv's timers are whole milliseconds, so less means little."""
LATENESS_PERIOD_NS = 4_000_000
"""Between two heartbeats of `LoopLateness`, on average. Twice as many took 2 to 4 % of what a message costs a worker
that sends flat out."""
_MOST_LATE = 4096
_GOLDEN = 0.6180339887498949


class Timer(Protocol):
    """Calls back as soon as the monotonic clock has reached a time; arming again replaces what is pending."""

    def arm(self, at_ns: int) -> None: ...  # noqa: D102

    def close(self) -> None: ...  # noqa: D102


class Stalls:
    """What heartbeats found that came more than `LEAST_STALL_NS` late.

    Attributes:
        count: stalls since the last reset.
        longest_ns: the longest of them.
        total_ns: all of them together.
    """

    def __init__(self) -> None:
        self.count = self.longest_ns = self.total_ns = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.count}, the longest {self.longest_ns / 1e6:.1f} ms>"

    def _came(self, late_ns: int) -> None:
        """A heartbeat was so late."""
        if late_ns > LEAST_STALL_NS:
            self.count += 1
            self.total_ns += late_ns
            self.longest_ns = max(self.longest_ns, late_ns)

    def reset(self) -> None:
        """Forgets the stalls so far."""
        self.count = self.longest_ns = self.total_ns = 0


class LoopLateness(Stalls):
    """How late this loop comes to what is due, as a message sees it that is due at any time: a histogram of heartbeats.

    Their times are spread evenly and keep no beat with any schedule. One that is later than the period stands for those
    that could not be meanwhile, so that the share of the samples beyond a lateness is the share of time.

    Args:
        make_timer: makes what calls a callback, to some tens of microseconds.
    """

    def __init__(self, make_timer: Callable[[Callable[[], None]], Timer]) -> None:
        super().__init__()
        self._late = array("q")
        self._recorded = Histogram.zero()
        self._beats = 0
        self._timer = make_timer(self._beat)
        self._arm(time.monotonic_ns())

    def _arm(self, now_ns: int) -> None:
        self._beats += 1
        self._due_ns = now_ns + round(LATENESS_PERIOD_NS * (0.5 + self._beats * _GOLDEN % 1.0))
        self._timer.arm(self._due_ns)

    def _beat(self) -> None:
        now_ns = time.monotonic_ns()
        late_ns = max(0, now_ns - self._due_ns)
        self._came(late_ns)
        self._late.extend(range(late_ns, -1, -LATENESS_PERIOD_NS))
        if len(self._late) > _MOST_LATE:
            self.histogram()
        self._arm(now_ns)

    def histogram(self) -> Histogram:
        """The lateness since the last reset, in nanoseconds."""
        if self._late:
            self._recorded += Histogram.of(np.array(self._late, np.int64))
            self._late = array("q")
        return self._recorded

    def reset(self) -> None:
        """Forgets what was, and that this very moment may be late."""
        super().reset()
        self._late, self._recorded = array("q"), Histogram.zero()
        self._arm(time.monotonic_ns())

    def close(self) -> None:
        """Watches no more."""
        self._timer.close()


class LoopStalls(Stalls):
    """Notices when the running loop was held up, by a heartbeat of the loop's own timer that comes late.

    What held the loop up for `LEAST_STALL_NS` and the period together is surely seen; what was shorter only when a
    heartbeat was due meanwhile. A stall may be counted too short, by the period at most, and never too long.

    Args:
        period_s: between two heartbeats, in whole milliseconds.
    """

    def __init__(self, period_s: float) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._period_s, self._period_ns = period_s, round(period_s * 1e9)
        self._due_ns = time.monotonic_ns() + self._period_ns
        self._handle = self._loop.call_later(period_s, self._beat)

    def _beat(self) -> None:
        now_ns = time.monotonic_ns()
        self._came(now_ns - self._due_ns)
        self._due_ns = now_ns + self._period_ns
        self._handle = self._loop.call_later(self._period_s, self._beat)

    def reset(self) -> None:
        """Forgets the stalls so far, and that this very moment may be in one."""
        super().reset()
        self._due_ns = time.monotonic_ns() + self._period_ns

    def close(self) -> None:
        """Watches no more."""
        self._handle.cancel()


class GcPauses:
    """Watches the garbage collector; the harness makes few cycles, so it may run seldom while measuring.

    Attributes:
        count: collections since the last reset.
        longest_ns: the longest of them.
        total_ns: all of them together.
    """

    def __init__(self) -> None:
        self._began_ns = 0
        self.count = self.longest_ns = self.total_ns = 0
        gc.callbacks.append(self._on_step)

    def __repr__(self) -> str:
        return f"<GcPauses {self.count}, the longest {self.longest_ns / 1e6:.1f} ms>"

    def _on_step(self, step: str, _info: dict[str, int]) -> None:
        if step == "start":
            self._began_ns = time.monotonic_ns()
        else:
            took_ns = time.monotonic_ns() - self._began_ns
            self.count += 1
            self.total_ns += took_ns
            self.longest_ns = max(self.longest_ns, took_ns)

    def reset(self) -> None:
        """Forgets the collections so far."""
        self.count = self.longest_ns = self.total_ns = 0

    def freeze(self) -> None:
        """What lives now is not looked at again, and collections become rare; resets."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        self.reset()

    def close(self) -> None:
        """Watches no more."""
        gc.callbacks.remove(self._on_step)
