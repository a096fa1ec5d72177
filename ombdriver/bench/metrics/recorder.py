"""What one worker has measured since it was last asked, by phase, family, group and interval; merging is `+`.

Two keys of time are kept apart: a latency belongs to the interval of its *intended* send (so an interval closes late,
and warm-up and measurement are kept apart without any reset), a rate to the interval in which the reply or the batch
*arrived*. Knows phases; no driver, clock or loop.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.histogram import Histogram, Int64s

MetricKey = tuple[int, str, str | None, int]
"""(phase index, family or kind, subscription or None, interval from 0)."""

MomentKey = tuple[str, str | None]
"""(kind, subscription or None)."""

MOMENT_NS = 10_000_000
"""How finely it is told for how long nothing was acknowledged or delivered, where faults are injected."""

OF_OTHER_HOSTS = "receivedFromOtherHosts"
"""The kind of messages that came and have no latency, since two hosts' clocks would have to agree on it."""

AFTER_END = -1
"""In place of the interval: after the end of the phase, in its drain. Merging intervals two by two keeps it."""

_MOST_INTERVALS = 1 << 40
"""More than there are in a phase, so that a phase and an interval make one number."""


@dataclass(slots=True)
class Metrics:
    """Histograms of latencies in nanoseconds, and counts of events; `Metrics()` is the neutral element of `+=`.

    Attributes:
        histograms: of latencies.
        counts: of events.
        moments: the moments, by number and rising, in which events of a kind happened (`Recorder`).
    """

    histograms: dict[MetricKey, Histogram] = field(default_factory=dict)
    counts: dict[MetricKey, int] = field(default_factory=dict)
    moments: dict[MomentKey, Int64s] = field(default_factory=dict)

    def __iadd__(self, other: "Metrics") -> "Metrics":
        """Takes `other` in."""
        for key, histogram in other.histograms.items():
            self.add_histogram(key, histogram)
        for key, count in other.counts.items():
            self.add_count(key, count)
        for which, moments in other.moments.items():
            self.add_moments(which, moments)
        return self

    def add_histogram(self, key: MetricKey, histogram: Histogram) -> None:
        """Merges samples."""
        before = self.histograms.get(key)
        self.histograms[key] = histogram if before is None else before + histogram

    def add_count(self, key: MetricKey, count: int) -> None:
        """Adds events."""
        self.counts[key] = self.counts.get(key, 0) + count

    def add_moments(self, which: MomentKey, moments: Int64s) -> None:
        """Adds moments, which may be there already."""
        before = self.moments.get(which)
        self.moments[which] = moments if before is None else np.union1d(before, moments)


class Recorder:
    """Sorts samples into phases and intervals.

    Args:
        interval_ns: the length of an interval.
        moment_ns: events are also noted by moments of that length, numbered on the monotonic clock from 0: how long
            nothing happened is told by those between them. 0 notes none.
    """

    def __init__(self, interval_ns: int, moment_ns: int = 0) -> None:
        self._interval_ns, self._moment_ns = interval_ns, moment_ns
        self._phases: list[Phase] = []
        self._starts = self._ends = np.zeros(0, np.int64)
        self._metrics = Metrics()

    def begin_phase(self, phase: Phase) -> None:
        """From now on, what is intended at or after the start of `phase` belongs to it."""
        self._phases.append(phase)
        self._starts = np.array([each.start_ns for each in self._phases], np.int64)
        self._ends = np.append(self._ends, phase.end_ns)

    def extend_phase(self, phase: Phase) -> None:
        """`phase`, which was begun last, ends later than it was to."""
        self._phases[-1] = phase
        self._ends[-1] = phase.end_ns

    def end_phase(self, now_ns: int) -> None:
        """The phase ends now, if it has not ended: what happens from here on happens after it."""
        self._ends[-1:] = np.minimum(self._ends[-1:], now_ns)

    def record(
        self, group: str | None, intended: Int64s, families: Mapping[str, Int64s], repeats: Int64s | None = None
    ) -> None:
        """Records latencies, by the time at which each message was intended; all arrays have shape (n,), ns.

        What was intended before the first phase (a probe, somebody else's message) belongs to no phase and is left
        out. With `repeats`, each sample stands for so many messages.
        """
        for phase, interval, chosen in self._split(intended):
            weights = repeats if repeats is None or chosen is None else repeats[chosen]
            for family, values in families.items():
                histogram = Histogram.of(values if chosen is None else values[chosen], weights)
                self._metrics.add_histogram((phase, family, group, interval), histogram)

    def record_waiting(
        self, family: str, intended_of: Callable[[range], Sequence[int]], which: range, now_ns: int, step: int = 1
    ) -> None:
        """Records messages that wait still, as (now - intended); the count is exact.

        Args:
            family: what they are.
            intended_of: gives the intended times of some of them.
            which: their numbers.
            now_ns: until when they have waited.
            step: every so manieth stands for its neighbours as well.
        """
        if not which:
            return
        chosen = which[::step]
        intended = np.array(intended_of(chosen), np.int64)
        repeats = np.full(len(chosen), step, np.int64)
        repeats[-1] = which.stop - chosen[-1]
        self.record(None, intended, {family: np.maximum(now_ns - intended, 0)}, repeats)

    def count(
        self, kind: str, group: str | None, times: Sequence[int] | Int64s, counts: Sequence[int] | Int64s
    ) -> None:
        """Counts events by the time at which they happened: `counts[i]` of them at `times[i]` ns.

        What happened after the end of a phase is in none of its intervals: a rate is of the phase alone.
        """
        numbers = np.array(counts, np.int64)
        if self._moment_ns and len(times):
            self._metrics.add_moments((kind, group), np.unique(np.array(times, np.int64) // self._moment_ns))
        for phase, interval, chosen in self._split(np.array(times, np.int64)):
            number = int((numbers if chosen is None else numbers[chosen]).sum())
            self._metrics.add_count((phase, kind, group, interval), number)

    def count_intended(self, kind: str, group: str | None, intended: Int64s) -> None:
        """Counts messages by the time at which each was intended, as `record` does; shape (n,), ns."""
        for phase, interval, chosen in self._split(intended):
            self._metrics.add_count((phase, kind, group, interval), len(intended if chosen is None else chosen))

    def _split(self, times: Int64s) -> list[tuple[int, int, Int64s | None]]:
        """(phase, interval, which) for each that occurs; `which` None means all of `times`."""
        if not len(times) or not self._phases:
            return []
        first, last = self._locate(int(times.min())), self._locate(int(times.max()))
        if first == last:  # nearly always: a block spans a fraction of an interval
            return [] if first is None else [(*first, None)]
        phases = np.searchsorted(self._starts, times, side="right") - 1
        intervals = np.where(phases < 0, 0, (times - self._starts[phases]) // self._interval_ns)
        intervals[times >= self._ends[phases]] = AFTER_END
        # As one number each: unique() over two columns took ten times as long, at every poll.
        places = phases * _MOST_INTERVALS + (intervals - AFTER_END)
        found: list[tuple[int, int, Int64s | None]] = []
        for place in np.unique(places).tolist():
            phase, interval = divmod(place, _MOST_INTERVALS)
            if phase >= 0:
                found.append((self._phases[phase].index, interval + AFTER_END, np.flatnonzero(places == place)))
        return found

    def _locate(self, time_ns: int) -> tuple[int, int] | None:
        """The phase and the interval of a time; None before the first phase."""
        at = int(np.searchsorted(self._starts, time_ns, side="right")) - 1
        if at < 0:
            return None
        phase = self._phases[at]
        ended = time_ns >= self._ends[at]
        return phase.index, AFTER_END if ended else (time_ns - phase.start_ns) // self._interval_ns

    def take(self) -> Metrics:
        """What has come since the last call."""
        taken, self._metrics = self._metrics, Metrics()
        return taken
