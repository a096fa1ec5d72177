"""What must be alike in runs that are compared, and how it is told when it is not."""

from dataclasses import replace
from typing import Any

import pytest
from compared_trials import FACTS, trials
from sample_result import result

from ombdriver.bench.results.compare.comparison import compare
from ombdriver.bench.results.compare.differences import differences
from ombdriver.bench.results.compare.trial import trial_of
from ombdriver.errors import NotComparable


def test_runs_that_differ_in_what_matters_are_refused_with_what_differs() -> None:
    """Each difference with its values, and who has them; `--force` keeps them."""
    runs = [
        *trials("a", 2, seed=1),
        *trials("b", 2, seed=2, facts={**FACTS, "workload.producerRate": 4000, "workloadSha256": "cd" * 32}),
    ]
    with pytest.raises(NotComparable) as caught:
        compare(runs)

    assert caught.value.messages == (
        "1kb-3groups: workload.producerRate is 2000 in 2 results (a-1.json ...), 4000 in 2 results (b-1.json ...);"
        " compare what is alike, or put up with it by --force",
    )
    (forced,) = compare(runs, force=True)
    assert [each.key for each in forced.differences] == ["workload.producerRate"]


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"workloadSha256": "cd" * 32}, ["workloadSha256 is abababababab... in a-1.json, cdcdcdcdcdcd... in b-1.json"]),
        ({"kernel": "Linux 6.2"}, ["kernel is Linux 6.1 in a-1.json, Linux 6.2 in b-1.json"]),
        ({"versions.ombdriver": "2"}, ["versions.ombdriver is 1.0 in a-1.json, 2 in b-1.json"]),
        ({"cpu.cores": 2}, []),
        ({"workload.payloadFile": "other.data"}, []),  # of the same content, says the hash
    ],
)
def test_workload_machine_and_versions_must_be_alike(facts: dict[str, Any], told: list[str]) -> None:
    """What only one of them tells is no difference."""
    runs = [*trials("a", 1, seed=1), *trials("b", 1, seed=2, facts={**FACTS, **facts})]

    assert [str(each) for each in differences(runs)] == told


def test_a_setup_must_be_one_setup() -> None:
    """Two setups differ, that is what they are for; but runs of one setup have one text, server and process count."""
    facts: list[dict[str, Any]] = [
        {"setup.streams.retention": "none", "server.version": "9.1", "workers": 2},
        {"server.version": "9.2", "workers": 3},
    ]
    apart = [trials(name, 1, seed=1, setup_facts=each)[0] for name, each in zip("ab", facts, strict=True)]
    same = [replace(each, setup="a") for each in apart]

    assert differences(apart) == []
    assert [str(each) for each in differences(same)] == [
        "within a, setup.streams.retention is none in a-1.json, not set in b-1.json",
        "within a, server.version is 9.1 in a-1.json, 9.2 in b-1.json",
        "within a, workers is 2 in a-1.json, 3 in b-1.json",
    ]


def test_what_is_of_the_moment_or_of_the_judge_does_not_keep_runs_apart() -> None:
    """Loads, command lines, thresholds and used memory differ from run to run."""
    environment: dict[str, Any] = {"versions": {"ombdriver": "1"}, "loadAverage": [0.1], "commandLine": ["a"]}
    first = result(environment=environment | {"server": {"version": "9", "usedMemoryBytes": 1}})
    second = result(
        environment=environment | {"loadAverage": [3.0], "server": {"version": "9", "usedMemoryBytes": 2}},
    )

    assert differences([trial_of(first, "1.json"), trial_of(second, "2.json")]) == []


HOSTS = [{"name": name, "cores": cores, "kernel": "Linux 6.1"} for name, cores in (("a", 4), ("b", 8), ("c", 4))]
MIXED = {"layout": {"hosts": 3, "workersPerHost": 2, "placement": "mixed"}, "hosts": HOSTS}


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({}, ["workersOn is 3 hosts (mixed, 2 workers each) in 1.json, this machine in 2.json"]),
        (
            {**MIXED, "layout": {**MIXED["layout"], "placement": "split"}},  # type: ignore[dict-item]
            ["workersOn is 3 hosts (mixed, 2 workers each) in 1.json, 3 hosts (split, 2 workers each) in 2.json"],
        ),
        ({**MIXED, "hosts": HOSTS[::2]}, ["hosts.cores is 4, 8 in 1.json, 4 in 2.json"]),
        ({**MIXED, "hosts": HOSTS[::-1]}, []),
        (MIXED, []),
    ],
)
def test_workers_must_be_on_alike_hosts(other: dict[str, Any], told: list[str]) -> None:
    """As many, of the same kind, with the same placement; which of them is which does not matter."""
    runs = [trial_of(result(environment=each), name) for each, name in ((MIXED, "1.json"), (other, "2.json"))]

    assert [str(each) for each in differences(runs)] == told
