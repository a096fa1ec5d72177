"""The result's JSON: OMB's names and units, ours, and reading it back."""

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_result import family, figures, measurements, result

from ombdriver.bench.metrics.latency import LatencySummary
from ombdriver.bench.metrics.summary import FAMILIES, MessagesPerWrite, Totals
from ombdriver.bench.results.result import Result
from ombdriver.bench.results.result import to_json as data_of
from ombdriver.bench.spec.thresholds import Check
from ombdriver.bench.units import visible
from ombdriver.bench.verdict.model import STATUSES, Advice, Caveat, NotJudged, Reason, Verdict
from ombdriver.errors import InputError

OMB_HEAD = ["workload", "driver", "messageSize", "topics", "partitions", "producersPerTopic", "consumersPerTopic"]
OMB_RATES = ["publishRate", "publishErrorRate", "consumeRate", "backlog"]
OMB_ENDINGS = ["Avg", "50pct", "75pct", "95pct", "99pct", "999pct", "9999pct", "99999pct", "Max"]
OMB_LATENCIES = ["publishLatency", "publishDelayLatency", "endToEndLatency"]
OUR_LATENCIES = ["publishResponseLatency", "endToEndResponseLatency"]
# fmt: off
OURS = [
    "kind", "formatVersion", "version", "runId", "tags", "standing", "overrides", "sweep", "sweepOf", "search",
    "backlogDrain", "beginTime", "endTime", "sampleIntervalSeconds", "subscriptionsPerTopic", "targetPublishRate",
    "partial", "faults",
    "rateProfile", "stretches", "targetRates",
    "partialReason", "verdict", "thresholds", "atHarnessFloor", "ownParts", "clockErrorMs",
    "confidence", "messagesPerWrite",
    "caveats", "totals", "delivery", "counters", "subscriptions", "latency", "delayParts", "workloadSpec",
    "workloadSha256", "setup", "setupSha256", "environment", "telemetry", "histograms",
]
# fmt: on


def to_json(**changed: Any) -> dict[str, Any]:
    """The JSON of a result, as a reader sees it."""
    read: dict[str, Any] = json.loads(result(**changed).dumps())
    return read


def test_every_field_of_an_omb_result_is_there_and_nothing_unexpected() -> None:
    """OMB's own names, the same for the response latencies, and the keys that are ours."""
    names = {*OMB_HEAD, *OMB_RATES, *OURS}
    for latency in OMB_LATENCIES + OUR_LATENCIES:
        capital = latency[0].upper() + latency[1:]
        names |= {latency + ending for ending in OMB_ENDINGS}
        names |= {f"aggregated{capital}{ending}" for ending in OMB_ENDINGS} | {f"aggregated{capital}Quantiles"}

    assert set(to_json()) == names


def test_publish_and_end_to_end_are_in_milliseconds() -> None:
    """As OMB has them, with decimals."""
    data = to_json()

    assert data["publishLatency50pct"][:2] == [0.061, 0.061001]
    assert data["aggregatedPublishLatency99pct"] == 0.305
    assert data["aggregatedEndToEndLatencyMax"] == 7.2
    assert data["aggregatedPublishResponseLatency50pct"] == 0.095
    assert data["aggregatedEndToEndLatencyQuantiles"] == {"50.0": 0.18, "99.0": 0.9, "100.0": 7.2}


def test_publish_delay_is_in_whole_microseconds_save_its_average() -> None:
    """As OMB has it; the summary beside it is in ms like the others."""
    data = to_json()

    assert data["aggregatedPublishDelayLatency50pct"] == 31
    assert isinstance(data["aggregatedPublishDelayLatency50pct"], int)
    assert data["aggregatedPublishDelayLatencyAvg"] == 34.54
    assert data["aggregatedPublishDelayLatencyQuantiles"]["99.0"] == 157
    assert data["latency"]["publishDelay"]["p50"] == 0.0314


def test_an_interval_without_a_sample_is_null() -> None:
    """Nought would be a latency."""
    data = to_json()

    assert all(data[f"{name}LatencyAvg"][2] is None for name in FAMILIES)
    assert data["publishRate"][2] == 2000.5


def test_a_run_without_a_sample_has_a_count_of_0_and_nulls() -> None:
    """The keys are all there."""
    assert data_of(LatencySummary.none()) == {
        "count": 0,
        **dict.fromkeys(["min", "avg", "p50", "p75", "p95", "p99", "p99.9", "p99.99", "max"]),
    }


def test_intervals_stand_by_figure_in_milliseconds() -> None:
    """Those of a group by its name; what has none is not there."""
    group = measurements(1).subscriptions[0]
    known = {"p99": (4_000_000, 5_500_001)}
    group = replace(group, latency=group.latency | {"endToEnd": replace(group.latency["endToEnd"], confidence=known)})
    told = to_json(measured=measurements(1, subscriptions=[group]))["confidence"]

    assert told["publish.p50"] == [0.05917, 0.06344]
    assert told["endToEnd[group-1].p99"] == [4.0, 5.500001]
    assert "endToEnd[group-1].p50" not in told


def test_a_subscription_has_its_own_summaries() -> None:
    """Per group: received, rate, and both end-to-end latencies in ms."""
    second = to_json()["subscriptions"][1]

    assert list(second) == ["name", "received", "receivedFromOtherHosts", "consumeRate", "endToEnd", "endToEndResponse"]
    assert (second["name"], second["received"], second["consumeRate"]) == ("group-2", 60_000, 1999.97)
    assert second["endToEnd"]["p50"] == 0.194
    assert second["endToEndResponse"]["p99.9"] == 2.034


def test_histograms_are_by_family_and_by_group() -> None:
    """Encoded, with the unit told."""
    histograms = to_json()["histograms"]

    assert histograms["unit"] == "ns"
    assert set(histograms["families"]) == set(FAMILIES)
    assert histograms["subscriptions"]["group-3"] == {"endToEnd": "HIST3", "endToEndResponse": "HIST3"}


def test_a_partial_run_says_why() -> None:
    """Both for programs and for people."""
    whole, part = to_json(), to_json(partial_reason="interrupted")

    assert (whole["partial"], whole["partialReason"]) == (False, None)
    assert (part["partial"], part["partialReason"]) == (True, "interrupted")


def test_times_are_utc_to_the_millisecond() -> None:
    """Whatever time zone they came in."""
    begin = datetime(2026, 3, 1, 14, 0, 0, 1_000, timezone(timedelta(hours=2)))

    assert to_json(begin_time=begin)["beginTime"] == "2026-03-01T12:00:00.001Z"


def test_a_result_without_groups_can_be_told() -> None:
    """A run that only publishes is a run."""
    empty = family(1, 1)
    families = {**measurements().families, "endToEnd": empty, "endToEndResponse": empty}

    data = to_json(measured=measurements(0, families=families))

    assert data["subscriptions"] == []


TEXTS = st.text().map(visible)


@given(
    count=st.integers(0, 2**53),
    scale=st.integers(0, 24 * 3600 * 10**9 // 40),
    tags=st.dictionaries(TEXTS, TEXTS, max_size=3),
    rates=st.lists(st.floats(0, 1e9), max_size=3),
    reason=st.none() | TEXTS.filter(bool),
    caveats=st.lists(st.builds(Caveat, TEXTS, TEXTS), max_size=2),
    totals=st.builds(Totals, *[st.integers(0, 2**53)] * 4),
    judged=st.fixed_dictionaries(
        {
            "verdict": st.none()
            | st.builds(
                Verdict,
                st.sampled_from(STATUSES),
                st.lists(st.builds(Reason, TEXTS, st.sampled_from(STATUSES), TEXTS)).map(tuple),
                st.lists(st.builds(NotJudged, TEXTS, TEXTS)).map(tuple),
                TEXTS,
                st.lists(st.builds(Advice, TEXTS, TEXTS)).map(tuple),
            ),
            "thresholds": st.lists(
                st.builds(Check, TEXTS, st.none() | st.floats(0, 1e9), st.floats(0, 1e9), TEXTS, st.booleans())
            ),
            "at_harness_floor": st.lists(TEXTS),
            "clock_error_ms": st.none() | st.floats(0, 1e9),
            "own_parts": st.dictionaries(TEXTS, st.floats(0, 1)),
            "messages_per_write": st.none()
            | st.builds(MessagesPerWrite, st.integers(1, 2**53), st.floats(1, 4096), st.integers(1, 4096)),
        }
    ),
)
def test_what_was_written_is_read_back(
    count: int,
    scale: int,
    tags: dict[str, str],
    rates: list[float],
    reason: str | None,
    caveats: Any,
    totals: Totals,
    judged: dict[str, Any],
) -> None:
    """Writing and reading lose nothing of texts without signs that a reader must not show."""
    families = {name: family(scale) for name in FAMILIES}
    families["publish"] = type(families["publish"])(figures(scale, count), "", [], {})
    measured = measurements(families=families, publish_rate=rates, totals=totals)
    written = result(measured, tags=tags, partial_reason=reason, caveats=caveats, **judged)

    assert Result.loads(written.dumps(), "r.json") == written


def test_a_file_from_before_there_were_verdicts_is_read() -> None:
    """It has none, and no thresholds."""
    data = to_json()
    for key in ("verdict", "thresholds", "atHarnessFloor", "ownParts", "clockErrorMs", "messagesPerWrite"):
        del data[key]

    assert Result.loads(json.dumps(data), "r.json") == result()


def test_the_verdict_stands_in_the_json_with_its_reasons() -> None:
    """Under names that are told in docs/result.md."""
    told = {
        "status": "INVALID",
        "reasons": [{"rule": "scheduleLag", "status": "INVALID", "message": "late"}],
        "notJudged": [{"rule": "lost", "message": "no ledger"}],
        "measured": "others 1.06",
        "advice": [{"kind": "lowerRate", "message": "lower the rate"}],
    }
    verdict = Verdict(
        "INVALID",
        (Reason("scheduleLag", "INVALID", "late"),),
        (NotJudged("lost", "no ledger"),),
        "others 1.06",
        (Advice("lowerRate", "lower the rate"),),
    )

    data = to_json(verdict=verdict)
    assert data["verdict"] == told
    assert Result.loads(json.dumps(data), "r.json").verdict == verdict


def test_a_verdict_from_before_there_was_advice_is_read_without_it() -> None:
    """As one that has none."""
    data = to_json(verdict=Verdict("VALID"))
    data["verdict"] = {key: value for key, value in data["verdict"].items() if key not in ("measured", "advice")}

    assert Result.loads(json.dumps(data), "r.json").verdict == Verdict("VALID")


def test_keys_of_a_later_version_are_passed_over() -> None:
    """A new key alone does not make a result unreadable."""
    data = to_json() | {"weather": "fine"}

    assert Result.loads(json.dumps(data), "r.json") == result()


def test_a_file_from_before_the_telemetry_is_read_without_it() -> None:
    """A key that came later is null."""
    data = {key: value for key, value in to_json().items() if key != "telemetry"}

    assert Result.loads(json.dumps(data), "r.json") == result()


@pytest.mark.parametrize("spec", [{"probeRates": [1000, 2000]}, {"probeSteps": 12}])
def test_a_run_that_was_to_try_several_rates_is_a_curve(spec: dict[str, Any]) -> None:
    """Told to programs, which find the rates in `search`."""
    text = result(workload_spec=to_json()["workloadSpec"] | spec).dumps()

    assert json.loads(text)["kind"] == "curve"
    assert Result.loads(text, "r.json").kind == "curve"
    assert to_json()["kind"] == "run"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"r\.json: not JSON"),
        ("[]", r"r\.json: not the result of a run"),
        ('{"kind": "sweep"}', r"r\.json: not the result of a run"),
        ("[" * 100_000, r"r\.json: not JSON"),
        ('{"kind": "run", "formatVersion": 2}', r"r\.json: formatVersion is 2, this ombdriver reads up to 1; use the"),
        ('{"kind": "run", "formatVersion": true}', r"r\.json: formatVersion is True, which there never was"),
        ('{"kind": "run"}', r"r\.json: formatVersion is None, which there never was"),
        ('{"kind": "run", "formatVersion": 1}', r"r\.json: the key 'setup' is missing"),
    ],
)
def test_what_is_no_result_is_refused_by_name(text: str, message: str) -> None:
    """With the file's name and what is wrong."""
    with pytest.raises(InputError, match=message):
        Result.loads(text, "r.json")


def test_a_damaged_result_is_refused() -> None:
    """A value of another type is no crash."""
    with pytest.raises(InputError, match="wrong type"):
        Result.loads(json.dumps(to_json() | {"latency": 3}), "r.json")


def test_an_infinity_is_never_written() -> None:
    """It would not be JSON."""
    with pytest.raises(ValueError, match="JSON compliant"):
        result(measurements(publish_rate=[float("inf")])).dumps()
