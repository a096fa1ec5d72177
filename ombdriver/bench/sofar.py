"""The figures of a phase up to now, while it runs: of messages that have been answered, or have arrived. Pure."""

from ombdriver.bench.collector import Collector
from ombdriver.bench.measurements import LatencySummaryNs
from ombdriver.bench.recorder import Histogram
from ombdriver.bench.targets import Phase
from ombdriver.bench.window import summarise

SECOND = 10**9
LEAST_ELAPSED_NS = 5 * SECOND
"""Before that, a percentile, an average or a rate says little of a run."""
GROWTH = 1.05
_COUNTED = {"published": "publish", "publish_errors": "failed", "received": "endToEnd"}
"""Totals that are known while the run runs, and the histogram that counts them."""
_KINDS = {"publishRate": "published", "publishErrorRate": "failed", "consumeRate": "received"}


class SoFar:
    """What there is of `phase` (`thresholds.Source`).

    Args:
        collector: holds the figures.
        phase: which phase.
        elapsed_ns: how much of it has passed.
        since: leaves out that many intervals at its beginning.
    """

    def __init__(self, collector: Collector, phase: Phase, elapsed_ns: int, since: int = 0) -> None:
        self._collector, self._phase, self.elapsed_ns, self._since = collector, phase, elapsed_ns, since
        self._summaries: dict[tuple[str, str | None], LatencySummaryNs] = {}

    def __repr__(self) -> str:
        return f"<SoFar {self.elapsed_ns / 1e9:.1f} s of {self._phase.name}>"

    @property
    def intervals(self) -> int:
        """Sample intervals that are complete, and not left out."""
        return max(0, self.elapsed_ns // self._collector.interval_ns - self._since)

    @property
    def interval_ns(self) -> int:
        """The length of a sample interval."""
        return self._collector.interval_ns

    @property
    def target_rate(self) -> float:
        """Messages per second that were asked for over the intervals that are complete."""
        begin_ns = self._since * self.interval_ns
        targets = self._collector.targets(self._phase)
        return targets.rate(begin_ns, begin_ns + self.intervals * self.interval_ns)

    @property
    def length_ns(self) -> int:
        """The time that is not left out, also of an interval that is not complete."""
        return self.elapsed_ns - self._since * self._collector.interval_ns

    def histogram(self, family: str, group: str | None = None) -> Histogram:
        """All samples so far, or those of the complete intervals that are not left out."""
        if not self._since:
            return self._collector.histogram(self._phase, family, group)
        every = range(self._since, self._since + self.intervals)
        return Histogram.total(self._collector.histogram(self._phase, family, group, at) for at in every)

    def latency(self, name: str, group: str | None) -> LatencySummaryNs:
        """See `Source`."""
        if (name, group) not in self._summaries:
            self._summaries[name, group] = summarise(self.histogram(name, group))
        return self._summaries[name, group]

    def count(self, name: str, group: str | None, attribute: str) -> int | None:
        """See `Source`. None for what is known at the end only."""
        return self.histogram(_COUNTED[attribute], group).count if attribute in _COUNTED else None

    def rate(self, name: str, group: str | None) -> float | None:
        """See `Source`. Over the intervals that are complete."""
        if not self.intervals:
            return None
        kind, every = _KINDS[name], range(self._since, self._since + self.intervals)
        groups = [group] if kind != "received" or group else self._collector.subscriptions
        counted = sum(self._collector.count(self._phase, kind, each, at) for each in groups for at in every)
        return counted * 1e9 / (self.intervals * self._collector.interval_ns)


def next_look_ns(elapsed_ns: int) -> int:
    """When to look again after `elapsed_ns`: in a second at first, later when there is a twentieth more to look at.

    Adding up all intervals of a long run takes a while.
    """
    return max(elapsed_ns + SECOND, round(elapsed_ns * GROWTH))
