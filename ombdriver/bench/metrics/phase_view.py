"""The measured window -> `RunMetrics`: what a `Collector` holds of one phase, in the figures of a result. Pure.

A message belongs to the window by its *intended* time, so totals and latencies cover exactly the messages that the
schedule put into it, be they answered or received in the drain. Rates count what *happened* inside the window.

How many interval histograms a result keeps: neighbours are merged until they are few enough, and none is dropped.

Pure. Knows numbers of intervals and histograms; no family, unit or file.

The figures of a phase up to now, while it runs: of messages that have been answered, or have arrived. Pure.

The measured window by the stretches of its profile: what was asked for and done, and how long it took. Pure.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.load.profile import Profile, Stretch
from ombdriver.bench.metrics.collector import Collector
from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.latency import LatencySummary, summarise
from ombdriver.bench.metrics.summary import (
    DELAY_PARTS,
    FAMILIES,
    GROUP_FAMILIES,
    Delivery,
    Distribution,
    FamilyMetrics,
    RunMetrics,
    SubscriptionMetrics,
    Totals,
)

MOST_INTERVALS = 360
"""Of each family over all groups; an hour of OMB's 10 s."""
MOST_OF_GROUPS = 1_440
"""Interval histograms of all groups together, however many groups there are."""
OMB_INTERVAL_NS = 10 * 10**9
"""What an element of a series stands for in OMB's results and charts."""


def merged_by(intervals: int, interval_ns: int, most: int) -> int:
    """How many neighbours make one, so that of `intervals` at most `most` are left.

    A length that divides OMB's 10 s, or is a multiple of it, is taken when it is less than twice the shortest that
    would do: 10 s can then be put together from whole ones.
    """
    least = max(1, -(-intervals // max(1, most)))
    for factor in range(least, 2 * least):
        length_ns = factor * interval_ns
        if OMB_INTERVAL_NS % length_ns == 0 or length_ns % OMB_INTERVAL_NS == 0:
            return factor
    return least


def most_for(groups: int, families: int) -> int:
    """How many intervals each of `groups` may keep of each of `families`."""
    return max(1, min(MOST_INTERVALS, MOST_OF_GROUPS // max(1, groups * families)))


def merged(histograms: Sequence[Histogram], by: int) -> list[Histogram]:
    """`by` neighbours each as one; the last one may stand for fewer."""
    return [Histogram.total(histograms[at : at + by]) for at in range(0, len(histograms), by)]


TICKS_PER_HALVING = 5
"""Points of a quantile curve for each halving of what is left to 100 %."""

WITHOUT_REPLY = ("unsent", "unanswered")
"""Messages that stand in `publishResponse` at (end - intended)."""


def quantile_points(count: int) -> list[float]:
    """Percentiles at which a curve of `count` samples is drawn: finer towards 100, as far as the samples reach."""
    if not count:
        return []
    halvings = max(1, math.ceil(math.log2(count)))
    steps = range(halvings * TICKS_PER_HALVING + 1)
    return [*(round(100 * (1 - 0.5 ** (step / TICKS_PER_HALVING)), 7) for step in steps), 100.0]


@dataclass(frozen=True, slots=True)
class DeliveryAccount:
    """What the ledger says of the window.

    Attributes:
        deliveries: one for each subscription that is read.
        indeterminate: messages whose connection was lost before the reply.
        warm_up_losses: of the warm-up, by subscription: messages lost, and trimmed.
    """

    deliveries: Sequence[Delivery] = ()
    indeterminate: int = 0
    warm_up_losses: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def _encoded(histograms: Sequence[Histogram]) -> list[str | None]:
    return [each.encode() if each.count else None for each in histograms]


class Window:
    """The part of `phase` that was measured.

    Args:
        collector: holds the figures.
        phase: which phase.
        length_ns: how much of it was run; less than its duration when the run was interrupted.
        carried_in: the backlog of each subscription when it began.
        end_ns: when nothing was waited for any longer, on the monotonic clock.
        before: counters as they stood when it began.
        account: what became of its messages.
        only_others: the run sends nothing: what is received is of others.
    """

    def __init__(
        self,
        collector: Collector,
        phase: Phase,
        length_ns: int,
        carried_in: Mapping[str, int],
        end_ns: int,
        before: Mapping[str, int],
        account: DeliveryAccount = DeliveryAccount(),
        only_others: bool = False,
    ) -> None:
        self._only_others = only_others
        self._collector, self._phase, self.length_ns = collector, phase, length_ns
        self._carried_in, self._end_ns, self._before, self._account = carried_in, end_ns, before, account
        self.intervals = max(1, math.ceil(length_ns / collector.interval_ns))
        self._merged_by = merged_by(self.intervals, collector.interval_ns, MOST_INTERVALS)
        most = most_for(len(collector.subscriptions), len(GROUP_FAMILIES))
        self._groups_merged_by = merged_by(self.intervals, collector.interval_ns, most)

    @property
    def interval_ns(self) -> int:
        """The length of a sample interval."""
        return self._collector.interval_ns

    @property
    def target_rate(self) -> float:
        """Messages per second that the schedule asked for, over the whole window."""
        return self._collector.targets(self._phase).rate(0, self.length_ns)

    def _target_rates(self) -> list[float]:
        """The same in each interval; none where it is the same in all of them."""
        targets = self._collector.targets(self._phase)
        if targets.is_constant:
            return []
        ends = [min((at + 1) * self.interval_ns, self.length_ns) for at in range(self.intervals)]
        return [targets.rate(at * self.interval_ns, end) for at, end in enumerate(ends)]

    def rate(self, kind: str, group: str | None, interval: int) -> float:
        """Events per second in one interval; the last one may be shorter than the others."""
        start_ns = interval * self._collector.interval_ns
        length_ns = min(self._collector.interval_ns, self.length_ns - start_ns)
        return self._collector.count(self._phase, kind, group, interval) * 1e9 / max(length_ns, 1)

    def count(self, kind: str, group: str | None = None) -> int:
        """Events inside the window."""
        counts = (self._collector.count(self._phase, kind, group, at) for at in range(self.intervals))
        return sum(counts)

    @property
    def of_others(self) -> int:
        """Messages of others that were received inside the window, over all subscriptions together."""
        return sum(self.count("foreign", name) for name in self._collector.subscriptions)

    def histogram(self, family: str, group: str | None = None, interval: int | None = None) -> Histogram:
        """All samples of a family; responses with the messages that had none, each at (end - intended)."""
        found = self._collector.histogram(self._phase, family, group, interval)
        if family == "publishResponse":
            for missing in WITHOUT_REPLY:
                found += self._collector.histogram(self._phase, missing, None, interval)
        elif family == "endToEndResponse":
            for name in self._collector.subscriptions if group is None else (group,):
                for at in range(self.intervals) if interval is None else (interval,):
                    found += self._not_received(name, at)
        return found

    def _not_received(self, name: str, interval: int) -> Histogram:
        """What was due in an interval and did not reach a subscription, though the system did not refuse it.

        Of what was never sent the intended times are known; of the rest only the interval, so its middle stands for it.
        """
        unsent = self._collector.histogram(self._phase, "unsent", None, interval)
        due = sum(
            self._collector.histogram(self._phase, each, None, interval).count for each in ("publish", "unanswered")
        )
        received = self._collector.histogram(self._phase, "endToEnd", name, interval).count
        if due <= received:
            return unsent
        middle_ns = self._phase.start_ns + interval * self._collector.interval_ns + self._collector.interval_ns // 2
        waited = np.array([max(0, self._end_ns - middle_ns)], np.int64)
        return unsent + Histogram.of(waited, np.array([due - received], np.int64))

    def _family(self, family: str) -> FamilyMetrics:
        total = self.histogram(family)
        points = quantile_points(total.count)
        each = [self.histogram(family, None, at) for at in range(self.intervals)]
        return FamilyMetrics(
            total=summarise(total),
            encoded=total.encode(),
            series=[summarise(histogram) for histogram in each],
            quantiles=dict(zip(points, total.percentiles(points), strict=True)),
            intervals=_encoded(merged(each, self._merged_by)),
        )

    def _subscription(self, name: str) -> SubscriptionMetrics:
        latency = {}
        for family in GROUP_FAMILIES:
            histogram = self.histogram(family, name)
            each = [self.histogram(family, name, at) for at in range(self.intervals)]
            intervals = _encoded(merged(each, self._groups_merged_by))
            latency[family] = Distribution(summarise(histogram), histogram.encode(), intervals=intervals)
        return SubscriptionMetrics(
            name=name,
            received=self.count("foreign", name)
            if self._only_others
            else self._collector.histogram(self._phase, "endToEnd", name).count,
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

    def measurements(self) -> RunMetrics:
        """Everything a result tells of the window."""
        subscriptions = [self._subscription(name) for name in self._collector.subscriptions]
        every = range(self.intervals)
        return RunMetrics(
            length_ns=self.length_ns,
            interval_ns=self.interval_ns,
            target_rate=self.target_rate,
            families={family: self._family(family) for family in FAMILIES},
            subscriptions=subscriptions,
            publish_rate=[self.rate("published", None, at) for at in every],
            publish_error_rate=[self.rate("failed", None, at) for at in every],
            consume_rate=[sum(self.rate("received", each.name, at) for each in subscriptions) for at in every],
            backlog=self._backlog(),
            target_rates=self._target_rates(),
            totals=Totals(
                published=self.histogram("publish").count,
                publish_errors=self.histogram("failed").count,
                unsent=self.histogram("unsent").count,
                unanswered=self.histogram("unanswered").count,
                received=sum(each.received for each in subscriptions),
                indeterminate=self._account.indeterminate,
                received_of_others=self.of_others,
            ),
            delivery=self._account.deliveries,
            warm_up_losses=self._account.warm_up_losses,
            counters=self._collector.counters(self._before),
            delay_parts={part: summarise(self.histogram(part)) for part in DELAY_PARTS},
            histogram_interval_ns=self._merged_by * self._collector.interval_ns,
            subscription_interval_ns=self._groups_merged_by * self._collector.interval_ns,
        )


SECOND = 10**9
LEAST_ELAPSED_NS = 5 * SECOND
"""Before that, a percentile, an average or a rate says little of a run."""
GROWTH = 1.05
_COUNTED = {"published": "publish", "publish_errors": "failed", "received": "endToEnd"}
"""Totals that are known while the run runs, and the histogram that counts them."""
_KINDS = {"publishRate": "published", "publishErrorRate": "failed", "consumeRate": "received"}


class SoFar:
    """What there is of `phase` (`figures.Source`).

    Args:
        collector: holds the figures.
        phase: which phase.
        elapsed_ns: how much of it has passed.
        since: leaves out that many intervals at its beginning.
    """

    def __init__(self, collector: Collector, phase: Phase, elapsed_ns: int, since: int = 0) -> None:
        self._collector, self._phase, self.elapsed_ns, self._since = collector, phase, elapsed_ns, since
        self._summaries: dict[tuple[str, str | None], LatencySummary] = {}

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

    def latency(self, name: str, group: str | None) -> LatencySummary:
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


MOST_STRETCHES = 50
"""Of more none is told: then it is a curve, which the series tell."""


class Samples(Protocol):
    """The window; `Window` is one."""

    @property
    def length_ns(self) -> int:
        """How long it is."""
        ...

    @property
    def interval_ns(self) -> int:
        """How long its sample intervals are; the last one may be shorter."""
        ...

    def histogram(self, family: str, group: str | None = None, interval: int | None = None) -> Histogram:
        """The samples of a family in one interval."""
        ...


@dataclass(frozen=True, slots=True)
class StretchMetrics:
    """The sample intervals that lie within one stretch.

    Attributes:
        stretch: which.
        begin_ns: of the first of these intervals, from the beginning of the window.
        end_ns: of the last one.
        target_rate: messages per second that were asked for.
        publish_rate: acknowledged.
        consume_rate: received, by all groups together.
        backlog: the highest, over all groups.
        publish: the publish latency from the intended send, of the messages that were due in it.
        end_to_end: likewise, the end-to-end latency.
    """

    stretch: Stretch
    begin_ns: int
    end_ns: int
    target_rate: float
    publish_rate: float
    consume_rate: float
    backlog: int
    publish: LatencySummary
    end_to_end: LatencySummary


def by_stretch(window: Samples, measured: RunMetrics, profile: Profile | None) -> list[StretchMetrics]:
    """Each stretch of `profile` that was measured and is long enough to hold a sample; none of one without a change."""
    if profile is None or not 1 < len(profile.stretches) <= MOST_STRETCHES:
        return []
    return list(_each(window, measured, profile))


def _each(window: Samples, measured: RunMetrics, profile: Profile) -> Iterator[StretchMetrics]:
    step, length, end = window.interval_ns, window.length_ns, 0
    for stretch in profile.stretches:
        begin, end = end, end + stretch.duration_ns
        first = -(-begin // step)
        last = len(measured.publish_rate) if end >= length else end // step
        if begin >= length or first >= last:
            continue
        every = range(first, last)
        lengths = [min((at + 1) * step, length) - at * step for at in every]
        yield StretchMetrics(
            stretch,
            first * step,
            min(last * step, length),
            _mean(measured.target_rates[first:last], lengths),
            _mean(measured.publish_rate[first:last], lengths),
            _mean(measured.consume_rate[first:last], lengths),
            max(measured.backlog[first:last]),
            *(
                summarise(Histogram.total(window.histogram(family, None, at) for at in every))
                for family in ("publishResponse", "endToEndResponse")
            ),
        )


def _mean(rates: Sequence[float], lengths: Sequence[int]) -> float:
    return sum(rate * length for rate, length in zip(rates, lengths, strict=True)) / sum(lengths)
