"""How the clock of a host stands to the run's: what exchanges of four stamps prove of it. Pure.

An exchange leaves at t1 and is back at t4, both on the run's clock; it arrives at t2 and is answered at t3, both on the
host's. Since nothing arrives before it was sent, the host is ahead of the run by t3 - t4 at least and by t2 - t1 at
most, however unequal the two ways are. Between exchanges a clock drifts: what one proves holds elsewhere but for what
the rates of the two clocks may differ by. All exchanges together leave a low and a high line; the truth is between.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ombdriver.bench.units import SECOND

Floats = NDArray[np.float64]

RATE_CHANGE = 20e-6
"""By how much the rate of a clock that nobody steers differs from its mean over a run: temperature, and an NTP daemon
that corrects its frequency."""
STEERED_RATES = (1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
"""By how much the rates of two clocks may differ while they are steered: a kernel slews its clock by 500 ppm. The
others are for a clock that jumps, as that of a virtual machine that was stopped."""
LEAST_SPAN_NS = SECOND
"""No drift is told from exchanges that are closer together."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange of four stamps, in nanoseconds of monotonic clocks.

    Attributes:
        sent_ns: when it left (run's clock).
        arrived_ns: when it came to the host (host's clock).
        answered_ns: when the answer left (host's clock).
        back_ns: when the answer was here (run's clock).
    """

    sent_ns: int
    arrived_ns: int
    answered_ns: int
    back_ns: int

    @property
    def round_trip_ns(self) -> int:
        """How long it was on its way, both ways together."""
        return (self.back_ns - self.sent_ns) - (self.answered_ns - self.arrived_ns)


@dataclass(frozen=True, slots=True)
class ClockBounds:
    """By how much the clock of a host is ahead of the run's, as far as exchanges prove it.

    Attributes:
        times_ns: the middle of each exchange, on the run's clock, rising; shape (n,).
        low_ns, high_ns: the host is ahead by so much more than `base_ns` then, at least and at most; shape (n,).
        base_ns: about what the host is ahead: what remains is small enough for a float.
        drift: what the host's clock gains on the run's, as a share of the time; 0 where it can't be told.
        trend: the same, as it is taken to go on beyond the exchanges: of all that were fast, since a few seconds of
            them tell little by two alone. It is within what they prove.
        rate_ns: by how much the bounds widen, for each nanosecond away from an exchange.
        steered: whether the exchanges fit no steady drift: the clock was slewed, or jumped.
        round_trip_ns: the shortest of any exchange.
    """

    times_ns: "NDArray[np.int64]"
    low_ns: Floats
    high_ns: Floats
    base_ns: int
    drift: float
    trend: float
    rate_ns: float
    steered: bool
    round_trip_ns: int

    @classmethod
    def of(cls, exchanges: Sequence[Exchange]) -> "ClockBounds":
        """What `exchanges`, at least one, prove; with the smallest rates by which they don't contradict each other."""
        table = np.array([(e.sent_ns, e.arrived_ns, e.answered_ns, e.back_ns) for e in exchanges], np.int64)
        table = table[np.argsort(table[:, 0] + (table[:, 3] - table[:, 0]) // 2, kind="stable")]
        sent, arrived, answered, back = table.T
        times = sent + (back - sent) // 2
        base = int(arrived[0] - sent[0])
        # What holds at t2 and at t3 is taken to hold in the middle: half an exchange of drift belongs to the bound.
        slack = STEERED_RATES[0] * (back - sent) / 2
        low, high = (answered - back - base) - slack, (arrived - sent - base) + slack
        trips = (back - sent) - (answered - arrived)
        at = (times - times[0]).astype(np.float64)
        drift, freedom = _drift(at, low, high)
        trend = _trend(at, low, high, drift, freedom)
        slope, rate = drift, RATE_CHANGE + freedom
        least, most = _envelope(at, low - slope * at, high - slope * at, rate)
        steered = bool((least > most).any())
        if steered:
            slope = 0.0
            for rate in STEERED_RATES:
                least, most = _envelope(at, low, high, rate)
                if (least <= most).all():
                    break
        return cls(times, least + slope * at, most + slope * at, base, drift, trend, rate, steered, int(trips.min()))

    @property
    def _slope(self) -> float:
        """How the bounds go on beside an exchange: the mean drift of a clock that was steered tells nothing of it."""
        return 0.0 if self.steered else self.drift

    def offset_at(self, run_ns: int) -> int:
        """By how much the host is ahead at a time of the run: the middle of what is possible at the nearest exchanges,
        and beyond the first and the last of them with the drift that they show. A clock that jumped will not go on so.
        """
        at = float(min(max(run_ns, int(self.times_ns[0])), int(self.times_ns[-1])) - self.times_ns[0])
        times = (self.times_ns - self.times_ns[0]).astype(np.float64)
        middle = float(np.interp(at, times, (self.low_ns + self.high_ns) / 2))
        trend = 0.0 if self.steered else self.trend
        return self.base_ns + round(middle + trend * (run_ns - int(self.times_ns[0]) - at))

    def error_ns(self, offset_ns: int, start_ns: int, end_ns: int) -> int:
        """How wrong it is at most to take the host for `offset_ns` ahead, at any time from `start_ns` to `end_ns`."""
        low, high = self._low_high(np.array([start_ns, end_ns], np.int64))
        inside = (self.times_ns > start_ns) & (self.times_ns < end_ns)
        used = offset_ns - self.base_ns
        ends = np.maximum(high - used, used - low)
        between = np.maximum(self.high_ns[inside] - used, used - self.low_ns[inside])
        gaps = np.diff(np.concatenate(([start_ns], self.times_ns[inside], [end_ns])))
        worst = max(float(ends.max()), float(between.max(initial=0.0)))
        return int(np.ceil(worst + self.rate_ns * float(gaps.max()) / 2))

    def _low_high(self, run_ns: "NDArray[np.int64]") -> tuple[Floats, Floats]:
        """The bounds at any time, from the exchanges before and after it."""
        after = np.searchsorted(self.times_ns, run_ns).clip(0, len(self.times_ns) - 1)
        lows, highs = [], []
        for each in (after, (after - 1).clip(0)):
            away = (run_ns - self.times_ns[each]).astype(np.float64)
            lows.append(self.low_ns[each] + self._slope * away - self.rate_ns * np.abs(away))
            highs.append(self.high_ns[each] + self._slope * away + self.rate_ns * np.abs(away))
        return np.maximum(*lows), np.minimum(*highs)


def _drift(at: Floats, low: Floats, high: Floats) -> tuple[float, float]:
    """The mean drift, and how far it may be off: from the narrowest exchange of the first third, and of the last."""
    if at[-1] < LEAST_SPAN_NS:
        return 0.0, STEERED_RATES[0]
    early, late = at <= at[-1] / 3, at >= at[-1] * 2 / 3
    first = int(np.argmin(np.where(early, high - low, np.inf)))
    last = int(np.argmin(np.where(late, high - low, np.inf)))
    span = at[last] - at[first]
    middles, widths = (low + high) / 2, (high - low) / 2
    return float((middles[last] - middles[first]) / span), float((widths[last] + widths[first]) / span)


FAST = 2.0
"""Exchanges whose bounds are no wider than so many times those of the narrowest tell how a clock drifts."""


def _trend(at: Floats, low: Floats, high: Floats, drift: float, freedom: float) -> float:
    """The slope of a line through the middles of fast exchanges, as far as `drift` and its `freedom` allow it.

    What one exchange tells wrongly by its jitter is a drift of many ppm over 2 s, and of all of them together of few.
    """
    widths = high - low
    fast = widths <= FAST * widths.min()
    times, middles = at[fast], ((low + high) / 2)[fast]
    spread = times - times.mean()
    if at[-1] < LEAST_SPAN_NS or times[-1] - times[0] < at[-1] / 2:
        return drift
    slope = float((spread * middles).sum() / (spread * spread).sum())
    return min(max(slope, drift - freedom), drift + freedom)


def _envelope(at: Floats, low: Floats, high: Floats, rate: float) -> tuple[Floats, Floats]:
    """The greatest low and the least high at each time, where each widens with `rate` away from its own time."""

    def greatest(values: Floats) -> Floats:
        before = np.maximum.accumulate(values + rate * at) - rate * at
        after = np.maximum.accumulate((values - rate * at)[::-1])[::-1] + rate * at
        found: Floats = np.maximum(before, after)
        return found

    return greatest(low), -greatest(-high)
