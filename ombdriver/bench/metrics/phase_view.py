"""Views of a phase: its metrics, over all of it or over some sample intervals, while it goes on and when it is over.

Whoever reads what is measured reads a view, or the `RunMetrics` made of one: display, Prometheus, abort, running
verdict, rate search, result. A message belongs to a phase and an interval by its *intended* time, so totals and
latencies cover exactly the messages that the schedule put there, be they answered or received in the drain; rates count
what *happened* there. Pure.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.load.profile import Profile
from ombdriver.bench.metrics.collector import Collector
from ombdriver.bench.metrics.confidence import Interval, intervals
from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.latency import LatencySummary, summarise
from ombdriver.bench.metrics.recorder import OF_OTHER_HOSTS
from ombdriver.bench.metrics.summary import (
    DELAY_PARTS,
    FAMILIES,
    GROUP_FAMILIES,
    Distribution,
    FamilyMetrics,
    MessagesPerWrite,
    RunMetrics,
    StretchMetrics,
    SubscriptionMetrics,
    Totals,
    WindowDelivery,
)
from ombdriver.bench.units import SECOND

FAILED = ("failed",)
"""Messages that met an error; they stand in `publishResponse` at the time from due until then."""
WITHOUT_REPLY = ("unsent", "unanswered")
"""Messages that stand in `publishResponse` at (end - intended)."""
_TOTALS = {"published": "publish", "publish_errors": "failed"}
"""Totals that are known while a phase goes on, and the histogram that counts them."""
_EVENTS = {"publishRate": "published", "publishErrorRate": "failed", "consumeRate": "received"}
"""The events that each rate counts."""


class PhaseView:
    """A phase from its beginning on, or some of its sample intervals (`figures.Source`).

    Args:
        collector: holds the metrics; what it gets later shows in the view.
        phase: which phase.
        elapsed_ns: how much of it is viewed.
        ended_ns: when nothing was waited for any longer, on the monotonic clock; None while the phase goes on. Then
            only intervals that are complete are viewed; at the end the last one may be shorter, and messages that had
            no reply or did not arrive stand in the responses.

    Attributes:
        phase: as given.
        intervals: which sample intervals are viewed.
        begin_ns: where the view begins, from the beginning of the phase.
        end_ns: where it ends; while the phase goes on, within the interval after the last one that is complete.
    """

    def __init__(self, collector: Collector, phase: Phase, elapsed_ns: int, ended_ns: int | None = None) -> None:
        self._collector, self.phase, self._elapsed_ns, self._ended_ns = collector, phase, elapsed_ns, ended_ns
        whole = elapsed_ns // collector.interval_ns
        self.intervals: Sequence[int] = range(
            whole if ended_ns is None else max(1, math.ceil(elapsed_ns / collector.interval_ns))
        )
        self.begin_ns, self.end_ns = 0, elapsed_ns
        self._is_part = False
        self._summaries: dict[tuple[str, str | None], LatencySummary] = {}

    def __repr__(self) -> str:
        return f"<PhaseView {self.begin_ns / SECOND:.1f} to {self.end_ns / SECOND:.1f} s of {self.phase.name}>"

    # -- parts -----------------------------------------------------------------------------------------------------

    def part(self, first: int, last: int) -> "PhaseView":
        """The sample intervals from `first` up to, not including, `last`."""
        part = PhaseView(self._collector, self.phase, self._elapsed_ns, self._ended_ns)
        part.intervals = range(first, last)
        part.begin_ns = first * self.interval_ns
        part.end_ns = min(last * self.interval_ns, self._elapsed_ns)
        part._is_part = True
        return part

    def since(self, first: int) -> "PhaseView":
        """The same without the sample intervals before `first`."""
        if not first:
            return self
        part = self.part(first, max(first, self.intervals[-1] + 1 if self.intervals else 0))
        part.end_ns = self.end_ns
        return part

    def only(self, intervals: Sequence[int]) -> "PhaseView":
        """These sample intervals alone, rising; its beginning and end stay those of the whole."""
        chosen = PhaseView(self._collector, self.phase, self._elapsed_ns, self._ended_ns)
        chosen.intervals, chosen._is_part = intervals, True
        return chosen

    @property
    def last(self) -> "PhaseView":
        """The last of the sample intervals."""
        return self.part(self.intervals[-1], self.intervals[-1] + 1)

    def each(self) -> Iterator["PhaseView"]:
        """Every sample interval."""
        return (self.part(at, at + 1) for at in self.intervals)

    # -- time and target -------------------------------------------------------------------------------------------

    @property
    def interval_ns(self) -> int:
        """The length of a sample interval."""
        return self._collector.interval_ns

    @property
    def length_ns(self) -> int:
        """How long the view is."""
        return self.end_ns - self.begin_ns

    @property
    def rated_ns(self) -> int:
        """The time of the sample intervals, which rates are of."""
        if not self.intervals:
            return 0
        last_ns = min((self.intervals[-1] + 1) * self.interval_ns, self._elapsed_ns)
        return last_ns - self.intervals[-1] * self.interval_ns + (len(self.intervals) - 1) * self.interval_ns

    @property
    def target_rate(self) -> float:
        """Messages per second that the schedule asked for in these intervals."""
        target = self._collector.target_rate(self.phase)
        if isinstance(self.intervals, range) or target.is_constant:
            return target.rate(self.begin_ns, self.begin_ns + self.rated_ns)
        parts = [self.part(at, at + 1) for at in self.intervals]
        return sum(each.target_rate * each.rated_ns for each in parts) / max(1, self.rated_ns)

    @property
    def target_changes(self) -> bool:
        """Whether the schedule asks for more at one time of the phase than at another."""
        return not self._collector.target_rate(self.phase).is_constant

    # -- metrics ---------------------------------------------------------------------------------------------------

    @property
    def subscriptions(self) -> Sequence[str]:
        """The plan's."""
        return self._collector.subscriptions

    def histogram(self, family: str, group: str | None = None) -> Histogram:
        """The samples of a family, over all subscriptions or of one."""
        found = [self._recorded(family, group)]
        if family == "publishResponse":
            without = FAILED if self._ended_ns is None else (*FAILED, *WITHOUT_REPLY)
            found += [self._recorded(each, None) for each in without]
        elif self._ended_ns is not None and family == "endToEndResponse":
            names = self.subscriptions if group is None else (group,)
            found += [self._not_received(name, at, self._ended_ns) for name in names for at in self.intervals]
        return Histogram.total(found)

    def _recorded(self, family: str, group: str | None) -> Histogram:
        if not self._is_part:
            return self._collector.histogram(self.phase, family, group)
        return Histogram.total(self._collector.histogram(self.phase, family, group, at) for at in self.intervals)

    def _not_received(self, name: str, interval: int, ended_ns: int) -> Histogram:
        """What was due in an interval and did not reach a subscription, though the system did not refuse it.

        Of what was never sent the intended times are known; of the rest only the interval, so its middle stands for it.
        """

        def recorded(family: str, group: str | None = None) -> Histogram:
            return self._collector.histogram(self.phase, family, group, interval)

        unsent, due = recorded("unsent"), recorded("publish").count + recorded("unanswered").count
        received = recorded("endToEnd", name).count
        received += self._collector.count(self.phase, OF_OTHER_HOSTS, name, interval)
        if due <= received:
            return unsent
        middle_ns = self.phase.start_ns + interval * self.interval_ns + self.interval_ns // 2
        waited = np.array([max(0, ended_ns - middle_ns)], np.int64)
        return Histogram.total((unsent, Histogram.of(waited, np.array([due - received], np.int64))))

    def latency(self, family: str, group: str | None = None) -> LatencySummary:
        """See `figures.Source`."""
        if (family, group) not in self._summaries:
            self._summaries[family, group] = summarise(self.histogram(family, group))
        return self._summaries[family, group]

    def events(self, kind: str, group: str | None = None) -> int:
        """Events of `kind` (`published`, `failed`, `received`, `foreign`) that happened in these intervals.

        What consumers receive is counted by subscription; without one it is that of all.
        """
        of_groups = group is None and kind in ("received", "foreign")
        groups = self.subscriptions if of_groups else (group,)
        return sum(self._collector.count(self.phase, kind, each, at) for each in groups for at in self.intervals)

    def total_events(self, kind: str, group: str | None = None) -> int:
        """Events of `kind` in all of the phase, and in the drain after it."""
        return self._collector.total_count(self.phase, kind, group)

    def received(self, group: str | None = None) -> int:
        """Messages that were due in these intervals and that consumers were given, whenever they came."""
        return self.histogram("endToEnd", group).count + self.received_from_other_hosts(group)

    def received_from_other_hosts(self, group: str | None = None) -> int:
        """Of those received, how many have no latency, since another host had sent them (`plan.swarm`)."""
        names = self.subscriptions if group is None else (group,)
        if not self._is_part:
            return sum(self.total_events(OF_OTHER_HOSTS, name) for name in names)
        return sum(self.events(OF_OTHER_HOSTS, name) for name in names)

    def rate(self, family: str, group: str | None = None) -> float | None:
        """See `figures.Source`. Over the sample intervals."""
        if self.rated_ns <= 0:
            return None
        return self.events(_EVENTS[family], group) * SECOND / self.rated_ns

    def count(self, family: str, group: str | None, attribute: str) -> int | None:
        """See `figures.Source`. None for what is known at the end only."""
        if attribute in WITHOUT_REPLY and self._ended_ns is not None:
            return self.histogram(attribute).count
        if attribute == "received":
            return self.received(group)
        if attribute == "received_from_other_hosts":
            return self.received_from_other_hosts(group)
        return self.histogram(_TOTALS[attribute], group).count if attribute in _TOTALS else None

    def duration(self, family: str, group: str | None) -> float | None:
        """See `figures.Source`. None: what faults did is known at the end only."""
        return None

    def backlog(self, carried_in: Mapping[str, int], names: Sequence[str] | None = None) -> list[int]:
        """Messages acknowledged and not received at the end of each interval, over all subscriptions.

        Args:
            carried_in: the backlog of each subscription at the beginning of the view.
            names: of these alone.
        """
        series = [0] * len(self.intervals)
        for name in self.subscriptions if names is None else names:
            backlog = carried_in.get(name, 0)
            for place, at in enumerate(self.intervals):
                backlog += self._collector.count(self.phase, "published", None, at)
                backlog -= self._collector.count(self.phase, "received", name, at)
                series[place] += max(0, backlog)
        return series


# -- when to check a view ----------------------------------------------------------------------------------------------

LEAST_ELAPSED_NS = 5 * SECOND
"""Before that, a percentile, an average or a rate says little of a run."""
GROWTH = 1.05


def next_check_ns(elapsed_ns: int) -> int:
    """When to check again after `elapsed_ns`: in a second at first, later when there is a twentieth more to check.

    Adding up all intervals of a long run takes a while.
    """
    return max(elapsed_ns + SECOND, round(elapsed_ns * GROWTH))


# -- interval histograms of a result -----------------------------------------------------------------------------------

MOST_HISTOGRAMS = 360
"""Interval histograms of each family over all groups; an hour of OMB's 10 s."""
MOST_GROUP_HISTOGRAMS = 1_440
"""Those of all groups together, however many groups there are."""
OMB_INTERVAL_NS = 10 * SECOND
"""What an element of a series stands for in OMB's results and charts."""


def merge_factor(intervals: int, interval_ns: int, most: int) -> int:
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
    """How many interval histograms each of `groups` may keep of each of `families`."""
    return max(1, min(MOST_HISTOGRAMS, MOST_GROUP_HISTOGRAMS // max(1, groups * families)))


def merged(histograms: Sequence[Histogram], by: int) -> list[Histogram]:
    """`by` neighbours each as one; the last one may stand for fewer."""
    return [Histogram.total(histograms[at : at + by]) for at in range(0, len(histograms), by)]


# -- the metrics of a run ----------------------------------------------------------------------------------------------

POINTS_PER_HALVING = 5
"""Points of a quantile curve for each halving of what is left to 100 %."""
MOST_STRETCHES = 50
"""A profile with more is a curve, which the series show."""


@dataclass(frozen=True, slots=True)
class LedgerSummary:
    """What the ledger says of the measured window.

    Attributes:
        deliveries: one for each subscription that is read.
        indeterminate: messages whose connection was lost before the reply.
        warm_up_losses: by subscription: messages of the warm-up that are lost, and that were trimmed.
    """

    deliveries: Sequence[WindowDelivery] = ()
    indeterminate: int = 0
    warm_up_losses: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def run_metrics(
    view: PhaseView,
    carried_in: Mapping[str, int],
    counters: Mapping[str, int],
    ledger: LedgerSummary = LedgerSummary(),
    *,
    only_reads: bool = False,
) -> RunMetrics:
    """The metrics of the measured window.

    Args:
        view: of the measured phase, which has ended.
        carried_in: the backlog of each subscription when it began.
        counters: what else was counted in it.
        ledger: what became of its messages.
        only_reads: the run sends nothing: what is received is of others.
    """
    groups = len(view.subscriptions)
    factor = merge_factor(len(view.intervals), view.interval_ns, MOST_HISTOGRAMS)
    group_factor = merge_factor(len(view.intervals), view.interval_ns, most_for(groups, len(GROUP_FAMILIES)))
    subscriptions = [_subscription_metrics(view, name, group_factor, only_reads) for name in view.subscriptions]
    intervals = list(view.each())
    backlog = view.backlog(carried_in)
    return RunMetrics(
        length_ns=view.length_ns,
        interval_ns=view.interval_ns,
        target_rate=view.target_rate,
        families={family: _family_metrics(view, family, factor) for family in FAMILIES},
        subscriptions=subscriptions,
        publish_rate=[each.rate("publishRate") or 0.0 for each in intervals],
        publish_error_rate=[each.rate("publishErrorRate") or 0.0 for each in intervals],
        consume_rate=[each.rate("consumeRate") or 0.0 for each in intervals],
        backlog=backlog,
        target_rates=[each.target_rate for each in intervals] if view.target_changes else [],
        totals=Totals(
            published=view.histogram("publish").count,
            publish_errors=view.histogram("failed").count,
            unsent=view.histogram("unsent").count,
            unanswered=view.histogram("unanswered").count,
            received=sum(each.received for each in subscriptions),
            indeterminate=ledger.indeterminate,
            received_of_others=view.events("foreign"),
            received_from_other_hosts=view.received_from_other_hosts(),
        ),
        delivery=ledger.deliveries,
        warm_up_losses=ledger.warm_up_losses,
        counters=counters,
        delay_parts={part: view.latency(part) for part in DELAY_PARTS},
        messages_per_write=_messages_per_write(view.histogram("messagesPerWrite")),
        histogram_interval_ns=factor * view.interval_ns,
        subscription_interval_ns=group_factor * view.interval_ns,
        stretches=list(_stretches(view, backlog, view.phase.profile)),
    )


def _family_metrics(view: PhaseView, family: str, factor: int) -> FamilyMetrics:
    total = view.histogram(family)
    points = quantile_points(total.count)
    each = [interval.histogram(family) for interval in view.each()]
    summary = summarise(total)
    return FamilyMetrics(
        total=summary,
        encoded=total.encode(),
        series=[summarise(histogram) for histogram in each],
        quantiles=dict(zip(points, total.percentiles(points), strict=True)),
        tail=[histogram.count - histogram.upto([summary.p999])[0] for histogram in each],
        confidence=_confidence(view, total, each),
        intervals=_encoded(merged(each, factor)),
    )


def _subscription_metrics(view: PhaseView, name: str, factor: int, only_reads: bool) -> SubscriptionMetrics:
    latency = {}
    for family in GROUP_FAMILIES:
        total = view.histogram(family, name)
        each = [interval.histogram(family, name) for interval in view.each()]
        latency[family] = Distribution(
            summarise(total),
            total.encode(),
            confidence=_confidence(view, total, each),
            intervals=_encoded(merged(each, factor)),
        )
    return SubscriptionMetrics(
        name=name,
        received=view.events("foreign", name) if only_reads else view.received(name),
        received_from_other_hosts=view.received_from_other_hosts(name),
        consume_rate=view.rate("consumeRate", name) or 0.0,
        latency=latency,
    )


def _confidence(view: PhaseView, total: Histogram, parts: Sequence[Histogram]) -> dict[str, Interval]:
    """None with a profile: parts differ by it, and not by chance."""
    return {} if view.phase.profile is not None else intervals(total, parts)


def _messages_per_write(sizes: Histogram) -> MessagesPerWrite | None:
    return MessagesPerWrite(sizes.count, sizes.mean_ns, sizes.percentiles([99.0])[0]) if sizes.count else None


def _encoded(histograms: Sequence[Histogram]) -> list[str | None]:
    return [each.encode() if each.count else None for each in histograms]


def quantile_points(count: int) -> list[float]:
    """Percentiles at which a curve of `count` samples is drawn: finer towards 100, as far as the samples reach."""
    if not count:
        return []
    halvings = max(1, math.ceil(math.log2(count)))
    steps = range(halvings * POINTS_PER_HALVING + 1)
    return [*(round(100 * (1 - 0.5 ** (step / POINTS_PER_HALVING)), 7) for step in steps), 100.0]


def _stretches(view: PhaseView, backlog: Sequence[int], profile: Profile | None) -> Iterator[StretchMetrics]:
    """Each stretch of `profile` that was measured and is long enough to hold a sample; none of one without a change."""
    if profile is None or not 1 < len(profile.stretches) <= MOST_STRETCHES:
        return
    interval_ns, end_ns = view.interval_ns, 0
    for stretch in profile.stretches:
        begin_ns, end_ns = end_ns, end_ns + stretch.duration_ns
        first = -(-begin_ns // interval_ns)
        last = len(view.intervals) if end_ns >= view.length_ns else end_ns // interval_ns
        if begin_ns >= view.length_ns or first >= last:
            continue
        part = view.part(first, last)
        yield StretchMetrics(
            stretch,
            part.begin_ns,
            part.end_ns,
            part.target_rate,
            part.rate("publishRate") or 0.0,
            part.rate("consumeRate") or 0.0,
            max(backlog[first:last]),
            part.latency("publishResponse"),
            part.latency("endToEndResponse"),
        )
