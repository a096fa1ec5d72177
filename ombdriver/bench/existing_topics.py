"""Topics that exist, as a workload names them: which are sent to, which are read, and what must agree on that. Pure.

`existingTopicList` names topics that are sent to and read, the two other lists those that are only one of both. The
names of the fields are those of OMB's forks; OMB itself has none.
"""

from collections.abc import Mapping
from typing import Any

BOTH, SENT_TO, READ = "existing_topic_list", "existing_produce_topic_list", "existing_consume_topic_list"


def named(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Every topic of the lists, once; `data` has a workload's fields as far as they are valid."""
    return tuple(dict.fromkeys(_of(data, BOTH, SENT_TO, READ)))


def in_file(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """The same of a workload under the file's names."""
    lists = ("existingTopicList", "existingProduceTopicList", "existingConsumeTopicList")
    return named(dict(zip((BOTH, SENT_TO, READ), map(spec.get, lists), strict=True)))


def _of(data: Mapping[str, Any], *lists: str) -> list[str]:
    return [name for each in lists for name in data.get(each) or ()]


def topics(count: int, data: Mapping[str, Any]) -> int:
    """How many new topics there are, if that goes with the lists.

    Raises:
        ValueError: if not; so do the next two.
    """
    if not count and not named(data):
        raise ValueError("0 is too small; write 1 or more, or name topics that exist (existingTopicList)")
    if count and named(data):
        raise ValueError("is given beside topics that exist; write 0, or remove their list")
    return count


def producers(count: int, data: Mapping[str, Any]) -> int:
    """How many producers a topic has, if there is where to send to, and somebody sends where nothing is."""
    if not named(data):
        if not count and data.get("topics"):
            raise ValueError(
                "0 leaves new topics empty; write 1 or more, or name topics that exist, which others send to"
                " (existingTopicList)"
            )
    elif count and not _of(data, BOTH, SENT_TO):
        raise ValueError(f"{count} have nowhere to send to; write 0, or name their topics in existingTopicList")
    elif not count and data.get(SENT_TO):
        raise ValueError("0 leaves nobody who sends to existingProduceTopicList; write 1 or more, or remove the list")
    return count


def consumers(count: int, data: Mapping[str, Any]) -> int:
    """How many consumers a group has, if there is what to read, and if what is sent is read or nobody reads."""
    if not named(data):
        return count
    sending, reading = data.get("producers_per_topic", 1), count and data.get("subscriptions_per_topic", 1)
    sent_to, read = set(_of(data, BOTH, SENT_TO)), set(_of(data, BOTH, READ))
    if not sending and not reading:
        raise ValueError("0 leaves nobody who sends or reads; write 1 or more, or so many producersPerTopic")
    if reading and not read:
        raise ValueError(f"{count} have nothing to read; write 0, or name their topics in existingTopicList")
    if not reading and data.get(READ):
        raise ValueError("0 leaves nobody who reads existingConsumeTopicList; write 1 or more, or remove the list")
    if sending and reading and sent_to != read:
        only = sorted(sent_to ^ read)[0]
        raise ValueError(
            f"would leave messages of {only!r} without an account, since it is not both sent to and read; name the same"
            " topics for both, or run one workload that sends (consumerPerSubscription: 0) beside one that reads"
            " (producersPerTopic: 0)"
        )
    return count
