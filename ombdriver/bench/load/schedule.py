"""When each message is meant to be sent. Pure: no clock, no sleep, no loop.

One schedule for the whole run: message i is intended at a time that follows from i, the start and the rate alone,
counted from one start and never re-based, so nothing drifts and no debt is forgiven. At a constant rate that is
`start_ns + i * 10**9 // rate`. Producers share it by striping: message i belongs to producer i mod P, and the workers
of a run send together exactly the one schedule. All times are nanoseconds.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from ombdriver.bench.load.profile import PARTS, Profile
from ombdriver.bench.units import SECOND


@dataclass(frozen=True, slots=True)
class Schedule:
    """The intended send times of one phase.

    Attributes:
        start_ns: when its profile begins, on the clock that `now_ns` will be read from.
        profile: the rate of all producers together; as long as the phase.
    """

    start_ns: int
    profile: Profile

    @property
    def total(self) -> int:
        """How many messages are intended before the profile's end."""
        return self.profile.total

    def due(self, now_ns: int) -> int:
        """How many messages are intended at or before `now_ns`; never more than `total`."""
        return self.profile.count_before(now_ns + 1 - self.start_ns)

    def intended(self, message: int) -> int:
        """When message number `message` (from 0) is intended; the end of the profile beyond the last one."""
        return self.start_ns + self.profile.time_of(message * PARTS)

    def intended_each(self, messages: Sequence[int]) -> list[int]:
        """The same of many, which rise."""
        start = self.start_ns
        return [start + time for time in self.profile.times_of([message * PARTS for message in messages])]


class Stripe:
    """The part of a schedule that one worker's producers send, in its own order: local message j, from 0.

    Args:
        schedule: of the whole run.
        producers_total: how many producers share it.
        mine: the numbers of this worker's producers, rising; each from 0 to `producers_total` - 1.

    Raises:
        ValueError: if `mine` is empty, out of order, or out of range.
    """

    __slots__ = ("_all_mine", "_mine", "_producers_total", "_rate", "_schedule_total", "_step", "schedule", "total")

    def __init__(self, schedule: Schedule, producers_total: int, mine: Sequence[int]) -> None:
        mine = tuple(mine)
        if not mine or list(mine) != sorted(set(mine)) or mine[0] < 0 or mine[-1] >= producers_total:
            raise ValueError(f"not some of {producers_total} producers in rising order: {mine}")
        self.schedule = schedule
        self._producers_total = producers_total
        self._mine = mine
        self._all_mine = len(mine) == producers_total
        self._rate = schedule.profile.constant_rate or 0
        self._step = SECOND // self._rate if self._rate and SECOND % self._rate == 0 else 0
        self._schedule_total = schedule.total
        self.total = self._local(self._schedule_total)

    def __repr__(self) -> str:
        return f"<Stripe [{len(self._mine)} of {self._producers_total} producers, {self.total} messages]>"

    def _local(self, messages: int) -> int:
        if self._all_mine:
            return messages
        rounds, rest = divmod(messages, self._producers_total)
        return rounds * len(self._mine) + bisect_left(self._mine, rest)

    def due(self, now_ns: int) -> int:
        """How many of this worker's messages are intended at or before `now_ns`; never more than `total`."""
        if not self._rate:
            return self._local(self.schedule.due(now_ns))
        # Asked at every wake-up: i * 10**9 // rate <= elapsed is, in whole numbers, i < (elapsed + 1) * rate / 10**9.
        elapsed = max(now_ns + 1 - self.schedule.start_ns, 0)
        return self._local(min(-(-elapsed * self._rate // SECOND), self._schedule_total))

    def index(self, j: int) -> int:
        """The number, in the whole schedule, of local message `j`."""
        if self._all_mine:
            return j
        rounds, position = divmod(j, len(self._mine))
        return rounds * self._producers_total + self._mine[position]

    def producer(self, j: int) -> int:
        """Which producer sends local message `j`, as a position in `mine`."""
        return j % len(self._mine)

    def remaining(self, j: int) -> int:
        """How many messages there are from `j` on, due or not."""
        return self.total - j

    def intended_or_none(self, j: int) -> int | None:
        """When local message `j` is intended; None when there is none."""
        if j >= self.total:
            return None
        if not self._rate:
            return self.schedule.intended(self.index(j))
        return self.schedule.start_ns + self.index(j) * SECOND // self._rate

    def producers_of(self, j0: int, j1: int) -> Sequence[int]:
        """Who is to send from `j0` on, message by message, as positions in `mine`: up to `j1`, or once around."""
        count = len(self._mine)
        return [at % count for at in range(j0, min(j0 + count, j1))]

    def forget(self, j: int) -> None:
        """Messages before `j` are not asked for any more; here nothing is kept of them."""

    def by_producer(self, j0: int, j1: int) -> Sequence[tuple[int, Sequence[int]]]:
        """The local messages `j0` to `j1` - 1 by producer, a position in `mine`: when each is intended."""
        intended, count = self.intended_block(j0, j1), len(self._mine)
        if count == 1:
            return [(0, intended)]
        return [((j0 + offset) % count, intended[offset::count]) for offset in range(min(count, j1 - j0))]

    def intended_of(self, which: range) -> list[int]:
        """When each of these local messages is intended."""
        return self.schedule.intended_each(which if self._all_mine else [self.index(j) for j in which])

    def intended_block(self, j0: int, j1: int) -> list[int]:
        """When each of the local messages `j0` to `j1` - 1 is intended; of length `j1` - `j0`, in O(`j1` - `j0`)."""
        start, rate, step = self.schedule.start_ns, self._rate, self._step
        if not rate:
            return self.intended_of(range(j0, j1))
        if self._all_mine:
            if step:
                return list(range(start + j0 * step, start + j1 * step, step))
            return [start + i * SECOND // rate for i in range(j0, j1)]
        mine, width = self._mine, self._producers_total
        if j1 - j0 < len(mine):
            return [start + self.index(j) * SECOND // rate for j in range(j0, j1)]
        first, skip = divmod(j0, len(mine))
        bases = range(first * width, -(-j1 // len(mine)) * width, width)
        rounds = [start + (base + number) * SECOND // rate for base in bases for number in mine]
        return rounds[skip : skip + j1 - j0]
