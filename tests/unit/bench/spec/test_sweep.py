"""Sweeps: how they are written, their combinations, and the requests that they become."""

from pathlib import Path
from typing import Any

import pytest
from requested_runs import WORKLOAD, requested

from ombdriver.bench.spec.overrides import option_assignments
from ombdriver.bench.spec.sweep import MOST_COMBINATIONS, Sweep, combinations, parse_sweeps, swept_values, variant_name
from ombdriver.errors import InputError


@pytest.mark.parametrize(
    "text", ["workload.messageSize=100,1KiB", "workload.messageSize=[100, 1KiB]", "workload.messageSize=100, 1KiB"]
)
def test_values_are_separated_by_commas_or_a_list(text: str) -> None:
    """Each as in the file."""
    sweep = Sweep.parse(text)

    assert (sweep.part, sweep.setting) == ("workload", "workload.messageSize")
    assert [point.value for point in sweep.points] == [100, "1KiB"]


@pytest.mark.parametrize(
    ("texts", "in_file", "fault"),
    [
        (["workload.messageSize"], None, "--sweep: 'workload.messageSize' is not PATH=VALUE,VALUE"),
        (["workload.messageSize="], None, "--sweep workload.messageSize: has no value to take"),
        (["workload.messageSize=[]"], None, "--sweep workload.messageSize: has no value to take"),
        (["workload.messageSize=1,2,1"], None, "--sweep workload.messageSize: 1 is given twice; leave it out"),
        (["setup.server.config.requirepass=a,b"], None, "--sweep setup.server.config.requirepass: is a password"),
        (["messageSize=1,2"], None, "--sweep messageSize: begins with neither workload. nor setup."),
        ([], {}, "the file: sweep: names no setting; leave it out"),
        ([], {"workload.messageSize": []}, "the file: sweep workload.messageSize: has no value to take"),
        (["workload.topics=1,2"], {"workload.topics": [1]}, "the file: sweep workload.topics: is swept twice"),
    ],
)
def test_what_is_no_sweep_is_refused(texts: list[str], in_file: dict[str, object] | None, fault: str) -> None:
    """With the way out."""
    with pytest.raises(InputError) as caught:
        parse_sweeps(texts, in_file)

    (told,) = caught.value.messages
    assert told.startswith(fault)


def test_all_combinations_are_made_of_each_part() -> None:
    """The last one changes fastest; without any there is one, of no values."""
    sweeps = parse_sweeps(["workload.topics=1,2", "setup.streams.readCount=10,20", "workload.messageSize=100,1KiB"])

    found = [swept_values(each) for each in combinations(sweeps, "workload")]
    assert found == [
        {"workload.topics": topics, "workload.messageSize": size} for topics in (1, 2) for size in (100, "1KiB")
    ]
    assert combinations([], "setup") == [()]
    assert variant_name("w", combinations(sweeps, "workload")[1]) == "w-topics-1-messageSize-1KiB"


def test_too_many_combinations_are_refused() -> None:
    """Before they are made."""
    many = ",".join(map(str, range(1, MOST_COMBINATIONS + 1)))

    with pytest.raises(InputError, match="more than 1,000 combinations"):
        combinations(parse_sweeps([f"workload.topics={many}", "workload.messageSize=1,2"]), "workload")


def test_each_combination_is_a_workload_of_its_own_name(tmp_path: Path) -> None:
    """Its request tells the values; a file may hold sweeps too."""
    file = WORKLOAD + "sweep:\n  workload.messageSize: [100, 1KiB]\n"
    found = requested(tmp_path, file, sweeps=["workload.topics=1,2"])

    assert [one.workload.name for one in found] == [
        "w-topics-1-messageSize-100",
        "w-topics-1-messageSize-1KiB",
        "w-topics-2-messageSize-100",
        "w-topics-2-messageSize-1KiB",
    ]
    assert [(one.workload.topics, one.workload.message_size) for one in found] == [
        (1, 100),
        (1, 1024),
        (2, 100),
        (2, 1024),
    ]
    assert found[1].sweep == {"workload.topics": 1, "workload.messageSize": "1KiB"}
    assert [one.standing.run for one in found if one.standing] == [1, 2, 3, 4]
    assert "sweep" not in found[0].workload.spec()


def test_swept_setups_take_turns_as_any_setups_do(tmp_path: Path) -> None:
    """So that they can be compared within blocks."""
    found = requested(tmp_path, setups=["embedded"], sweeps=["setup.streams.readCount=10,20"], repeats=2)

    names = [(one.setup.name, one.standing.block) for one in found if one.standing]
    ten, twenty = "embedded-readCount-10", "embedded-readCount-20"
    assert names == [(ten, 1), (twenty, 1), (twenty, 2), (ten, 2)]
    assert found[0].setup.streams.read_count == 10


def test_what_a_file_must_have_may_be_swept_alone(tmp_path: Path) -> None:
    """It need not hold a value that none of the runs would have."""
    file = WORKLOAD.replace("producerRate: 500\n", "") + "sweep: {workload.producerRate: [500, max]}\n"
    found = requested(tmp_path, file)

    assert [one.workload.name for one in found] == ["w-producerRate-500", "w-producerRate-max"]
    assert [one.sweep_of for one in found] == [{"workload": "w", "setup": "memory"}] * 2


@pytest.mark.parametrize("text", ["sweep: [1]\n", "sweep: {workload.topics: 1}\n", "sweepName: {workload: [1]}\n"])
def test_what_a_file_says_of_sweeps_is_looked_at_as_all_of_it(text: str, tmp_path: Path) -> None:
    """A fault is told with its line."""
    with pytest.raises(InputError) as caught:
        requested(tmp_path, WORKLOAD + text)

    assert "w.yaml:10: sweep" in caught.value.messages[0]


def test_a_template_names_the_workloads_and_another_the_setups(tmp_path: Path) -> None:
    """Given on the command line, or beside the sweep in the file."""
    file = WORKLOAD + "sweep:\n  setup.streams.readCount: [10, 20]\nsweepName:\n  setup: '{name}.rc{readCount}'\n"
    names = ["workload={messageSize}B-{name}"]
    found = requested(tmp_path, file, setups=["embedded"], sweeps=["workload.messageSize=100,1KiB"], sweep_names=names)

    assert [(one.workload.name, one.setup.name) for one in found] == [
        ("100B-w", "embedded.rc10"),
        ("100B-w", "embedded.rc20"),
        ("1KiBB-w", "embedded.rc10"),
        ("1KiBB-w", "embedded.rc20"),
    ]


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("topics", "'topics' is not PART=TEMPLATE; write it as 'workload={name}-{messageSize}'"),
        ("workload=", "'workload=' is not PART=TEMPLATE"),
        ("setup={name}", "no setting of a setup is swept; leave it out"),
        ("workload={name}-{rate}-{topics}", "{rate} is not swept; there are {messageSize}, {name}, {topics}"),
        ("workload={name}-{topics}-{", "has a brace too many; there are"),
        ("workload={name}-{topics}", "gives several combinations one name; write {workload.messageSize} into it"),
    ],
)
def test_a_template_that_names_nothing_or_not_apart_is_refused(template: str, fault: str, tmp_path: Path) -> None:
    """With what may stand in it."""
    swept = ["workload.topics=1,2", "workload.messageSize=100,1KiB"]
    with pytest.raises(InputError) as caught:
        requested(tmp_path, sweeps=swept, sweep_names=[template])

    (told,) = caught.value.messages
    assert told.startswith("--sweep-name")
    assert fault in told


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"sweeps": ["workload.topic=1,2"]}, "--sweep workload.topic: unknown key; did you mean topics?"),
        ({"sweeps": ["workload.messageSize=5,100"]}, "--sweep workload.messageSize: 5 bytes are too few"),
        ({"sweeps": ["setup.streams.readCount=0,5"], "setups": ["embedded"]}, "--sweep setup.streams.readCount"),
        (
            {"sweeps": ["workload.producerRate=1,2"], "options": option_assignments(rate=5)},
            "--sweep workload.producerRate: leave out the option",
        ),
    ],
)
def test_values_that_can_not_be_are_told_by_their_sweep(tmp_path: Path, options: dict[str, Any], fault: str) -> None:
    """As faults of the file would be."""
    with pytest.raises(InputError) as caught:
        requested(tmp_path, **options)

    assert any(fault in told for told in caught.value.messages), caught.value.messages
