"""What the verdict makes of faults: it does not blame a run for what was ordered, and tells what was not done."""

from dataclasses import replace

import pytest
from sample_result import measurements

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.metrics.latency import LatencySummary
from ombdriver.bench.metrics.summary import FaultDelivery, FaultMetrics, FaultTotals
from ombdriver.bench.verdict.caveats import caveats_of
from ombdriver.bench.verdict.facts import Facts, WorkerFacts
from ombdriver.bench.verdict.rules import judge

SECOND = 10**9
FAULT = FaultMetrics(
    1,
    "kill",
    "kill: primary",
    ("primary-1",),
    SECOND,
    SECOND,
    outage_ns=2 * SECOND,
    recover_ns=3 * SECOND,
    had_effect=True,
    groups=(FaultDelivery("group-1", acknowledged=500, lost=7, undelivered=40, catch_up_ns=4 * SECOND),),
)
FACTS = Facts(window_ns=30 * SECOND, due=1000, lost={"group-1": 7}, undelivered={"group-1": 40}, faults=(FAULT,))


def rules(facts: Facts) -> set[str]:
    """The rules that have something to say."""
    return {reason.rule for reason in judge(facts).reasons}


def test_what_a_fault_lost_is_told_and_is_no_loss_of_the_run() -> None:
    """The run is VALID, and a caveat has the figures and what an acknowledgement means."""
    facts = replace(FACTS, durability="in the memory of a server")

    assert judge(facts).status == "VALID"
    (told,) = [each.message for each in caveats_of(facts) if each.kind == "faultLoss"]
    assert "group-1 lost 7 of 500 acknowledged messages" in told
    assert told.endswith("in the memory of a server")


def test_what_was_promised_not_to_be_lost_is_a_loss() -> None:
    """By the setup: an acknowledgement there says that it survives such a fault."""
    assert rules(replace(FACTS, faults=(replace(FAULT, promises_no_loss=True),))) >= {"lost"}


def test_what_is_lost_beside_the_faults_is_a_loss() -> None:
    """And only that is counted."""
    (reason,) = [each for each in judge(replace(FACTS, lost={"group-1": 9})).reasons if each.rule == "lost"]

    assert reason.message.startswith("group-1: 2 acknowledged messages")
    assert rules(replace(FACTS, undelivered={"group-1": 90})) == {"undelivered"}


def test_without_faults_the_same_is_a_loss() -> None:
    """As ever."""
    assert rules(replace(FACTS, faults=())) == {"lost", "undelivered"}


def test_a_fault_that_was_not_carried_out_makes_the_run_partial() -> None:
    """The message says which and why."""
    verdict = judge(replace(FACTS, faults=(replace(FAULT, error="no replica"),)))

    assert verdict.status == "PARTIAL"
    assert "fault 1 (kill: primary) at 1 s was not carried out as asked: no replica" in verdict.reasons[0].message


def test_a_worker_that_a_fault_stopped_is_not_judged_by_its_stalls() -> None:
    """Others are."""
    stalled = WorkerFacts(0, "consume", longest_stall_ns=SECOND, stalls_ns=5 * SECOND)
    paused = replace(FAULT, kind="pause", hit=("worker 0 (consume)",))

    assert "stalls" in rules(replace(FACTS, workers=(stalled,)))
    assert "stalls" not in rules(replace(FACTS, workers=(stalled,), faults=(paused,)))
    assert "stalls" not in rules(replace(FACTS, workers=(replace(stalled, host="node-7"),), faults=(paused,)))


def test_trends_and_repetitions_are_not_held_against_a_run_with_faults() -> None:
    """They change what depends on them, and a message may rightly come twice."""
    judged = judge(replace(FACTS, duplicated={"group-1": 5}))

    assert {each.rule for each in judged.not_judged} >= {"rateTrend", "latencyTrend", "backlogTrend", "unanswered"}
    assert judged.status == "VALID"


@pytest.mark.parametrize(
    ("changed", "kind"),
    [({"had_effect": False}, "faultNoEffect"), ({"recover_ns": None}, "faultNotRecovered")],
)
def test_what_a_reader_has_to_know_of_a_fault(changed: dict[str, object], kind: str) -> None:
    """Nothing was seen of it, or it did not come to an end."""
    kinds = {each.kind for each in caveats_of(FACTS)}
    assert kind not in kinds
    assert kind in {each.kind for each in caveats_of(replace(FACTS, faults=(replace(FAULT, **changed),)))}  # type: ignore[arg-type]


def test_what_the_faults_of_disks_cost_all_through_the_run_is_told() -> None:
    """In microseconds an fsync, where it was measured."""
    told = {each.kind: each.message for each in caveats_of(replace(FACTS, fsync_gate_ns=70_400))}

    assert "takes 70 µs longer on this machine" in told["fsyncGate"]
    assert "fsyncGate" not in {each.kind for each in caveats_of(FACTS)}


def test_percentiles_in_caveats_are_told_to_be_those_of_the_calm_intervals() -> None:
    """The tables have others, of the whole window; and the fault itself has made the tail, which nobody has to find."""
    slow = LatencySummary(1000, *[9_000_000] * 10)
    late = WorkerFacts(0, "produce", lateness=slow)
    tails = {"publishResponse": [0] * 30 + [20] + [0] * 29}
    facts = replace(FACTS, workers=(late,), responses={"publishResponse": slow}, tails=tails)

    told = {each.kind: each.message for each in caveats_of(facts)}
    without = {each.kind: each.message for each in caveats_of(replace(facts, faults=()))}

    assert told["ownShare"].startswith("of publishResponse beside the faults more than a third")
    assert without["ownShare"].startswith("of publishResponse more than a third")
    assert ("tailOwner" in told, "tailOwner" in without) == (False, True)


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("outage", 2 * SECOND),
        ("recover", None),
        ("detect", 0),
        ("catchUp", 4 * SECOND),
        ("catchUp[group-1]", 4 * SECOND),
        ("deliveryOutage[group-1]", 0),
        ("faults.injected", 2),
        ("faults.withoutEffect", 0),
        ("faults.lost", 14),
    ],
)
def test_figures_of_faults_are_the_longest_and_the_sums(figure: str, value: float | None) -> None:
    """One that did not come to an end has none, so that its condition fails."""
    metrics = replace(measurements(), faults=(FAULT, replace(FAULT, recover_ns=None, outage_ns=SECOND)))

    assert Figure.parse(figure).value(metrics) == value
    assert Figure.parse(figure).value(measurements()) is None
    assert FaultTotals.of(()).injected == 0
