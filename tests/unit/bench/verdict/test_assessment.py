"""Measurements become facts, and these a verdict, thresholds, caveats and marks at the harness floor."""

from dataclasses import replace
from typing import Any

import pytest
from sample_circumstances import circumstances
from sample_drain import measured_drain
from sample_result import family, figures, measurements

from ombdriver.bench.metrics.report import ProcessUsage
from ombdriver.bench.metrics.summary import Delivery, Totals
from ombdriver.bench.plan.plan import WorkerPlan
from ombdriver.bench.results.build import worker_to_json
from ombdriver.bench.spec.thresholds import Threshold
from ombdriver.bench.verdict.assess import Assessment, Circumstances, assess, final_facts
from ombdriver.bench.verdict.facts import WorkerFacts, worker_facts
from ombdriver.bench.verdict.model import INTERRUPTED, Ending

SECOND = 10**9
MS = 10**6
WORKERS = [
    WorkerFacts("worker 0 (produce)", SECOND, 200 * MS, None, MS // 2, MS // 2, 17 * MS, 7 * MS),
    WorkerFacts("worker 1 (consume)", SECOND // 2),
]


def assessed(where: Circumstances | None = None, *thresholds: str, **changed: Any) -> Assessment:
    """What is said of a run that never was."""
    found = [Threshold.parse(text) for text in thresholds]
    return assess(measurements(**changed), where or circumstances(), WORKERS, found)


def kinds(found: Assessment) -> list[str]:
    """Of its caveats."""
    return [caveat.kind for caveat in found.caveats]


def test_what_a_worker_took_is_what_it_tells_at_the_end_less_what_it_told_before() -> None:
    """Stalls and collections are those of the phase; what the system does not tell is not known."""
    plans = (WorkerPlan(0, "produce"), WorkerPlan(1, "consume"))
    before = [ProcessUsage(cpu_ns=5 * SECOND, rss_bytes=100, run_delay_ns=MS, throttled_ns=3 * MS), ProcessUsage()]
    after = [
        ProcessUsage(
            cpu_ns=6 * SECOND,
            rss_bytes=150,
            peak_rss_bytes=170,
            run_delay_ns=201 * MS,
            throttled_ns=4 * MS,
            gc_pauses=2,
            gc_longest_ns=MS // 2,
            gc_ns=MS,
            stalls=3,
            longest_stall_ns=7 * MS,
            stalled_ns=17 * MS,
        ),
        ProcessUsage(cpu_ns=SECOND // 2),
    ]

    first, second = worker_facts(plans, before, after)

    assert (first.name, first.cpu_ns, first.run_delay_ns) == ("worker 0 (produce)", SECOND, 200 * MS)
    assert (first.longest_stall_ns, first.stalls_ns, first.throttled_ns) == (7 * MS, 17 * MS, MS)
    assert (second.run_delay_ns, second.throttled_ns) == (None, None)
    assert worker_to_json(first) == {
        "role": "produce",
        "windowCpuSeconds": 1.0,
        "peakRssBytes": 170,
        "rssGrowthBytes": 50,
        "garbageCollections": 2,
        "longestCollectionMs": 0.5,
        "collectingMs": 1.0,
        "runDelayMs": 200.0,
        "loopStalls": 3,
        "longestStallMs": 7.0,
        "stalledMs": 17.0,
        "throttledMs": 1.0,
    }


def test_facts_come_from_metrics_and_workers() -> None:
    """And what became of the messages that are missing."""
    measured = measurements(
        delay_parts={"scheduleLag": figures(1_000)},
        delivery=[Delivery("group-1", 60_000, 59_990, lost=4, trimmed=6)],
        totals=Totals(59_000, 500, 400, 0, unanswered=100),
    )
    facts = final_facts(measured, circumstances(), WORKERS)

    assert facts.workers == WORKERS
    assert (facts.lost, facts.trimmed) == ({"group-1": 4}, {"group-1": 6})
    assert (facts.schedule_lag_p99_ns, facts.publish_response_p99_ns) == (5_000, 475_000)
    assert (facts.due, facts.errors) == (60_000, 500)


def test_what_was_on_its_way_at_the_end_counts_as_achieved() -> None:
    """One median service time's worth, and never more than 100 ms: a backlog is no service time."""
    measured = measurements(
        1,
        families=measurements().families | {"publish": family(20_000_000)},
        publish_rate=[2000.0, 1980.0, 1940.0],
    )
    slow = measurements(1, families=measurements().families | {"publish": family(SECOND)}, publish_rate=[1500.0] * 3)

    for one, rate in ((measured, 5920 / 3 + 2000 * 0.02 / 3), (slow, 1500 + 2000 * 0.1 / 3)):
        facts = final_facts(one, circumstances(), ())
        assert facts.achieved["published"] == pytest.approx(rate)


def test_a_rate_weighs_a_short_last_interval_by_its_length() -> None:
    """As the table does."""
    measured = measurements(publish_rate=[100.0, 100.0, 160.0], length_ns=SECOND * 5 // 2)

    assert measured.rate("publishRate", None) == pytest.approx(112.0)


def test_an_interrupted_run_is_partial_whatever_else() -> None:
    """Its thresholds are told all the same."""
    ended = circumstances(ending=Ending(INTERRUPTED, "interrupted by SIGINT"))
    found = assessed(ended, "publish.p50 < 1ms")

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
    calm = [WorkerFacts("worker 0 (produce)", SECOND)]

    assert assess(measurements(families=many, length_ns=10 * SECOND), circumstances(), calm, ()).caveats == ()


def test_samples_that_are_few_or_do_not_fit_are_told() -> None:
    """Each kind with its number and with advice."""
    found = assessed(counters={"overRangeSamples": 2, "negativeSamples": 3})

    assert kinds(found) == ["fewSamples", "shortRun", "overRange", "clockBackwards", "stalls"]
    assert "60,000 samples of publish are too few for p99.99, which takes 100,000" in found.caveats[0].message
    assert found.caveats[2].message.startswith("2 latencies were above 24 h")
    assert found.caveats[3].message.startswith("3 latencies were below 0")
    assert "worker 0 (produce) was held up for 7 ms at once, above 2 ms" in found.caveats[4].message
    assert all("; " in caveat.message for caveat in found.caveats)


@pytest.mark.parametrize(
    ("setup", "cores", "told"),
    [
        ({"server": {"engine": "valkey"}}, 2, True),
        ({"server": {"engine": "valkey"}}, 3, True),
        ({"server": {"engine": "valkey"}}, 4, False),
        ({"server": {"url": "redis://127.0.0.1:6379"}}, 2, True),
        ({"server": {"url": "redis://bench:***@localhost:6379/0"}}, 2, True),
        ({"server": {"url": "unix:///run/valkey.sock"}}, 2, True),
        ({"server": {"url": "redis://db.example.com"}}, 2, False),
        ({"driver": "memory"}, 2, False),
    ],
)
def test_a_server_that_shares_the_workers_cores_is_told(setup: dict[str, Any], cores: float, told: bool) -> None:
    """Where it runs on this machine, and there are fewer cores than processes."""
    assert ("colocated" in kinds(assessed(circumstances(setup=setup, cores=cores)))) == told


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
    found = assessed(circumstances(harness=HARNESS))

    assert found.at_harness_floor == ("publish.p50", "publish.p99.9", "endToEnd.p50", "endToEnd[group-1].p50")


def test_a_loopback_has_the_floor_of_one_process() -> None:
    """And without a calibration nothing is marked."""
    loopback = assessed(circumstances(harness=HARNESS, loopback=True))

    assert "publish.p50" not in loopback.at_harness_floor
    assert assessed(circumstances(harness={"time": "2026"})).at_harness_floor == ()


# -- a backlog that is built -------------------------------------------------------------------------------------------


def drained(**changed: Any) -> Assessment:
    """A run of 45 intervals with a backlog, in the first five of which everything changes."""
    falling = [2000.0 - 300 * number for number in range(5)] + [2000.0] * 40
    return assessed(
        length_ns=45 * SECOND,
        publish_rate=falling,
        backlog=[10_000, 8_000, 6_000, 4_000, 2_000] + [0] * 40,
        delivery=[Delivery(f"group-{number}", 60_000, 60_000) for number in (1, 2, 3)],
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
