"""Options of producers, consumers and runners: what type checkers see is what is documented, checked and used."""

import inspect
import json
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest

from ombdriver import JsonCodec, MessagingValueError, MQClient, MsgspecCodec
from ombdriver.messaging.topics.consumer.config import ConsumerOptions, ConsumerSettings
from ombdriver.messaging.topics.foreign_options import WAYS_OUT
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
    told = inspect.cleandoc(settings.__doc__)
    assert [name for name in settings.__dataclass_fields__ if f"\n    {name}: " not in told] == []


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
        ("client.producer()", "Value_Serializer", "give codec=JsonCodec()"),
        ("client.producer()", "partitioner", "the key of a message chooses its partition"),
        ("client.producer()", "maxlen", "give retention=Retention(max_length=…)"),
        ("client.producer()", "batch_size", "give max_batch_bytes or max_batch_messages"),
        ("client.consumer()", "auto_offset_reset", "give start='earliest'"),
        ("client.consumer()", "group_id", "the group is the second argument"),
        ("client.consumer()", "concurrency", "client.runner() takes it"),
        ("client.runner()", "max_deliveries", "give retry=RetryPolicy(…)"),
        ("client.runner()", "ack_timeout", "give visibility_timeout_ms"),
        ("client.runner()", "handlers", "give handler, one function"),
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


@pytest.mark.parametrize("of", ["client.producer()", "client.consumer()", "client.runner()"])
def test_what_other_clients_call_an_option_is_none_of_ours(of: str) -> None:
    """Else it would be told how to give what was given rightly; each row is reached, whatever name is near."""
    for name, way_out in WAYS_OUT[of].items():
        with pytest.raises(MessagingValueError) as caught:
            OPENS[of](**{name: 1})
        assert str(caught.value) == f"{of} has no option {name!r}; {way_out}"


@pytest.mark.parametrize(
    ("codec", "told"),
    [
        (JsonCodec, "codec is the class JsonCodec; give a codec: JsonCodec(…)"),
        (MsgspecCodec, "codec is the class MsgspecCodec; give a codec: MsgspecCodec(…)"),
        ("json", "codec is 'json', which has not both encode and decode; give a codec (StrCodec(), "),
        (json, "which has not both encode and decode"),
        (json.dumps, "which has not both encode and decode"),
        (int, "codec is the class int; give a codec: int(…)"),
        (False, "codec is False, which has not both"),
        ((json.dumps, json.loads), "which has not both encode and decode"),
    ],
)
@pytest.mark.parametrize("open_it", ["producer", "consumer", "runner", "delayed"])
def test_what_is_no_codec_is_told_when_it_is_given(open_it: str, codec: Any, told: str) -> None:
    """Not when the first message is sent or read."""
    group = {"group": "g"} if open_it in ("consumer", "runner") else {}
    with pytest.raises(MessagingValueError) as caught:
        getattr(MQClient(URL), open_it)("t", codec=codec, **group)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://h?sokcet_timeout=1", "a URL has no option 'sokcet_timeout'; did you mean 'socket_timeout'?"),
        ("redis://h/0?user=x", "a URL has no option 'user'; did you mean 'username'?"),
        ("rediss://h?ssl_ca_cert=f", "a URL has no option 'ssl_ca_cert'; did you mean 'ssl_ca_certs'?"),
        ("redis://:s3cr3tW0rd@h?wholly_other=1", "a URL has no option 'wholly_other'; give what redis.asyncio"),
        ("redis+cluster://h:1?sock_timeout=1", "a URL has no option 'sock_timeout'; did you mean 'socket_timeout'?"),
        ("redis+sentinel://h:1/m?sock_timeout=1", "a URL has no option 'sock_timeout'; did you mean"),
        ("rediss://h?ssl_cert_reqs=nope", "can't be opened: Invalid SSL Certificate Requirements Flag"),
    ],
)
def test_an_option_of_a_url_that_there_is_not_is_told_so(url: str, told: str) -> None:
    """With the URL, its password masked, and the near option; classes of redis-py are not named."""
    with pytest.raises(MessagingValueError) as caught:
        MQClient(url)
    message = str(caught.value)
    assert told in message
    assert "__init__" not in message
    assert "s3cr3t" not in message
