"""Options of producers, consumers and runners: what type checkers see is what is documented, checked and used."""

import inspect
import json
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest

from ombdriver import (
    DeadLetterPolicy,
    ExponentialBackoff,
    JsonCodec,
    MessagingError,
    MessagingValueError,
    MQClient,
    MsgspecCodec,
    Retention,
    RetryPolicy,
    Topic,
)
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
        (int, "codec is the class int; give a codec: MsgspecCodec(int), or PydanticCodec(int)"),
        (str, "codec is the class str; give a codec: MsgspecCodec(str), or PydanticCodec(str)"),
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


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (
            lambda: RetryPolicy(max_retries=3),
            "RetryPolicy() has no option 'max_retries'; give max_deliveries, the first",
        ),
        (
            lambda: RetryPolicy(max_delivery=3),
            "RetryPolicy() has no option 'max_delivery'; did you mean 'max_deliveries'?",
        ),
        (lambda: RetryPolicy(backoff=3), "backoff is 3; give ExponentialBackoff(), or a function from deliveries to"),
        (lambda: RetryPolicy(backoff=ExponentialBackoff), "give ExponentialBackoff(), or a function"),
        (
            lambda: ExponentialBackoff(max_delay=3),
            "ExponentialBackoff() has no option 'max_delay'; give cap_s, in seconds",
        ),
        (lambda: ExponentialBackoff(first_s="1s"), "give seconds of 0 or more, and a jitter from 0 to 1"),
        (lambda: ExponentialBackoff(cap_s=float("nan")), "give seconds of 0 or more, and a jitter from 0 to 1"),
        (lambda: Retention(maxlen=9), "Retention() has no option 'maxlen'; give max_length, in entries"),
        (lambda: Retention(max_age_s="1h"), "max_age_s is '1h'; give seconds, more than 0"),
        (lambda: Retention(max_age_s=float("inf")), "max_age_s is inf; give seconds, more than 0"),
        (lambda: DeadLetterPolicy(topic="dead"), "DeadLetterPolicy() has no option 'topic'; dead letters lie beside"),
        (lambda: Topic("t", partition=3), "Topic() has no option 'partition'; did you mean 'partitions'?"),
        (lambda: Topic("t", num_partitions=3), "Topic() has no option 'num_partitions'; give partitions"),
    ],
)
def test_policies_and_topics_tell_their_options_as_the_client_does(made: Callable[[], object], told: str) -> None:
    """By the name that is near, or by what stands here for that of other clients; values are looked at, too."""
    with pytest.raises(MessagingValueError) as caught:
        made()
    assert told in str(caught.value)
    assert "__init__" not in str(caught.value)


@pytest.mark.parametrize("topic", [None, b"t", ["t"], 3, Topic])
@pytest.mark.parametrize("open_it", ["producer", "consumer", "runner", "delayed", "dead_letters"])
def test_what_is_no_topic_is_told_so(open_it: str, topic: Any) -> None:
    """As what was given, with the way out."""
    group = {"group": "g"} if open_it in ("consumer", "runner") else {}
    with pytest.raises(MessagingValueError) as caught:
        getattr(MQClient(URL), open_it)(topic, **group)
    assert str(caught.value) == f"topic is {topic!r}; give a Topic, or the name of one with a single partition"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"url": URL}, "was given, but url; give one of them, as redis_url='redis://HOST:PORT/DB'"),
        ({"host": "h", "port": 1}, "was given, but host, port; give one of them, as redis_url="),
        ({"redis_name": ""}, "redis_name is empty; is a variable of the environment not set?"),
        ({"redis_url": ""}, "is no URL of a server"),
    ],
)
def test_a_client_without_a_server_is_told_how_to_name_one(given: dict[str, Any], told: str) -> None:
    """Whatever else was given."""
    with pytest.raises(MessagingError) as caught:
        MQClient(**given)
    assert told in str(caught.value)


@pytest.mark.parametrize("name", ["localhost:6379", "localhost", "10.0.0.7", "redis.example:6379/2"])
async def test_an_address_in_the_place_of_a_name_is_told_as_one(name: str) -> None:
    """With the URL that it would be."""
    with pytest.raises(MessagingError) as caught:
        MQClient(name)
    assert f"give redis_url (as redis://{name}), or await RedisPool" in str(caught.value)
