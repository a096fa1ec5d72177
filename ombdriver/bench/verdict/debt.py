"""What was due and is not answered yet, look by look: how it grows tells what rate a system keeps up with. Pure.

A system that keeps up owes as much at one time as at another, however long it takes to answer; one that does not owes
more each second. Where a phase ends does not matter for that, nor what it began with, nor a pause anywhere in it.
Random arrivals are now more, now fewer than their rate, and a system is to keep up with the rate: what counts is the
debt that grows less, that of what was due or that of what the rate would have had due.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ombdriver.bench.metrics.correlation import inflation
from ombdriver.bench.verdict.trend import median_slope

CONFIDENCE = 1.645
"""Standard errors: the growth is below its upper end with 95 %."""
FEWEST = 8
"""Looks that tell a growth with its error."""
FEWEST_SLOPES = 4
"""Looks of the later half that tell how a debt usually grows in it."""
MOST_LOOKS = 512
"""Of more looks every second one is left out, as often as is needed: a run may last for days."""


@dataclass(frozen=True, slots=True)
class Growth:
    """How a debt grows, in messages per second.

    Attributes:
        slope: of a line through it.
        error: the standard error of that.
        usual: the median of the slopes between all pairs of looks, which a pause does not move.
    """

    slope: float
    error: float
    usual: float

    @property
    def upper(self) -> float:
        """What it is below, with 95 %."""
        return self.slope + CONFIDENCE * self.error

    @property
    def lower(self) -> float:
        """What it is above, with 95 %."""
        return self.slope - CONFIDENCE * self.error


@dataclass(slots=True)
class _Looks:
    """At one debt: when, in seconds of the phase, how many messages, and how many there would be at an even rate."""

    times_s: list[float] = field(default_factory=list)
    messages: list[int] = field(default_factory=list)
    at_even_rate: list[int] = field(default_factory=list)

    def since(self, since_s: float) -> Iterator[tuple[Sequence[float], Sequence[int]]]:
        """The times from then on, with each way to count."""
        first = bisect_left(self.times_s, since_s)
        for messages in (self.messages, self.at_even_rate):
            if messages:
                yield self.times_s[first:], messages[first:]


class Debts:
    """The looks at the debts of one phase, by `published` and by subscription."""

    def __init__(self) -> None:
        self._looks: dict[str, _Looks] = {}
        self._every, self._skipped = 1, 0

    def __repr__(self) -> str:
        return f"<Debts { ({name: looks.messages[-1] for name, looks in self._looks.items()})!r}>"

    def look(self, elapsed_s: float, debts: Mapping[str, int], surplus: int | None = None) -> None:
        """Adds a look.

        Args:
            elapsed_s: seconds of the phase.
            debts: messages that were due and are not published, or not received by a subscription; left out are those
                of which none has been answered at all: that the first answer takes its time is no growth.
            surplus: with random arrivals, by how many messages more were due than the rate asks for.
        """
        self._skipped += 1
        if self._skipped < self._every:
            return
        self._skipped = 0
        for name, messages in debts.items():
            looks = self._looks.setdefault(name, _Looks())
            looks.times_s.append(elapsed_s)
            looks.messages.append(messages)
            if surplus is not None:
                looks.at_even_rate.append(messages - surplus)
        if any(len(looks.times_s) > MOST_LOOKS for looks in self._looks.values()):
            self._every *= 2
            for looks in self._looks.values():
                del looks.times_s[::2], looks.messages[::2], looks.at_even_rate[::2]

    def growth(self, since_s: float = 0.0) -> dict[str, Growth]:
        """Of each debt of which there are enough looks, with its error: in a probe a small one matters.

        Args:
            since_s: earlier looks are left out, in seconds of the phase.
        """
        found = {name: [growth(*each) for each in looks.since(since_s)] for name, looks in self._looks.items()}
        known = {name: [each for each in ways if each is not None] for name, ways in found.items()}
        return {name: min(ways, key=lambda each: each.upper) for name, ways in known.items() if ways}

    def usual_growth(self, since_s: float = 0.0) -> dict[str, float]:
        """Of each debt, in messages per second: the median over all pairs of looks, which a pause does not move.

        The later half of the looks is asked as well, and the smaller growth counts: a debt that is being paid off is
        none of a system that falls behind, however long ago the pause was that it came from.
        """
        found: dict[str, list[float]] = {}
        for name, looks in self._looks.items():
            for times_s, messages in looks.since(since_s):
                for first in {0, len(times_s) // 2}:
                    if len(times_s) - first >= FEWEST_SLOPES or (not first and len(times_s) > 1):
                        found.setdefault(name, []).append(median_slope(times_s[first:], messages[first:]))
        return {name: min(ways) for name, ways in found.items()}


def growth(times_s: Sequence[float], messages: Sequence[int]) -> Growth | None:
    """The slope of a line through looks at a debt; None when there are too few.

    Neighbouring looks resemble each other, so the error is widened by their correlation.

    Args:
        times_s: when each look was.
        messages: how many messages were owed at each.
    """
    if len(times_s) < FEWEST:
        return None
    at, owed = np.array(times_s, np.float64), np.array(messages, np.float64)
    at -= at.mean()
    spread = float((at * at).sum())
    slope = float((at * owed).sum()) / spread
    residuals = owed - owed.mean() - slope * at
    variance = float((residuals * residuals).sum()) / (len(at) - 2) * inflation(residuals)
    return Growth(slope, math.sqrt(variance / spread), median_slope(times_s, messages))
