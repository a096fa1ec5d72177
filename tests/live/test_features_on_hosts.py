"""What docs/cluster.md says of each kind of run on several hosts: it works, or is refused in one line."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dask_processes import cluster
from processes import Place, sound

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'ombdriver[cluster]'")
pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 as loopback"),
]

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
HEADER = "| kind of run | on several hosts | |"
WORKLOAD = """
topics: 1
partitionsPerTopic: 1
messageSize: 1KiB
subscriptionsPerTopic: 2
consumerPerSubscription: 1
producersPerTopic: 2
warmupDuration: 0s
testDuration: 1s
"""
STEADY, RISING = "producerRate: 500\n", "rateProfile: [{duration: 1s, rate: 200}, {duration: 1s, rate: 400}]\n"
Results = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Works:
    """A kind of run that works: the end of its command, its load, how many results it has, and what is seen in them."""

    command: Sequence[str]
    load: str = STEADY
    results: int = 1
    seen: Callable[[Results], bool] = lambda _: True
    said: str = ""


@dataclass(frozen=True)
class Refused:
    """A kind of run that is refused: the end of its command, and what is said."""

    command: Sequence[str]
    said: str
    load: str = STEADY


def searched(results: Results) -> bool:
    """Whether several rates were tried, the highest one of which was measured."""
    return len(results[0]["search"]["probes"]) >= 2


def faulted(results: Results) -> bool:
    """Whether a fault was injected, and nothing was lost by it."""
    return bool(results[0]["faults"]) and {each["lost"] for each in results[0]["delivery"]} == {0}


KINDS: dict[str, Works | Refused] = {
    "rate search (`--rate max`)": Works(
        ("run", "w.yaml", "--rate", "max", "--set", "workload.probeRates=[200, 400]"), seen=searched
    ),
    "`curve`": Works(("curve", "w.yaml", "--rates", "200,400"), seen=searched),
    "backlog": Works(
        ("run", "w.yaml", "--set", "workload.consumerBacklogSizeGB=0.002"),
        seen=lambda results: results[0]["backlogDrain"]["caughtUp"],
    ),
    "rate profile": Works(("run", "w.yaml"), RISING, seen=lambda results: results[0]["totals"]["published"] == 600),
    "`--sweep`": Works(
        ("run", "w.yaml", "--sweep", "workload.messageSize=100,200"),
        results=2,
        seen=lambda results: sorted(each["workloadSpec"]["messageSize"] for each in results) == [100, 200],
    ),
    "several setups, and their comparison": Works(
        ("run", "w.yaml", "--setup", "embedded", "--setup", "ack-each"), results=2, said="ack-each"
    ),
    "`--repeats`, and `compare` of the results": Works(("run", "w.yaml", "--repeats", "2"), results=2),
    "`--resume`": Works(("run", "w.yaml", "--resume")),
    "faults that pause workers or kill single consumers": Works(
        ("run", "w.yaml", "--duration", "2s", "--set", "workload.faults=[{at: 500ms, pause: consumers, for: 200ms}]"),
        seen=faulted,
    ),
    "faults that kill worker processes": Refused(
        ("run", "w.yaml", "--set", "workload.faults=[{at: 500ms, kill: consumers, restartAfter: 200ms}]"), "fault 1"
    ),
    "faults that break servers": Refused(
        ("run", "w.yaml", "--set", "workload.faults=[{at: 500ms, kill: primary}]"),
        "a server of a run on several hosts is not broken by it",
    ),
    "`chaos`": Refused(("chaos", "w.yaml"), "--hosts: servers that a run starts are of this machine; leave it out"),
    "setup `memory`": Refused(("run", "w.yaml", "--setup", "memory"), "its driver lives in one process"),
}
OF_A_RESULT = "`rerun`"
"""The row of what is given a result in place of a workload."""


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file of a scheduler with workers on two hosts."""
    with cluster(tmp_path_factory.mktemp("dask"), ("127.0.0.2", "127.0.0.3")) as file:
        yield file


def rows() -> dict[str, str]:
    """What the page says of each kind of run."""
    lines = iter(PAGE.read_text().splitlines())
    for line in lines:
        if line == HEADER:
            break
    next(lines)
    table = {}
    for line in lines:
        if not line.startswith("|"):
            break
        kind, answer, _ = (cell.strip() for cell in line.strip("|").split(" | "))
        table[kind] = answer
    return table


def test_the_page_tells_of_each_kind_what_is_tried_here() -> None:
    """No row without a test, and no test without a row."""
    tried = {kind: "works" if isinstance(each, Works) else "refused" for kind, each in KINDS.items()}

    assert rows() == tried | {OF_A_RESULT: "refused"}


@pytest.mark.parametrize("kind", [kind for kind, each in KINDS.items() if isinstance(each, Works)])
def test_a_kind_of_run_works_on_several_hosts(place: Place, scheduler: Path, kind: str) -> None:
    """With the server that its setup starts on one of them; each run has agents and a server of its own."""
    works = KINDS[kind]
    assert isinstance(works, Works)
    load = WORKLOAD.replace("testDuration: 1s\n", "") if works.load is RISING else WORKLOAD
    place.write(load + works.load)
    there = ("--scheduler", str(scheduler), "--hosts", "2", "--server-host", "first")

    finished = place.run(*works.command, *there, "--plain")

    assert sound(finished.returncode), finished.stderr
    results = place.results()
    assert len(results) == works.results
    assert works.seen(results), json.dumps(results[0])[:2000]
    assert works.said in finished.stdout
    for result in results:
        assert {each["host"] for each in result["environment"]["workers"]} == {"127.0.0.2", "127.0.0.3"}
        assert {each["lost"] for each in result["delivery"]} == {0}
    if "`compare`" in kind:
        before, after = (str(path) for path in sorted((place.folder / "results").iterdir()))
        compared = place.run("compare", before, after, "--label", "before", "--label", "after")
        told = compared.stdout + compared.stderr
        assert "before" in told or "VALID" in told, told  # unless a busy machine has left one of them out
        assert "workersOn" not in told


@pytest.mark.parametrize("kind", [kind for kind, each in KINDS.items() if isinstance(each, Refused)])
def test_a_kind_of_run_is_refused_on_several_hosts_in_one_line(place: Place, kind: str) -> None:
    """With the reason, before anything is connected: the scheduler is not there."""
    refused = KINDS[kind]
    assert isinstance(refused, Refused)
    place.write(WORKLOAD + refused.load)
    there = ("--scheduler", "tls://127.0.0.1:1", "--hosts", "2", "--server-host", "first")

    finished = place.run(*refused.command, *there)

    assert finished.returncode == 2
    line, *more = finished.stderr.splitlines()
    assert refused.said in line
    assert [each for each in more if not each.startswith("Try ")] == []


def test_a_run_on_several_hosts_is_not_repeated_by_its_result(place: Place, scheduler: Path) -> None:
    """The result has not where its hosts were found; what is to be done is said."""
    place.write(WORKLOAD + STEADY)
    finished = place.run("run", "w.yaml", "--scheduler", str(scheduler), "--hosts", "1", "--server-host", "first")
    assert sound(finished.returncode), finished.stderr
    (path,) = (place.folder / "results").iterdir()

    again = place.run("rerun", str(path))

    assert again.returncode == 2
    assert "its workers were on several hosts; run it anew with `ombdriver run --scheduler`" in again.stderr
    assert len(place.results()) == 1
