"""Measurements become facts, and these a verdict, thresholds, caveats and marks at the harness floor."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
from assessed_run import OBSERVED, assessed, measured, planned
from hypothesis import given
from hypothesis import strategies as st
from sample_drain import measured_drain
from sample_result import family, figures, measurements

from ombdriver.bench.metrics.report import ProcessUsage
from ombdriver.bench.metrics.summary import Totals, WindowDelivery
from ombdriver.bench.plan.plan import WorkerPlan
from ombdriver.bench.verdict.assess import Assessment, run_facts
from ombdriver.bench.verdict.facts import WorkerFacts, worker_facts
from ombdriver.bench.verdict.model import INTERRUPTED, Ending

SECOND = 10**9
WORKERS = [
    WorkerFacts(
        0,
        "produce",
        cpu_ns=SECOND,
        run_delay_ns=SECOND // 5,
        longest_collection_ns=500_000,
        stalls=3,
        stalls_ns=17_000_000,
        longest_stall_ns=7_000_000,
    ),
    WorkerFacts(1, "consume", cpu_ns=SECOND // 2),
]
STALLED = replace(OBSERVED, workers=WORKERS)


def kinds(found: Assessment) -> list[str]:
    """Of its caveats."""
    return [caveat.kind for caveat in found.caveats]


def test_facts_come_from_metrics_plan_and_what_was_observed() -> None:
    """Each in its own type, and in nanoseconds."""
    metrics = measured(
        delay_parts={"scheduleLag": figures(1_000)},
        delivery=[WindowDelivery("group-1", 60_000, 59_990, lost=4, trimmed=6, undelivered=3)],
        totals=Totals(59_000, 500, 400, 0, unanswered=100),
        counters={"reconnects": 2, "failedAcknowledgements": 7},
    )
    facts = run_facts(metrics, planned(max_in_flight=1), STALLED)

    assert facts.workers == WORKERS
    assert (facts.lost, facts.trimmed, facts.undelivered) == ({"group-1": 4}, {"group-1": 6}, {"group-1": 3})
    assert (facts.schedule_lag_p99_ns, facts.publish_response_p99_ns) == (5_000, 475_000)
    assert (facts.due, facts.errors, facts.unsent, facts.unanswered) == (60_000, 500, 400, 100)
    assert (facts.reconnects, facts.failed_acks, facts.max_in_flight) == (2, 7, 1)


def test_what_a_worker_took_is_what_it_took_in_the_window() -> None:
    """Pauses are counted since the window began in any case; what the system does not tell stays unknown."""
    before = [ProcessUsage(cpu_ns=5, rss_bytes=100, run_delay_ns=7)]
    after = [ProcessUsage(cpu_ns=25, rss_bytes=160, peak_rss_bytes=200, run_delay_ns=10, stalls=1, stalled_ns=9)]

    (found,) = worker_facts([WorkerPlan(3, "consume")], before, after)

    assert found == WorkerFacts(
        3, "consume", cpu_ns=20, run_delay_ns=3, stalls=1, stalls_ns=9, peak_rss_bytes=200, rss_growth_bytes=60
    )
    assert (found.name, found.throttled_ns) == ("worker 3 (consume)", None)


@given(
    st.builds(
        WorkerFacts,
        index=st.just(0),
        role=st.just("produce"),
        cpu_ns=st.integers(0, 10**12),
        run_delay_ns=st.integers(0, 10**12),
        throttled_ns=st.none() | st.integers(0, 10**12),
        collections_ns=st.integers(0, 10**12),
        longest_collection_ns=st.integers(0, 10**12),
        stalls_ns=st.integers(0, 10**12),
        longest_stall_ns=st.integers(0, 10**12),
    )
)
def test_a_worker_is_held_up_for_no_longer_than_the_window(worker: WorkerFacts) -> None:
    """The kernel counts for each processor and each limit, and reports may be late; what is not told stays unknown."""
    metrics = measured()
    (found,) = run_facts(metrics, planned(), replace(STALLED, workers=[worker])).workers

    for field in fields(WorkerFacts):
        told = getattr(worker, field.name)
        bounded = field.name.endswith("_ns") and field.name != "cpu_ns" and told is not None
        assert getattr(found, field.name) == (min(told, metrics.length_ns) if bounded else told)


def test_a_rate_weighs_a_short_last_interval_by_its_length() -> None:
    """As the table does."""
    source = measured(publish_rate=[100.0, 100.0, 160.0], length_ns=SECOND * 5 // 2)

    assert source.rate("publishRate", None) == pytest.approx(112.0)


def test_an_interrupted_run_is_partial_whatever_else() -> None:
    """Its thresholds are told all the same."""
    ended = replace(OBSERVED, ending=Ending(INTERRUPTED, "interrupted by SIGINT"))
    found = assessed("publish.p50 < 1ms", observed=ended)

    assert found.verdict.status == "PARTIAL"
    assert [check.passed for check in found.thresholds] == [True]


def test_trends_are_judged_from_30_intervals_on() -> None:
    """A rate that falls by a third is one; with fewer intervals it is not judged."""
    fall = [2000.0 - 20 * number for number in range(35)]
    steady: dict[str, Any] = {"backlog": [0] * 35, "families": dict(measurements().families)}

    found = assessed(length_ns=35 * SECOND, publish_rate=fall, **steady)
    short = assessed(publish_rate=fall[:29])

    assert "rateTrend" in [reason.rule for reason in found.verdict.reasons]
    assert "rateTrend" in [each.rule for each in short.verdict.not_judged]


@pytest.mark.parametrize(("median_ns", "told"), [(40_000, False), (5_000_000, True)])
def test_a_latency_that_wanders_by_tens_of_microseconds_has_no_trend(median_ns: int, told: bool) -> None:
    """It grows by a fifth: at the p99 by 40 µs, which are the harness's, or by 5 ms, which are not."""
    course = [figures(median_ns + median_ns * number // 200) for number in range(40)]
    steady = family(1000)
    families = {name: replace(steady, series=course) for name in measurements().families}

    found = assessed(length_ns=40 * SECOND, families=families, publish_rate=[2000.0] * 40)

    assert ("latencyTrend" in [reason.rule for reason in found.verdict.reasons]) == told


# -- caveats -----------------------------------------------------------------------------------------------------------


def test_a_long_run_with_many_samples_has_no_caveat() -> None:
    """On a machine with cores to spare, and no pause that could matter."""
    many = {name: family(1000, count=100_000) for name in measurements().families}
    calm = replace(OBSERVED, workers=[WorkerFacts(0, "produce", cpu_ns=SECOND)])

    assert assessed(observed=calm, families=many, length_ns=10 * SECOND).caveats == ()


def test_samples_that_are_few_or_do_not_fit_are_told() -> None:
    """Each kind with its number and with advice."""
    found = assessed(observed=STALLED, counters={"overRangeSamples": 2, "negativeSamples": 3})

    assert kinds(found) == ["fewSamples", "shortRun", "overRange", "clockBackwards", "stalls"]
    assert "60,000 samples of publish are too few for p99.99, which takes 100,000" in found.caveats[0].message
    assert found.caveats[2].message.startswith("2 latencies were above 24 h")
    assert found.caveats[3].message.startswith("3 latencies were below 0")
    assert "worker 0 (produce) was held up for 7 ms at once, above 2 ms" in found.caveats[4].message
    assert all("; " in caveat.message for caveat in found.caveats)


@pytest.mark.parametrize("cores", range(1, 12))
@pytest.mark.parametrize("servers", [0, 1, 2, 5, 6])
def test_servers_that_share_the_workers_cores_are_told(servers: int, cores: float) -> None:
    """Where there are fewer cores than workers, servers and the parent together; servers elsewhere share nothing."""
    found = assessed(observed=replace(STALLED, servers_on_host=servers, cores=cores))

    processes = len(STALLED.workers) + servers + 1
    assert ("colocated" in kinds(found)) == (servers > 0 and processes > cores)


# -- at the harness floor ----------------------------------------------------------------------------------------------

HARNESS = {
    "floorMs": {
        "nullServer": {
            "1000": {"publish": {"p50": 0.061, "p99": 0.2, "p99.9": 1.0}},
            "10000": {"publish": {"p50": 9.0, "p99": 9.0, "p99.9": 9.0}},
        },
        "memory": {"1000": {"endToEnd": {"p50": 0.19, "p99": 0.1, "p99.9": 0.1}, "publish": {"p50": 0.0}}},
    }
}


def test_percentiles_no_higher_than_the_harness_alone_are_named() -> None:
    """By the floor at the nearest rate; end-to-end by that of one process, each group too."""
    found = assessed(calibration=HARNESS)

    assert found.at_harness_floor == ("publish.p50", "publish.p99.9", "endToEnd.p50", "endToEnd[group-1].p50")


def test_a_loopback_has_the_floor_of_one_process() -> None:
    """And without a calibration nothing is marked."""
    loopback = assessed(calibration=HARNESS, loopback=True)

    assert "publish.p50" not in loopback.at_harness_floor
    assert assessed(calibration={"time": "2026"}).at_harness_floor == ()


# -- more than a third the harness's own -------------------------------------------------------------------------------


def late(role: str, scale_ns: int) -> WorkerFacts:
    """A worker whose event loop comes late, at the median by `scale_ns`."""
    return WorkerFacts(0, role, lateness=figures(scale_ns))


def own(*workers: WorkerFacts, lag: int = 0, groups: int = 1) -> Mapping[str, float]:
    """The parts of a run with these workers and this schedule lag at the median; publishResponse.p50 is 95 µs."""
    parts = {"scheduleLag": figures(lag)} if lag else {}
    return assessed(
        observed=replace(OBSERVED, workers=workers),
        subscriptions=measurements(groups).subscriptions,
        delay_parts=parts,
    ).own_parts


def test_a_percentile_is_told_with_the_harnesss_part_when_that_is_more_than_a_third() -> None:
    """Schedule lag counts in what is taken from the intended send; 140 of 219 µs are, and so for each percentile."""
    assert own(lag=31_000) == {
        f"publishDelay.{name}": 0.987 for name in ("p50", "p75", "p95", "p99", "p99.9", "p99.99")
    }
    found = own(lag=60_000)
    assert found["publishResponse.p50"] == found["publishResponse.p99"] == round(60 / 95, 3)
    assert found["publishDelay.p50"] == 1.0
    assert not {name for name in found if name.startswith(("publish.", "endToEnd"))}


def test_late_loops_count_where_a_latency_ends() -> None:
    """Those of producers in what they take the reply of, those of consumers in the delivery, of each group too."""
    assert own(late("produce", 20_000)) == {}
    assert {name.partition(".")[0] for name in own(late("produce", 30_000))} == {"publish"}
    assert {name.partition(".")[0] for name in own(late("produce", 40_000))} == {"publish", "publishResponse"}
    found = own(late("consume", 100_000), groups=2)
    assert found["endToEnd.p50"] == found["endToEnd.p99"] == round(100 / 180, 3)
    assert found["endToEnd[group-2].p50"] == round(100 / 194, 3)
    assert "endToEndResponse[group-1].p50" in found
    assert not {name for name in found if name.startswith("publish")}


def test_lag_and_late_loops_count_together() -> None:
    """Each less than a third, and more in all; nothing is more than the whole."""
    assert "publishResponse.p50" not in own(late("produce", 20_000))
    assert "publishResponse.p50" not in own(lag=20_000)
    assert own(late("both", 20_000), lag=20_000)["publishResponse.p50"] == round(40 / 95, 3)
    assert max(own(late("both", 10**9), lag=10**9).values()) == 1.0


# -- a backlog that is built -------------------------------------------------------------------------------------------


def drained(**changed: Any) -> Assessment:
    """A run of 45 intervals with a backlog, in the first five of which everything changes."""
    falling = [2000.0 - 300 * number for number in range(5)] + [2000.0] * 40
    return assessed(
        length_ns=45 * SECOND,
        publish_rate=falling,
        backlog=[10_000, 8_000, 6_000, 4_000, 2_000] + [0] * 40,
        delivery=[WindowDelivery(f"group-{number}", 60_000, 60_000) for number in (1, 2, 3)],
        backlog_drain=measured_drain(**changed),
    )


def test_trends_are_judged_from_where_the_backlog_is_drained() -> None:
    """Before that everything is to change; when it never was, there is nothing to judge."""
    assert not {"rateTrend", "backlogTrend"} & {reason.rule for reason in drained().verdict.reasons}
    assert "rateTrend" not in [each.rule for each in drained().verdict.not_judged]

    undone = drained(caught_up=False).verdict
    assert "backlogDrained" in [reason.rule for reason in undone.reasons]
    (why,) = (each.message for each in undone.not_judged if each.rule == "rateTrend")
    assert why.endswith("of 0 here after the drain")


def test_what_was_lost_of_a_backlog_is_a_loss() -> None:
    """Told by itself, beside the window's."""
    (reason,) = (each for each in drained(lost=7).verdict.reasons if each.rule == "lost")

    assert reason.message.startswith("group-2, of the backlog: 7 acknowledged messages are lost")


def test_a_run_on_another_host_gets_no_advice_for_this_machine() -> None:
    """Be it one host, whose clock is compared with no other: what this machine has to spare is not what it lacks."""
    held_up = replace(WORKERS[0], run_delay_ns=2 * SECOND)
    here, there = (
        assessed(observed=replace(OBSERVED, cores=1, workers=[replace(held_up, host=host)])).verdict
        for host in ("", "alpha")
    )

    assert [each.rule for each in here.reasons] == [each.rule for each in there.reasons]
    assert here.advice
    assert there.advice == ()
