"""What a producer can be told: every option by name, and what can't be is refused before anything is opened."""

from typing import Any

import pytest

from ombdriver import MessagingValueError, MQClient, Retention, Topic
from ombdriver.messaging.topics.producer.config import ProducerSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("linger_ms", -1),
        ("linger_ms", "1"),
        ("linger_ms", None),
        ("linger_ms", 30_000),
        ("max_batch_messages", 0),
        ("max_batch_bytes", None),
        ("buffer_messages", 1.5),
        ("buffer_bytes", True),
        ("max_block_ms", -1),
        ("delivery_timeout_ms", 0),
        ("delivery_timeout_ms", None),
        ("on_unknown", "retry"),
        ("retention", 1_000),
    ],
)
def test_what_can_not_be_is_refused_by_name(name: str, value: Any) -> None:
    """By the client, before there is a connection."""
    client = MQClient(redis_url="redis://127.0.0.1:1")
    with pytest.raises(MessagingValueError, match=name):
        client.producer("t", **{name: value})


@pytest.mark.parametrize(
    "given", [{}, {"max_length": 1, "max_age_s": 1}, {"max_length": 0}, {"max_age_s": 0}, {"max_length": 1.5}]
)
def test_a_retention_is_one_bound(given: dict[str, Any]) -> None:
    """Neither none nor two."""
    with pytest.raises(MessagingValueError):
        Retention(**given)


def test_what_is_acknowledged_goes_with_any_bounds() -> None:
    """Sending itself trims nothing then."""
    for bounds in ({}, {"max_length": 1}, {"max_age_s": 1.5}, {"max_length": 1, "max_age_s": 1.5}):
        assert Retention(acknowledged=True, **bounds).words(0) == ()  # type: ignore[arg-type]


def test_a_topic_says_what_its_producers_keep_unless_they_say_it_themselves() -> None:
    """It is no part of which topic it is."""
    kept, own = Retention(max_length=5), Retention(max_length=6)
    topic = Topic("t", retention=kept)
    assert topic == Topic("t")
    assert ProducerSettings().on(topic).retention == kept
    assert ProducerSettings(retention=own).on(topic).retention == own
    assert ProducerSettings().on(Topic("t")).retention is None
    with pytest.raises(MessagingValueError, match="retention"):
        Topic("t", retention=5)  # type: ignore[arg-type]


def test_a_retention_as_words() -> None:
    """Whole seconds of age, and never younger than asked."""
    assert Retention(max_length=5).words(0) == ("MAXLEN", "~", 5)
    assert Retention(max_length=5, exact=True).words(0) == ("MAXLEN", "=", 5)
    assert Retention(max_age_s=0.5).words(1_000.2) == ("MINID", "~", 999_000)
    assert Retention(max_age_s=5_000).words(1_000) == ("MINID", "~", 0)
