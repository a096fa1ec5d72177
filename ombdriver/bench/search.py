"""Which rate to try next when the highest rate that a system sustains is looked for. Pure.

A rate is tried by probes, and is said to hold or not to hold by the majority of at most three. First rates are doubled
(or brought down to a tenth, while none holds) until one that holds and one that does not are known. Then the interval
between the two is halved on a logarithmic scale until it is narrow. What was found by single probes is then looked at
again: its lower end must hold in two of three probes, its upper end must fail in two of three, and so must a rate that
is a step higher. If one of these holds after all, then a probe had failed by chance, and the search goes on from there;
if the lower end does not, it goes on below. So a probe that was spoilt costs time, and does not move the result.
"""

import math
from dataclasses import dataclass, field

NARROW = 1.03
"""The interval is narrow when its upper end is not more than that times its lower one."""
STEP = 1.1
"""So much above the rate that was found must fail."""
DOWN = 10
"""As long as no rate holds, the next one is that part of the last."""
MAJORITY = 2
"""Of three probes, so many decide."""
MOST_PROBES = 60
"""More than a search takes but of a system whose probes come out as they like."""


@dataclass(slots=True)
class _Votes:
    held: int = 0
    failed: int = 0

    @property
    def surely_held(self) -> bool:
        return self.held >= MAJORITY and self.held > self.failed

    @property
    def surely_failed(self) -> bool:
        return self.failed >= MAJORITY and self.failed > self.held


@dataclass(slots=True)
class Search:
    """A search; ask `rate` what to try, tell the outcome by `take`, until `rate` is None.

    Args:
        start: the rate to begin with, messages per second.
        least: rates below are not tried.
        most: nor are rates above.

    Attributes:
        probes: how many outcomes were taken.
        sustained: the highest rate that is said to hold; 0 when none does.
        failing: the lowest rate above it that is said not to hold; None when none is known.
        rate: what is to be tried next; None when the search is over.
    """

    start: int
    least: int = 1
    most: int = 10_000_000
    probes: int = 0
    sustained: int = 0
    failing: int | None = None
    rate: int | None = None
    _votes: dict[int, _Votes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.start = min(max(self.start, self.least), self.most)
        self.rate = self.start

    def take(self, held: bool) -> None:
        """The probe at `rate` held, or did not."""
        assert self.rate is not None
        votes = self._votes.setdefault(self.rate, _Votes())
        votes.held, votes.failed = votes.held + held, votes.failed + (not held)
        self.probes += 1
        self._weigh()
        self.rate = None if self.probes >= MOST_PROBES else self._next()

    def _weigh(self) -> None:
        """The interval by all votes; where a rate surely holds, those below it hold as well."""
        floor = max((rate for rate, votes in self._votes.items() if votes.surely_held), default=0)
        failing = [rate for rate, votes in self._votes.items() if votes.failed > votes.held and rate > floor]
        self.failing = min(failing, default=None)
        holding = [rate for rate, votes in self._votes.items() if votes.held > votes.failed]
        self.sustained = max((rate for rate in holding if self.failing is None or rate < self.failing), default=0)

    def _next(self) -> int | None:
        for rate, votes in self._votes.items():
            if votes.held == votes.failed:
                return rate
        if self.failing is None:
            return None if self.sustained >= self.most else min(self.most, self.sustained * 2)
        if not self.sustained:
            return None if self.failing <= self.least else max(self.least, self.failing // DOWN)
        if self.failing > max(self.sustained * NARROW, self.sustained + 1):
            return max(self.sustained + 1, math.isqrt(self.sustained * self.failing))
        return self._doubtful()

    def _doubtful(self) -> int | None:
        """What has to be looked at again before the interval is believed."""
        assert self.failing is not None
        if not self._votes[self.sustained].surely_held:
            return self.sustained
        for rate in (self.failing, self.step):
            if not self._votes.get(rate, _Votes()).surely_failed:
                return rate
        return None

    @property
    def step(self) -> int:
        """The rate above what was found that has to fail."""
        return min(self.most, max(round(self.sustained * STEP), self.sustained + 1))
