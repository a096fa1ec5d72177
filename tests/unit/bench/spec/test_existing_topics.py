"""Topics that exist: what a workload says of them must agree, and a plan touches nothing that is not the run's own."""

from collections.abc import Callable

import pytest

from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.report.plan import describe
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.errors import InputError

MINE = Setup.load("embedded").with_url("redis://host:6379")
FIELDS = {
    "topics": "0",
    "existingTopicList": "[orders, '{payments:0}']",
    "partitionsPerTopic": "1",
    "messageSize": "1024",
    "subscriptionsPerTopic": "1",
    "consumerPerSubscription": "1",
    "producersPerTopic": "1",
    "producerRate": "1000",
    "testDuration": "10s",
}
READS_ONLY = {"producersPerTopic": "0", "producerRate": "0"}


def workload(**changes: str | None) -> Workload:
    """A workload on topics that exist, with some fields replaced, added, or (None) taken out."""
    fields = {name: value for name, value in (FIELDS | changes).items() if value is not None}
    return Workload.parse("".join(f"{name}: {value}\n" for name, value in fields.items()), "w.yaml")


def plan(setup: Setup = MINE, **changes: str | None) -> Plan:
    """Its plan."""
    return make_plan(workload(**changes), setup, "ab12cd34", workers=None, cores=4)


def test_a_plan_uses_the_topics_as_they_are() -> None:
    """By their own names, with nothing trimmed whatever the rate."""
    made = plan()

    assert [(topic.name, topic.existing) for topic in made.topics] == [("orders", True), ("{payments:0}", True)]
    assert made.existing
    assert made.trimming.max_entries is None
    assert not made.trimming.acknowledged


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"topics": "2"}, "topics: is given beside topics that exist; write 0, or remove their list"),
        ({"topics": "0", "existingTopicList": None}, "topics: 0 is too small; write 1 or more, or name topics that"),
        ({"existingTopicList": "[a, b, a]"}, "existingTopicList: 'a' is named twice; remove one"),
        (
            {"arrivals": "poisson", **READS_ONLY},
            "arrivals: poisson has no meaning where nobody sends (producersPerTopic",
        ),
        ({"producerRate": "max", "producersPerTopic": "0"}, "producerRate: max can't be found where nobody sends"),
        (
            {"producerRate": "5", "producersPerTopic": "0"},
            "producerRate: 5 has no meaning where nobody sends (producersPerTopic: 0); write 0",
        ),
        (
            {"thresholds": "['publishRate > 5']", **READS_ONLY},
            "thresholds: publishRate is of messages that a run sends itself, and this one only reads; leave it out",
        ),
        ({"maxInFlight": "5", **READS_ONLY}, "maxInFlight: has no effect where nobody sends"),
        ({"checksum": "true", **READS_ONLY}, "checksum: has no effect where nobody sends"),
        (
            {"rateProfile": "{ramp: {from: 1, to: 5}}", **READS_ONLY},
            "rateProfile: nobody sends, so there is no rate to change; leave this out",
        ),
        (
            {"existingTopicList": None, "topics": "1", **READS_ONLY},
            "producersPerTopic: 0 leaves new topics empty; write 1 or more, or name topics that exist",
        ),
        (
            {"existingTopicList": None, "topics": "1", "existingTopicsFrom": "beginning"},
            "existingTopicsFrom: has no effect on new topics",
        ),
        ({"consumerPerSubscription": "0", **READS_ONLY}, "consumerPerSubscription: 0 leaves nobody who sends or reads"),
        (
            {"existingTopicList": None, "existingProduceTopicList": "[a]"},
            "consumerPerSubscription: 1 have nothing to read; write 0, or name their topics in existingTopicList",
        ),
        (
            {"existingTopicList": None, "existingConsumeTopicList": "[a]"},
            "producersPerTopic: 1 have nowhere to send to; write 0, or name their topics in existingTopicList",
        ),
        (
            {"existingTopicList": None, "existingProduceTopicList": "[a]", **READS_ONLY},
            "producersPerTopic: 0 leaves nobody who sends to existingProduceTopicList",
        ),
        (
            {
                "existingTopicList": None,
                "existingConsumeTopicList": "[a]",
                "consumerPerSubscription": "0",
                **READS_ONLY,
            },
            "consumerPerSubscription: 0 leaves nobody who sends or reads",
        ),
        ({"existingConsumeTopicList": "[c]"}, "would leave messages of 'c' without an account"),
        ({"partitionsPerTopic": "60000"}, "times topics makes 120,000; write fewer, at most 100,000 in all"),
    ],
)
def test_what_does_not_agree_is_refused(changes: dict[str, str | None], message: str) -> None:
    """With the way out, before anything connects."""
    with pytest.raises(InputError) as caught:
        workload(**changes)

    assert message in "\n".join(caught.value.messages)


def test_topics_that_are_only_read_or_only_sent_to_have_lists_of_their_own() -> None:
    """The lists of OMB's forks: those for one side go with a run of that side alone."""
    sends = workload(existingTopicList=None, existingProduceTopicList="[a, b]", consumerPerSubscription="0")
    reads = workload(existingTopicList="[a]", existingConsumeTopicList="[b]", **READS_ONLY)
    same = workload(existingTopicList=None, existingProduceTopicList="[a]", existingConsumeTopicList="[a]")

    assert (sends.existing, reads.existing, same.existing) == (("a", "b"), ("a", "b"), ("a",))
    assert not reads.finds_the_maximum
    assert workload(producerRate="0").finds_the_maximum


def test_the_resolved_workload_is_read_back() -> None:
    """So a stored result can be run again; and other workloads say nothing of existing topics."""
    spec = workload(existingTopicsFrom="beginning").spec()

    assert spec["existingTopicList"] == ["orders", "{payments:0}"]
    assert spec["existingTopicsFrom"] == "beginning"
    assert "existingTopicsFrom" not in workload(existingTopicList=None, topics="1").spec()


@pytest.mark.parametrize(
    ("setup", "changes", "message"),
    [
        (Setup.load("embedded"), {}, "topics that exist are on a server of yours, and the setup embedded starts one"),
        (Setup.load("memory"), {}, "and the setup memory starts one of its own; give --url"),
        ({"retention": 5000}, {}, "streams.retention: topics that exist are never trimmed; write none, or remove it"),
        ({"ack": "delete"}, {}, "streams.ack: delete would delete what others need; write batch"),
        ({}, {"consumerBacklogSizeGB": "1"}, "consumerBacklogSizeGB: a backlog is built on new topics only; write 0"),
        ({}, {"partitionsPerTopic": "2"}, "has no braces in its name, as '{payments:0}' has"),
    ],
)
def test_a_setup_that_would_touch_what_is_not_its_own_is_refused(
    setup: Setup | dict[str, object], changes: dict[str, str | None], message: str
) -> None:
    """A setup may trim and delete what the run has made, and nothing else."""
    if not isinstance(setup, Setup):
        streams = ", ".join(f"{name}: {value}" for name, value in setup.items())
        server = "server: {url: 'redis://h'}"
        setup = Setup.parse(f"{{name: s, driver: redis-streams, {server}, streams: {{{streams}}}}}", "s")

    with pytest.raises(InputError) as caught:
        plan(setup, **changes)

    assert message in "\n".join(caught.value.messages)


def test_a_plan_on_existing_topics_reads_as_text(golden: Callable[[str, str], None]) -> None:
    """It says that nothing is trimmed, and what stays."""
    both, reads = workload(), workload(existingTopicsFrom="beginning", **READS_ONLY)

    texts = [describe(make_plan(each, MINE, "RUNID", workers=None, cores=4), each, MINE) for each in (both, reads)]

    golden("plan-existing.txt", "\n".join(texts))
