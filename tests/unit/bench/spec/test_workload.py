"""A workload file is read as OMB means it, and resolved into one spec."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.bench.spec.overrides import option_assignments
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.units import MINUTE, SECOND
from ombdriver.errors import InputError

OMB = Path(__file__).parent / "omb"
SMALL = """
topics: 1
partitionsPerTopic: 1
messageSize: 1KiB
subscriptionsPerTopic: 3
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 2000
testDuration: 10s
"""


def yaml_fields(text: str) -> dict[str, str]:
    """The fields of a flat file, as text."""
    return dict(line.split(": ", 1) for line in text.strip().splitlines())


def small(options: dict[str, Any] | None = None, **changes: object) -> Workload:
    """The small workload with some fields replaced, and with options of the command line."""
    fields = yaml_fields(SMALL)
    lines = (fields | {name: json.dumps(value, ensure_ascii=False) for name, value in changes.items()}).items()
    text = "\n".join(f"{name}: {value}" for name, value in lines)
    return Workload.parse(text, "small.yaml", given=option_assignments(**(options or {})))


@pytest.fixture
def omb_checkout(tmp_path: Path) -> Path:
    """A folder laid out like OMB's: workloads/ beside payload/."""
    shutil.copytree(OMB, tmp_path / "workloads")
    (tmp_path / "payload").mkdir()
    (tmp_path / "payload" / "payload-1Kb.data").write_bytes(b"k" * 1024)
    (tmp_path / "payload" / "payload-100b.data").write_bytes(b"b" * 100)
    return tmp_path


def test_an_omb_file_runs_unchanged(omb_checkout: Path) -> None:
    """OMB's fields keep OMB's meaning: whole minutes, one minute of warm-up by default, the payload file's bytes."""
    workload = Workload.load(omb_checkout / "workloads" / "1-topic-1-partition-1kb.yaml")

    assert workload.name == "1 topic / 1 partition / 1Kb"
    assert (workload.test_ns, workload.warmup_ns) == (15 * MINUTE, MINUTE)
    assert (workload.message_size, workload.payload.content) == (1024, b"k" * 1024)
    assert (workload.producer_rate, workload.key_distributor) == (50_000, "NO_KEY")


def test_an_omb_file_with_several_topics_runs_unchanged(omb_checkout: Path) -> None:
    """OMB's warm-up in minutes is taken when it is given."""
    workload = Workload.load(omb_checkout / "workloads" / "1m-10-topics-3-partitions-100b.yaml")

    assert (workload.topics, workload.partitions_per_topic, workload.warmup_ns) == (10, 3, 5 * MINUTE)
    assert workload.payload.content == b"b" * 100


def test_an_omb_file_with_randomized_payloads_runs_unchanged() -> None:
    """OMB's randomized payloads and key distributors are known."""
    workload = Workload.load(OMB / "randomized-keyed-4kb.yaml")

    assert (workload.payload.random_ratio, workload.payload.pool, workload.payload.keys) == (
        0.5,
        1000,
        "KEY_ROUND_ROBIN",
    )


def test_a_payload_file_is_looked_for_in_the_working_directory_first(
    omb_checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in OMB, a relative payload file belongs to the working directory; folders of the workload come after it."""
    (tmp_path / "here" / "payload").mkdir(parents=True)
    (tmp_path / "here" / "payload" / "payload-1Kb.data").write_bytes(b"h" * 1024)
    monkeypatch.chdir(tmp_path / "here")

    workload = Workload.load(omb_checkout / "workloads" / "1-topic-1-partition-1kb.yaml")

    assert workload.payload.content == b"h" * 1024


def test_the_payload_file_tells_the_size_when_the_workload_does_not(tmp_path: Path) -> None:
    """Without messageSize, a message is as long as its payload file."""
    (tmp_path / "p").write_bytes(b"x" * 77)
    text = SMALL.replace("messageSize: 1KiB", "payloadFile: p")

    assert Workload.parse(text, "w.yaml", tmp_path).message_size == 77


def test_a_randomized_payload_needs_no_file(tmp_path: Path) -> None:
    """As in OMB, the payload file is not looked at when payloads are randomized."""
    text = SMALL + "payloadFile: absent\nuseRandomizedPayloads: true\nrandomizedPayloadPoolSize: 3\n"

    assert Workload.parse(text, "w.yaml", tmp_path).payload.content is None


def test_thresholds_demand_something_of_a_load_and_make_no_other() -> None:
    """Those of the command line come after the file's; the hash is that of the load alone."""
    workload = small(thresholds=["publish.p99 < 5ms"])

    demanding = small({"thresholds": ["totals.unsent <= 0"], "abort_on_fail": True}, thresholds=["publish.p99 < 5ms"])

    assert demanding.thresholds == ["publish.p99 < 5ms", "totals.unsent <= 0"]
    assert (workload.abort_on_fail, demanding.abort_on_fail) == (False, True)
    assert demanding.sha256 == workload.sha256 == small().sha256


def test_a_threshold_of_the_command_line_is_told_by_its_option() -> None:
    """A group that this workload does not have."""
    with pytest.raises(InputError, match="--threshold: there is no group 'group-4'"):
        small({"thresholds": ["endToEnd[group-4].p99 < 5ms"]})
    with pytest.raises(InputError, match=r"small\.yaml:9 with --threshold: thresholds: there is no group 'group-4'"):
        small({"thresholds": ["endToEnd[group-4].p99 < 5ms"]}, thresholds=["publish.p99 < 5ms"])


def test_what_is_left_out_has_a_default() -> None:
    """Defaults are OMB's where OMB has the field; a workload without a name bears that of its file."""
    workload = small()

    assert workload.spec() == {
        "name": "small",
        "topics": 1,
        "partitionsPerTopic": 1,
        "keyDistributor": "NO_KEY",
        "messageSize": 1024,
        "useRandomizedPayloads": False,
        "randomBytesRatio": 0.0,
        "randomizedPayloadPoolSize": 0,
        "subscriptionsPerTopic": 3,
        "consumerPerSubscription": 1,
        "producersPerTopic": 1,
        "producerRate": 2000,
        "arrivals": "uniform",
        "consumerBacklogSizeGB": 0,
        "backlogDrainRatio": 1.0,
        "testDuration": "10s",
        "warmupDuration": "1m",
        "sampleInterval": "1s",
        "drainTimeout": "30s",
        "checksum": False,
        "seed": 0,
        "thresholds": [],
        "abortOnFail": False,
    }


@settings(deadline=None)
@given(
    topics=st.integers(1, 100),
    size=st.integers(40, 2**20),
    rate=st.integers(1, 10**7),
    test_ms=st.integers(100, 10**7),
    warmup_ms=st.integers(0, 10**6),
    ratio=st.integers(0, 1000).map(lambda thousandths: thousandths / 1000),
    seed=st.integers(-(2**63), 2**63 - 1),
    name=st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=30),
)
def test_the_resolved_spec_reads_back_as_itself(
    topics: int, size: int, rate: int, test_ms: int, warmup_ms: int, ratio: float, seed: int, name: str
) -> None:
    """A spec, written as JSON, is a workload file with the same spec and the same hash."""
    workload = small(
        topics=topics,
        messageSize=size,
        producerRate=rate,
        testDuration=f"{test_ms}ms",
        warmupDuration=f"{warmup_ms}ms",
        sampleInterval="100ms",
        randomBytesRatio=ratio,
        seed=seed,
        name=name,
    )

    again = Workload.parse(json.dumps(workload.spec(), ensure_ascii=False), "spec.yaml")

    assert again.spec() == workload.spec()
    assert again.sha256 == workload.sha256
    assert (again.test_ns, again.warmup_ns) == (test_ms * 10**6, warmup_ms * 10**6)


def test_the_hash_tells_workloads_apart(tmp_path: Path) -> None:
    """It changes with any field and with the payload's bytes, and not with how a duration is written."""
    hashes = {small().sha256, small(seed=1).sha256, small(producerRate=2001).sha256}
    for content in (b"a" * 50, b"b" * 50):
        (tmp_path / "p").write_bytes(content)
        hashes.add(Workload.parse(SMALL.replace("messageSize: 1KiB", "payloadFile: p"), "w.yaml", tmp_path).sha256)

    assert len(hashes) == 5
    assert small(testDuration="10000ms").sha256 == small().sha256


def test_overrides_replace_what_the_file_says() -> None:
    """The command line wins over the file, and leaves the rest of it."""
    path = OMB / "randomized-keyed-4kb.yaml"

    changed = Workload.load(path, option_assignments(duration="3s", warmup="0s", rate=10))

    assert (changed.test_ns, changed.warmup_ns, changed.producer_rate) == (3 * SECOND, 0, 10)
    assert changed.payload == Workload.load(path).payload


def test_overrides_are_checked_and_named_by_their_option() -> None:
    """A fault of the command line names the option, not a line of the file; all are told at once."""
    with pytest.raises(InputError) as caught:
        small({"duration": "1ms", "warmup": "1s", "rate": -1})

    assert caught.value.messages == (
        "--duration: 1ms is too short; write 100ms or more",
        "--rate: -1 is too small; write 1 or more, or max for the highest that is sustained",
    )


def test_the_highest_rate_is_asked_for_by_omb_s_0_or_by_max() -> None:
    """They are one workload, told with what the search goes by; a rate that is given instead leaves that out."""
    omb, ours = small(producerRate=0), small(producerRate="max", slo="publish.p99 < 5ms", probeDuration="3s")

    assert omb.finds_the_maximum
    assert omb.sha256 == small(producerRate="max").sha256 == small({"rate": "max"}).sha256
    assert (ours.spec()["producerRate"], ours.spec()["slo"]) == (0, "publish.p99 < 5ms")
    assert ours.spec()["probeDuration"] == "3s"
    assert Workload.parse(json.dumps(ours.spec()), "again.yaml").spec() == ours.spec()
    fixed = small({"rate": 500}, producerRate="max", slo="publish.p99 < 5ms", probeDuration="3s")
    assert not fixed.finds_the_maximum
    assert fixed.sha256 == small(producerRate=500).sha256
    assert "probeDuration" not in fixed.spec()


def test_a_test_shorter_than_the_default_interval_is_one_sample() -> None:
    """By the file or by an option; an interval that the file gives is not changed, and its error names the options."""
    assert small(testDuration="500ms").sample_interval_ns == SECOND // 2
    assert small({"duration": "500ms"}).sample_interval_ns == SECOND // 2

    with pytest.raises(InputError) as caught:
        small({"duration": "1s", "rate": 5}, sampleInterval="2s")
    assert caught.value.messages == (
        "small.yaml:9 with --duration, --rate: sampleInterval: 2s is longer than the test (1s); "
        "write a shorter one, as 100ms",
    )


def test_a_workload_is_frozen() -> None:
    """Nobody changes a workload under those who have read it."""
    with pytest.raises(ValueError, match="frozen"):
        small().topics = 2


@pytest.mark.parametrize(("size", "told", "size_bytes"), [(0, 0, 0), (0.0, 0, 0), (1.0, 1, 2**30), (0.5, 0.5, 2**29)])
def test_the_size_of_a_backlog_is_in_gib_and_may_be_a_fraction(size: float, told: float, size_bytes: int) -> None:
    """OMB calls them GB; what is whole is told as OMB has it, so that the hash does not depend on how it is written."""
    made = Workload.parse(f"{SMALL}\nconsumerBacklogSizeGB: {size}\n", "small.yaml")

    assert (made.spec()["consumerBacklogSizeGB"], made.backlog_bytes) == (told, size_bytes)
    assert type(made.spec()["consumerBacklogSizeGB"]) is type(told)
    assert (made.sha256 == small().sha256) == (not told)
