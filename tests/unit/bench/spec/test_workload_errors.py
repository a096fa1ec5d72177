"""Every fault of a workload file is told at once, with its line, what is wrong, and the way out."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_plan import FIELDS

from ombdriver.bench.spec.workload import Workload
from ombdriver.errors import InputError

GOLDEN = Path(__file__).parents[3] / "golden"


def faults(text: str, folder: Path | None = None) -> list[str]:
    """What is wrong with a workload file of that text."""
    with pytest.raises(InputError) as caught:
        Workload.parse(text, "w.yaml", folder)
    return list(caught.value.messages)


def file(**changes: str | None) -> str:
    """The text of a sound file with some fields replaced, added, or (None) taken out."""
    fields = {name: value for name, value in (FIELDS | changes).items() if value is not None}
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def test_all_faults_of_a_file_are_told_at_once() -> None:
    """One error holds them all, by line, and those that stand in no line at the end."""
    told = faults((GOLDEN / "workload-faults.yaml").read_text())

    assert "\n".join(told) + "\n" == (GOLDEN / "workload-faults.txt").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thresholds": "publish.p99 < 5ms"}, "w.yaml:9: thresholds: must be a list of conditions, not 'publish.p99"),
        ({"thresholds": "[1]"}, "w.yaml:9: thresholds: must be a list of conditions, not [1]; write it as 'endToEnd"),
        ({"thresholds": "[publish.p99 < 5]"}, "w.yaml:9: thresholds: 'publish.p99 < 5': 5 has no unit; write 5ms"),
        ({"thresholds": "[a < 5, b < 5]"}, "; and there is no figure 'b'; there are: publish"),
        ({"thresholds": "['endToEnd[group-2].p50 < 5ms']"}, "there is no group 'group-2'; did you mean group-1?"),
        (
            {"thresholds": "['endToEnd[group-1].p50 < 5ms']", "consumerPerSubscription": "0"},
            "there is no group 'group-1'; this run has none",
        ),
        ({"abortOnFail": "1"}, "w.yaml:9: abortOnFail: must be true or false, not 1"),
        ({"topics": "0"}, "w.yaml:1: topics: 0 is too small; write 1 or more"),
        ({"topics": "-1"}, "w.yaml:1: topics: -1 is too small; write 0 or more"),
        ({"topics": "yes"}, "w.yaml:1: topics: must be a whole number, not 'yes'; write digits only"),
        ({"topics": "true"}, "w.yaml:1: topics: must be a whole number, not true; write digits only"),
        ({"topics": "1_000"}, "w.yaml:1: topics: must be a whole number, not '1_000'; write digits only"),
        ({"topics": "1:30"}, "w.yaml:1: topics: must be a whole number, not '1:30'; write digits only"),
        (
            {"topics": "1000", "partitionsPerTopic": "1000"},
            "w.yaml:2: partitionsPerTopic: times topics makes 1,000,000; write fewer, at most 100,000 in all",
        ),
        ({"messageSize": "1 KB"}, "w.yaml:3: messageSize: '1 KB' is not a size; write bytes as a whole number, or"),
        ({"messageSize": "39"}, "w.yaml:3: messageSize: 39 bytes are too few: the stamp takes the first 40"),
        ({"messageSize": "513MiB"}, "bytes are more than a server takes; write 512MiB or less"),
        (
            {"subscriptionsPerTopic": "1000", "consumerPerSubscription": "1000"},
            "w.yaml:5: consumerPerSubscription: times subscriptionsPerTopic makes 1,000,000 readers; write",
        ),
        ({"producerRate": "-5"}, "w.yaml:7: producerRate: -5 is too small; write 1 or more, or max for the highest"),
        ({"producerRate": "most"}, "w.yaml:7: producerRate: 'most' is no rate; write messages per second"),
        (
            {"slo": "publish.p99 < 5ms"},
            "w.yaml:9: slo: has no effect on a given producerRate; write it under thresholds",
        ),
        (
            {"producerRate": "max", "slo": "publish.p99 < 5"},
            "w.yaml:9: slo: 'publish.p99 < 5': 5 has no unit; write 5ms",
        ),
        ({"probeRates": "[5]"}, "w.yaml:9: probeRates: has no effect on a given producerRate; write producerRate: max"),
        ({"producerRate": "max", "probeRates": "[5, 2]"}, "w.yaml:9: probeRates: [5, 2] do not rise; write each rate"),
        (
            {"producerRate": "max", "probeRates": "[5]", "probeSteps": "3"},
            "probeSteps: is for a search, which probeRates",
        ),
        (
            {"producerRate": "max", "probeDuration": "1s"},
            "w.yaml:9: probeDuration: 1s is too short; write 2s or more",
        ),
        ({"probeDuration": "5s"}, "w.yaml:9: probeDuration: has no effect on a given producerRate; write producerRate"),
        (
            {"producerRate": "max", "sampleInterval": "2s"},
            "w.yaml:9: sampleInterval: 2s is too long to find the highest rate by; write 1s or less",
        ),
        ({"producerRate": "10000001"}, "w.yaml:7: producerRate: 10000001 is too large; write 10000000 or less"),
        ({"producerRate": "1e-5"}, "w.yaml:7: producerRate: 1e-05 is no rate; write messages per second as a whole"),
        ({"testDuration": "10"}, "w.yaml:8: testDuration: 10 has no unit; write 10s for seconds, 10m for minutes"),
        ({"testDuration": "ten"}, "w.yaml:8: testDuration: 'ten' is not a duration; write a number and a unit"),
        ({"testDuration": "9ms"}, "w.yaml:8: testDuration: 9ms is too short; write 100ms or more"),
        ({"testDuration": "9999h"}, "w.yaml:8: testDuration: 9999h is too long; write 744h or less"),
        (
            {"testDurationMinutes": "1"},
            "w.yaml:8: testDuration: is given beside testDurationMinutes; remove one of the two",
        ),
        (
            {"testDuration": None},
            "w.yaml: testDuration: is missing; add a line testDuration: 30s, or testDurationMinutes: 5",
        ),
        ({"topics": None}, "w.yaml: topics: is missing; add a line topics: ..."),
        (
            {"warmupDuration": "1s", "warmupDurationMinutes": "1"},
            "w.yaml:9: warmupDuration: is given beside warmupDurationMinutes; remove one of the two",
        ),
        ({"sampleInterval": "99ms"}, "w.yaml:9: sampleInterval: 99ms is too short; write 100ms or more"),
        ({"sampleInterval": "11s"}, "w.yaml:9: sampleInterval: 11s is longer than the test (10s); write a shorter one"),
        (
            {"consumerBacklogSizeGB": "-1"},
            "w.yaml:9: consumerBacklogSizeGB: -1 is out of range; write 0 for no backlog",
        ),
        ({"consumerBacklogSizeGB": "1GiB"}, "w.yaml:9: consumerBacklogSizeGB: '1GiB' is not a number of GB;"),
        (
            {"consumerBacklogSizeGB": "1", "producerRate": "max"},
            "consumerBacklogSizeGB: a backlog is built at a rate that is given; write a producerRate above 0",
        ),
        (
            {"consumerBacklogSizeGB": "1", "arrivals": "poisson"},
            "consumerBacklogSizeGB: random arrivals are drawn for a time that is known",
        ),
        (
            {"consumerBacklogSizeGB": "1", "rateProfile": "{ramp: {from: 500, to: 1500}}"},
            "rateProfile: a backlog is built and drained at one rate; leave this out, or consumerBacklogSizeGB",
        ),
        (
            {"consumerBacklogSizeGB": "0.5", "consumerPerSubscription": "0"},
            "consumerBacklogSizeGB: nobody reads, so nobody drains a backlog; write 0 here, or give the topics",
        ),
        ({"randomBytesRatio": "1.5"}, "w.yaml:9: randomBytesRatio: 1.5 is too large; write 1.0 or less"),
        ({"useRandomizedPayloads": "true"}, "w.yaml: randomizedPayloadPoolSize: useRandomizedPayloads needs a pool"),
        ({"keyDistributor": "NOKEY"}, "is not one of 'NO_KEY', 'KEY_ROUND_ROBIN' or 'RANDOM_NANO'; write one"),
        (
            {"producersRate": "5"},
            "w.yaml:9: producersRate: unknown key, and producerRate is given in line 7; remove this one",
        ),
        (
            {"producer_rate": "5"},
            "w.yaml:9: producer_rate: unknown key, and producerRate is given in line 7; remove this one",
        ),
        ({"colour": "red"}, "w.yaml:9: colour: unknown key; remove it"),
        (
            {"messageSizeDistribution": "{a: 1}"},
            "w.yaml:9: messageSizeDistribution: 'a' is not a range of sizes;",
        ),
        ({"name": "''"}, "w.yaml:9: name: is empty; write a name"),
        ({"name": '"a\\nb"'}, "w.yaml:9: name: 'a\\nb' is not a name; write one line of visible characters"),
        ({"name": "20240101"}, "w.yaml:9: name: must be text, not 20240101; put it in quotes"),
        ({"name": "!!timestamp 2024-01-01"}, "w.yaml:9: name: has the tag '!!timestamp', which has no meaning here"),
        ({"seed": "9999999999999999999999"}, "w.yaml:9: seed: 9999999999999999999999 is too large; write"),
        ({"topics": ""}, "w.yaml:1: topics: has no value; give one, or remove the line"),
    ],
)
def test_a_fault_is_told_with_its_place_and_the_way_out(changes: dict[str, str | None], message: str) -> None:
    """One fault makes one sentence, which names the line, the field, and what to write instead."""
    told = faults(file(**changes))

    assert len(told) == 1
    assert message in told[0]
    assert "\n" not in told[0]


def test_a_missing_payload_file_is_a_fault(tmp_path: Path) -> None:
    """The fault names the places that were looked at; the size that the file would have told is not missed as well."""
    told = faults(file(messageSize=None, payloadFile="payload/none.data"), tmp_path)

    assert len(told) == 1
    assert told[0].startswith("w.yaml:8: payloadFile: missing payload file 'payload/none.data', looked for in ")
    assert str(tmp_path) in told[0]


def test_a_payload_file_of_another_size_is_a_fault(tmp_path: Path) -> None:
    """The payload file and messageSize must agree, as in OMB."""
    (tmp_path / "p").write_bytes(b"x" * 100)

    assert faults(file(payloadFile="p"), tmp_path) == [
        "w.yaml:9: payloadFile: holds 100 bytes, but messageSize is 1024; make both the same"
    ]


def test_a_payload_file_that_is_a_folder_is_told_as_one(tmp_path: Path) -> None:
    """A folder holds no payload."""
    (told,) = faults(file(payloadFile=str(tmp_path)), tmp_path)

    assert "is a folder; name a file" in told


def test_a_payload_file_shorter_than_a_stamp_is_a_fault(tmp_path: Path) -> None:
    """A file that gives the size has to give enough of it."""
    (tmp_path / "p").write_bytes(b"x" * 39)
    (told,) = faults(file(messageSize=None, payloadFile="p"), tmp_path)

    assert "messageSize: 39 bytes are too few" in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "w.yaml: is empty; write one setting per line"),
        ("# only a comment\n", "w.yaml: is empty; write one setting per line"),
        ("- topics\n", "w.yaml: holds no settings; write one per line"),
        ("topics 1\n", "w.yaml: holds no settings; write one per line"),
        ("topics: 1\n  name: x\n", "w.yaml:2: is not valid YAML: "),
        ("topics: [1\n", "is not valid YAML: "),
        ("topics: 1\n---\ntopics: 2\n", "w.yaml:2: is not valid YAML: but found another document"),
        ("topics: &a 1\nname: *a\n", "w.yaml:2: has a YAML alias, which begins with *; write the value out"),
        ("name: \x00\n", "is not valid YAML: "),
        ("[" * 100_000, "w.yaml:1: is nested too deeply"),
    ],
)
def test_a_file_that_is_not_yaml_settings_is_refused(text: str, message: str) -> None:
    """What can't be read at all is told in one sentence, with the line where reading stopped."""
    (told,) = faults(text)

    assert message in told


def test_faults_of_single_entries_do_not_hide_the_others() -> None:
    """A key twice, a key that is no text and a value that can't be read are told beside the rest."""
    told = faults(file(topics="0") + "topics: 2\n5: 6\nseed: 2024-13-45\nname: !!python/name:os.system x\n")

    assert [line.split(" ")[0] for line in told] == ["w.yaml:1:", "w.yaml:9:", "w.yaml:10:", "w.yaml:11:", "w.yaml:12:"]
    assert told[1] == "w.yaml:9: topics: is given twice, first in line 1; remove one"


def test_a_file_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    """A misspelt path names the file that was probably meant."""
    (tmp_path / "workload.yaml").write_text("")
    with pytest.raises(InputError, match=r"there is no such file; did you mean .*workload\.yaml"):
        Workload.load(tmp_path / "worklaod.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"topics: 1\nname: \xff\xfe\n", ":2: is not UTF-8 text"),
        (b"#" * (2 << 20), "is larger than 1 MiB"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """A binary or an enormous file is not read any further."""
    (tmp_path / "w.yaml").write_bytes(content)
    with pytest.raises(InputError, match=message):
        Workload.load(tmp_path / "w.yaml")


def test_a_folder_is_no_workload(tmp_path: Path) -> None:
    """Naming a folder is told as such."""
    with pytest.raises(InputError, match="is a folder; name a file in it"):
        Workload.load(tmp_path)


@settings(deadline=None)
@given(
    st.one_of(
        st.text(max_size=200),
        st.dictionaries(
            st.one_of(st.sampled_from([*FIELDS, "payloadFile", "name", "seed"]), st.text(max_size=5)),
            st.one_of(st.text("0123456789-:.,[]{}&*!|>'\"%@`#smh~ \0", max_size=12), st.sampled_from(["1", "10s"])),
        ).map(lambda fields: "".join(f"{name}: {value}\n" for name, value in fields.items())),
    )
)
def test_no_text_whatever_ends_in_another_error(text: str) -> None:
    """Any text is a workload or an `InputError` of whole sentences; nothing else ever comes out."""
    told: tuple[str, ...] = ()
    try:
        Workload.parse(text, "w.yaml")
    except InputError as error:
        told = error.messages

    assert all(fault.startswith("w.yaml") and "; " in fault for fault in told)
