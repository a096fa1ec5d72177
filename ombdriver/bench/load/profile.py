"""A rate that changes over time, and when each message is due by it. Pure, and exact in whole numbers.

A profile is stretches one after the other, in each of which the rate is constant or changes evenly from one value to
another. The integral of the rate is counted in *parts*, a fixed point of which a message has `PARTS`: over a whole
stretch it is whole, up to a moment within a ramp it is a fraction. Message i stands at part i * PARTS, and is due at
the last nanosecond at which no more than that has come together: so nothing is due in a pause. All times are
nanoseconds from the profile's start.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import isqrt

from ombdriver.bench.units import SECOND

PARTS = 2 * SECOND
"""Of a message: the sum of the rates at both ends of a stretch, times its nanoseconds, is a number of these."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a profile.

    Attributes:
        duration_ns: how long it is; 1 or more.
        first: messages per second at its beginning; 0 or more.
        last: at its end; the rate changes evenly from the one to the other.
    """

    duration_ns: int
    first: int
    last: int

    @property
    def parts(self) -> int:
        """The integral of its rate."""
        return (self.first + self.last) * self.duration_ns


@dataclass(frozen=True)
class Profile:
    """A rate over time.

    Attributes:
        stretches: none for a profile of no length, of which no message comes.

    Raises:
        ValueError: if a stretch has no length, a rate is below 0, or no message comes of stretches.
    """

    stretches: tuple[Stretch, ...]

    def __post_init__(self) -> None:
        wrong = any(each.duration_ns < 1 or each.first < 0 or each.last < 0 for each in self.stretches)
        if wrong or (self.stretches and not self.total):
            raise ValueError(f"a profile needs stretches of some length, none below a rate of 0 and one above: {self}")

    @cached_property
    def _starts(self) -> list[int]:
        return list(accumulate((each.duration_ns for each in self.stretches), initial=0))

    @cached_property
    def _passed(self) -> list[int]:
        return list(accumulate((each.parts for each in self.stretches), initial=0))

    @cached_property
    def duration_ns(self) -> int:
        """How long the whole of it is."""
        return self._starts[-1]

    @cached_property
    def parts(self) -> int:
        """The integral over all of it."""
        return self._passed[-1]

    @cached_property
    def total(self) -> int:
        """How many messages are due before its end."""
        return -(-self.parts // PARTS)

    @property
    def peak(self) -> int:
        """The highest rate, in messages per second."""
        return max(max(each.first, each.last) for each in self.stretches)

    @property
    def constant_rate(self) -> int | None:
        """The rate, where it is the same all the time; None where it changes."""
        rates = {rate for each in self.stretches for rate in (each.first, each.last)}
        return rates.pop() if len(rates) == 1 else None

    @property
    def mean(self) -> float:
        """Messages per second over all of it."""
        return self.parts / self.duration_ns / 2

    @property
    def usual_rate(self) -> int:
        """The mean as a whole number, 1 or more."""
        return max(1, round(self.mean))

    def parts_before(self, elapsed_ns: int) -> int:
        """The integral up to `elapsed_ns`, rounded up; all of it at or after the end."""
        whole, over, by = self._at(elapsed_ns)
        return whole - (-over // by)

    def messages(self, elapsed_ns: int) -> float:
        """The same in messages, with fractions."""
        whole, over, by = self._at(elapsed_ns)
        return (whole + over / by) / PARTS

    def _at(self, elapsed_ns: int) -> tuple[int, int, int]:
        """The integral up to `elapsed_ns`, as whole + over / by."""
        if elapsed_ns >= self.duration_ns:
            return self.parts, 0, 1
        if elapsed_ns <= 0:
            return 0, 0, 1
        at = bisect_right(self._starts, elapsed_ns) - 1
        each, within = self.stretches[at], elapsed_ns - self._starts[at]
        over = (each.last - each.first) * within * within
        return self._passed[at] + 2 * each.first * within, over, each.duration_ns

    def count_before(self, elapsed_ns: int) -> int:
        """How many messages are due in the nanoseconds before `elapsed_ns`."""
        return -(-self.parts_before(elapsed_ns) // PARTS)

    def time_of(self, part: int) -> int:
        """The last nanosecond up to which the integral is no more than `part`; at most `duration_ns`.

        For every `elapsed_ns` up to the duration, `time_of(part) < elapsed_ns` is `part < parts_before(elapsed_ns)`.
        """
        return self.times_of([part])[0]

    def times_of(self, parts: Sequence[int]) -> list[int]:
        """The same of many, which rise; a stretch at a time."""
        times: list[int] = []
        begin, end = 0, bisect_left(parts, self.parts)
        while begin < end:
            at = bisect_right(self._passed, parts[begin]) - 1
            upto = bisect_left(parts, self._passed[at + 1], begin)
            times += _within(self.stretches[at], self._starts[at], self._passed[at], parts[begin:upto])
            begin = upto
        return times + [self.duration_ns] * (len(parts) - end)


def _within(stretch: Stretch, start: int, passed: int, parts: Sequence[int]) -> list[int]:
    """The times of parts within one stretch, which begins at `start`, where the integral is `passed`."""
    first, change, duration = stretch.first, stretch.last - stretch.first, stretch.duration_ns
    if not change:
        return [start + (part - passed) // (2 * first) for part in parts]
    # change * x**2 + 2 * first * duration * x <= (part - passed) * duration, solved for the greatest whole x
    half, by = first * duration, change * duration
    square = half * half - by * passed
    if change > 0:
        return [start + (isqrt(square + by * part) - half) // change for part in parts]
    return [
        start + (half - 1 - isqrt(square + by * part - 1)) // -change for part in parts
    ]  # a root that is rounded up


def constant(rate: int, duration_ns: int) -> Profile:
    """The same rate all the time; of no rate or no duration there is no message."""
    return Profile((Stretch(duration_ns, rate, rate),) if rate and duration_ns else ())
