"""When to wake for the next message: for each one while the core has room, for several together as its load rises.

What is due leaves whenever the publisher is woken; so wake-ups that are far apart make messages late, and bunch them,
which is cheaper for a server. The rule and its figures are all here. Pure: times are given, and so is the time that
this process took.
"""

from collections.abc import Callable
from typing import Protocol

MOST_LOAD = 0.5
"""Of its core a worker runs, or waits to run, for so much of the time at most before wake-ups move apart. With each of
10,000 messages a second woken for it is 0.39 to 0.43."""
LESS_LOAD = 0.45
"""Below that they move together again."""
MOST_APART_NS = 275_000
"""Wake-ups are never held further apart than that: a message is late by half of it on average. They are as frequent as
250 µs after each wake-up, which is late itself."""
CLOSE_NS = 40_000
"""A timer wakes about so late, so messages that are closer come together in any case, and wake-ups for them are as far
apart as may be: at 50,000 messages/s, 150 µs apart took 1.3 times the processor time of 275 µs, and 20 µs took 0.94
of a core, with messages no less late than with 50 µs."""
STEP_NS = 25_000
LOOK_NS = 50_000_000
"""The load is looked at so often, and wake-ups move by one step."""


class Pacing(Protocol):
    """Decides when the publisher is woken."""

    def wake_at(self, next_due_ns: int, now_ns: int, sent: int) -> int:
        """When to wake for what is due at `next_due_ns`, at the end of a wake-up at `now_ns` that sent `sent`."""
        ...


class AdaptivePacing:
    """Wakes for each message as long as the core has room.

    Args:
        busy_ns: for how long this process has run, or waited to run, since its start.

    Attributes:
        apart_ns: wake-ups are at least so far apart.
    """

    def __init__(self, busy_ns: Callable[[], int]) -> None:
        self._busy_ns = busy_ns
        self.apart_ns = self._by_load_ns = 0
        self._planned_ns = self._looked_ns = self._busy_then_ns = self._sent = 0

    def __repr__(self) -> str:
        return f"<AdaptivePacing, {self.apart_ns / 1000:.0f} µs apart>"

    def wake_at(self, next_due_ns: int, now_ns: int, sent: int) -> int:
        """See `Pacing`. Counted from when it was to wake, if it did late: that moves nothing apart."""
        self._sent += sent
        if now_ns - self._looked_ns >= LOOK_NS:
            self._look(now_ns)
        self._planned_ns = at_ns = max(next_due_ns, min(self._planned_ns, now_ns) + self.apart_ns)
        return at_ns

    def _look(self, now_ns: int) -> None:
        elapsed_ns, busy_ns = now_ns - self._looked_ns, self._busy_ns()
        if elapsed_ns < 2 * LOOK_NS:  # what went before a pause says nothing of now
            load = (busy_ns - self._busy_then_ns) / elapsed_ns
            if load > MOST_LOAD:
                self._by_load_ns = min(self._by_load_ns + STEP_NS, MOST_APART_NS)
            elif load < LESS_LOAD:
                self._by_load_ns = max(self._by_load_ns - STEP_NS, 0)
            are_close = self._sent * CLOSE_NS > elapsed_ns
            self.apart_ns = MOST_APART_NS if are_close else self._by_load_ns
        self._looked_ns, self._busy_then_ns, self._sent = now_ns, busy_ns, 0


class EachPacing:
    """Wakes for each message, whatever that takes."""

    def wake_at(self, next_due_ns: int, now_ns: int, sent: int) -> int:
        """See `Pacing`."""
        return next_due_ns
