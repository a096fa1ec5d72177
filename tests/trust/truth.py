"""What figures must come of what was done: arithmetic on stretches of time in which something stood still. Pure."""

from collections.abc import Sequence

Stretch = tuple[int, int]
"""From when to when, in nanoseconds of the monotonic clock."""


def within(stretches: Sequence[Stretch], begin_ns: int, end_ns: int) -> list[Stretch]:
    """The parts of `stretches` in a window."""
    parts = [(max(first, begin_ns), min(last, end_ns)) for first, last in stretches]
    return [(first, last) for first, last in parts if first < last]


def share(stretches: Sequence[Stretch], begin_ns: int, end_ns: int) -> float:
    """The share of a window that `stretches` make up; they don't overlap."""
    return sum(last - first for first, last in within(stretches, begin_ns, end_ns)) / (end_ns - begin_ns)


def wait(stretches: Sequence[Stretch], begin_ns: int, end_ns: int, quantile: float) -> float:
    """How long what is due at any time of a window waits for the end of a stretch: a quantile, in nanoseconds.

    A stretch may go on after the window; who was due in the window waits for all of it. What waits is done with at
    once when the stretch is over.
    """
    # Of a stretch, whoever was due in its first `last - x` waits longer than x.
    spans = [(last - first, last - min(last, end_ns)) for first, last in _clipped(stretches, begin_ns, end_ns)]
    allowed = (1 - quantile) * (end_ns - begin_ns)

    def longer_than(x: float) -> float:
        return sum(longest - max(x, least) for longest, least in spans if longest > x)

    low, high = 0.0, float(max((longest for longest, _ in spans), default=0))
    if longer_than(0) <= allowed:
        return 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if longer_than(middle) > allowed else (low, middle)
    return high


def _clipped(stretches: Sequence[Stretch], begin_ns: int, end_ns: int) -> list[Stretch]:
    parts = [(max(first, begin_ns), last) for first, last in stretches]
    return [(first, last) for first, last in parts if first < min(last, end_ns)]
