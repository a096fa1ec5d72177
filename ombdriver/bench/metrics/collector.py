"""Brings the reports of all workers together: totals over the run, and metrics by phase, family, group and interval.

Histograms are merged, percentiles never averaged. A run of any length keeps at most some thousands of intervals: past
that, neighbours are merged two by two, and `interval_ns` doubles. Knows no process, clock or file. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ombdriver.bench.load.phase import Phase, TargetRate
from ombdriver.bench.metrics.histogram import Histogram, Int64s
from ombdriver.bench.metrics.recorder import Metrics, MomentKey
from ombdriver.bench.metrics.report import ProbeFailure, ProcessUsage, Report
from ombdriver.bench.metrics.summary import GROUP_FAMILIES

MOST_INTERVALS = 2048
LEAST_ACK_GAP_MS = 500
"""A shorter time in which messages were due and none was acknowledged stands in the latencies only."""

Series = tuple[int, str, str | None]
"""(phase index, family or kind, subscription or None)."""

NO_SAMPLES = Histogram.zero()
NO_MOMENTS: Int64s = np.zeros(0, np.int64)


class Collector:
    """The metrics of a run so far.

    Args:
        subscriptions: the plan's.
        interval_ns: the length of a sample interval.
        most_intervals: how many of them are kept before neighbours are merged.

    Attributes:
        subscriptions: as given.
        interval_ns: the length of a sample interval now.
    """

    def __init__(self, subscriptions: Sequence[str], interval_ns: int, most_intervals: int = MOST_INTERVALS) -> None:
        self.subscriptions = tuple(subscriptions)
        self.interval_ns = self._recorded_interval_ns = interval_ns
        self._most = most_intervals
        self._merged = 1
        self._histograms: dict[Series, dict[int, Histogram]] = {}
        self._totals: dict[Series, Histogram] = {}
        self._counts: dict[Series, dict[int, int]] = {}
        self._total_counts: Counter[Series] = Counter()
        self._moments = Metrics()
        self._last: Sequence[Report] = ()
        self._probed: set[tuple[str, int, int]] = set()
        self._probe_failures: list[ProbeFailure] = []
        self._target_rate: tuple[Phase, TargetRate] | None = None

    def __repr__(self) -> str:
        return f"<Collector {self.acknowledged} acknowledged, {self.received()} received>"

    def add(self, reports: Sequence[Report]) -> None:
        """Adds one report of every worker."""
        self._last = reports
        self._probed.update(*(report.probed for report in reports))
        self._probe_failures += [each for report in reports for each in report.probe_failures]
        self.add_metrics(report.metrics for report in reports)

    def add_metrics(self, every: Iterable[Metrics]) -> None:
        """Adds what was recorded, in intervals of the length that this began with."""
        highest = 0
        come: dict[Series, dict[int, list[Histogram]]] = {}
        for metrics in every:
            for (phase, family, group, recorded), histogram in metrics.histograms.items():
                intervals = come.setdefault((phase, family, group), {})
                intervals.setdefault(recorded // self._merged, []).append(histogram)
            for (phase, kind, group, recorded), count in metrics.counts.items():
                series, interval = (phase, kind, group), recorded // self._merged
                counts = self._counts.setdefault(series, {})
                counts[interval] = counts.get(interval, 0) + count
                self._total_counts[series] += count
            for which, moments in metrics.moments.items():
                self._moments.add_moments(which, moments)
        for series, intervals in come.items():  # all of an interval at once: one by one takes ten times as long
            merged = {interval: Histogram.total(some) for interval, some in intervals.items()}
            for interval, histogram in merged.items():
                self._add_histogram(series, interval, histogram)
            self._totals[series] = Histogram.total((self._totals.get(series, NO_SAMPLES), *merged.values()))
            highest = max(highest, *merged)
        while highest >= self._most:
            self._merge_neighbours()
            highest //= 2

    def _add_histogram(self, series: Series, interval: int, histogram: Histogram) -> None:
        histograms = self._histograms.setdefault(series, {})
        before = histograms.get(interval)
        histograms[interval] = histogram if before is None else before + histogram

    def _merge_neighbours(self) -> None:
        self._merged *= 2
        self.interval_ns *= 2
        for series, counts in self._counts.items():
            merged: Counter[int] = Counter()
            for interval, count in counts.items():
                merged[interval // 2] += count
            self._counts[series] = dict(merged)
        before, self._histograms = self._histograms, {}
        for series, histograms in before.items():
            for interval, histogram in histograms.items():
                self._add_histogram(series, interval // 2, histogram)

    # -- totals over all phases and probes -------------------------------------------------------------------------

    @property
    def acknowledged(self) -> int:
        """Messages answered well."""
        return sum(report.acknowledged for report in self._last)

    @property
    def in_flight(self) -> int:
        """Messages without an answer."""
        return sum(report.sent - report.acknowledged - report.failed for report in self._last)

    @property
    def unsent(self) -> int:
        """Messages of the current phase not sent yet, due or not."""
        return sum(report.unsent for report in self._last)

    @property
    def overdue(self) -> int:
        """Messages that were due and not sent, when the workers were last asked."""
        return sum(report.overdue for report in self._last)

    def received(self) -> dict[str, int]:
        """Messages received by each subscription."""
        return {name: sum(report.received.get(name, 0) for report in self._last) for name in self.subscriptions}

    @property
    def active_consumers(self) -> int:
        """Consumers that have not paused."""
        return sum(report.active_consumers for report in self._last)

    def empty_reads(self) -> int:
        """Reads that brought nothing, one after the other and until now: of the consumer that has the fewest."""
        return min((count for report in self._last for count in report.empty_reads.values()), default=0)

    def take_probed(self) -> set[tuple[str, int, int]]:
        """(subscription, producer, partition) of the probes that arrived since the last call."""
        taken, self._probed = self._probed, set()
        return taken

    def take_probe_failures(self) -> list[ProbeFailure]:
        """The probes that were not acknowledged, since the last call."""
        taken, self._probe_failures = self._probe_failures, []
        return taken

    def errors(self) -> Counter[str]:
        """How often each error was met by a send."""
        return sum((Counter(report.errors) for report in self._last), Counter())

    def counters(self, before: Mapping[str, int] | None = None) -> dict[str, int]:
        """What else was counted: by the drivers, by the processes, and samples that don't fit a histogram.

        Args:
            before: what to leave out, as this gave it earlier. Collections of garbage, the longest gap between
                acknowledgements and the most negative sample are of the phase in any case.
        """
        found: Counter[str] = Counter()
        for report in self._last:
            found.update(report.driver)
            found["strangers"] += report.foreign
        for histogram in self._totals.values():
            found["negativeSamples"] += histogram.negative
            found["overRangeSamples"] += histogram.over_range
        found.subtract(before or {})
        gap_ms = max((report.longest_ack_gap_ns for report in self._last), default=0) // 10**6
        found["longestSilenceMs"] = gap_ms if gap_ms >= LEAST_ACK_GAP_MS else 0
        last = max((phase for phase, _, _ in self._totals), default=0)
        below = (each.below_ns for (phase, _, _), each in self._totals.items() if phase == last)
        found["mostNegativeNs"] = max(below, default=0)
        found["garbageCollections"] = sum(report.process.gc_pauses for report in self._last)
        return {name: count for name, count in sorted(found.items()) if count}

    def processes(self) -> Sequence[ProcessUsage]:
        """Each worker process as it last reported, in the plan's order."""
        return [report.process for report in self._last]

    # -- metrics of a phase ----------------------------------------------------------------------------------------

    def target_rate(self, phase: Phase) -> TargetRate:
        """What the schedule of `phase` asks for."""
        if self._target_rate is None or self._target_rate[0] is not phase:
            self._target_rate = (phase, TargetRate(phase, self._recorded_interval_ns))
        return self._target_rate[1]

    def histogram(self, phase: Phase, family: str, group: str | None = None, interval: int | None = None) -> Histogram:
        """The samples of `family` in one interval, or in all; end-to-end families without a group mean all groups."""
        series = [(phase.index, family, name) for name in self._groups(family, group)]
        if interval is None:
            return Histogram.total(self._totals.get(each, NO_SAMPLES) for each in series)
        return Histogram.total(self._histograms.get(each, {}).get(interval, NO_SAMPLES) for each in series)

    def _groups(self, family: str, group: str | None) -> Sequence[str | None]:
        return self.subscriptions if group is None and family in GROUP_FAMILIES else (group,)

    def count(self, phase: Phase, kind: str, group: str | None, interval: int) -> int:
        """Events of `kind` (`published`, `failed`, `received`, `foreign`) that happened in one interval."""
        return self._counts.get((phase.index, kind, group), {}).get(interval, 0)

    def moments(self, which: MomentKey) -> Int64s:
        """The moments in which such events happened in any worker, by number, rising; none where none are noted."""
        return self._moments.moments.get(which, NO_MOMENTS)

    def total_count(self, phase: Phase, kind: str, group: str | None = None) -> int:
        """Events of `kind` in all of the phase, and in the drain after it."""
        return self._total_counts[phase.index, kind, group]
