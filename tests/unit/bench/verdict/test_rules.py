"""The rules of the verdict: each from facts made by hand, and held against the table of docs/verdict.md."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_drain import drain

from ombdriver.bench.metrics.latency import LatencySummary
from ombdriver.bench.telemetry.hosts import HostUsage
from ombdriver.bench.telemetry.summary import CpuShare, TelemetrySummary
from ombdriver.bench.verdict.facts import Facts, WorkerFacts
from ombdriver.bench.verdict.model import (
    INTERRUPTED,
    MEANINGS,
    RUN_FAILED,
    STATUSES,
    THRESHOLD_FAILED,
    VALID,
    WORKER_DIED,
    Ending,
    Verdict,
)
from ombdriver.bench.verdict.rules import RULES, judge
from ombdriver.bench.verdict.trend import Trend

MS = 1_000_000
SECOND = 1_000_000_000
ENDINGS = (INTERRUPTED, WORKER_DIED, RUN_FAILED, THRESHOLD_FAILED)
SERIES = ("publishRate", "publishResponseLatency50pct", "endToEndResponseLatency99pct", "backlog")


def worker(**changed: Any) -> WorkerFacts:
    """One that has time to spare."""
    values: dict[str, Any] = {
        "index": 0,
        "role": "produce",
        "cpu_ns": 3 * SECOND,
        "run_delay_ns": SECOND,
        "throttled_ns": 0,
        "longest_collection_ns": MS,
        "stalls_ns": 0,
        "longest_stall_ns": 0,
    }
    return WorkerFacts(**(values | changed))


def late(**changed: int) -> LatencySummary:
    """A distribution with these percentiles, in ns."""
    return replace(LatencySummary.none(), count=10_000, **changed)


def consumer(**lateness: int) -> WorkerFacts:
    """One whose event loop was that late."""
    return worker(role="consume", lateness=late(**lateness))


def seen(
    waited: float | None = 0.01, ran: float | None = 0.3, steal: float | None = 0.0, pressure: float | None = 0.1
) -> TelemetrySummary:
    """What was sampled, as shares of the window: how long servers waited and ran, and what the machine lacked."""
    return TelemetrySummary(
        server_process_waiting=CpuShare(waited, waited),
        server_process_cpu=CpuShare(ran, ran),
        steal=CpuShare(steal, steal),
        pressure=CpuShare(pressure, pressure),
    )


STARVED = worker(cpu_ns=28 * SECOND, run_delay_ns=11 * SECOND)


def facts(**changed: Any) -> Facts:
    """Those of a sound run of 40 s at 2,000 messages a second with one group."""
    values: dict[str, Any] = {
        "window_ns": 40 * SECOND,
        "lost": {"group-1": 0},
        "trimmed": {"group-1": 0},
        "corrupt": {"group-1": 0},
        "duplicated": {"group-1": 0},
        "undelivered": {"group-1": 0},
        "schedule_lag_p99_ns": MS // 20,
        "publish_response_p99_ns": MS,
        "workers": [worker()],
        "target_rate": 2000.0,
        "achieved": {"published": 2000.0, "group-1": 1999.0},
        "due": 80_000,
        "errors": 0,
        "trends": {name: Trend(0.05, 0.3) for name in SERIES},
        "intervals": 40,
        "telemetry": seen(),
    }
    return Facts(**(values | changed))


def told(**changed: Any) -> list[tuple[str, str]]:
    """(rule, status) of each reason."""
    return [(reason.rule, reason.status) for reason in judge(facts(**changed)).reasons]


@pytest.mark.parametrize(
    "changed",
    [
        {"cpu_ns": 39 * SECOND},
        {"run_delay_ns": 4 * SECOND},
        {"throttled_ns": 4 * SECOND},
        {"collections_ns": 4 * SECOND, "longest_collection_ns": SECOND},
        {"stalls_ns": 4 * SECOND, "longest_stall_ns": SECOND},
    ],
)
def test_a_worker_that_starves_on_a_host_is_named_with_it(changed: dict[str, Any]) -> None:
    """In every reason that names it, so that one knows where to look."""
    there = judge(facts(workers=[worker(host="node-7", **changed)]))
    here = judge(facts(workers=[worker(**changed)]))

    assert there.status == "INVALID"
    assert all("worker 0 (produce) on host node-7 " in each.message for each in there.reasons)
    assert [each.message.replace(" on host node-7", "") for each in there.reasons] == [
        each.message for each in here.reasons
    ]


def test_a_sound_run_is_valid_without_a_reason() -> None:
    """And every rule could be applied."""
    assert judge(facts()) == Verdict(VALID)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"ending": Ending(INTERRUPTED, "interrupted by SIGINT after 3.0 s of the measurement")}, "interrupted"),
        ({"ending": Ending(WORKER_DIED, "worker 0 died")}, "workerDied"),
        ({"ending": Ending(RUN_FAILED, "the server died")}, "runFailed"),
        ({"ending": Ending(THRESHOLD_FAILED, "the threshold failed")}, "thresholdFailed"),
        ({"lost": {"group-1": 0, "group-2": 1}}, "lost"),
        ({"trimmed": {"group-1": 1}}, "trimmed"),
        ({"schedule_lag_p99_ns": 2 * MS + 1}, "scheduleLag"),
        ({"schedule_lag_p99_ns": 6 * MS, "publish_response_p99_ns": 11 * MS}, "scheduleLag"),
        ({"workers": [worker(cpu_ns=3 * SECOND, run_delay_ns=3 * SECOND + 1)]}, "runDelay"),
        (
            {"workers": [worker(cpu_ns=28 * SECOND, run_delay_ns=11 * SECOND)], "publish_delay_p99_ns": 3 * MS},
            "starved",
        ),
        ({"workers": [worker(role="consume", cpu_ns=28 * SECOND, run_delay_ns=11 * SECOND)]}, "starved"),
        ({"corrupt": {"group-1": 1}}, "corrupt"),
        ({"duplicated": {"group-1": 1}}, "duplicated"),
        ({"undelivered": {"group-1": 81}}, "undelivered"),
        ({"unanswered": 81}, "unanswered"),
        ({"telemetry": seen(waited=0.31, ran=0.3)}, "serverStarved"),
        ({"telemetry": seen(waited=2.0, ran=0.9)}, "serverStarved"),
        ({"telemetry": seen(steal=0.011), "publish_delay_p99_ns": 2 * MS + 1}, "steal"),
        (
            {
                "workers": [worker(host="beta")],
                "hosts": [HostUsage("alpha"), HostUsage("beta", steal=CpuShare(0.011))],
                "publish_delay_p99_ns": 2 * MS + 1,
            },
            "steal",
        ),
        ({"workers": [worker(throttled_ns=SECOND // 2)]}, "throttled"),
        ({"workers": [worker(), worker(cpu_ns=37 * SECOND)]}, "coreBusy"),
        ({"workers": [worker(longest_collection_ns=3 * MS, collections_ns=401 * MS)]}, "collections"),
        ({"workers": [worker(lateness=late(p95=MS, p99=3 * MS))]}, "stalls"),
        (
            {
                "workers": [worker(role="consume", lateness=late(p99=35 * MS))],
                "responses": {"endToEndResponse": late(p99=36 * MS)},
            },
            "stalls",
        ),
        (
            {
                "workers": [worker(role="consume", lateness=late(p95=3 * MS, p99=4 * MS))],
                "responses": {"endToEndResponse": late(p99=900 * MS)},
            },
            "stalls",
        ),
        ({"workers": [worker(stalls_ns=401 * MS, longest_stall_ns=3 * MS)]}, "stalls"),
        ({"rate_unknown": "this machine was the cause in 9 of 9 probes"}, "rateUnknown"),
        ({"negative": 81}, "clock"),
        ({"negative": 1, "most_negative_ns": 201_000, "clock_error_ns": 200_000}, "clock"),
        ({"achieved": {"published": 1979.0, "group-1": 1999.0}}, "achieved"),
        ({"achieved": {"published": 2000.0, "group-1": 1979.0}}, "achieved"),
        ({"achieved": {"published": 1000.0}, "debt_growth": {"published": 20.1}}, "achieved"),
        ({"achieved": {"published": 2000.0, "group-1": 1000.0}, "debt_growth": {"published": 0.0}}, "achieved"),
        ({"achieved": {"published": 1000.0}, "debt_growth": {"published": 0.0}, "unsent": 801}, "achieved"),
        ({"errors": 81}, "errors"),
        ({"trends": {"publishRate": Trend(-0.11, 1e-4)}}, "rateTrend"),
        ({"trends": {"endToEndResponseLatency99pct": Trend(0.11, 1e-4)}}, "latencyTrend"),
        ({"trends": {"backlog": Trend(0.11, 1e-4)}}, "backlogTrend"),
        ({"drains": {"group-1": drain(9000, 20 * SECOND, 9000, 8000, caught_up=False)}}, "backlogDrained"),
    ],
)
def test_each_rule_tells_its_own(changed: dict[str, Any], rule: str) -> None:
    """With a message that names the figure and ends with what to do."""
    (reason,) = judge(facts(**changed)).reasons

    assert reason.rule == rule
    assert reason.status == next(each.status for each in RULES if each.name == rule)
    assert re.search(r"; \w", reason.message)


@pytest.mark.parametrize(
    "changed",
    [
        {"negative": 80},
        {"negative": 8_000, "most_negative_ns": 200_000, "clock_error_ns": 200_000},
        {"negative": 1, "most_negative_ns": 201_000},  # on one machine: two processors' clocks
        {"schedule_lag_p99_ns": 2 * MS},
        {"schedule_lag_p99_ns": 5 * MS, "publish_response_p99_ns": 11 * MS},
        {
            "workers": [worker(cpu_ns=SECOND, run_delay_ns=3 * SECOND // 2)]
        },  # it hardly runs, and waits for less than 5 %
        {"workers": [worker(cpu_ns=14 * SECOND, run_delay_ns=10 * SECOND)]},  # 24 % of the window, by short waits
        {"workers": [worker(longest_collection_ns=100 * MS, collections_ns=300 * MS)]},
        {"workers": [worker(lateness=late(p95=MS, p99=2 * MS))]},
        {"workers": [worker(lateness=late(p99=10 * MS))], "responses": {"publishResponse": late(p99=20 * MS)}},
        {"workers": [worker(stalls_ns=300 * MS, longest_stall_ns=100 * MS)]},
        {"workers": [worker(cpu_ns=36 * SECOND)]},
        {"workers": [worker(throttled_ns=400 * MS)]},
        {"telemetry": seen(waited=0.3, ran=0.3)},
        {"telemetry": seen(waited=0.05, ran=0.01)},  # an idle server, whose wake-ups wait
        {"telemetry": seen(steal=0.9)},  # and nothing was late
        {"telemetry": seen(steal=0.01), "publish_delay_p99_ns": 3 * MS},
        {
            "telemetry": seen(steal=0.9),  # of a machine without workers
            "workers": [worker(host="beta")],
            "hosts": [HostUsage("beta", steal=CpuShare(0.01))],
            "publish_delay_p99_ns": 3 * MS,
        },
        {"workers": [STARVED]},  # it had no time to spare, and was in time
        {"workers": [worker(cpu_ns=28 * SECOND, run_delay_ns=10 * SECOND)], "publish_delay_p99_ns": 3 * MS},
        {"achieved": {"published": 1980.0}},
        {"achieved": {"published": 1000.0}, "debt_growth": {"published": 20.0}, "unsent": 800},
        {
            "achieved": {"published": 1000.0, "group-1": 1000.0},
            "debt_growth": {"published": -3.0, "group-1": 0.0},
        },
        {"undelivered": {"group-1": 80}},
        {"unanswered": 80},
        {"duplicated": {"group-1": 9}, "reconnects": 1},
        {"duplicated": {"group-1": 9}, "errors": 1},
        {"duplicated": {"group-1": 9}, "servers_ended": ["node-1"]},
        {"errors": 80},
        {"trends": {"publishRate": Trend(0.1, 1e-9)}},
        {"trends": {"publishRate": Trend(0.5, 0.02)}},
    ],
)
def test_what_is_at_the_threshold_is_valid(changed: dict[str, Any]) -> None:
    """Above it begins what a rule tells."""
    assert judge(facts(**changed)).status == VALID


def test_a_worker_that_spins_takes_a_core_and_is_judged_by_what_it_did_not_get() -> None:
    """It runs all the time whatever there is to do; waiting for its core while messages are late is its fault all the
    same.
    """
    late, full = {"publish_delay_p99_ns": 3 * MS}, {"spins": True, "cpu_ns": 39 * SECOND}

    assert told(workers=[worker(**full, run_delay_ns=SECOND)], **late) == []
    assert told(workers=[worker(**full, run_delay_ns=2 * SECOND + 1)]) == []
    assert told(workers=[worker(**full, run_delay_ns=2 * SECOND + 1)], **late) == [("starved", "INVALID")]


def test_a_stall_of_the_server_is_not_the_generators() -> None:
    """A second's pause: the response's p99 is large, and what was blocked was not looked at late."""
    assert told(publish_response_p99_ns=SECOND, schedule_lag_p99_ns=10 * MS) == []


def test_lost_and_trimmed_are_told_apart() -> None:
    """Each with its count and its group."""
    reasons = judge(facts(lost={"group-1": 3}, trimmed={"group-1": 1200})).reasons

    assert [reason.rule for reason in reasons] == ["lost", "trimmed"]
    assert reasons[0].message.startswith("group-1: 3 acknowledged messages are lost")
    assert reasons[1].message.startswith("group-1: 1,200 acknowledged messages were trimmed")


def test_all_reasons_are_told_and_the_gravest_decides() -> None:
    """In the order of their gravity."""
    verdict = judge(
        facts(
            errors=80_000,
            lost={"group-1": 1},
            corrupt={"group-1": 1},
            schedule_lag_p99_ns=9 * MS,
            trends={"publishRate": Trend(-1.0, 0.0)},
            ending=Ending(INTERRUPTED, "interrupted"),
        )
    )

    assert verdict.status == "PARTIAL"
    assert [reason.status for reason in verdict.reasons] == list(STATUSES[:-1])


def test_what_was_not_measured_is_not_judged() -> None:
    """Each rule that can't be applied says why; the others are."""
    silent = worker(cpu_ns=0, run_delay_ns=0)
    verdict = judge(Facts(window_ns=SECOND, intervals=1, workers=[silent]))

    unjudged = {each.rule: each.message for each in verdict.not_judged}
    assert verdict.status == VALID
    assert unjudged.keys() == {
        *("lost", "trimmed", "corrupt", "duplicated"),
        *("scheduleLag", "runDelay", "starved", "serverStarved", "steal", "achieved", "errors"),
        *("rateTrend", "latencyTrend", "backlogTrend"),
    }
    assert "30 intervals" in unjudged["rateTrend"]
    assert all(unjudged.values())


@given(
    st.builds(
        Facts,
        window_ns=st.integers(1, 10**13),
        ending=st.none() | st.builds(Ending, st.sampled_from(ENDINGS), st.text()),
        lost=st.none() | st.dictionaries(st.text(), st.integers(0, 10**9), max_size=2),
        trimmed=st.none() | st.dictionaries(st.text(), st.integers(0, 10**9), max_size=2),
        schedule_lag_p99_ns=st.none() | st.integers(0, 10**13),
        publish_response_p99_ns=st.none() | st.integers(0, 10**13),
        workers=st.lists(
            st.builds(
                WorkerFacts,
                index=st.integers(0, 9),
                role=st.sampled_from(["produce", "consume", "both"]),
                cpu_ns=st.integers(0, 10**13),
                run_delay_ns=st.integers(0, 10**13),
                throttled_ns=st.none() | st.integers(0, 10**13),
                longest_collection_ns=st.integers(0, 10**13),
                collections_ns=st.integers(0, 10**13),
                stalls_ns=st.integers(0, 10**13),
                longest_stall_ns=st.integers(0, 10**13),
            ),
            max_size=2,
        ),
        target_rate=st.floats(0, 1e7),
        achieved=st.dictionaries(st.text(), st.floats(0, 1e8), max_size=2),
        due=st.integers(0, 10**9),
        errors=st.integers(0, 10**9),
        telemetry=st.none() | st.builds(seen, *[st.none() | st.floats(0, 64)] * 4),
        trends=st.dictionaries(st.sampled_from(SERIES), st.builds(Trend, st.floats(-9, 9), st.floats(0, 1))),
        intervals=st.integers(0, 2048),
    )
)
def test_the_status_is_that_of_the_gravest_reason(any_facts: Facts) -> None:
    """Whatever the facts; and a rule either judges or says why not."""
    verdict = judge(any_facts)

    order = [STATUSES.index(reason.status) for reason in verdict.reasons]
    assert order == sorted(order)
    assert verdict.status == (verdict.reasons[0].status if verdict.reasons else VALID)
    assert not {reason.rule for reason in verdict.reasons} & {each.rule for each in verdict.not_judged}


def test_the_documents_table_is_the_codes(golden_table: Callable[[str, str, Sequence[str]], None]) -> None:
    """The tables of docs/verdict.md are made from the rules: GOLDEN=write writes them anew."""
    statuses = [f"| `{status}` | {meaning} |" for status, meaning in MEANINGS.items()]
    rules = [f"| `{rule.name}` | {rule.status} | {rule.when} |" for rule in RULES]

    golden_table("verdict.md", "| verdict | what it says |", statuses)
    golden_table("verdict.md", "| rule | status | when |", rules)
    assert [rule.status for rule in RULES] == sorted((rule.status for rule in RULES), key=STATUSES.index)


@pytest.mark.parametrize(("seconds", "blamed"), [(2, False), (40, True)])
def test_a_run_cut_short_soon_does_not_blame_the_system_for_what_it_had_no_time_for(seconds: int, blamed: bool) -> None:
    """A server that stands still for a moment has not been too slow yet."""
    verdict = judge(
        facts(
            window_ns=seconds * SECOND,
            workers=[worker(cpu_ns=SECOND, run_delay_ns=0)],
            ending=Ending(INTERRUPTED, "interrupted"),
            achieved={"published": 1000.0},
        )
    )

    assert verdict.status == "PARTIAL"
    assert ("achieved" in [each.rule for each in verdict.reasons]) is blamed
    assert ("achieved" in [each.rule for each in verdict.not_judged]) is not blamed


def test_refused_messages_are_no_reason_to_lower_the_rate() -> None:
    """Where errors are most of what is missing, they are told; where they are few, the system was too slow."""
    low = {"achieved": {"published": 1000.0}, "debt_growth": {"published": 900.0}, "window_ns": 40 * 10**9}

    refused = judge(facts(**low, errors=39_000)).reasons
    slow = judge(facts(**low, errors=500)).reasons

    assert [reason.rule for reason in refused] == ["achieved", "errors"]
    assert "39,000 messages met an error; the caveats tell which" in refused[0].message
    assert not any("lower the rate" in reason.message for reason in refused)
    assert "lower the rate" in slow[0].message
