"""Topics, their partitions' keys, and which partition a key goes to."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.messaging import MessagingValueError, Topic
from ombdriver.messaging.streams import topic as module
from ombdriver.messaging.streams.topic import Partitioner, murmur2


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(key: bytes, signed: int) -> None:
    """The vectors of Kafka's own test, which shows the hash as a signed int."""
    assert murmur2(key) == signed % 2**32


def test_a_partition_is_a_stream_with_the_hash_tag_of_its_own() -> None:
    """Partition p of topic t is `{t:p}`, so that helper keys with the same tag share its slot."""
    topic = Topic("orders", 3)

    assert topic.keys == ("{orders:0}", "{orders:1}", "{orders:2}")
    assert topic.key(2) == "{orders:2}"


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(max_size=40), st.integers(1, 300))
def test_a_key_always_goes_to_the_same_partition(key: str, partitions: int) -> None:
    """As str or bytes, with or without the cache: one key, one partition of the topic."""
    topic = Topic("t", partitions)
    partitioner = Partitioner(topic)

    expected = (murmur2(key.encode()) & 0x7FFFFFFF) % partitions

    assert {
        topic.partition_of(key),
        topic.partition_of(key.encode()),
        partitioner.pick(key),
        partitioner.pick(key),
    } == {expected}


def test_messages_without_a_key_go_to_each_partition_in_turn() -> None:
    """Round robin from partition 0, not disturbed by messages with a key."""
    partitioner = Partitioner(Topic("t", 3))

    picked = []
    for _ in range(7):
        picked.append(partitioner.pick())
        partitioner.pick("key")

    assert picked == [0, 1, 2, 0, 1, 2, 0]


def test_the_memory_for_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many distinct keys come by, the partitioner remembers only so many."""
    monkeypatch.setattr(module, "_CACHE_LIMIT", 10)
    partitioner = Partitioner(Topic("t", 4))

    picked = Counter(partitioner.pick(str(n)) for n in range(100))

    assert len(partitioner._by_key) <= 10
    assert sum(picked.values()) == 100
    assert len(picked) == 4


@pytest.mark.parametrize(("name", "partitions"), [("", 1), ("a{b", 1), ("a}b", 1), ("t", 0), ("t", True), ("t", "2")])
def test_a_topic_that_can_not_be_is_refused(name: str, partitions: Any) -> None:
    """An empty name, a name with braces (they would move the hash tag), fewer partitions than one."""
    with pytest.raises(MessagingValueError, match="give"):
        Topic(name, partitions)


def test_a_partition_that_is_not_there_is_refused() -> None:
    """The message says which there are."""
    with pytest.raises(MessagingValueError, match="partitions 0 to 1, not 2"):
        Topic("t", 2).key(2)


def test_a_key_of_another_type_is_refused() -> None:
    """A number as key is a mistake: its bytes are not defined."""
    with pytest.raises(MessagingValueError, match="str or bytes, not int"):
        Partitioner(Topic("t")).pick(5)  # type: ignore[arg-type]
