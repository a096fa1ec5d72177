"""Samples of a server become series, events and sums."""

import json
from typing import Any

import pytest

from ombdriver.bench.drivers.sample import CommandSample, GroupSample, ServerSample, StreamSample
from ombdriver.bench.telemetry.server import MOST_EVENTS, ServerSeries, TimedSample
from ombdriver.bench.telemetry.summary import CpuShare
from ombdriver.bench.telemetry.window import Window

SECOND = 10**9
START = 100 * SECOND


def seen(at_s: float, took_s: float = 0.001, **figures: float) -> TimedSample:
    """A sample that was answered `at_s` seconds after the start of the window."""
    at_ns = START + round(at_s * SECOND)
    return TimedSample(ServerSample({"uptimeSeconds": 1000 + at_s, **figures}), at_ns - round(took_s * SECOND), at_ns)


def series(*samples: TimedSample, length_s: int = 2) -> ServerSeries:
    """The series of a window of so many seconds."""
    made = ServerSeries()
    made.begin(Window(START, START + length_s * SECOND))
    for each in samples:
        made.add(each)
    return made


def test_gauges_are_told_as_they_were_with_their_time() -> None:
    """From the start of the window; before it times are negative. What was never told is null."""
    told = series(seen(-1, usedMemoryBytes=5), seen(0, usedMemoryBytes=6), seen(1.5, took_s=0.25)).to_json()

    assert told["t"] == [-1.0, 0.0, 1.5]
    assert told["lookMs"] == [1.0, 1.0, 250.0]
    assert told["usedMemoryBytes"] == [5, 6, None]
    assert told["replicas"] is None
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_what_grows_is_told_as_rate_or_growth() -> None:
    """Per second of the time that really lay between two samples; the first one has none."""
    told = series(
        seen(0, cpuUserSeconds=1.0, evictedKeys=10),
        seen(1, cpuUserSeconds=1.5, evictedKeys=10),
        seen(3, cpuUserSeconds=2.0, evictedKeys=40),
    ).to_json()

    assert told["cpuUser"] == [None, 0.5, 0.25]
    assert told["evictedKeys"] == [None, 0, 30]


def test_a_restart_is_an_event_and_no_negative_rate() -> None:
    """Counters that began anew are no growth."""
    told = series(seen(0, commandsProcessed=900), seen(1, commandsProcessed=5, uptimeSeconds=0)).to_json()

    assert told["commandsPerSecond"] is None
    assert [(each["t"], each["kind"]) for each in told["events"]] == [(1.0, "restarted")]


def test_the_summary_is_of_the_window_alone() -> None:
    """What the warm-up and the drain did is not in it."""
    figures: list[dict[str, Any]] = [
        {"cpuUserSeconds": 0.0, "evictedKeys": 0, "usedMemoryBytes": 900, "forks": 0},
        {"cpuUserSeconds": 0.9, "evictedKeys": 7, "usedMemoryBytes": 100, "forks": 1, "lastForkMicros": 9000},
        {"cpuUserSeconds": 1.1, "evictedKeys": 7, "usedMemoryBytes": 300, "forks": 2, "lastForkMicros": 500},
        {"cpuUserSeconds": 1.5, "evictedKeys": 9, "usedMemoryBytes": 200, "forks": 2, "lastForkMicros": 500},
        {"cpuUserSeconds": 2.4, "evictedKeys": 99, "usedMemoryBytes": 950, "forks": 3, "lastForkMicros": 7000},
    ]
    made = series(*(seen(at, cpuSystemSeconds=0.0, **each) for at, each in zip((-1, 0, 1, 2, 3), figures, strict=True)))

    summary = made.summary()
    assert summary.to_json() == {
        "serverCpu": {"mean": 0.3, "peak": 0.4},
        "usedMemoryPeakBytes": 300,
        "evictedKeys": 2,
        "expiredKeys": None,
        "delayedFsyncs": None,
        "forks": 1,
        "longestForkMs": 0.5,
        "serverProcessCpu": {"mean": None, "peak": None},
        "serverProcessWaiting": {"mean": None, "peak": None},
        "busiestWorkerCpu": None,
        "steal": {"mean": None, "peak": None},
        "pressure": {"mean": None, "peak": None},
        "machineCpu": {"mean": None, "peak": None},
        "parentCpu": {"mean": None, "peak": None},
    }
    assert summary.longest_fork_ns == 500_000


def test_a_window_that_was_cut_short_ends_with_the_sample_nearest_to_it() -> None:
    """What came later does not count."""
    made, window = ServerSeries(), Window(START, START + 60 * SECOND)
    made.begin(window)
    for at in (0, 1):
        made.add(seen(at, cpuUserSeconds=at * 0.5, cpuSystemSeconds=0.0))
    window.end(START + SECOND)
    made.add(seen(2, cpuUserSeconds=2.0, cpuSystemSeconds=0.0))

    assert made.summary().server_cpu == CpuShare(0.5, 0.5)


def test_a_server_that_tells_nothing_of_forks_has_none_that_are_known() -> None:
    """As one that refuses INFO: not 0."""
    made = series(seen(0), seen(1))

    assert made.summary().forks is None


def test_without_a_sample_everything_is_null() -> None:
    """No number that nobody saw."""
    made = series()

    assert made.summary().server_cpu == CpuShare()
    assert made.summary().forks is None
    assert made.to_json()["commands"] is None
    assert made.to_json()["cpuUser"] is None


def test_commands_are_those_of_the_window() -> None:
    """The difference of the samples nearest to its ends; percentiles are since the server's start."""
    before, after = {"ping": CommandSample(2, 2), "xadd": CommandSample(10, 100)}, {"xadd": CommandSample(30, 160)}
    looks = [
        TimedSample(ServerSample(commands=commands, command_latency={"xadd": {"p50": at}}), START + at, START + at)
        for at, commands in ((0, before), (2 * SECOND, before | after), (3 * SECOND, {"xadd": CommandSample(99, 999)}))
    ]

    told = series(*looks).to_json()

    assert told["commands"] == {
        "from": 0.0,
        "to": 2.0,
        "byName": {"xadd": {"calls": 20, "micros": 60, "microsPerCall": 3.0}},
    }
    assert told["commandLatencyMicros"] == {"xadd": {"p50": 2 * SECOND}}


def test_streams_are_summed_per_sample() -> None:
    """Lengths, the longest, and lag and pending of each group."""
    groups = {"g": GroupSample(None, 3)}
    looks = [
        TimedSample(ServerSample(streams={("t", 0): StreamSample(length, groups)}), START, START) for length in (4, 6)
    ]

    assert series(*looks).to_json()["streams"] == {
        "seen": [1, 1],
        "length": [4, 6],
        "longest": [4, 6],
        "groups": {"g": {"lag": None, "pending": [3, 3]}},
    }


def test_a_sample_that_comes_late_is_told_with_when_it_was_asked_for() -> None:
    """Its figures are those of its answer."""
    made = series(seen(0), seen(3.4, took_s=2.4))

    assert made.late == 1
    assert made.to_json()["events"] == [
        {"t": 1.0, "kind": "lookLate", "text": "the server took 2.4 s to answer a look"}
    ]


def test_samples_that_fail_are_told_once_in_a_row() -> None:
    """And what the server refused, once each."""
    made = series()
    for _ in range(3):
        made.fail(START, "no connection")
    made.add(TimedSample(ServerSample(unseen=["XLEN: NOPERM"]), START, START))
    made.add(TimedSample(ServerSample(unseen=["XLEN: NOPERM"]), START, START))
    made.fail(START + SECOND, "no connection")

    told = made.to_json()
    assert [(each["t"], each["kind"]) for each in told["events"]] == [(0.0, "lookFailed"), (1.0, "lookFailed")]
    assert (made.failed, told["unseen"]) == (4, ["XLEN: NOPERM"])


def test_a_long_run_keeps_downsampled_series_and_all_that_happened() -> None:
    """Rates stay true, since they are differences of what is kept; a peak between is in the summary."""
    made = ServerSeries(most=4)
    made.begin(Window(START, START + 20 * SECOND))
    cpu = 0.0
    for at in range(9):
        cpu += 0.9 if at == 5 else 0.1
        made.add(seen(at, cpuUserSeconds=cpu, cpuSystemSeconds=0.0, replicas=float(at == 5)))

    told = made.to_json()
    assert made.stride == 4
    assert told["t"] == [0.0, 4.0, 8.0]
    assert told["cpuUser"] == [None, 0.1, 0.3]
    assert made.summary().server_cpu.peak == pytest.approx(0.9)
    assert [each["t"] for each in told["events"]] == [5.0, 6.0]


def test_events_are_bounded() -> None:
    """What is left out is counted."""
    made = series(*(seen(at / 1000, replicas=float(at % 2)) for at in range(MOST_EVENTS + 11)))

    told = made.to_json()
    assert (len(told["events"]), told["eventsLeftOut"]) == (MOST_EVENTS, 10)
