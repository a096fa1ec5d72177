"""A stored result becomes the request of the same run; what is missing for that is told with the way out."""

import json
from pathlib import Path
from typing import Any

import pytest
from sample_result import result as sample

from ombdriver.bench.results.result import Result
from ombdriver.bench.run.request import Request
from ombdriver.bench.run.rerun import drift_of_host, drift_of_run, request_of
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.errors import InputError

WORKLOAD = """
name: "odd: [name] \\U0001F600"
topics: 1
partitionsPerTopic: 2
messageSize: 100
useRandomizedPayloads: true
randomBytesRatio: 0.00001
randomizedPayloadPoolSize: 10
subscriptionsPerTopic: 2
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 500
warmupDuration: 0s
testDuration: 1500ms
seed: -7
"""
WITH_FILE = "topics: 1\npartitionsPerTopic: 1\npayloadFile: body.bin\nsubscriptionsPerTopic: 1\nproducerRate: 5\n"
WITH_FILE += "consumerPerSubscription: 1\nproducersPerTopic: 1\ntestDuration: 1s\n"
MEMORY = Setup.load("memory")


def stored(folder: Path, workload: Workload, on: Setup = MEMORY, **changed: Any) -> Path:
    """The result of a run of `workload` on a setup, in a file."""
    data = sample(
        workload_spec=workload.spec(),
        workload_sha256=workload.sha256,
        setup=on.spec(),
        tags={"host": "lab", "kept": "yes"},
        environment={"workers": [{"role": "both"}], "versions": {"python": "CPython 2.7"}},
    ).to_json()
    path = folder / "r.json"
    path.write_text(json.dumps(data | changed))
    return path


def asked(path: Path, **options: Any) -> Request:
    """The request of a rerun."""
    return request_of(path, **({"url": None, "workers": None, "output": Path("out"), "tags": {}} | options))[1]


def test_workload_and_setup_are_those_of_the_run(tmp_path: Path) -> None:
    """To the hash, whatever stands in the name, and with as many processes as there were."""
    workload = Workload.parse(WORKLOAD, "w.yaml")

    request = asked(stored(tmp_path, workload))

    assert request.workload.spec() == workload.spec()
    assert request.workload.sha256 == workload.sha256
    assert request.setup == MEMORY
    assert (request.workers, request.output, request.tags) == (1, Path("out"), {"host": "lab", "kept": "yes"})


def test_tags_are_added_to_those_of_the_run(tmp_path: Path) -> None:
    """A new value wins."""
    request = asked(stored(tmp_path, Workload.parse(WORKLOAD, "w.yaml")), tags={"host": "home", "x": "y"})

    assert request.tags == {"host": "home", "kept": "yes", "x": "y"}


def test_a_payload_file_has_to_be_there_and_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its content is not in the result, but its hash is."""
    body = tmp_path / "body.bin"
    body.write_bytes(b"x" * 64)
    path = stored(tmp_path, Workload.parse(WITH_FILE, "w.yaml", tmp_path))
    monkeypatch.chdir("/")
    assert asked(path).workload.payload.content == b"x" * 64

    body.write_bytes(b"y" * 64)
    with pytest.raises(InputError, match=r"payload file 'body\.bin' has changed since the run; put back the one"):
        asked(path)
    body.write_bytes(b"x" * 65)
    with pytest.raises(InputError, match=r"holds 65 bytes, but messageSize is 64"):
        asked(path)
    body.unlink()
    with pytest.raises(InputError, match=r"'body\.bin', which is not here; start from the folder that the run was"):
        asked(path)


def test_a_password_has_to_be_given_again(tmp_path: Path) -> None:
    """Results keep none; name and streams of the setup stay when its URL is given whole."""
    lab = Setup.parse("{name: lab, driver: redis-streams, server: {url: redis://h}, streams: {retention: 5000}}", "s")
    lab = lab.model_copy(update={"server": Setup.load("embedded").with_url("redis://ann:sesame@h:1/0").server})
    path = stored(tmp_path, Workload.parse(WORKLOAD, "w.yaml"), lab, environment={})

    with pytest.raises(InputError) as raised:
        asked(path)
    assert str(raised.value).endswith(
        "it ran on redis://ann:***@h:1/0, and passwords are not kept in results; give the whole URL with --url"
    )
    assert asked(path, url="redis://ann:sesame@h:1/0").setup == lab
    with pytest.raises(InputError, match=r"--url: 'h:1' does not begin with"):
        asked(path, url="h:1")


def test_users_of_servers_that_were_started_are_not_kept(tmp_path: Path) -> None:
    """Their rules hold passwords; a server would not start with what stands in their place."""
    text = "{name: x, driver: redis-streams, server: {engine: valkey, config: {user: 'default on >pw', save: ''}}}"
    path = stored(tmp_path, Workload.parse(WORKLOAD, "w.yaml"), Setup.parse(text, "x"), environment={})

    with pytest.raises(InputError, match=r"started with user, which may hold a password, .*; run it anew with"):
        asked(path)
    assert asked(path, url="redis://h").setup.name == "url"


def test_another_server_can_take_the_place_of_the_setups(tmp_path: Path) -> None:
    """As with run; a run without a server has none to replace."""
    workload = Workload.parse(WORKLOAD, "w.yaml")

    on_private = stored(tmp_path, workload, Setup.load("embedded"), environment={})
    assert asked(on_private, url="redis://h").setup == Setup.load("embedded").with_url("redis://h")
    with pytest.raises(InputError, match=r"--url: .* is of a run without a server; leave --url out"):
        asked(stored(tmp_path, workload), url="redis://h")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"workloadSpec": {**Workload.parse(WORKLOAD, "w.yaml").spec(), "producerRate": 9}}, "so it was edited; put"),
        ({"workloadSpec": {**Workload.parse(WORKLOAD, "w.yaml").spec(), "topics": "x"}}, "workloadSpec: topics: "),
        ({"setup": {"name": "memory", "driver": "none-such"}}, "there is no driver 'none-such'"),
        ({"setup": {}}, "setup"),
        ({"workloadSpec": []}, "wrong type"),
        ({"setup": 3}, "wrong type"),
        ({"environment": []}, "wrong type"),
    ],
)
def test_an_edited_or_damaged_result_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """A rerun is of what was run, or it is none."""
    with pytest.raises(InputError, match=message):
        asked(stored(tmp_path, Workload.parse(WORKLOAD, "w.yaml"), **change))


def test_drift_is_told_of_this_machine_first_and_then_of_the_run(tmp_path: Path) -> None:
    """Server and setup are known only when the run has been built up."""
    before, _ = request_of(
        stored(tmp_path, Workload.parse(WORKLOAD, "w.yaml")), url=None, workers=None, output=tmp_path, tags={}
    )

    assert [each.key for each in drift_of_host(before)] == ["versions.python"]
    data = before.to_json()
    data["setup"] = data["setup"] | {"driver": "other"}
    data["environment"] = {"workers": [{}, {}], "versions": {"python": "CPython 2.7"}}
    after = Result._from_json(data)
    assert [str(each) for each in drift_of_run(before, after)] == [
        "setup.driver was memory, is other",
        "processes was 1, is 2",
    ]
