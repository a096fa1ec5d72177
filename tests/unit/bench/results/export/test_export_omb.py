"""OMB's own result: its fields and no other, in 10 s, with its types."""

import json
from typing import Any

import pytest
from recorded_result import recorded, samples, without_intervals

from ombdriver.bench.metrics.phase_view import merged
from ombdriver.bench.results.export import omb
from ombdriver.bench.results.result import Result

ENDINGS = ["Avg", "50pct", "75pct", "95pct", "99pct", "999pct", "9999pct", "Max"]
# As declared in benchmark-framework/src/main/java/io/openmessaging/benchmark/TestResult.java (8559989, January 2026):
# 62 fields. Other commits and forks of it have 99999pct too.
DOUBLES = [
    *("publishRate", "publishErrorRate", "consumeRate"),
    *(f"publishLatency{ending}" for ending in ENDINGS),
    *(f"endToEndLatency{ending}" for ending in ENDINGS),
    "publishDelayLatencyAvg",
]
LONGS = ["backlog", *(f"publishDelayLatency{ending}" for ending in ENDINGS[1:])]
NUMBERS = {
    "messageSize": int,
    "topics": int,
    "partitions": int,
    "producersPerTopic": int,
    "consumersPerTopic": int,
    **{f"aggregated{name}Latency{ending}": (int, float) for name in ("Publish", "EndToEnd") for ending in ENDINGS},
    "aggregatedPublishDelayLatencyAvg": (int, float),
    **{f"aggregatedPublishDelayLatency{ending}": int for ending in ENDINGS[1:]},
}
MAPS = [f"aggregated{name}LatencyQuantiles" for name in ("Publish", "PublishDelay", "EndToEnd")]


def told(result: Result) -> dict[str, Any]:
    """As a reader of the text has it."""
    read: dict[str, Any] = json.loads(omb.render(result))
    return read


def test_the_fields_are_exactly_those_of_ombs_test_result() -> None:
    """OMB's mapper fails on any other."""
    assert len(told(recorded(3))) == 62
    assert sorted(told(recorded(3))) == sorted(["workload", "driver", *NUMBERS, *DOUBLES, *LONGS, *MAPS])


@pytest.mark.parametrize(
    "result", [recorded(12), recorded(2, silent=(0, 1)), recorded(25, silent=tuple(range(10, 20)))]
)
def test_values_are_of_ombs_types(result: Result) -> None:
    """Numbers and never null, whole ones where Java has a long; without a sample they are 0, as OMB writes it."""
    found = told(result)

    assert all(isinstance(found[name], kind) for name, kind in NUMBERS.items())
    elements = len(found["publishRate"])
    for name in (*DOUBLES, *LONGS):
        kind = int if name in LONGS else (int, float)
        assert [isinstance(value, kind) for value in found[name]] == [True] * elements
    for name in MAPS:
        assert all(0 <= float(level) <= 100 for level in found[name])


def test_an_element_is_10_s_and_the_last_one_what_is_left() -> None:
    """So that OMB's charts, which take 10 s for granted, tell the right time."""
    found = told(recorded(25, last_s=0.5))

    assert {len(found[name]) for name in (*DOUBLES, *LONGS)} == {3}
    assert found["publishRate"][:2] == [550.0, 1550.0]
    assert found["publishRate"][2] == pytest.approx((21 + 22 + 23 + 24 + 25 * 0.5) * 100 / 4.5, abs=0.001)
    assert found["backlog"] == [9, 19, 24]


def test_latencies_of_an_element_are_those_of_all_its_samples() -> None:
    """From merged histograms: the mean of ten percentiles would be another number."""
    found = told(recorded(25))

    for element, intervals in enumerate((range(10), range(10, 20), range(20, 25))):
        for family, scale in (("publish", 1e6), ("publishDelay", 1e3), ("endToEnd", 1e6)):
            (all_of_it,) = merged([samples(family, at) for at in intervals], len(intervals))
            p50, p99 = all_of_it.percentiles([50.0, 99.0])
            assert found[f"{family}Latency50pct"][element] == pytest.approx(p50 / scale, abs=0.5 if scale == 1e3 else 0)
            assert found[f"{family}Latency99pct"][element] == pytest.approx(p99 / scale, abs=0.5 if scale == 1e3 else 0)
            assert found[f"{family}LatencyAvg"][element] == pytest.approx(all_of_it.mean_ns / scale, rel=1e-3)
            assert found[f"{family}LatencyMax"][element] == all_of_it.max_ns / scale


def test_a_run_below_10_s_is_one_element() -> None:
    """With the figures of the run."""
    result = recorded(3)
    found = told(result)

    assert found["publishRate"] == [200.0]
    assert found["publishLatency99pct"] == [result.aggregated["aggregatedPublishLatency99pct"]]
    assert found["publishLatencyMax"] == [result.aggregated["aggregatedPublishLatencyMax"]]


def test_intervals_that_are_no_part_of_10_s_count_where_they_start() -> None:
    """Rates go by their share of the time; every sample is in one element."""
    found = told(recorded(6, interval_s=4.0, last_s=4.0))

    assert found["publishRate"] == [pytest.approx((1 * 4 + 2 * 4 + 3 * 2) * 10, abs=0.01), 420.0, 600.0]
    assert found["publishLatencyMax"] == [2.1, 4.1, 5.1]
    assert found["backlog"] == [1, 4, 5]


def test_intervals_longer_than_10_s_repeat_so_that_time_is_right() -> None:
    """Long runs and older results: their charts have steps, and end where the run ended."""
    long = told(recorded(2, interval_s=20.0, last_s=20.0))
    assert long["publishRate"] == [100.0, 100.0, 200.0, 200.0]
    assert long["publishLatencyMax"] == [pytest.approx(each, rel=1e-3) for each in (0.1, 0.1, 1.1, 1.1)]

    older = told(without_intervals(recorded(25)))
    assert len(set(older["publishLatency50pct"])) == 1
    assert older["publishLatencyMax"] == [pytest.approx(24.1, rel=1e-3)] * 3
    assert older["publishRate"] == told(recorded(25))["publishRate"]


def test_an_element_without_samples_is_0() -> None:
    """OMB knows no null there, and its chart script no None."""
    found = told(recorded(25, silent=tuple(range(10, 20))))

    assert found["publishLatency99pct"][1] == found["publishLatencyMax"][1] == found["publishLatencyAvg"][1] == 0
    assert found["publishLatency99pct"][2] > 0
    assert told(recorded(2, silent=(0, 1)))["aggregatedPublishLatency50pct"] == 0
