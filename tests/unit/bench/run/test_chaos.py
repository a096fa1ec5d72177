"""The runs of `ombdriver chaos`: each standard fault on each setup that can have it, in turns."""

import re
from pathlib import Path

import pytest
from requested_runs import requested

from ombdriver.bench.faults.spec import read_faults
from ombdriver.bench.faults.standard import STANDARD, TAG, StandardFault
from ombdriver.bench.run.chaos import chaos_requests
from ombdriver.bench.units import MINUTE, SECOND
from ombdriver.errors import InputError

LOAD = """\
topics: 1
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 1
producersPerTopic: 1
consumerPerSubscription: 1
producerRate: 100
warmupDuration: 0s
testDuration: 40s
"""


def named(*names: str) -> list[StandardFault]:
    """The standard faults of these names."""
    return [each for each in STANDARD if each.name in names]


def test_each_fault_meets_each_setup_that_can_have_it(tmp_path: Path) -> None:
    """Fault by fault, the setups taking turns; what a setup can't have is told, and not run."""
    base = requested(tmp_path, LOAD, setups=["embedded", "valkey-sentinel"])

    runs, left_out = chaos_requests(base, named("kill", "failover", "cut"), 2)

    told = [(one.tags[TAG], one.setup.name, one.standing.block if one.standing else 0) for one in runs]
    assert told == [
        ("kill", "embedded", 1),
        ("kill", "valkey-sentinel", 1),
        ("kill", "valkey-sentinel", 2),
        ("kill", "embedded", 2),
        ("failover", "valkey-sentinel", 1),
        ("failover", "valkey-sentinel", 2),
        ("cut", "embedded", 1),
        ("cut", "valkey-sentinel", 1),
        ("cut", "valkey-sentinel", 2),
        ("cut", "embedded", 2),
    ]
    assert [(each.fault, each.setup) for each in left_out] == [("failover", "embedded")]
    assert all(each.why and ";" in each.why for each in left_out)
    assert {one.workload.name for one in runs} == {"w-kill", "w-failover", "w-cut"}
    assert len({one.standing.series for one in runs if one.standing}) == 1
    assert [one.standing.run for one in runs if one.standing] == [*range(1, 11)]


@pytest.mark.parametrize("fault", STANDARD, ids=lambda each: each.name)
@pytest.mark.parametrize("test_ns", [MINUTE, 40 * SECOND, None])
def test_a_fault_is_over_in_time_to_see_what_came_of_it(fault: StandardFault, test_ns: int | None) -> None:
    """Whatever the length of the window, down to the shortest that is taken."""
    length_ns = fault.least_ns if test_ns is None else test_ns

    (spec,), problems = read_faults([dict(fault.entry_in(length_ns))], length_ns)

    assert problems == []
    assert spec.at_ns + fault.lasts_ns + 3 * SECOND <= length_ns
    assert spec.at_ns >= SECOND


def test_a_window_that_is_too_short_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """For each fault that has no room in it."""
    base = requested(tmp_path, LOAD.replace("40s", "5s"), setups=["embedded"])

    with pytest.raises(InputError) as caught:
        chaos_requests(base, STANDARD, 1)

    assert any(
        "w: kill needs 15s of measured time; write --duration 15s or more" in each for each in caught.value.messages
    )
    assert not any("restart needs" in each for each in caught.value.messages)


def test_setups_that_can_have_none_of_the_faults_are_refused(tmp_path: Path) -> None:
    """With the reasons."""
    base = requested(tmp_path, LOAD, setups=["embedded", "memory"])

    with pytest.raises(InputError) as caught:
        chaos_requests(base, named("failover"), 1)

    assert caught.value.messages[0] == "no setup can have any of these faults"
    assert [each.partition(":")[0] for each in caught.value.messages[1:]] == [
        "failover on embedded",
        "failover on memory",
    ]


def test_faults_that_a_workload_has_already_give_way(tmp_path: Path) -> None:
    """So do its expectations, which are of those."""
    text = LOAD + "faults: [{at: 1s, kill: primary}]\nexpect: [outage < 5s]\n"

    (run,), _ = chaos_requests(requested(tmp_path, text, setups=["embedded"]), named("hang"), 1)

    assert [str(each) for each in run.workload.fault_specs] == ["pause: primary"]
    assert not run.workload.expect


@pytest.mark.parametrize(
    ("more", "repeats", "told"),
    [
        ("", 0, "--repeats: 0 is out of range; write 1 to "),
        ("", 10**9, "--repeats: 1000000000 is out of range; write 1 to "),
        ("sweep: {workload.messageSize: [100, 200]}", 1, "workload.messageSize, and the faults are what changes here;"),
    ],
)
def test_what_else_would_change_and_how_often_is_refused(tmp_path: Path, more: str, repeats: int, told: str) -> None:
    """Before a run begins: nothing is run under the name of a value that it does not have."""
    base = requested(tmp_path, LOAD + more, setups=["embedded"])

    with pytest.raises(InputError, match=re.escape(told)):
        chaos_requests(base, named("restart"), repeats)
