"""`AbortOnFail`: a run is ended when a threshold fails by what there is so far, and not before that can be said."""

import numpy as np
import pytest
from sample_result import SPEC

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.collector import Collector
from ombdriver.bench.metrics.latency import PERCENTILES, REPORTED
from ombdriver.bench.metrics.phase_view import PhaseView
from ombdriver.bench.metrics.recorder import Recorder
from ombdriver.bench.metrics.report import Report
from ombdriver.bench.run.abort import AbortOnFail
from ombdriver.bench.run.events import IntervalClosed, Polled, RunState
from ombdriver.bench.spec.thresholds import Threshold
from ombdriver.bench.verdict.model import THRESHOLD_FAILED, Ending

SECOND = 10**9
PHASE = Phase(1, "measure", 100 * SECOND, 3600 * SECOND, SPEC["producerRate"])
GROUPS = ("group-1", "group-2")


def collected(seconds: int = 10, rate: int = 100, latency_ns: int = 1_000_000, failed: int = 0) -> Collector:
    """So many seconds of a run that takes a millisecond for each message, with `failed` of them at its end."""
    recorder, collector = Recorder(SECOND), Collector(GROUPS, SECOND)
    recorder.begin_phase(PHASE)
    for second in range(seconds):
        at = np.full(rate, PHASE.start_ns + second * SECOND, np.int64)
        values = np.full(rate, latency_ns, np.int64)
        recorder.record(None, at, {"publish": values, "publishResponse": values})
        recorder.count("published", None, at, np.ones(rate, np.int64))
        for group in GROUPS:
            recorder.record(group, at, {"endToEnd": values * 2, "endToEndResponse": values * 2})
            recorder.count("received", group, at, np.ones(rate, np.int64))
    if failed:
        recorder.record(None, np.full(failed, PHASE.start_ns, np.int64), {"failed": np.ones(failed, np.int64)})
    collector.add([Report(recorder.take(), 0, 0, 0, 0, {}, frozenset(), 0, {}, {})])
    return collector


def failed(text: str, collector: Collector, elapsed_ns: int = 10 * SECOND) -> str | None:
    """What is said of one threshold."""
    return AbortOnFail([Threshold.parse(text, GROUPS)]).failed(PhaseView(collector, PHASE, elapsed_ns))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("publish.p50 < 500us", "the threshold publish.p50 < 500us failed (1 ms)"),
        ("endToEnd[group-2].p95 < 1ms", "the threshold endToEnd[group-2].p95 < 1ms failed (2 ms)"),
        ("publish.avg > 2ms", "the threshold publish.avg > 2ms failed (1 ms)"),
        ("publishRate >= 101", "the threshold publishRate >= 101 failed (100 messages/s)"),
        ("consumeRate >= 201", "the threshold consumeRate >= 201 failed (200 messages/s)"),
        ("consumeRate[group-1] >= 101", "the threshold consumeRate[group-1] >= 101 failed (100 messages/s)"),
        ("publish.max < 1us", "the threshold publish.max < 1us failed (1 ms)"),
        ("totals.published < 1000", "the threshold totals.published < 1000 failed (1000)"),
    ],
)
def test_a_threshold_that_fails_is_told_with_its_figure(text: str, told: str) -> None:
    """After 10 s of 100 messages a second."""
    assert failed(text, collected()) == told


@pytest.mark.parametrize(
    "text",
    [
        "publish.p50 < 2ms",
        "consumeRate >= 200",
        "publish.p99.9 < 1us",  # 1,000 samples: one beyond it
        "publish.max > 2ms",
        "publish.min < 1us",
        "totals.published >= 2000",
        "totals.unsent <= 0",
        "delivery.lost < 1",
        "scheduleLag.p50 < 1us",  # no sample so far
    ],
)
def test_what_holds_or_can_still_come_right_is_let_be(text: str) -> None:
    """Too few samples, a count that is still to be reached, or what is known at the end only."""
    assert failed(text, collected()) is None


@pytest.mark.parametrize("statistic", [name for name in REPORTED if name not in ("min", "max")])
def test_each_statistic_is_looked_at_from_as_many_samples_on_as_it_takes(statistic: str) -> None:
    """Ten beyond a percentile; an average takes as many as a median."""
    needed = round(10 / (1 - PERCENTILES.get(statistic, 50) / 100))
    text = f"publish.{statistic} < 1us"

    assert failed(text, collected(1, needed - 1)) is None
    assert failed(text, collected(1, needed)) == f"the threshold {text} failed (1 ms)"


def test_what_can_not_come_right_any_more_ends_a_run_at_once() -> None:
    """Errors, a maximum; a percentile waits for the sixth second."""
    early = collected(seconds=2, failed=1)

    assert failed("totals.publishErrors <= 0", early, 2 * SECOND) is not None
    assert failed("publish.max < 1us", early, 2 * SECOND) is not None
    assert failed("publish.p50 < 1us", early, 2 * SECOND) is None


def test_a_long_run_is_looked_at_less_often() -> None:
    """Once a second, and later each time that the window has grown by a twentieth."""
    made = collected(seconds=1)
    abort = AbortOnFail([Threshold.parse("totals.publishErrors <= 0")])
    looks = []
    for elapsed_ns in range(0, 200 * SECOND, SECOND // 2):
        before = abort._next_ns
        abort.failed(PhaseView(made, PHASE, elapsed_ns))
        if abort._next_ns != before:
            looks.append(elapsed_ns / SECOND)

    assert looks[:11] == [float(second) for second in range(11)]
    assert 4.5 < looks[-1] - looks[-2] <= 10.5
    assert len(looks) < 80


def test_without_thresholds_nothing_ends_a_run() -> None:
    """The usual case."""
    assert AbortOnFail(()).failed(PhaseView(collected(), PHASE, 10 * SECOND)) is None


def test_the_first_threshold_that_fails_in_the_measured_phase_ends_the_run() -> None:
    """A warm-up may fail it, and what comes later changes nothing."""
    abort = AbortOnFail([Threshold.parse("publish.max < 1us")])
    early, late = (PhaseView(collected(), PHASE, seconds * SECOND) for seconds in (2, 9))

    abort.on_event(Polled(RunState.WARM_UP, early))
    abort.on_event(IntervalClosed(RunState.MEASURE, early))
    assert abort.ending is None
    abort.on_event(Polled(RunState.MEASURE, early))
    abort.on_event(Polled(RunState.MEASURE, late))

    told = "the threshold publish.max < 1us failed (1 ms) after 2.0 s of the measurement"
    assert abort.ending == Ending(THRESHOLD_FAILED, told)
