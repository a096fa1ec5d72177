"""`PhaseView`: totals by intended time, rates by arrival, parts; and the metrics of a run that are made of one."""

from collections.abc import Sequence

import numpy as np
import pytest

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.load.profile import Profile, constant
from ombdriver.bench.metrics.collector import Collector
from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.latency import summarise
from ombdriver.bench.metrics.phase_view import PhaseView, quantile_points, run_metrics
from ombdriver.bench.metrics.recorder import OF_OTHER_HOSTS, Metrics, Recorder
from ombdriver.bench.metrics.report import Report
from ombdriver.bench.metrics.summary import FAMILIES, MessagesPerWrite, RunMetrics

SECOND = 10**9
MS = 10**6
PHASE = Phase(1, "measure", 100 * SECOND, 2 * SECOND + SECOND // 2, 10)
"""Two intervals and a half, at 10 messages per second."""
GROUPS = ("group-1", "group-2")


class Made:
    """A collector that is filled by hand."""

    def __init__(self) -> None:
        self.recorder = Recorder(SECOND)
        self.recorder.begin_phase(PHASE)

    def publish(self, intended_s: float, sent_s: float, replied_s: float, count: int = 1) -> None:
        """`count` messages, acknowledged."""
        intended, sent, replied = (PHASE.start_ns + int(each * SECOND) for each in (intended_s, sent_s, replied_s))
        families = {"publish": replied - sent, "publishDelay": sent - intended, "publishResponse": replied - intended}
        at = np.full(count, intended, np.int64)
        self.recorder.record(None, at, {name: np.full(count, value, np.int64) for name, value in families.items()})
        self.recorder.count("published", None, [replied], [count])

    def receive(self, group: str, intended_s: float, arrived_s: float, count: int = 1) -> None:
        """`count` messages, sent as intended."""
        at, latency = PHASE.start_ns + int(intended_s * SECOND), int((arrived_s - intended_s) * SECOND)
        values = np.full(count, latency, np.int64)
        families = {"endToEnd": values, "endToEndResponse": values}
        self.recorder.record(group, np.full(count, at, np.int64), families)
        self.recorder.count("received", group, [at + latency], [count])

    def receive_from_elsewhere(self, group: str, intended_s: float, count: int) -> None:
        """`count` messages of producers on another host."""
        at = np.full(count, PHASE.start_ns + int(intended_s * SECOND), np.int64)
        self.recorder.count_intended(OF_OTHER_HOSTS, group, at)

    def unsent(self, intended_s: float, count: int) -> None:
        """`count` messages that were never sent, told at the end of the phase."""
        at = np.full(count, PHASE.start_ns + int(intended_s * SECOND), np.int64)
        self.recorder.record(None, at, {"unsent": PHASE.end_ns - at})

    def view(self, length_ns: int = PHASE.duration_ns, ended_ns: int | None = PHASE.end_ns) -> PhaseView:
        """The phase when it is over, or so far."""
        collector = Collector(GROUPS, SECOND)
        collector.add([_report(self.recorder.take())])
        return PhaseView(collector, PHASE, length_ns, ended_ns)

    def metrics(self, length_ns: int = PHASE.duration_ns, carried_in: dict[str, int] | None = None) -> RunMetrics:
        """What was measured."""
        return run_metrics(self.view(length_ns), carried_in or {}, {})


def _report(figures: Metrics) -> Report:
    return Report(figures, 0, 0, 0, 0, {}, frozenset(), 0, {}, {})


def test_what_another_host_has_sent_is_received_though_it_has_no_latency() -> None:
    """It is in totals and parts, and is not taken for missing in the responses."""
    made = Made()
    made.publish(0.5, 0.5, 0.6, count=10)
    made.receive("group-1", 0.5, 0.6, count=10)
    made.receive("group-2", 0.5, 0.6, count=3)
    made.receive_from_elsewhere("group-2", 0.5, count=6)

    view = made.view()
    measured = run_metrics(view, {}, {})

    assert (measured.totals.received, measured.totals.received_from_other_hosts) == (19, 6)
    assert [(each.received, each.received_from_other_hosts) for each in measured.subscriptions] == [(10, 0), (9, 6)]
    assert measured.latency("endToEnd", "group-2").count == 3
    assert measured.latency("endToEndResponse", "group-2").count == 3 + 1  # the one that is missing
    assert [each.received("group-2") for each in view.each()] == [9, 0, 0]
    assert view.count("totals", None, "received") == 19
    assert view.count("totals", None, "received_from_other_hosts") == 6


def test_totals_go_by_intended_time_and_rates_by_arrival() -> None:
    """A message answered in the drain is published, but not at the achieved rate."""
    made = Made()
    made.publish(0.5, 0.5, 0.6, count=10)
    made.publish(2.4, 2.4, 9.0, count=4)
    for group in GROUPS:
        made.receive(group, 0.5, 1.5, count=10)
        made.receive(group, 2.4, 9.0, count=4)

    measured = made.metrics()

    assert (measured.totals.published, measured.totals.received) == (14, 28)
    assert measured.publish_rate == [10.0, 0.0, 0.0]
    assert measured.consume_rate == [0.0, 20.0, 0.0]
    assert [each.received for each in measured.subscriptions] == [14, 14]
    assert [each.consume_rate for each in measured.subscriptions] == [pytest.approx(10 / 2.5)] * 2


def test_the_bunching_of_the_load_is_told_over_the_whole_window() -> None:
    """As many messages as left together, each time the same whatever the number; none where nothing was sent."""
    made = Made()
    assert made.metrics().messages_per_write is None
    for second, sizes in ((0.0, [1] * 98), (1.0, [3, 5])):
        at = np.full(len(sizes), PHASE.start_ns + int(second * SECOND), np.int64)
        made.recorder.record(None, at, {"messagesPerWrite": np.array(sizes, np.int64)})

    assert made.metrics().messages_per_write == MessagesPerWrite(100, 1.06, 3)


def test_the_last_interval_may_be_shorter_and_ends_with_the_window() -> None:
    """Its rate is per second of its own length, and what came after the window is not in it."""
    made = Made()
    made.publish(2.1, 2.1, 2.2, count=5)
    made.publish(2.4, 2.4, 2.6, count=100)
    made.publish(2.4, 2.4, 2.9, count=100)

    view = made.view()

    assert list(view.intervals) == [0, 1, 2]
    assert [each.rate("publishRate") for each in view.each()] == [0.0, 0.0, 10.0]
    assert view.events("published") == 5


def test_while_a_phase_goes_on_rates_are_of_the_intervals_that_are_complete() -> None:
    """Latencies are of all samples so far, or of the intervals that are asked for; nothing counts as missing yet."""
    made = Made()
    made.publish(0.5, 0.5, 0.6, count=10)
    made.publish(1.5, 1.5, 1.6, count=20)
    made.publish(2.1, 2.1, 2.2, count=5)
    made.receive("group-1", 1.5, 1.6, count=20)

    view = made.view(2 * SECOND + SECOND // 4, ended_ns=None)

    assert (view.length_ns, view.rated_ns, list(view.intervals)) == (2 * SECOND + SECOND // 4, 2 * SECOND, [0, 1])
    assert (view.rate("publishRate"), view.rate("consumeRate"), view.rate("consumeRate", "group-2")) == (15, 10, 0)
    assert (view.latency("publish").count, view.latency("endToEndResponse").count) == (35, 20)
    assert (view.last.rate("publishRate"), view.last.latency("publish").count) == (20, 20)
    settled = view.since(1)
    assert (settled.begin_ns, settled.length_ns, settled.rated_ns) == (SECOND, SECOND + SECOND // 4, SECOND)
    assert (settled.rate("publishRate"), settled.latency("publish").count) == (20, 20)
    assert view.since(0) is view
    assert view.since(5).rate("publishRate") is None
    assert view.count("totals", None, "published") == 35
    assert view.count("totals", None, "unsent") is None


def test_an_interrupted_window_is_as_long_as_it_was_run() -> None:
    """Rates are per second of the time that was measured."""
    made = Made()
    made.publish(0.1, 0.1, 0.2, count=10)
    made.publish(1.1, 1.1, 1.2, count=5)

    measured = made.metrics(length_ns=SECOND + SECOND // 2)

    assert measured.publish_rate == [10.0, 10.0]


def test_what_was_never_sent_stands_in_both_responses_and_in_no_service_time() -> None:
    """(end - intended) is the least that a user has waited; each group missed it."""
    made = Made()
    made.publish(0.5, 0.5, 0.6, count=2)
    for group in GROUPS:
        made.receive(group, 0.5, 0.6, count=2)
    made.unsent(1.5, count=3)

    measured = made.metrics()

    counts = {name: measured.families[name].total.count for name in FAMILIES}
    assert counts == {"publish": 2, "publishDelay": 2, "endToEnd": 4, "publishResponse": 5, "endToEndResponse": 10}
    assert measured.families["publishResponse"].total.max == SECOND
    assert measured.families["endToEndResponse"].series[1].count == 6
    assert [each.latency["endToEndResponse"].total.count for each in measured.subscriptions] == [5, 5]
    assert [each.latency["endToEnd"].total.count for each in measured.subscriptions] == [2, 2]
    assert (measured.totals.unsent, measured.totals.published, measured.totals.received) == (3, 2, 4)


def test_what_a_group_did_not_receive_stands_in_its_response_time() -> None:
    """Which of an interval's messages were missing is not known, so the middle of the interval stands for them."""
    made = Made()
    made.publish(0.5, 0.5, 0.6, count=5)
    made.receive("group-1", 0.5, 0.6, count=5)
    made.receive("group-2", 0.5, 0.6, count=2)

    measured = made.metrics()

    first, second = (each.latency["endToEndResponse"].total for each in measured.subscriptions)
    assert (first.count, second.count) == (5, 5)
    assert first.max < SECOND // 5
    assert second.max == PHASE.duration_ns - SECOND // 2
    assert measured.subscriptions[1].latency["endToEnd"].total.count == 2


def test_a_message_without_a_reply_is_published_by_nobody_and_waited_for_by_all() -> None:
    """It stands in the publish response, and in the end-to-end response of each group that did not receive it."""
    made = Made()
    made.unsent(0.5, count=1)
    at = np.full(4, PHASE.start_ns, np.int64)
    made.recorder.record(None, at, {"unanswered": PHASE.end_ns - at})

    measured = made.metrics()

    assert (measured.totals.unanswered, measured.totals.unsent, measured.totals.published) == (4, 1, 0)
    assert measured.families["publishResponse"].total.count == 5
    assert measured.families["endToEndResponse"].total.count == 5 * len(GROUPS)


def test_errors_are_counted_with_their_time_to_failure() -> None:
    """A failed publish has a rate and a total, and is in no family but in the response from when it was due."""
    made = Made()
    at = np.full(6, PHASE.start_ns, np.int64)
    made.recorder.record(None, at, {"failed": np.full(6, 5 * MS, np.int64)})
    made.recorder.count("failed", None, [PHASE.start_ns + MS], [6])

    measured = made.metrics()

    assert measured.totals.publish_errors == 6
    assert measured.publish_error_rate == [6.0, 0.0, 0.0]
    counts = {name: family.total.count for name, family in measured.families.items()}
    assert counts == {**dict.fromkeys(FAMILIES, 0), "publishResponse": 6}
    assert measured.families["publishResponse"].total.max == pytest.approx(5 * MS, rel=0.001)


def test_the_backlog_is_what_was_acknowledged_and_not_received() -> None:
    """Summed over the groups, at the end of each interval, from what was carried in on; never below 0."""
    made = Made()
    made.publish(0.1, 0.1, 0.2, count=10)
    made.receive("group-1", 0.1, 0.9, count=10)
    made.receive("group-2", 0.1, 1.9, count=12)

    assert made.metrics(carried_in={"group-2": 3}).backlog == [13, 1, 1]


def test_a_summary_and_a_curve_of_nothing_are_empty() -> None:
    """Without samples there are no figures, and no division by zero."""
    measured = Made().metrics()

    assert measured.families["publish"].quantiles == {}
    assert summarise(Histogram.zero()).count == 0
    assert quantile_points(0) == []


@pytest.mark.parametrize("count", [1, 2, 3, 1000, 20_000, 10**7])
def test_a_curve_rises_to_100_as_far_as_its_samples_reach(count: int) -> None:
    """The last point before 100 % leaves less than one sample out."""
    points = quantile_points(count)

    assert points[0] == 0.0
    assert points[-1] == 100.0
    assert points == sorted(set(points))
    assert count * (100 - points[-2]) / 100 <= 1.01


def test_series_and_encoded_histograms_agree_with_the_totals() -> None:
    """Each family has one summary per interval, and its encoded form has the same count."""
    made = Made()
    made.publish(0.1, 0.2, 0.3, count=7)
    made.publish(1.1, 1.2, 1.3, count=5)

    family = made.metrics().families["publish"]

    assert [each.count for each in family.series] == [7, 5, 0]
    assert family.total.max == pytest.approx(SECOND // 10, abs=1)
    assert Histogram.decode(family.encoded).count == family.total.count == 12
    assert max(family.quantiles.values()) == family.total.max


def test_each_interval_has_a_histogram_of_its_own() -> None:
    """Of every family and of every group's; none where there was no sample, and together they are the total."""
    made = Made()
    made.publish(0.1, 0.2, 0.3, count=7)
    made.publish(2.1, 2.2, 2.3, count=5)
    made.receive("group-2", 2.1, 2.3, count=4)

    measured = made.metrics()

    assert (measured.histogram_interval_ns, measured.subscription_interval_ns) == (SECOND, SECOND)
    assert _counts(measured.families["publish"].intervals) == [7, None, 5]
    assert _counts(measured.families["endToEnd"].intervals) == [None, None, 4]
    first, second = (each.latency["endToEndResponse"].intervals for each in measured.subscriptions)
    assert (_counts(first), _counts(second)) == ([7, None, 5], [7, None, 5])


def test_many_intervals_are_merged_and_none_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The result stays small; how long an interval became is told."""
    monkeypatch.setattr("ombdriver.bench.metrics.phase_view.MOST_HISTOGRAMS", 2)
    made = Made()
    made.publish(0.1, 0.2, 0.3, count=7)
    made.publish(1.1, 1.2, 1.3, count=5)
    made.publish(2.1, 2.2, 2.3, count=3)

    measured = made.metrics()

    assert measured.histogram_interval_ns == 2 * SECOND
    assert _counts(measured.families["publish"].intervals) == [12, 3]
    assert len(measured.families["publish"].series) == 3


@pytest.mark.parametrize(("profile", "told"), [(None, True), (constant(100, 20 * SECOND), False)])
def test_percentiles_of_a_run_have_intervals_but_not_with_a_profile(profile: Profile | None, told: bool) -> None:
    """Of each family, over all groups and of each, around the figure; parts that differ by a profile differ rightly."""
    phase = Phase(1, "measure", 100 * SECOND, 20 * SECOND, 100, profile)
    recorder, rng = Recorder(SECOND), np.random.default_rng(3)
    recorder.begin_phase(phase)
    due = phase.start_ns + np.arange(2_000) * (SECOND // 100)
    took = rng.integers(MS, 9 * MS, len(due))
    recorder.record(None, due, dict.fromkeys(("publish", "publishDelay", "publishResponse"), took))
    for group in GROUPS:
        recorder.record(group, due, dict.fromkeys(("endToEnd", "endToEndResponse"), took))
    collector = Collector(GROUPS, SECOND)
    collector.add([_report(recorder.take())])
    found = run_metrics(PhaseView(collector, phase, phase.duration_ns, phase.end_ns), {}, {})

    tail, p999 = found.families["publish"].tail, found.families["publish"].total.p999
    assert list(tail) == (took > p999).reshape(20, 100).sum(axis=1).tolist()
    assert sum(tail) > 0
    distributions = [*found.families.values(), *found.subscriptions[1].latency.values()]
    for each in distributions:
        assert list(each.confidence) == (["p50", "p99"] if told else [])
        assert all(low < (each.total.ns(name) or 0) < high for name, (low, high) in each.confidence.items())


def _counts(encoded: Sequence[str | None]) -> list[int | None]:
    return [None if each is None else Histogram.decode(each).count for each in encoded]
