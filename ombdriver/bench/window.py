"""The measured window -> `Measurements`: what a `Collector` holds of one phase, in the figures of a result. Pure.

A message belongs to the window by its *intended* time, so totals and latencies cover exactly the messages that the
schedule put into it, be they answered or received in the drain. Rates count what *happened* inside the window.
"""

import math

from ombdriver.bench.collector import Collector
from ombdriver.bench.figures import Phase
from ombdriver.bench.measurements import (
    FAMILIES,
    GROUP_FAMILIES,
    PERCENTILES,
    Distribution,
    FamilyMeasurements,
    LatencySummaryNs,
    Measurements,
    SubscriptionMeasurements,
    Totals,
)
from ombdriver.bench.recorder import Histogram

TICKS_PER_HALVING = 5
"""Points of a quantile curve for each halving of what is left to 100 %."""

DELAY_PARTS = ("scheduleLag", "blocked")
RESPONSES = ("publishResponse", "endToEndResponse")
"""Families in which a message that was never sent stands too, at (end - intended)."""


def summarise(histogram: Histogram) -> LatencySummaryNs:
    """The figures of `histogram`, in nanoseconds."""
    if not histogram.count:
        return LatencySummaryNs.none()
    figures = (histogram.min_ns, histogram.mean_ns, *histogram.percentiles(PERCENTILES), histogram.max_ns)
    return LatencySummaryNs(histogram.count, *figures)  # type: ignore[arg-type]  # in the order of the fields


def quantile_points(count: int) -> list[float]:
    """Percentiles at which a curve of `count` samples is drawn: finer towards 100, as far as the samples reach."""
    if not count:
        return []
    halvings = max(1, math.ceil(math.log2(count)))
    steps = range(halvings * TICKS_PER_HALVING + 1)
    return [*(round(100 * (1 - 0.5 ** (step / TICKS_PER_HALVING)), 7) for step in steps), 100.0]


class Window:
    """The part of `phase` that was measured.

    Args:
        collector: holds the figures.
        phase: which phase.
        length_ns: how much of it was run; less than its duration when the run was interrupted.
        carried_in: the backlog of each subscription when it began.
    """

    def __init__(self, collector: Collector, phase: Phase, length_ns: int, carried_in: dict[str, int]) -> None:
        self._collector, self._phase, self.length_ns = collector, phase, length_ns
        self._carried_in = carried_in
        self.intervals = max(1, math.ceil(length_ns / collector.interval_ns))

    def rate(self, kind: str, group: str | None, interval: int) -> float:
        """Events per second in one interval; the last one may be shorter than the others."""
        start_ns = interval * self._collector.interval_ns
        length_ns = min(self._collector.interval_ns, self.length_ns - start_ns)
        return self._collector.count(self._phase, kind, group, interval) * 1e9 / max(length_ns, 1)

    def count(self, kind: str, group: str | None = None) -> int:
        """Events inside the window."""
        counts = (self._collector.count(self._phase, kind, group, at) for at in range(self.intervals))
        return sum(counts)

    def histogram(self, family: str, group: str | None = None, interval: int | None = None) -> Histogram:
        """All samples of a family; responses with what was never sent."""
        found = self._collector.histogram(self._phase, family, group, interval)
        if family not in RESPONSES:
            return found
        unsent = self._collector.histogram(self._phase, "unsent", None, interval)
        times = len(self._collector.subscriptions) if family in GROUP_FAMILIES and group is None else 1
        for _ in range(times):
            found += unsent
        return found

    def _family(self, family: str) -> FamilyMeasurements:
        total = self.histogram(family)
        points = quantile_points(total.count)
        return FamilyMeasurements(
            total=summarise(total),
            encoded=total.encode(),
            series=[summarise(self.histogram(family, None, at)) for at in range(self.intervals)],
            quantiles=dict(zip(points, total.percentiles(points), strict=True)),
        )

    def _subscription(self, name: str) -> SubscriptionMeasurements:
        latency = {}
        for family in GROUP_FAMILIES:
            histogram = self.histogram(family, name)
            latency[family] = Distribution(summarise(histogram), histogram.encode())
        return SubscriptionMeasurements(
            name=name,
            received=self._collector.histogram(self._phase, "endToEnd", name).count,
            consume_rate=self.count("received", name) * 1e9 / max(self.length_ns, 1),
            latency=latency,
        )

    def _backlog(self) -> list[int]:
        """Messages acknowledged and not received at the end of each interval, over all subscriptions."""
        series = [0] * self.intervals
        for name in self._collector.subscriptions:
            held = self._carried_in.get(name, 0)
            for at in range(self.intervals):
                held += self._collector.count(self._phase, "published", None, at)
                held -= self._collector.count(self._phase, "received", name, at)
                series[at] += max(0, held)
        return series

    def measurements(self) -> Measurements:
        """Everything a result tells of the window."""
        subscriptions = [self._subscription(name) for name in self._collector.subscriptions]
        every = range(self.intervals)
        return Measurements(
            families={family: self._family(family) for family in FAMILIES},
            subscriptions=subscriptions,
            publish_rate=[self.rate("published", None, at) for at in every],
            publish_error_rate=[self.rate("failed", None, at) for at in every],
            consume_rate=[sum(self.rate("received", each.name, at) for each in subscriptions) for at in every],
            backlog=self._backlog(),
            totals=Totals(
                published=self.histogram("publish").count,
                publish_errors=self.histogram("failed").count,
                unsent=self.histogram("unsent").count,
                received=sum(each.received for each in subscriptions),
            ),
            counters=self._collector.counters(),
            delay_parts={part: summarise(self.histogram(part)) for part in DELAY_PARTS},
        )
