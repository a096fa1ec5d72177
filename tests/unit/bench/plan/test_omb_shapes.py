"""Every shape of workload that OMB ships is read as it is, and planned; what is wider than a server takes is refused.

OMB's files differ in few things; the table has all 130 of them by name, and some that stand between them. `payloadFile`
names a file of OMB's beside it.
"""

from pathlib import Path
from typing import NamedTuple

import pytest

from ombdriver.bench.plan.plan import USUAL_READERS, Plan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.errors import InputError

PAYLOADS = {100: "payload-100b", 1024: "payload-1Kb", 65536: "payload-64Kb"}
BEST = 10_000_000
"""What OMB writes for as much as possible where it does not write 0."""


class Shape(NamedTuple):
    """What a file of OMB's says."""

    topics: int
    partitions: int
    size: int
    groups: int = 1
    consumers: int = 1
    producers: int = 1
    rate: int = 50_000
    minutes: int = 15
    randomized: bool = False
    backlog_gb: int = 0


def _named() -> dict[str, Shape]:
    shapes = {
        "simple-workload": Shape(1, 10, 1024, rate=10_000, minutes=5),
        "1-topic-1-partition-100b": Shape(1, 1, 100),
        "1-topic-1-partition-1kb": Shape(1, 1, 1024),
        "1-topic-3-partition-100b-3producers": Shape(1, 3, 100, producers=3, rate=0),
        "1-topic-6-partition-100b": Shape(1, 6, 100),
        "1-topic-16-partition-100b": Shape(1, 16, 100),
        "1-topic-16-partitions-1kb": Shape(1, 16, 1024),
        "1-topic-100-partitions-1kb": Shape(1, 100, 1024, minutes=240),
        "100-topics-1-partitions-1kb": Shape(100, 1, 1024, groups=3, rate=150_000, minutes=240),
        "1-topic-100-partitions-1kb-4p-4c-200k-backlog": Shape(1, 100, 1024, 1, 4, 4, 200_000, 5, True, 512),
        "backlog-1-topic-1-partition-1kb": Shape(1, 1, 1024, rate=100_000, minutes=5, backlog_gb=100),
        "backlog-1-topic-16-partitions-1kb": Shape(1, 16, 1024, rate=100_000, minutes=5, backlog_gb=100),
        "max-rate-1-topic-1-partition-4p-1c-1kb": Shape(1, 1, 1024, 1, 1, 4, BEST, 5, True),
    }
    for partitions in (100, 10_000):
        for thousands in (200, 500, 1_000, 2_000):
            name = f"1-topic-{partitions}-partitions-1kb-4p-4c-{thousands}k"
            shapes[name] = Shape(1, partitions, 1024, 1, 4, 4, thousands * 1000, 5, True)
    hundreds = [(f"{n}00k", n * 100_000) for n in range(1, 10)]
    counts = [("100", 100), ("500", 500), *((f"{n}k", n * 1000) for n in (1, 5, 10, 50)), *hundreds, ("1m", 10**6)]
    for told, topics in counts:
        for thousands in (100, 500, 600, 2_000):
            shapes[f"{told}-topic-1kb-4p-4c-{thousands}k"] = Shape(topics, 1, 1024, 1, 4, 4, thousands * 1000, 5, True)
    for partitions in (1, 2, 3, 4, 6, 9, 16):
        told = f"1m-10-topics-{partitions}-partition{'s' * (partitions > 1)}-100b"
        shapes[told] = Shape(10, partitions, 100, rate=1_000_000, randomized=True)
    for size, told in ((100, "100b"), (1024, "1kb"), (65536, "64kb")):
        for partitions in (1, 10, 100):
            name = f"max-rate-1-topic-{partitions}-partition{'s' * (partitions > 1)}-1p-1c-{told}"
            shapes[name] = Shape(1, partitions, size, rate=BEST, minutes=5, randomized=True)
        for partitions in (16, 100):
            shapes[f"max-rate-1-topic-{partitions}-partitions-{told}"] = Shape(1, partitions, size, rate=0, minutes=5)
        for n in range(10, 101, 10):
            shapes[f"max-rate-{n}-topics-1-partition-{told}"] = Shape(n, 1, size, rate=BEST, minutes=5, randomized=True)
            each = Shape(1, n, size, 1, n, n, BEST, 5, True)
            shapes[f"max-rate-1-topic-{n}-partitions-{n}p-{n}c-{told}"] = each
    return shapes


SHAPES = _named()
BACKLOGS = {name for name, shape in SHAPES.items() if shape.backlog_gb}
TOO_WIDE = {name for name, shape in SHAPES.items() if shape.topics * shape.producers > 100_000}


def format_id(name: str, shape: Shape) -> str:
    """Such a file as OMB writes it."""
    random = "\nuseRandomizedPayloads: true\nrandomBytesRatio: 0.5\nrandomizedPayloadPoolSize: 1000\n"
    return f"""
name: {name}

topics: {shape.topics}
partitionsPerTopic: {shape.partitions}
keyDistributor: "NO_KEY"
messageSize: {shape.size}
payloadFile: "payload/{PAYLOADS[shape.size]}.data"
{random if shape.randomized else ""}
subscriptionsPerTopic: {shape.groups}
consumerPerSubscription: {shape.consumers}
producersPerTopic: {shape.producers}
producerRate: {shape.rate}
consumerBacklogSizeGB: {shape.backlog_gb}
testDurationMinutes: {shape.minutes}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the payloads that OMB ships."""
    made = tmp_path_factory.mktemp("omb")
    (made / "payload").mkdir()
    for size, name in PAYLOADS.items():
        (made / "payload" / f"{name}.data").write_bytes(b"x" * size)
    return made


def planned(name: str, folder: Path) -> Plan:
    """The plan of that shape on the embedded server."""
    workload = Workload.parse(format_id(name, SHAPES[name]), f"{name}.yaml", folder)
    return make_plan(workload, Setup.load("embedded"), "ab12cd34", workers=None, cores=4)


@pytest.mark.parametrize("name", sorted(SHAPES.keys() - TOO_WIDE - BACKLOGS))
def test_a_shape_of_ombs_is_planned(name: str, folder: Path) -> None:
    """Each stream is read by every consumer, in tens of connections unless there are more consumers than that."""
    shape = SHAPES[name]

    made = planned(name, folder)

    assert made.partitions == shape.topics * shape.partitions
    assert made.producers == shape.topics * shape.producers
    read = sum(reader.streams for worker in made.workers for reader in worker.consumers)
    assert read == made.partitions * shape.groups * shape.consumers
    assert made.readers <= max(USUAL_READERS + shape.consumers, shape.consumers)


@pytest.mark.parametrize("name", sorted(BACKLOGS))
def test_a_backlog_of_ombs_is_planned_or_refused_as_one(name: str, folder: Path) -> None:
    """OMB's backlogs are of 100 GB and more: what can't be had of them is told as that."""
    try:
        told = "backlog" if planned(name, folder) else ""
    except InputError as error:
        told = str(error)

    assert "acklog" in told


@pytest.mark.parametrize("name", sorted(TOO_WIDE))
def test_a_shape_wider_than_a_server_takes_is_refused(name: str, folder: Path) -> None:
    """From 50,000 topics with 4 producers each on: told by the field, with the most that there may be."""
    with pytest.raises(InputError, match=r"100,?000"):
        Workload.parse(format_id(name, SHAPES[name]), f"{name}.yaml", folder)


@pytest.mark.parametrize(
    ("changes", "roles"),
    [
        ("consumerPerSubscription: 0", {"produce"}),
        ("subscriptionsPerTopic: 0", {"produce"}),
        ("producersPerTopic: 0", {"consume"}),
    ],
)
def test_who_has_nothing_to_do_is_not_started(changes: str, roles: set[str], folder: Path) -> None:
    """Half of the workers would be wasted otherwise, which OMB's users complain of."""
    lines = dict(line.split(": ", 1) for line in format_id("t", Shape(0, 1, 1024)).splitlines() if ": " in line)
    lines |= {"existingTopicList": "[orders]"} | dict([changes.split(": ")])
    if lines["producersPerTopic"] == "0":
        lines["producerRate"] = "0"
    workload = Workload.parse("".join(f"{name}: {value}\n" for name, value in lines.items()), "t.yaml", folder)

    made = make_plan(workload, Setup.load("embedded").with_url("redis://h"), "ab12cd34", workers=None, cores=8)

    assert {worker.role for worker in made.workers} == roles
