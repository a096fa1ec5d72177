"""A lone surrogate, as JSON and file names have it, has no bytes: it is refused by an error of ours, or escaped."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver import JsonCodec, MessagingValueError, MQClient, StrCodec, Topic
from ombdriver.messaging.producer import MQProducer
from ombdriver.messaging.streams.topic import Partitioner
from ombdriver.messaging.topics.consumer.offsets import resolve
from ombdriver.messaging.topics.producer.partitioner import StickyPartitioner
from ombdriver.messaging.topics.record import pack_record, record_fields
from ombdriver.messaging.topics.recovery.dead_letters import _reason

LONE = "caf\ud800"
URL = "redis://127.0.0.1:1"
TAKES: dict[str, Callable[[], object]] = {
    "a value": lambda: StrCodec().encode(LONE),
    "a key": lambda: StickyPartitioner(Topic("t")).check(LONE, None),
    "a key that picks a partition": lambda: Partitioner(Topic("t", 4)).pick(LONE),
    "a key whose partition is asked for": lambda: Topic("t").partition_of(LONE),
    "a header's name": lambda: pack_record(b"v", None, {LONE: "text"}),
    "a header": lambda: pack_record(b"v", None, {"name": LONE}),
    "a header of a delayed message": lambda: record_fields(b"v", None, {"name": LONE}),
    "a topic's name": lambda: Topic(LONE, 4),
    "a topic's tag": lambda: Topic("t", 2, tags=("t", LONE)),
    "a group": lambda: MQClient(redis_url=URL).consumer("t", LONE),
    "a member": lambda: MQClient(redis_url=URL).runner("t", "g", LONE),
    "a place": lambda: resolve(LONE),
    "a stream": lambda: MQProducer(LONE, redis_url=URL),
    "streams that are trimmed": lambda: MQClient(redis_url=URL).keep_trimmed([LONE]),
}


@pytest.mark.parametrize("what", TAKES)
def test_it_is_refused_with_the_way_out(what: str) -> None:
    """Wherever a text becomes bytes; the message can be printed on any terminal."""
    with pytest.raises(MessagingValueError, match=r"surrogate.*replace") as caught:
        TAKES[what]()
    assert str(caught.value).isascii()


@given(text=st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF, exclude_categories=()), max_size=20))
def test_a_reason_to_give_up_is_never_refused(text: str) -> None:
    """What has no bytes is written as an escape; surrogates that stand for bytes are these bytes."""
    reason = _reason(text)
    if reason.decode("utf-8", "surrogateescape") != text:
        assert reason == text.encode("utf-8", "backslashreplace")


@given(
    value=st.recursive(
        st.none() | st.integers() | st.text(st.characters(exclude_categories=())),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    )
)
def test_what_json_can_say_comes_back_as_it_was(value: object) -> None:
    """Lone surrogates too, which JSON has as escapes; any other text is not escaped."""
    assert JsonCodec().decode(JsonCodec().encode(value)) == json.loads(json.dumps(value))
    assert JsonCodec().encode("ä") == '"ä"'.encode()
