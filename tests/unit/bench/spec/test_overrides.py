"""`--set` puts values into files before they are validated, and faults name it."""

from collections.abc import Sequence

import pytest

from ombdriver.bench.spec.overrides import Assignment, parse, parse_all
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.errors import InputError

WORKLOAD = """name: w
topics: 1
partitionsPerTopic: 1
messageSize: 1KiB
subscriptionsPerTopic: 3
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 2000
testDuration: 10s
"""
SETUP = """name: s
driver: redis-streams
server:
  engine: valkey
"""


def workload(*texts: str) -> Workload:
    """The workload with these put into it, and one that is meant for setups."""
    return Workload.parse(WORKLOAD, "w.yaml", given=parse_all([*texts, "setup.name=other"]))


def setup(*texts: str) -> Setup:
    """The same of the setup."""
    return Setup.parse(SETUP, "s.yaml", parse_all([*texts, "workload.name=other"]))


def faults_of_workload(*texts: str) -> Sequence[str]:
    """What is told of them."""
    with pytest.raises(InputError) as caught:
        workload(*texts)
    return caught.value.messages


def faults_of_setup(*texts: str) -> Sequence[str]:
    """What is told of them."""
    with pytest.raises(InputError) as caught:
        setup(*texts)
    return caught.value.messages


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("setup.server.config.appendfsync=always", ("server", "config", "appendfsync"), "always"),
        ("workload.messageSize=4KiB", ("messageSize",), "4KiB"),
        ("workload.producerRate=500", ("producerRate",), 500),
        ("workload.checksum=true", ("checksum",), True),
        ("workload.name='7'", ("name",), "7"),
        ("workload.name=a=b", ("name",), "a=b"),
        ('setup.server.config.save=""', ("server", "config", "save"), ""),
        ("setup.server.engine=null", ("server", "engine"), None),
        ("workload.thresholds=[publish.p99 < 5ms, totals.unsent <= 0]", ("thresholds",), None),
        ("setup.server={url: 'redis://h'}", ("server",), {"url": "redis://h"}),
    ],
)
def test_a_value_is_what_it_would_be_in_the_file(text: str, path: tuple[str, ...], value: object) -> None:
    """A scalar of YAML, a list or a mapping in brackets."""
    one = parse(text)

    assert one.path == path
    assert one.value == (value if "thresholds" not in text else ["publish.p99 < 5ms", "totals.unsent <= 0"])
    assert str(one) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--set: '' is not PATH=VALUE; write it as workload.messageSize=4KiB"),
        ("workload.messageSize", "--set: 'workload.messageSize' is not PATH=VALUE"),
        ("workload..x=1", "--set: 'workload..x=1' is not PATH=VALUE"),
        (
            "wrkload.topics=1",
            "--set wrkload.topics: begins with neither workload. nor setup.; did you mean workload.top",
        ),
        ("messageSize=1", "--set messageSize: begins with neither workload. nor setup.; write it as"),
        ("setup=embedded", "--set setup: names no setting of the setup; write it as"),
        ("workload.topics=", "--set workload.topics: has no value; write one behind the =, null for none"),
        ("workload.name=a: b", "--set workload.name: 'a: b' is no single value; put it in quotes if it is text"),
        ("workload.topics=1\nchecksum: true", "--set workload.topics: '1\\nchecksum: true' is not valid YAML"),
        ("workload.name=[1", "--set workload.name: '[1' is not valid YAML; put it in quotes if it is text"),
        ("workload.name=*x", "--set workload.name: '*x' is not valid YAML; put it in quotes if it is text"),
        ("workload.name={a: 1, a: 2}", "--set workload.name: a: is given twice"),
        ("workload.name=!!set {a}", "--set workload.name: has the tag '!!set', which has no meaning here"),
        ("workload.name=" + "[" * 50, "is not valid YAML"),
    ],
)
def test_what_is_no_assignment_is_told_with_the_way_out(text: str, message: str) -> None:
    """By the option, as all that the command line gives."""
    with pytest.raises(ValueError, match="--set") as caught:
        parse(text)

    assert message in str(caught.value)


def test_all_faults_of_all_assignments_are_told_at_once() -> None:
    """Also that one takes the place of another: only one can be meant."""
    with pytest.raises(InputError) as caught:
        parse_all(["x", "setup.a.b=1", "setup.a.b=2", "setup.a=3", "workload.a=4", "setup.a.c=5", "workload.b="])

    assert [fault.split(";")[0] for fault in caught.value.messages] == [
        "--set: 'x' is not PATH=VALUE",
        "--set setup.a.b: is given twice",
        "--set setup.a: takes the place of --set setup.a.b before it",
        "--set setup.a: takes the place of --set setup.a.b before it",
        "--set workload.b: has no value",
    ]


def test_no_password_is_told() -> None:
    """Neither as it is stored, nor in a fault."""
    one = Assignment("setup", ("server", "url"), None, "setup.server.url=redis://u:s3cret@h")

    assert str(one) == "setup.server.url=redis://u:***@h"
    with pytest.raises(ValueError, match="not PATH=VALUE") as caught:
        parse("redis://u:s3cret@h")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("setup.server.config.requirepass=s3cret", "setup.server.config.requirepass=***"),
        ("setup.server.config.MasterAuth=s3cret", "setup.server.config.MasterAuth=***"),
        ("setup.server.config={save: '', user: 'default on >s3cret'}", "setup.server.config=***"),
        ("setup.server={engine: valkey, config: {requirepass: s3cret}}", "setup.server=***"),
        ("setup.server.username=ann", "setup.server.username=ann"),
        ("workload.name=user", "workload.name=user"),
    ],
)
def test_a_password_among_the_options_of_a_server_is_not_told(text: str, told: str) -> None:
    """However deep the option stands in the value: the value is hidden whole."""
    assert str(parse(text)) == told


@pytest.mark.parametrize("value", ["[s3cret", "s3cret: x: y", "*s3cret", "{a: s3cret, a: b}"])
def test_a_password_that_is_no_value_is_not_told(value: str) -> None:
    """The fault of any other value quotes it."""
    with pytest.raises(ValueError, match="requirepass: is no single value") as caught:
        parse(f"setup.server.config.requirepass={value}")
    assert "s3cret" not in str(caught.value)


def test_a_workload_is_that_of_a_file_with_the_values_in_it() -> None:
    """With the units of the file, to the hash; what is meant for setups is none of it, and its name stays."""
    changed = workload("workload.messageSize=4KiB", "workload.testDuration=500ms", "workload.seed=7")
    text = WORKLOAD.replace("1KiB", "4KiB").replace("10s", "500ms") + "seed: 7\n"

    assert changed == Workload.parse(text, "w.yaml")
    assert changed.sha256 == Workload.parse(text, "w.yaml").sha256 != workload().sha256
    assert (changed.name, changed.message_size, changed.sample_interval_ns) == ("w", 4096, 500 * 10**6)


def test_a_setup_is_that_of_a_file_with_the_values_in_it() -> None:
    """A part that the file does not have is made; null takes a key away."""
    changed = setup("setup.streams.retention=5000", "setup.server.engine=null", "setup.server.url=redis://h")

    assert changed == Setup.parse(
        "name: s\ndriver: redis-streams\nserver: {url: redis://h}\nstreams: {retention: 5000}", "s"
    )


def test_faults_name_the_option_in_place_of_a_line() -> None:
    """In the order of the file's faults; what the file itself has wrong keeps its line."""
    told = faults_of_workload("workload.messageSize=20", "workload.mesageSize=100", "workload.testDuration=30")

    assert told == (
        "--set workload.mesageSize: unknown key; did you mean messageSize?",
        "--set workload.messageSize: 20 bytes are too few: the stamp takes the first 40 of each message; "
        "write 40 or more",
        "--set workload.testDuration: 30 has no unit; write 30s for seconds, 30m for minutes (units: ms, s, m, h)",
    )
    with pytest.raises(InputError) as caught:
        Workload.parse(WORKLOAD.replace("2000", "-1"), "w.yaml", given=parse_all(["workload.topics=0"]))
    assert caught.value.messages == (
        "w.yaml:8: producerRate: -1 is too small; write 1 or more, or max for the highest that is sustained",
        "--set workload.topics: 0 is too small; write 1 or more, or name topics that exist (existingTopicList)",
    )


@pytest.mark.parametrize(
    ("texts", "fault"),
    [
        (
            ["setup.streams.retention=10"],
            "--set setup.streams.retention: 10 is not a retention; write auto, none, acknowledged",
        ),
        (["setup.streams.retension=none"], "--set setup.streams.retension: unknown key; did you mean retention?"),
        (["setup.servr.engine=valkey"], "--set setup.servr.engine: servr: unknown key; did you mean server?"),
        (["setup.streams={retention: 10}"], "--set setup.streams: streams.retention: 10 is not a retention"),
        (["setup.driver.x=1"], "--set setup.driver.x: driver: must be text, not {x: 1}; put it in quotes"),
        (["setup.streams=none"], "--set setup.streams: must hold settings of its own, not 'none'"),
        (["setup.server.url=redis://h"], "s.yaml:3 with --set setup.server.url: server: needs one of engine and url"),
        (["setup.server.url=http://u:s3cret@h"], "--set setup.server.url: 'http://u:***@h' does not begin with"),
        (
            ["setup.server.url=redis://h", "setup.server.engine=valkey"],
            "s.yaml:3 with --set setup.server.url and --set setup.server.engine: server: needs one of",
        ),
        (["setup.name=a/b"], "--set setup.name: 'a/b' can't stand in a file's name"),
    ],
)
def test_a_fault_of_what_is_around_a_value_names_both(texts: list[str], fault: str) -> None:
    """The line is right as it is, and so is the option; together they are not."""
    (told,) = faults_of_setup(*texts)

    assert told.startswith(fault)
    assert "s3cret" not in told


def test_a_payload_file_may_be_set() -> None:
    """It is looked for as one of the file's; its fault names the option."""
    (told,) = faults_of_workload("workload.payloadFile=nosuch.bin")

    assert told.startswith("--set workload.payloadFile: missing payload file")
