"""What was measured in a run, as data: what is judged, and what becomes a result. Times are nanoseconds.

Everything here is of the measured window: latencies by the intended time of their message, rates by the time at which
the reply or the batch arrived. Knows no histogram, file format or unit of display.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ombdriver.bench.load.profile import Stretch
from ombdriver.bench.metrics.families import TABLE
from ombdriver.bench.metrics.latency import LatencySummary

FAMILIES = tuple(each.name for each in TABLE)
"""The latency families: service times, the delay against the schedule, and response times (from the intended send)."""
GROUP_FAMILIES = tuple(each.name for each in TABLE if each.of_groups)
"""Those that are measured per subscription too."""

DELAY_PARTS = ("scheduleLag", "blocked", "consumerAck")
"""What the publish delay is made of, and what comes after the arrival."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """All samples of a family over the window.

    Attributes:
        total: its figures.
        encoded: the histogram as text (HdrHistogram V2, deflated, base64), values in nanoseconds.
        confidence: by statistic, the 95 % interval that it is known to (`metrics.confidence`), in ns; without those of
            which too little is known.
        intervals: the histogram for each interval of `RunMetrics.histogram_interval_ns` (of
            `subscription_interval_ns` for a subscription's), in order; None where there was no sample.
    """

    total: LatencySummary
    encoded: str
    confidence: Mapping[str, tuple[int, int]] = field(default_factory=dict, kw_only=True)
    intervals: Sequence[str | None] = field(default=(), kw_only=True)


@dataclass(frozen=True, slots=True)
class FamilyMetrics(Distribution):
    """A family over the whole run, with its series over time and its curve of quantiles.

    Attributes:
        series: one summary per sample interval, in order; an interval without a sample has a count of 0.
        quantiles: percentile (0 to 100) -> value in ns, as finely as the curve is to be drawn; empty without samples.
        tail: samples beyond the p99.9, one count per sample interval.
    """

    series: Sequence[LatencySummary]
    quantiles: Mapping[float, int]
    tail: Sequence[int] = field(default=(), kw_only=True)


@dataclass(frozen=True, slots=True)
class SubscriptionMetrics:
    """One consumer group, over all topics.

    Attributes:
        name: as in the plan.
        received: messages of the window that it was given, whenever they arrived; where nothing is sent by the run,
            messages of others that arrived inside the window.
        consume_rate: messages per second that arrived inside the window.
        latency: a distribution for each of `GROUP_FAMILIES`.
        received_from_other_hosts: of `received`, as in `Totals`.
    """

    name: str
    received: int
    consume_rate: float
    latency: Mapping[str, Distribution]
    received_from_other_hosts: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """Messages of the measured window, by their intended time.

    Attributes:
        published: acknowledged by the server, be it in the drain.
        publish_errors: answered with an error, or lost with their connection.
        unsent: due, but never sent.
        received: handed to consumers, over all subscriptions together, be it in the drain.
        unanswered: sent, and without a reply when nothing was waited for any longer.
        indeterminate: of `publish_errors`: sent, and the connection was lost before the reply, so that the system may
            hold them or not.
        received_of_others: messages that others had sent and that consumers were given inside the window, over all
            subscriptions together; of topics that exist.
        received_from_other_hosts: of `received`: messages that another host had sent, where latencies are counted
            within hosts alone; they are in no end-to-end latency.
    """

    published: int
    publish_errors: int
    unsent: int
    received: int
    unanswered: int = 0
    indeterminate: int = 0
    received_of_others: int = 0
    received_from_other_hosts: int = 0


@dataclass(frozen=True, slots=True)
class WindowDelivery:
    """What became of the messages of the measured window on their way to one subscription; see `ledger`.

    acknowledged + recovered = received + lost + trimmed + undelivered.

    Attributes:
        subscription: the name of the group.
        acknowledged: messages that the server said it holds; the same as `totals.published`.
        received: different messages that reached the group.
        lost: acknowledged, and never to be delivered: no longer in the stream though it was not trimmed that far, or
            skipped by the group.
        trimmed: acknowledged, and cut off the stream before the group had read them.
        undelivered: acknowledged, and still in the stream when the drain ended: not read yet, or pending for a
            consumer.
        redelivered: times that an entry came again.
        duplicated: times that a message came again as another entry.
        repeated: times that a message came again, in a group whose consumers share partitions: there the two can't be
            told apart, and both are 0.
        reordered: messages below the next expected sequence of their producer and partition, as RFC 4737 defines it;
            repetitions are not counted.
        order_exact: true when each partition was read by one consumer; else each consumer saw a part only, and
            `reordered` is a lower bound.
        recovered: messages that were delivered though their producer was told an error, or nothing.
        corrupt: messages whose checksum did not fit; None without `checksum: true` in the workload.
    """

    subscription: str
    acknowledged: int
    received: int
    lost: int = 0
    trimmed: int = 0
    undelivered: int = 0
    redelivered: int = 0
    duplicated: int = 0
    repeated: int = 0
    reordered: int = 0
    order_exact: bool = True
    recovered: int = 0
    corrupt: int | None = None


@dataclass(frozen=True, slots=True)
class BacklogDelivery:
    """What became of the messages of a backlog on their way to one subscription; see `ledger`.

    acknowledged + recovered = received + lost + trimmed + undelivered. What came again is counted with the window.

    Attributes:
        subscription: its name.
        acknowledged: messages that the system acknowledged to the producers.
        received: different messages that reached the subscription.
        lost: acknowledged, and never to be delivered.
        trimmed: acknowledged, and cut off before the subscription had read them.
        undelivered: acknowledged, and still waiting when the drain ended.
        recovered: delivered, though the system did not acknowledge them to the producer.
    """

    subscription: str
    acknowledged: int
    received: int
    lost: int = 0
    trimmed: int = 0
    undelivered: int = 0
    recovered: int = 0


@dataclass(frozen=True, slots=True)
class DrainMetrics:
    """How one subscription, or all of them together, drained a backlog.

    Attributes:
        messages: before it when its consumers resumed.
        left: before it when it had caught up, or when nobody waited for that any longer.
        drain_ns: from the resume until then.
        caught_up: whether it had.
        received: messages, of the backlog and fresh ones, that it was given in that time.
        backlog_latency: a summary for each of `GROUP_FAMILIES`, of the messages of the backlog.
        fresh_latency: the same, of messages that were due while it was drained.
    """

    messages: int
    left: int
    drain_ns: int
    caught_up: bool
    received: int
    backlog_latency: Mapping[str, LatencySummary]
    fresh_latency: Mapping[str, LatencySummary]

    @property
    def drain_seconds(self) -> float:
        """`drain_ns` in seconds."""
        return self.drain_ns / 1e9

    @property
    def receive_rate(self) -> float:
        """Messages per second that it was given."""
        return self.received * 1e9 / max(self.drain_ns, 1)

    @property
    def drain_rate(self) -> float:
        """Messages per second by which the backlog went down."""
        return (self.messages - self.left) * 1e9 / max(self.drain_ns, 1)


@dataclass(frozen=True, slots=True)
class BacklogMetrics:
    """How a backlog was built and drained.

    Attributes:
        asked_bytes: the size that was asked for, over all subscriptions.
        asked_messages: the messages that this makes for each subscription.
        level: a subscription has caught up when no more messages than that are before it.
        message_size: bytes, on average.
        build_ns: how long it took, from the first message that was due until all were acknowledged.
        subscriptions: by name, in the plan's order.
        total: all of them together, until the last one had caught up.
        publish_during: a summary for each of `publish` and `publishResponse`, of messages that were due meanwhile.
        publish_after: the same, of those that were due later in the window.
        delivery: what became of the messages of the backlog, for each subscription.
        settled_interval: the first sample interval of the window in which nobody was catching up any more; None when
            somebody was to the end.
    """

    asked_bytes: int
    asked_messages: int
    level: int
    message_size: int
    build_ns: int
    subscriptions: Mapping[str, DrainMetrics]
    total: DrainMetrics
    publish_during: Mapping[str, LatencySummary]
    publish_after: Mapping[str, LatencySummary]
    delivery: Sequence[BacklogDelivery]
    settled_interval: int | None

    def value(self, group: str | None, attribute: str) -> float | None:
        """An attribute of the drain of one subscription, or of all together; None for the time of one not over."""
        found = self.total if group is None else self.subscriptions.get(group)
        if found is None or (attribute == "drain_seconds" and not found.caught_up):
            return None
        value: float = getattr(found, attribute)
        return value


@dataclass(frozen=True, slots=True)
class StretchMetrics:
    """The sample intervals that lie within one stretch of a profile.

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


@dataclass(frozen=True, slots=True)
class MessagesPerWrite:
    """How bunched the load was: how many messages left together, in one turn of a worker's event loop.

    Those of producers that share their connections count together: with one connection they are one write.

    Attributes:
        writes: how many there were.
        mean: messages in one of them, on average.
        p99: 99 % of them had no more messages.
    """

    writes: int
    mean: float
    p99: int


@dataclass(frozen=True, slots=True)
class FaultDelivery:
    """What one injection did to what one subscription was given.

    Attributes:
        subscription: its name.
        outage_ns: the longest time in which messages were due and none reached it; 0 for one that is usual.
        catch_up_ns: from the injection until its backlog was what it had been before; 0 where it did not grow, None
            where it did not come to that.
        acknowledged: messages of the fault's time that the system acknowledged.
        lost: of these, never to be delivered.
        undelivered: of these, still waiting when the drain ended.
        recovered: delivered, though the system did not acknowledge them.
        redelivered, duplicated, reordered: as in `WindowDelivery`, counted when they came.
    """

    subscription: str
    outage_ns: int = 0
    catch_up_ns: int | None = 0
    acknowledged: int = 0
    lost: int = 0
    undelivered: int = 0
    recovered: int = 0
    redelivered: int = 0
    duplicated: int = 0
    reordered: int = 0


@dataclass(frozen=True, slots=True)
class FaultMetrics:
    """One injection of a fault, and what came of it. Times are from the beginning of the window unless said otherwise.

    Attributes:
        number: which of the workload's faults, from 1.
        kind: its key.
        text: the fault in the file's words.
        hit: the names of those that were hit.
        asked_ns: when it was to be injected.
        injected_ns: when it was.
        healed_ns: when it was healed; None where there was nothing to heal.
        error: why it could not be injected or healed; None when it could.
        data_lost: whether a server came back without anything of before.
        begin_ns, end_ns: the fault's time, which messages are counted in: from shortly before it, since what was sent
            then may be lost by it, until everything was as before, or the next fault came.
        detect_ns: from the injection until the first error, or until a reply was missing; None where nothing was seen.
        outage_ns: the longest time in which messages were due and none was acknowledged; 0 for one that is usual.
        recover_ns: from the injection until the p99 of the responses was as before; 0 where it always was, None where
            it did not come to that.
        had_effect: whether anything of it was seen.
        failed: messages of its time that were refused, or never left.
        indeterminate: messages of its time whose outcome nobody knows.
        groups: one for each subscription that is read.
        promises_no_loss: whether an acknowledgement of this setup promises that such a fault loses nothing.
    """

    number: int
    kind: str
    text: str
    hit: Sequence[str]
    asked_ns: int
    injected_ns: int
    healed_ns: int | None = None
    error: str | None = None
    data_lost: bool = False
    begin_ns: int = 0
    end_ns: int = 0
    detect_ns: int | None = None
    outage_ns: int = 0
    recover_ns: int | None = 0
    had_effect: bool = False
    failed: int = 0
    indeterminate: int = 0
    groups: Sequence[FaultDelivery] = ()
    promises_no_loss: bool = False


@dataclass(frozen=True, slots=True)
class FaultTotals:
    """All faults of a run together.

    Attributes:
        injected: how many were injected.
        without_effect: of these, of which nothing was seen.
        failed, indeterminate: messages of their times, as in `FaultMetrics`.
        lost, redelivered, duplicated, reordered: of all subscriptions together, as in `FaultDelivery`.
    """

    injected: int = 0
    without_effect: int = 0
    failed: int = 0
    indeterminate: int = 0
    lost: int = 0
    redelivered: int = 0
    duplicated: int = 0
    reordered: int = 0

    @classmethod
    def of(cls, faults: Sequence[FaultMetrics]) -> "FaultTotals":
        """The sums."""
        done = [each for each in faults if each.error is None or each.hit]
        groups = [group for each in faults for group in each.groups]
        of_groups = ("lost", "redelivered", "duplicated", "reordered")
        return cls(
            injected=len(done),
            without_effect=sum(not each.had_effect for each in done),
            failed=sum(each.failed for each in faults),
            indeterminate=sum(each.indeterminate for each in faults),
            **{name: sum(getattr(group, name) for group in groups) for name in of_groups},
        )


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """Everything that was measured (`figures.Source`).

    Attributes:
        length_ns: of the measured window.
        interval_ns: of a sample interval; the last one may be shorter.
        target_rate: messages per second that the schedule asked for, over the whole window.
        families: one for each of `FAMILIES`; the end-to-end ones over all subscriptions together.
        subscriptions: in the plan's order.
        publish_rate: acknowledged messages per second, one value per sample interval; so are the next two.
        publish_error_rate: failed messages per second.
        consume_rate: received messages per second, over all subscriptions together.
        backlog: messages acknowledged and not yet received, over all subscriptions, at the end of each interval.
        totals: sums over the window.
        target_rates: messages per second that the schedule asked for, one value per sample interval; none where it is
            the same in all of them.
        delivery: what became of the messages, one for each subscription that is read, in the plan's order.
        warm_up_losses: messages of the warm-up that a subscription will never get, by its name: lost, and trimmed.
        counters: what else was counted and must not be passed over in silence (over-range samples, failed
            acknowledgements, reconnects, ...), by camelCase name.
        delay_parts: what publish delay is made of: `blocked` (there was no room: the system's back-pressure) and
            `scheduleLag` (all the rest: the harness's); and `consumerAck` (from the arrival of
            a batch until its acknowledgement was confirmed, for each of its messages, by the time of arrival).
        histogram_interval_ns: what one element of `Distribution.intervals` stands for; a multiple of the sample
            interval. 0 when there are none.
        subscription_interval_ns: the same for the subscriptions'.
        backlog_drain: how a backlog was built before the window, and drained in it; None when none was.
        stretches: the window by the stretches of its profile; none where the rate does not change.
        messages_per_write: how bunched the load was; None where nothing was sent.
        faults: each injection of a fault, in their order.
    """

    length_ns: int
    interval_ns: int
    target_rate: float
    families: Mapping[str, FamilyMetrics]
    subscriptions: Sequence[SubscriptionMetrics]
    publish_rate: Sequence[float]
    publish_error_rate: Sequence[float]
    consume_rate: Sequence[float]
    backlog: Sequence[int]
    totals: Totals
    target_rates: Sequence[float] = ()
    delivery: Sequence[WindowDelivery] = ()
    warm_up_losses: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    delay_parts: Mapping[str, LatencySummary] = field(default_factory=dict)
    histogram_interval_ns: int = 0
    subscription_interval_ns: int = 0
    backlog_drain: BacklogMetrics | None = None
    stretches: Sequence[StretchMetrics] = ()
    messages_per_write: MessagesPerWrite | None = None
    faults: Sequence[FaultMetrics] = ()

    def latency(self, family: str, group: str | None) -> LatencySummary:
        """See `figures.Source`."""
        if family in self.delay_parts:
            return self.delay_parts[family]
        if family not in self.families:
            return LatencySummary.none()
        if group is None:
            return self.families[family].total
        found = (each.latency[family].total for each in self.subscriptions if each.name == group)
        return next(found, LatencySummary.none())

    def count(self, family: str, group: str | None, attribute: str) -> float | None:
        """See `figures.Source`."""
        if family == "backlogDrain":
            return None if self.backlog_drain is None else self.backlog_drain.value(group, attribute)
        if family == "totals":
            return int(getattr(self.totals, attribute))
        if family == "faults":
            return int(getattr(FaultTotals.of(self.faults), attribute)) if self.faults else None
        counts = [getattr(each, attribute) for each in self.delivery if group in (None, each.subscription)]
        return sum(counts) if counts and None not in counts else None

    def rate(self, family: str, group: str | None) -> float | None:
        """See `figures.Source`. The mean over the window, whose last interval may be a shorter one."""
        if group is not None:
            return next((each.consume_rate for each in self.subscriptions if each.name == group), None)
        series = {
            "publishRate": self.publish_rate,
            "publishErrorRate": self.publish_error_rate,
            "consumeRate": self.consume_rate,
        }
        rates = series[family]
        if not rates or self.length_ns <= 0:
            return None
        last_ns = self.length_ns - (len(rates) - 1) * self.interval_ns
        return (sum(rates[:-1]) * self.interval_ns + rates[-1] * last_ns) / self.length_ns

    def duration(self, family: str, group: str | None) -> float | None:
        """See `figures.Source`. The longest of all faults; None where there was none, or one did not come to an end."""
        if family == "deliveryOutage" or family == "catchUp":
            name = "outage_ns" if family == "deliveryOutage" else "catch_up_ns"
            groups = [one for each in self.faults for one in each.groups if group in (None, one.subscription)]
            found = [getattr(one, name) for one in groups]
        elif family == "detect":  # what nobody saw took no time to be seen
            found = [each.detect_ns or 0 for each in self.faults]
        else:
            found = [each.outage_ns if family == "outage" else each.recover_ns for each in self.faults]
        return None if None in found else max(found, default=None)
