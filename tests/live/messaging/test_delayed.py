"""Messages for later: nobody sees them before their time, and they come once."""

from collections.abc import AsyncIterator

import pytest
import redis.asyncio
from topologies import Cluster, until

from ombdriver import MessagingValueError, MQClient, Topic
from ombdriver.messaging.topics.codec import JsonCodec
from ombdriver.messaging.topics.record import MOST_SCRIPT_FIELDS
from ombdriver.messaging.topics.recovery.delayed import DelayedMessages

TOPIC = Topic("t", 4)


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[MQClient]:
    """A client of the server."""
    async with MQClient(redis_url=server_url) as made:
        yield made


async def test_a_message_comes_when_it_is_due(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """Whole: value, key and headers; in the partition of its key."""
    later = client.delayed(TOPIC, codec=JsonCodec())
    await later.send({"n": 1}, 0, key="k", headers={"trace": "7"})
    await later.send({"n": 2}, 3_600, key="k")
    stream = TOPIC.key(TOPIC.partition_of("k"))
    await until(later.move_due)

    ((_, fields),) = await raw.xrange(stream)
    assert fields == {b"value": b'{"n":1}', b"key": b"k", b"h:trace": b"7"}
    assert await later.count() == 1
    await raw.zadd(f"{stream}:delayed", dict.fromkeys(await raw.zrange(f"{stream}:delayed", 0, -1), 1))
    assert await later.move_due() == 1
    assert await later.move_due() == await later.count() == 0
    assert [fields[b"value"] for _, fields in await raw.xrange(stream)] == [b'{"n":1}', b'{"n":2}']


async def test_equal_messages_are_kept_apart(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """Each that was sent comes; binary values as they are."""
    later = client.delayed("t")
    for _ in range(3):
        await later.send(bytes(range(256)), 0, key=b"k")
    await until(lambda: _none_left(later))

    entries = await raw.xrange("{t:0}")
    assert [fields[b"value"] for _, fields in entries] == [bytes(range(256))] * 3


async def _none_left(later: DelayedMessages[bytes]) -> bool:
    await later.move_due()
    return await later.count() == 0


async def test_many_come_in_the_order_in_which_they_are_due(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """Over more than one step of the mover."""
    later = client.delayed("t")
    for n in range(250):
        await later.send(b"%d" % n, 3_600 - n)
    waiting = await raw.zrange("{t:0}:delayed", 0, -1, withscores=True)
    await raw.zadd("{t:0}:delayed", {member: n for n, (member, _) in enumerate(waiting)})

    assert await later.move_due() == 250

    assert [int(fields[b"value"]) for _, fields in await raw.xrange("{t:0}")] == list(reversed(range(250)))


@pytest.mark.parametrize("delay_s", [-1, float("nan"), float("inf")])
async def test_a_delay_is_a_finite_time(client: MQClient, delay_s: float) -> None:
    """Anything else is refused at once."""
    with pytest.raises(MessagingValueError, match="delay_s"):
        await client.delayed(TOPIC).send(b"", delay_s)


async def test_in_a_cluster_every_partition_has_its_own(three: Cluster) -> None:
    """The helper keys are in the slot of their stream."""
    async with MQClient(redis_url=three.url) as client:
        later = client.delayed(TOPIC)
        for n in range(8):
            await later.send(b"%d" % n, 0)
        await until(lambda: _none_left(later))

        lengths = [await client.get_stream_length(key) for key in TOPIC.keys]
    assert lengths == [2, 2, 2, 2]


async def test_a_message_that_no_script_could_move_is_refused(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """It would hold up all that are due; the largest that is taken is moved whole."""
    later = client.delayed("t")
    many = {f"h{n}": "" for n in range(MOST_SCRIPT_FIELDS - 1)}
    with pytest.raises(MessagingValueError, match="fewer headers"):
        await later.send(b"v", 0, headers={**many, "one more": ""})
    assert await later.count() == 0
    await later.send(b"v", 0, headers=many)
    await until(later.move_due)
    ((_, fields),) = await raw.xrange("{t:0}")
    assert len(fields) == MOST_SCRIPT_FIELDS
