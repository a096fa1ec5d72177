"""A primary of a cluster dies or hangs, and its replica takes over: who sends and who reads goes on by itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from redis.exceptions import RedisError
from sending import Sending, account
from topologies import Cluster, cluster, until

from ombdriver import GroupConsumer, GroupManager, MQConsumer, MQProducer, OutcomeUnknownError, RedisPool, Topic

TOPIC = Topic("t", 6)


@pytest.fixture
async def six(engine: str) -> AsyncIterator[Cluster]:
    """Three primaries with a replica each, of the test's own."""
    async with cluster(engine, 3, 1) as made:
        yield made


async def numbers(producer: MQProducer) -> list[int]:
    """The numbers of all messages stored."""
    streams = [await producer.query_messages(key) for key in TOPIC.keys]
    return [int(fields["n"]) for entries in streams for _, fields in entries]


async def test_sends_and_reads_go_on_after_a_primary_was_killed(six: Cluster) -> None:
    """At its replica, without the caller's help; what was in flight is told as unknown, and nothing comes twice."""
    async with (
        MQProducer(TOPIC, redis_url=six.url) as producer,
        MQConsumer(TOPIC.keys[0], redis_url=six.url) as plain,
        GroupConsumer(TOPIC.keys[0], "g", "c", redis_url=six.url) as member,
    ):
        for key in TOPIC.keys:
            async with GroupManager(key, redis_pool=producer.redis_pool) as manager:
                await manager.create_group("g")
        await plain.block_read_messages(*TOPIC.keys[1:], block=1)
        seen: list[int] = []
        by_plain: list[int] = []
        done = asyncio.Event()

        async def read_group() -> None:
            start: object = ">"
            while not done.is_set():
                with contextlib.suppress(OutcomeUnknownError):
                    for stream, entries in await member.block_read_messages(*TOPIC.keys[1:], block=200):
                        seen.extend(int(fields["n"]) for _, fields in entries)
                        await member.ack_message(*(entry for entry, _ in entries), stream_key=stream)
            assert start

        async def read_plain() -> None:
            while not done.is_set():
                for _, entries in await plain.block_read_messages(*TOPIC.keys[1:], block=200):
                    by_plain.extend(int(fields["n"]) for _, fields in entries)

        readers = [asyncio.create_task(read_group()), asyncio.create_task(read_plain())]
        sending = Sending(producer)
        await sending.more(1_000)
        six.kill(0)
        await sending.more(3_000)
        outcomes = await sending.stop()
        await asyncio.sleep(0)
        last = len(outcomes)
        finals = await asyncio.gather(*(producer.send_message({"n": n}) for n in range(last, last + 60)))
        assert all(isinstance(one, str) for one in finals)
        while not set(range(last, last + 60)) <= set(seen) & set(by_plain):
            await asyncio.sleep(0.01)
            for reader in readers:
                if reader.done():
                    reader.result()
        done.set()
        await asyncio.gather(*readers)
        stored = await numbers(producer)
        account([*outcomes, *finals], stored)
        assert not any(isinstance(one, OutcomeUnknownError) for one in outcomes[-1_000:])
        assert len(set(by_plain)) == len(by_plain)
        assert six.port(0) not in {node.port for node in producer._router().slots.primaries}


async def test_sends_go_on_when_a_primary_hangs(six: Cluster) -> None:
    """Its connections stay open and owe their replies: they are given up when its replica has taken over."""
    key = next(key for key in TOPIC.keys if six.owner(key) == 1)
    async with (
        MQProducer(TOPIC, "six", six.url) as producer,
        GroupManager(key, "six") as manager,
        GroupConsumer(key, "g", "c", "six") as member,
    ):
        await asyncio.gather(*(producer.send_message({"n": n}) for n in range(60)))
        await manager.create_group("g")
        reading = asyncio.create_task(member.block_read_messages(block=0))
        await until(lambda: _is_blocked(six, 1))
        six.pause(1)
        try:
            sends = [producer.send_message({"n": n}) for n in range(60, 120)]
            outcomes = await asyncio.wait_for(asyncio.gather(*sends, return_exceptions=True), 30)
            assert {type(one) for one in outcomes} == {str, OutcomeUnknownError}
            again = [producer.send_message({"n": n}) for n in range(120, 180)]
            assert all(isinstance(one, str) for one in await asyncio.gather(*again))
            with pytest.raises(OutcomeUnknownError):  # it had no end of its own; who shares connections sees it end
                await asyncio.wait_for(reading, 30)
            assert await member.block_read_messages()
        finally:
            six.resume(1)
    await RedisPool.close_redis("six")


async def test_a_planned_failover_loses_nothing(six: Cluster) -> None:
    """CLUSTER FAILOVER: the old primary lives on as a replica, and sends whoever asks it to the new one."""
    async with MQProducer(TOPIC, redis_url=six.url) as producer:
        sending = Sending(producer)
        await sending.more(500)
        await six.ask(3, "CLUSTER", "FAILOVER")
        await until(lambda: _is_primary(six, 3))
        await sending.more(1_000)
        outcomes = await sending.stop()
        assert [one for one in outcomes if not isinstance(one, str)] == []
        assert sorted(await numbers(producer)) == list(range(len(outcomes)))


async def test_a_slot_without_a_server_is_told_in_the_end(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No replica takes over: sends wait for a while, then say that they were not sent; they do not hang."""
    monkeypatch.setattr("ombdriver.messaging.transport.retry.COMMAND_BACKOFF", _quick())
    async with cluster(engine, 3) as three, MQProducer(TOPIC, redis_url=three.url) as producer:
        await asyncio.gather(*(producer.send_message({"n": n}) for n in range(6)))
        three.kill(2)
        await until(lambda: _is_down(three))
        results = await asyncio.gather(*(producer.send_message({"n": n}) for n in range(6)), return_exceptions=True)
        assert all(isinstance(one, RedisError) for one in results)


def _quick() -> object:
    from ombdriver.messaging.transport.retry import Backoff

    return Backoff(first_s=0.02, cap_s=0.1, give_up_s=1.0)


async def _is_blocked(made: Cluster, number: int) -> bool:
    return bool((await made.raw[number].info("clients"))["blocked_clients"])


async def _is_down(made: Cluster) -> bool:
    return b"cluster_state:fail" in await made.ask(0, "CLUSTER", "INFO")


async def _is_primary(made: Cluster, number: int) -> bool:
    return bool((await made.ask(number, "ROLE"))[0] == b"master")
