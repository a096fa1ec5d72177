"""Random arrivals: each producer's messages are a Poisson process of its own, whose rate follows the profile. Pure.

The n-th gap of a producer is a function of (seed, phase, producer, n) alone: SplitMix64, whose n-th number can be had
without those before it. So a producer's times don't depend on which worker it is in, nor on who else is there, and
nothing is kept but where each producer stands. Gaps are of rate 1; their sums become times by the profile, of which
each producer has its equal share. Like every schedule this one is fixed before it begins, and forgives no debt.
"""

import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ombdriver.bench.load.profile import PARTS, Profile

CELLS = 1024
"""How many gaps all producers of a run draw at a time; of one stripe that takes some 40 us."""
FEWEST_CELLS = 64
"""The fewest of one stripe at a time."""
FEWEST = 8
"""The fewest of each producer at a time."""

Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]
UInt64s = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_WORD = 2**64 - 1


def _mix(words: UInt64s) -> UInt64s:
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    return words ^ (words >> np.uint64(31))


def streams(seed: int, phase: str, producers: Sequence[int]) -> UInt64s:
    """Where the random numbers of each producer begin, of shape (len(producers),)."""
    start = _mix(np.array([seed & _WORD], np.uint64) + _GOLDEN)
    start = _mix(start ^ np.uint64(zlib.crc32(phase.encode())))
    return _mix(start + (np.array(producers, np.uint64) + np.uint64(1)) * _GOLDEN)


def gaps(starts: UInt64s, first: Int64s, count: int) -> Floats:
    """Exponential gaps of mean 1, of shape (producers, count).

    Args:
        starts: as `streams` gives them.
        first: for each producer, how many it has had.
        count: how many of each.
    """
    numbers = (first[:, None] + np.arange(1, count + 1)).astype(np.uint64)
    words = _mix(starts[:, None] + numbers * _GOLDEN)
    drawn: Floats = -np.log1p((words >> np.uint64(11)) * -(2.0**-53))
    return drawn


@dataclass(frozen=True, slots=True)
class PoissonArrivals:
    """The arrivals of one phase are random.

    Attributes:
        seed: what they come from.
        producers: how many there are in the whole run.
    """

    seed: int
    producers: int


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Messages that follow each other: the number of the first, their parts of the profile, and who sends them."""

    first: int
    parts: Floats
    producers: Int64s

    @property
    def end(self) -> int:
        return self.first + len(self.parts)


class PoissonStripe:
    """The messages of some producers in the order of their times: local message j, from 0 (`schedule.Stripe`).

    What was drawn is kept until `forget`, so a debt takes 16 bytes a message.

    Args:
        start_ns: when the phase begins.
        profile: the rate of all producers together.
        poisson: how many these are, and the seed.
        mine: the numbers of those that are meant, rising.
        phase: its name, so that each phase has its own times.
    """

    def __init__(
        self, start_ns: int, profile: Profile, poisson: PoissonArrivals, mine: Sequence[int], phase: str
    ) -> None:
        self._start_ns, self._profile, self._mine = start_ns, profile, len(mine)
        self._starts = streams(poisson.seed, phase, mine)
        self._scale = float(poisson.producers * PARTS)
        self._count = max(FEWEST, FEWEST_CELLS // len(mine), CELLS // poisson.producers)
        self._drawn = np.zeros(len(mine), np.int64)
        self._positions = np.zeros(len(mine), np.float64)
        self._expected = profile.total * len(mine) // poisson.producers
        self._blocks: deque[_Drawn] = deque()
        self._known = 0
        self._is_over = False

    def __repr__(self) -> str:
        return f"<PoissonStripe [{self._mine} producers, {self._known} messages{' in all' * self._is_over}]>"

    def _draw(self) -> None:
        """The next messages, as far as they are known of all producers."""
        drawn = gaps(self._starts, self._drawn, self._count)
        positions = np.cumsum(np.concatenate((self._positions[:, None], drawn), axis=1), axis=1)[:, 1:]
        taken = positions <= positions[:, -1].min()
        counts = taken.sum(axis=1)
        last = np.take_along_axis(positions, np.maximum(counts - 1, 0)[:, None], axis=1)[:, 0]
        self._drawn += counts
        self._positions = np.where(counts > 0, last, self._positions)
        parts, producers = positions[taken] * self._scale, np.repeat(np.arange(self._mine), counts)
        order = np.argsort(parts, kind="stable")
        parts, producers = parts[order], producers[order]
        before_end = _below(parts, self._profile.parts)
        self._is_over = before_end < len(parts)
        if before_end:
            self._blocks.append(_Drawn(self._known, parts[:before_end], producers[:before_end]))
            self._known += before_end

    def _is_there(self, j: int) -> bool:
        """Whether there is a local message `j`, which is known then."""
        while j >= self._known and not self._is_over:
            self._draw()
        return j < self._known

    def due(self, now_ns: int) -> int:
        """How many of these messages are intended at or before `now_ns`."""
        if now_ns < self._start_ns:
            return 0
        bound = self._profile.parts_before(now_ns + 1 - self._start_ns)
        while not self._is_over and (not self._blocks or self._blocks[-1].parts[-1] < bound):
            self._draw()
        for block in reversed(self._blocks):
            if block.parts[0] < bound:
                return block.first + _below(block.parts, bound)
        return self._blocks[0].first if self._blocks else self._known

    def remaining(self, j: int) -> int:
        """How many messages there are from `j` on: an estimate of 1 or more until the last one is known."""
        return self._known - j if self._is_over else max(1, max(self._known, self._expected) - j)

    def intended_or_none(self, j: int) -> int | None:
        """When local message `j` is intended; None when there is none."""
        return self.intended_block(j, j + 1)[0] if self._is_there(j) else None

    def intended_block(self, j0: int, j1: int) -> list[int]:
        """When each of the local messages `j0` to `j1` - 1 is intended; they are due, and not forgotten."""
        return self.intended_of(range(j0, j1))

    def intended_of(self, which: range) -> list[int]:
        """The same of `which`."""
        parts = [part for block, cut in self._over(which) for part in block.parts[cut].tolist()]
        start = self._start_ns
        return [start + time for time in self._profile.times_of(list(map(int, parts)))]

    def producer(self, j: int) -> int:
        """Which producer sends local message `j`, as a position in `mine`."""
        return self.producers_of(j, j + 1)[0]

    def producers_of(self, j0: int, j1: int) -> list[int]:
        """Who sends each of the local messages `j0` to `j1` - 1, as positions in `mine` (`schedule.Stripe`)."""
        return [who for block, cut in self._over(range(j0, j1)) for who in block.producers[cut].tolist()]

    def _over(self, which: range) -> Iterator[tuple[_Drawn, slice]]:
        """The windows that hold some of these messages, and where in them."""
        for block in self._blocks:
            if block.first >= which.stop:
                return
            if block.end > which.start:
                ahead = which.start - block.first
                yield block, slice(ahead if ahead >= 0 else ahead % which.step, which.stop - block.first, which.step)

    def forget(self, j: int) -> None:
        """Messages before `j` are not asked for any more."""
        while len(self._blocks) > 1 and self._blocks[0].end <= j:
            self._blocks.popleft()

    def by_producer(self, j0: int, j1: int) -> list[tuple[int, list[int]]]:
        """The local messages `j0` to `j1` - 1 by producer (`schedule.Stripe`)."""
        times = self.intended_block(j0, j1)
        if self._mine == 1:
            return [(0, times)]
        by: dict[int, list[int]] = {}
        for producer, time in zip(self.producers_of(j0, j1), times, strict=True):
            by.setdefault(producer, []).append(time)
        return list(by.items())


def _below(parts: Floats, bound: int) -> int:
    """How many of `parts`, which rise, are below a whole number, which may have no float of its own."""
    near = float(bound)
    return int(np.searchsorted(parts, near, side="left" if near >= bound else "right"))
