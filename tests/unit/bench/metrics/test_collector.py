"""`Collector`: the reports of all workers together, over runs of any length."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.collector import Collector
from ombdriver.bench.metrics.recorder import Recorder
from ombdriver.bench.metrics.report import Report

SECOND = 10**9
PHASE = Phase(1, "measure", 5 * SECOND, 3600 * SECOND, 1000)
GROUPS = ("group-1", "group-2")


def booked(*events: tuple[float, str, str | None, int]) -> Recorder:
    """A book with (seconds from the start, kind, group, count), each with as many latencies of a microsecond."""
    recorder = Recorder(SECOND)
    recorder.begin_phase(PHASE)
    for seconds, kind, group, count in events:
        at = PHASE.start_ns + int(seconds * SECOND)
        family = {"published": "publish", "received": "endToEnd", "failed": "failed"}[kind]
        recorder.count(kind, group, [at], [count])
        recorder.record(group, np.full(count, at, np.int64), {family: np.full(count, 1000, np.int64)})
    return recorder


def report(recorder: Recorder, **totals: Any) -> Report:
    """A worker's report of what stands in `recorder`."""
    values: dict[str, Any] = {
        "sent": 0,
        "acknowledged": 0,
        "failed": 0,
        "unsent": 0,
        "received": {},
        "probed": frozenset(),
        "foreign": 0,
        "errors": {},
        "driver": {},
    }
    return Report(metrics=recorder.take(), **(values | totals))


def collector(most: int = 2048) -> Collector:
    """An empty one."""
    return Collector(GROUPS, SECOND, most)


def test_reports_of_all_workers_add_up() -> None:
    """Counts are summed and histograms merged, over workers and over polls."""
    made = collector()
    for _ in range(2):
        made.add(
            [
                report(booked((0.5, "published", None, 10), (1.5, "published", None, 1))),
                report(booked((0.5, "published", None, 5), (0.6, "received", "group-1", 4))),
            ]
        )

    assert [made.count(PHASE, "published", None, at) for at in range(3)] == [30, 2, 0]
    assert made.histogram(PHASE, "publish").count == 32
    assert made.histogram(PHASE, "publish", None, 0).count == 30
    assert made.histogram(PHASE, "endToEnd", "group-1").count == 8


def test_end_to_end_without_a_group_means_all_groups() -> None:
    """Histograms of the groups are merged; percentiles are never averaged."""
    made = collector()
    made.add([report(booked((0, "received", "group-1", 3), (0, "received", "group-2", 4)))])

    assert made.histogram(PHASE, "endToEnd").count == 7
    assert made.histogram(PHASE, "endToEnd", "group-2").count == 4


def test_totals_are_those_of_the_last_reports() -> None:
    """Workers tell totals since their start, so a later report replaces an earlier one."""
    made = collector()
    for times in (1, 2):
        producing = report(booked(), sent=10 * times, acknowledged=7 * times, failed=1, unsent=5)
        reading: Mapping[str, int] = {"group-1": 6 * times, "group-2": 9 * times}
        made.add([producing, report(booked(), received=reading, foreign=2, driver={"reconnects": 1})])

    assert (made.acknowledged, made.in_flight, made.unsent) == (14, 5, 5)
    assert made.received() == {"group-1": 12, "group-2": 18}
    assert made.counters() == {"reconnects": 1, "strangers": 2}
    assert repr(made) == "<Collector 14 acknowledged, {'group-1': 12, 'group-2': 18} received>"


def test_probes_and_errors_of_all_workers_are_told() -> None:
    """The same error at two workers is one, met twice as often."""
    made = collector()
    probe, other = ("group-1", 0, 0), ("group-2", 0, 1)
    made.add(
        [
            report(booked(), errors={"ResponseError: OOM": 2}, probed=frozenset([probe])),
            report(booked(), errors={"ResponseError: OOM": 3, "other": 1}, probed=frozenset([probe, other])),
        ]
    )

    assert made.errors() == {"ResponseError: OOM": 5, "other": 1}
    assert made.take_probed() == {probe, other}
    assert not made.take_probed()


def test_samples_that_do_not_fit_are_told() -> None:
    """Negative and over-range samples stand in the counters, summed over everything."""
    recorder = Recorder(SECOND)
    recorder.begin_phase(PHASE)
    at = np.full(3, PHASE.start_ns, np.int64)
    recorder.record(None, at, {"publish": np.array([-1, 2**60, 5], np.int64)})
    made = collector()
    made.add([report(recorder)])

    assert made.counters() == {"mostNegativeNs": 1, "negativeSamples": 1, "overRangeSamples": 1}


def test_the_most_negative_sample_is_of_the_last_phase() -> None:
    """How wrong clocks may be is told of the measured phase, and of no other."""
    recorder = Recorder(SECOND)
    made = collector()
    later = Phase(PHASE.index + 1, "measure", PHASE.end_ns, PHASE.duration_ns, PHASE.profile)
    for phase, value in ((PHASE, -900), (later, -30)):
        recorder.begin_phase(phase)
        recorder.record("group-1", np.array([phase.start_ns]), {"endToEnd": np.array([value])})
    made.add([report(recorder)])

    assert made.counters(before={"negativeSamples": 1}) == {"mostNegativeNs": 30, "negativeSamples": 1}


@pytest.mark.parametrize(("seconds", "expected"), [(7, 1), (8, 2), (15, 2), (16, 4), (63, 8), (64, 16)])
def test_neighbours_are_merged_when_there_are_too_many_intervals(seconds: int, expected: int) -> None:
    """With at most 8 intervals kept, their length doubles as often as needed, also for a jump far ahead."""
    made = collector(8)

    made.add([report(booked((0, "published", None, 1), (seconds, "published", None, 1)))])

    assert made.interval_ns == expected * SECOND
    assert made.count(PHASE, "published", None, seconds // expected) == (2 if seconds < expected else 1)


events = st.lists(st.tuples(st.integers(0, 200), st.sampled_from(["published", "failed"]), st.just(None)), max_size=40)


@settings(deadline=None, max_examples=60)
@given(events, st.integers(1, 12))
def test_coarsening_keeps_every_total(happened: list[tuple[int, str, None]], most: int) -> None:
    """Whatever the order of the reports, merged intervals hold what their parts held."""
    coarse, fine = collector(most), collector(10**6)
    for at, kind, group in happened:
        for made in (coarse, fine):
            made.add([report(booked((at, kind, group, 2)))])

    factor = coarse.interval_ns // SECOND
    assert coarse.interval_ns * most > max((at for at, *_ in happened), default=0) * SECOND
    for kind, family in (("published", "publish"), ("failed", "failed")):
        assert coarse.histogram(PHASE, family).count == fine.histogram(PHASE, family).count
        for interval in range(201 // factor + 1):
            parts = range(interval * factor, (interval + 1) * factor)
            count = sum(fine.count(PHASE, kind, None, part) for part in parts)
            assert coarse.count(PHASE, kind, None, interval) == count
            assert coarse.histogram(PHASE, family, None, interval).count == count
