"""Options of producers, consumers and runners: what type checkers see is what is documented, checked and used."""

from collections.abc import Callable
from typing import Any, get_type_hints

import pytest

from ombdriver import MessagingValueError, MQClient
from ombdriver.messaging.topics.consumer.config import ConsumerOptions, ConsumerSettings
from ombdriver.messaging.topics.producer.config import ProducerOptions, ProducerSettings
from ombdriver.messaging.topics.runner.config import RunnerOptions, RunnerSettings


@pytest.mark.parametrize(
    ("options", "settings"),
    [(ProducerOptions, ProducerSettings), (ConsumerOptions, ConsumerSettings), (RunnerOptions, RunnerSettings)],
)
def test_options_and_settings_have_the_same_names_and_types(options: Any, settings: Any) -> None:
    """A TypedDict for signatures and a dataclass for use can't be one declaration, so they are held together here."""
    assert get_type_hints(options) == {name: get_type_hints(settings)[name] for name in settings.__dataclass_fields__}


@pytest.mark.parametrize("settings", [ProducerSettings, ConsumerSettings, RunnerSettings])
def test_every_option_is_documented(settings: Any) -> None:
    """In the docstring of its settings, by name."""
    assert [name for name in settings.__dataclass_fields__ if f"\n        {name}: " not in settings.__doc__] == []


URL = "redis://127.0.0.1:1"
OPENS: dict[str, Callable[..., object]] = {
    "client.producer()": lambda **options: MQClient(URL).producer("t", **options),
    "client.consumer()": lambda **options: MQClient(URL).consumer("t", "g", **options),
    "client.runner()": lambda **options: MQClient(URL).runner("t", "g", **options),
    "a client": lambda **options: MQClient(URL, **options),
    "a client ": lambda **options: MQClient("redis+cluster://127.0.0.1:1", **options),
    "a client  ": lambda **options: MQClient("redis+sentinel://127.0.0.1:1/m", **options),
}


@pytest.mark.parametrize(
    ("what", "wrong", "told"),
    [
        ("client.producer()", "lingerms", "did you mean 'linger_ms'?"),
        ("client.producer()", "Linger_MS", "did you mean 'linger_ms'?"),
        ("client.producer()", "codecs", "did you mean 'codec'?"),
        ("client.consumer()", "visibility_timeout", "did you mean 'visibility_timeout_ms'?"),
        ("client.consumer()", "wholly_other", "it has block_ms, codec, prefetch"),
        ("client.runner()", "max_concurrency", "did you mean 'concurrency'?"),
        ("client.runner()", "drain_timeout", "did you mean 'drain_timeout_s'?"),
        ("a client", "decode_response", "did you mean 'decode_responses'?"),
        ("a client ", "sock_timeout", "did you mean 'socket_timeout'?"),
        ("a client  ", "user_name", "did you mean 'username'?"),
        ("a client", "wholly_other", "give what redis.asyncio.Redis.from_url takes"),
    ],
)
def test_an_option_that_there_is_not_is_told_with_the_near_one(what: str, wrong: str, told: str) -> None:
    """And with the call that does not take it; classes that nobody has written down are not named."""
    with pytest.raises(MessagingValueError) as caught:
        OPENS[what](**{wrong: 1})
    message = str(caught.value)
    assert message.startswith(f"{what.strip()} has no option {wrong!r}; {told}")
    assert "__init__" not in message
    assert "Settings" not in message
