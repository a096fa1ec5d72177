"""`Consumer` on a cluster and behind Sentinels: everywhere at once, and through failovers."""

import asyncio
from collections import Counter

import pytest
from sending import Sending
from topologies import Cluster, cluster, sentinel, until

from ombdriver import MQClient, MQProducer, Topic
from ombdriver.messaging.topics.consumer import session

TOPIC = Topic("t", 6)


@pytest.fixture(params=["blocking", "polled"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A connection for each slot, or none."""
    if request.param == "polled":
        monkeypatch.setattr(session, "MOST_CONNECTIONS", 3)
    return str(request.param)


class Consuming:
    """A consumer that acknowledges whatever comes; what came, how often."""

    def __init__(self, client: MQClient) -> None:
        self.consumer = client.consumer(TOPIC, "g")
        self.found: Counter[int] = Counter()
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins."""
        await self.consumer.start()
        self.task = asyncio.create_task(self._go())

    async def _go(self) -> None:
        async for message in self.consumer:
            self.found[int(message.fields[b"n"])] += 1
            await message.ack()

    async def has(self, wanted: set[int]) -> bool:
        """Whether all of them have come; raises what the consumer met."""
        assert self.task is not None
        if self.task.done():
            self.task.result()
        return wanted <= self.found.keys()

    async def close(self) -> None:
        """Ends."""
        await self.consumer.close()
        assert self.task is not None
        await self.task


async def stored(producer: MQProducer) -> set[int]:
    """The numbers of all messages that the servers have."""
    streams = [await producer.query_messages(key) for key in TOPIC.keys]
    return {int(fields["n"]) for entries in streams for _, fields in entries}


async def test_all_partitions_of_a_cluster_are_read(three: Cluster, way: str) -> None:
    """Each by a connection of its own, since one read can't cover two slots, or polled if there are too many."""
    async with MQClient(redis_url=three.url) as client, MQProducer(TOPIC, redis_pool=client.redis_pool) as producer:
        consuming = Consuming(client)
        await consuming.start()
        await asyncio.gather(*(producer.send_message({"n": n}) for n in range(600)))
        await until(lambda: consuming.has(set(range(600))))
        assert consuming.found == Counter(range(600))
        assert len(client.statistics().blocking) == (6 if way == "blocking" else 0)
        lag = await consuming.consumer.lag()
        assert (lag.messages, sorted(lag.partitions)) == (0, list(range(6)))
        await consuming.close()
        assert consuming.consumer.statistics().acknowledged == 600
        infos = [await one.info("clients") for one in three.raw]
        assert sum(info["blocked_clients"] for info in infos) == 0


async def test_dead_letters_and_what_is_given_back_lie_beside_their_partition(three: Cluster) -> None:
    """One script does it, so all its keys are in one slot."""
    async with MQClient(redis_url=three.url) as client, MQProducer(TOPIC, redis_pool=client.redis_pool) as producer:
        for key in TOPIC.keys:
            await producer._execute("XADD", key, "*", "n", 1, once=True)
        async with client.consumer(TOPIC, "g") as consumer:
            for message in [await consumer.getone() for _ in range(6)]:  # all of them, or one might come twice before
                await message.nack()
            for _ in range(6):
                message = await consumer.getone()
                assert message.delivery_count == 2
                assert await message.reject("bad")
        assert [await client.get_stream_length(f"{key}:dlq") for key in TOPIC.keys] == [1] * 6


async def test_a_partition_that_moves_is_followed(three: Cluster, way: str) -> None:
    """Its slot goes to another primary, its group with it: reading goes on there, and nothing comes twice."""
    from redis.crc import key_slot

    async with MQClient(redis_url=three.url) as client, MQProducer(TOPIC, redis_pool=client.redis_pool) as producer:
        consuming = Consuming(client)
        await consuming.start()
        await asyncio.gather(*(producer.send_message({"n": n}) for n in range(60)))
        key = TOPIC.keys[0]
        slot, source = key_slot(key.encode()), three.owner(key)
        target = (source + 1) % 3
        for old, new, first in ((source, target, 60), (target, source, 120)):
            await three.migrate_begin(slot, old, new)
            await three.migrate_keys(slot, old, new)
            await three.migrate_end(slot, old, new)
            await asyncio.gather(*(producer.send_message({"n": n}) for n in range(first, first + 60)))
            await until(lambda first=first: consuming.has(set(range(first + 60))))  # type: ignore[misc]
        await consuming.close()
        assert consuming.found == Counter(range(180))


@pytest.mark.parametrize("how", ["killed", "planned"])
async def test_a_failover_in_a_cluster(engine: str, how: str, way: str) -> None:
    """Every message that the servers still have is delivered; what comes twice was in flight around the failover."""
    async with (
        cluster(engine, 3, 1) as six,
        MQClient(redis_url=six.url) as client,
        MQProducer(TOPIC, redis_pool=client.redis_pool) as producer,
    ):
        consuming = Consuming(client)
        await consuming.start()
        sending = Sending(producer)
        await sending.more(1_000)
        if how == "killed":
            six.kill(0)
        else:
            await six.ask(3, "CLUSTER", "FAILOVER")
            await until(lambda: _is_primary(six, 3))
        await sending.more(2_000)
        await sending.stop()
        wanted = await stored(producer)
        await until(lambda: consuming.has(wanted))
        await consuming.close()
        again = consuming.found.total() - len(consuming.found)
        assert again <= 256 + 512, "no more than is buffered, and acknowledgements that travel together"


async def test_a_failover_behind_sentinels(engine: str) -> None:
    """The new master is found; what it has is delivered."""
    async with (
        sentinel(engine, 1) as watched,
        MQClient(redis_url=watched.url) as client,
        MQProducer(TOPIC, redis_pool=client.redis_pool) as producer,
    ):
        consuming = Consuming(client)
        await consuming.start()
        sending = Sending(producer)
        await sending.more(600)
        await watched.fail_over()
        await sending.more(1_000)
        await sending.stop()
        wanted = await stored(producer)
        await until(lambda: consuming.has(wanted))
        await consuming.close()


async def _is_primary(made: Cluster, number: int) -> bool:
    return bool((await made.ask(number, "ROLE"))[0] == b"master")
