"""What the clients of the stream level share: each is an `MQClient`, and closes by either name."""

from typing import Any

import pytest

from ombdriver import (
    AcknowledgedTrimmer,
    ClosedError,
    Group,
    GroupConsumer,
    GroupManager,
    MessagingValueError,
    MQClient,
    MQConsumer,
    MQProducer,
    Producer,
    RedisPool,
)

NOWHERE = "redis://127.0.0.1:1"
CLIENTS: list[tuple[type[MQClient], tuple[Any, ...]]] = [
    (MQClient, ()),
    (MQProducer, ("s",)),
    (MQConsumer, ("s",)),
    (GroupManager, ("s",)),
    (Group, ("s", "g")),
    (GroupConsumer, ("s", "g", "c")),
]


@pytest.mark.parametrize(("kind", "arguments"), CLIENTS)
async def test_every_client_manages_streams_and_opens_topics(kind: type[MQClient], arguments: tuple[Any, ...]) -> None:
    """Whoever has one of them needs no other client for the rest of the library; nothing connects before it is used."""
    async with kind(*arguments, redis_url=NOWHERE) as client:
        assert isinstance(client, MQClient)
        assert isinstance(client.producer("t"), Producer)
        assert client.statistics().bulk.reconnects == 0


@pytest.mark.parametrize(("kind", "arguments"), CLIENTS)
@pytest.mark.parametrize("url", [NOWHERE, "redis+cluster://h:1", "redis+sentinel://h:1/m", "unix:///s"])
def test_a_url_is_taken_where_a_name_may_stand(kind: type[MQClient], arguments: tuple[Any, ...], url: str) -> None:
    """As `MQClient("redis://…")`, which is what one writes at first: connections of its own, as with `redis_url`."""
    assert repr(kind(*arguments, url)) == repr(kind(*arguments, redis_url=url))


@pytest.mark.parametrize(("kind", "arguments"), CLIENTS)
async def test_a_url_is_no_name(kind: type[MQClient], arguments: tuple[Any, ...]) -> None:
    """Beside another URL it is refused, and so it is where only a name may stand; no password is told."""
    url = "redis://:SECRET@127.0.0.1:1"
    for refused in (
        lambda: kind(*arguments, url, redis_url=NOWHERE),
        lambda: kind(*arguments, redis_name=url, redis_url=NOWHERE),
        lambda: RedisPool.get_redis_pool(url, NOWHERE),
    ):
        with pytest.raises(MessagingValueError, match="is a URL; give it as redis_url") as caught:
            refused()
        assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(("kind", "arguments"), CLIENTS)
async def test_close_is_the_same_as_aclose(kind: type[MQClient], arguments: tuple[Any, ...]) -> None:
    """A second call does nothing; afterwards the client can't be used."""
    client = kind(*arguments, redis_url=NOWHERE)
    await client.close()
    await client.aclose()

    with pytest.raises(ClosedError, match=kind.__name__):
        await client.check_health()


async def test_a_trimmer_closes_by_either_name() -> None:
    """Before it runs, too."""
    async with MQClient(redis_url=NOWHERE) as client:
        trimmer = client.keep_trimmed(["s"])
        assert isinstance(trimmer, AcknowledgedTrimmer)
        await trimmer.close()
        await trimmer.aclose()
