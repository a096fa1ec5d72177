"""Names and options become the requests of a command, in their order; all faults of all of them in one error."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ombdriver.bench.run.request import Request, build_requests
from ombdriver.bench.spec.overrides import option_assignments
from ombdriver.errors import InputError

WORKLOAD = """
topics: 1
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 500
testDuration: 1s
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two workloads and two setups."""
    monkeypatch.chdir(tmp_path)
    for name in ("v", "w"):
        (tmp_path / f"{name}.yaml").write_text(WORKLOAD)
    (tmp_path / "a.yaml").write_text("name: a\ndriver: redis-streams\nserver: {url: 'redis://h'}\n")
    (tmp_path / "again.yaml").write_text("name: a\ndriver: memory\n")
    return tmp_path


def requested(**changed: Any) -> list[Request]:
    """What is made of one workload, the memory setup, and these changes."""
    options: dict[str, Any] = dict.fromkeys(("url", "workers"))
    options |= {"workloads": ["w.yaml"], "setups": ["memory"], "output": Path("out"), "tags": {}}
    return build_requests(**(options | changed))


def faults(**changed: Any) -> Sequence[str]:
    """What is told of it."""
    with pytest.raises(InputError) as caught:
        requested(**changed)
    return caught.value.messages


def test_every_workload_meets_every_setup_in_turns() -> None:
    """Of one series, each with where it stands."""
    requests = requested(workloads=["w.yaml", "v.yaml"], setups=["memory", "embedded"], repeats=2)

    told = [(one.workload.name, one.setup.name, one.standing) for one in requests]
    assert [f"{workload} {setup}" for workload, setup, _ in told] == [
        *("w memory", "w embedded", "w embedded", "w memory"),
        *("v memory", "v embedded", "v embedded", "v memory"),
    ]
    standings = [one.standing for one in requests if one.standing]
    assert [(one.run, one.block, one.position) for one in standings[:4]] == [(1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 2, 2)]
    assert {(one.runs, one.repeats) for one in standings} == {(8, 2)}
    assert len({one.series for one in standings}) == 1


def test_a_single_run_is_a_series_of_one() -> None:
    """So that who reads results needs no special case; and commands are told apart."""
    first, second = (requested()[0].standing for _ in range(2))

    assert first is not None
    assert second is not None
    assert (first.run, first.runs, first.block, first.position, first.repeats) == (1, 1, 1, 1, 1)
    assert first.series != second.series


def test_values_are_set_in_all_workloads_and_all_setups() -> None:
    """And told in the request, without passwords."""
    texts = ["workload.messageSize=4KiB", "setup.streams.retention=none", "setup.description='redis://u:s3cret@h'"]
    requests = requested(workloads=["w.yaml", "v.yaml"], setups=["memory", "embedded"], assignments=texts)

    assert {one.workload.message_size for one in requests} == {4096}
    assert {one.setup.streams.retention for one in requests} == {"none"}
    assert [one.setup.name for one in requests] == ["memory", "embedded"] * 2
    assert list(requests[0].overrides) == [*texts[:2], "setup.description='redis://u:***@h'"]


def test_options_come_after_what_is_set() -> None:
    """--rate has the last word."""
    given = ["workload.producerRate=9", "workload.warmupDuration=3s"]
    (request,) = requested(options=option_assignments(rate=7), assignments=given)

    assert (request.workload.producer_rate, request.workload.warmup_ns) == (7, 3 * 10**9)


def test_what_is_for_a_search_may_be_set_where_an_option_asks_for_one() -> None:
    """Though the file itself has a rate."""
    given = ["workload.probeDuration=2s", "workload.slo=publish.p99 < 5ms"]
    (request,) = requested(options=option_assignments(rate="max", steps=3), assignments=given)

    assert request.workload.spec()["probeDuration"] == "2s"
    assert request.workload.slo == "publish.p99 < 5ms"
    assert request.overrides == given
    assert faults(options=option_assignments(rate=5), assignments=given)[0].startswith(
        "--set workload.probeDuration: has no effect on a given"
    )


def test_the_time_that_a_run_may_take_has_its_backlog_in_it() -> None:
    """Of plain reads every consumer is a subscription, with a share of the backlog before it."""
    given = ["workload.consumerBacklogSizeGB=0.001", "workload.consumerPerSubscription=2", "workload.warmupDuration=0s"]
    (by_group,) = requested(setups=["embedded"], assignments=given)
    (plain,) = requested(setups=["embedded"], assignments=[*given, "setup.streams.read=plain"])

    built_s = 0.001 * 2**30 / by_group.workload.message_size / 500
    assert by_group.expected_s == pytest.approx(1 + built_s, rel=0.01)
    assert plain.expected_s == pytest.approx(1 + built_s / 2, rel=0.01)


def test_all_faults_are_told_at_once() -> None:
    """Of options and of files; each once, however many files it is of."""
    told = faults(
        workloads=["w.yaml", "v.yaml", "nosuch"],
        setups=["memory", "embeded"],
        repeats=0,
        assignments=["x", "workload.mesageSize=1", "workload.topics=0"],
    )

    assert told == (
        "--set: 'x' is not PATH=VALUE; write it as workload.messageSize=4KiB, or setup.streams.retention=none",
        "--repeats: 0 is out of range; write 1 to 1000",
        "--setup: there is no setup 'embeded'; did you mean embedded?",
        "there is no workload 'nosuch'; `ombdriver workloads` lists them",
    )
    told = faults(
        workloads=["w.yaml", "v.yaml"], assignments=["workload.mesageSize=1", "workload.topics=0"], repeats=1001
    )
    assert told == (
        "--repeats: 1001 is out of range; write 1 to 1000",
        "--set workload.mesageSize: unknown key; did you mean messageSize?",
        "--set workload.topics: 0 is too small; write 1 or more, or name topics that exist (existingTopicList)",
    )


def test_a_fault_that_not_all_have_says_whose_it_is() -> None:
    """What one setup takes, another may not."""
    (told,) = faults(setups=["memory", "embedded"], assignments=["setup.server.engine=valkey"])
    assert told.startswith("memory: --set setup.server.engine: server: the memory driver has no server;")

    (told,) = faults(setups=["memory", "embedded"], workers=2)
    assert told.startswith("w x memory: --workers: 2 is too many")


@pytest.mark.parametrize(
    ("setups", "fault"),
    [
        (["memory", "memory"], "--setup: memory is given twice; leave it out, --repeats 2 runs it twice"),
        (
            ["a.yaml", "again.yaml"],
            "--setup: again.yaml has the name 'a', as a.yaml has; give one of them another name",
        ),
    ],
)
def test_setups_that_are_called_alike_are_refused(setups: list[str], fault: str) -> None:
    """Their results could not be told apart."""
    assert faults(setups=setups) == (fault,)


def test_a_workload_may_be_given_twice() -> None:
    """Each time it has runs of its own."""
    requests = requested(workloads=["w.yaml", "w.yaml"], setups=["memory", "embedded"])

    assert [one.setup.name for one in requests] == ["memory", "embedded"] * 2
    assert [one.standing.run for one in requests if one.standing] == [1, 2, 3, 4]


def test_a_file_that_a_url_names_has_to_be_there(folder: Path) -> None:
    """It is looked for before anything is started, wherever the URL was given."""
    (folder / "ca.pem").touch()
    url = "rediss://h?ssl_ca_certs=ca.pem&ssl_keyfile=no/key.pem"
    (folder / "tls.yaml").write_text(f"name: t\ndriver: redis-streams\nserver: {{url: '{url}'}}\n")

    assert faults(setups=["embedded"], url=url) == ("--url: ssl_keyfile: there is no file no/key.pem; check the path",)
    assert faults(setups=["tls.yaml"]) == ("tls.yaml: ssl_keyfile: there is no file no/key.pem; check the path",)


def test_a_url_takes_the_place_of_one_server() -> None:
    """With several setups it is not known whose; and what is set of a server has no effect beside it."""
    (told,) = faults(setups=["embedded", "a.yaml"], url="redis://h")
    assert told.startswith("--url: takes the place of one setup's server, and there are 2 setups; leave it out")

    (told,) = faults(setups=["a.yaml"], url="redis://h", assignments=["setup.server.url=redis://g"])
    assert told == (
        "--set setup.server.url: has no effect, since --url takes the server's place; leave one of them out"
    )
    assert requested(setups=["a.yaml"], url="redis://h", assignments=["setup.streams.retention=none"])
