"""Slots that move between primaries while messages are on their way: each message is stored exactly once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from redis.crc import key_slot
from sending import Sending
from topologies import Cluster

from ombdriver import GroupConsumer, GroupManager, MQConsumer, MQProducer
from ombdriver.messaging.transport.connection import pack
from ombdriver.messaging.transport.factory import open_client
from ombdriver.messaging.transport.router import open_router

KEY = "moving"
SLOT = key_slot(KEY.encode())


@contextlib.asynccontextmanager
async def moving(three: Cluster) -> AsyncIterator[tuple[int, int]]:
    """The slot's primary and the one that it goes to; at the end it goes back."""
    source = three.owner(KEY)
    target = (source + 1) % 3
    yield source, target
    await move(three, target, source)


async def move(three: Cluster, source: int, target: int) -> None:
    """The whole way."""
    await three.migrate_begin(SLOT, source, target)
    await three.migrate_keys(SLOT, source, target)
    await three.migrate_end(SLOT, source, target)


async def stored(producer: MQProducer) -> list[int]:
    """The numbers of all messages, as they lie."""
    return [int(fields["n"]) for _, fields in await producer.query_messages(KEY)]


async def test_sends_follow_a_slot_that_has_moved(three: Cluster) -> None:
    """MOVED reaches no caller, and the next messages go to the new primary at once."""
    async with moving(three) as (source, target), MQProducer(KEY, redis_url=three.url) as producer:
        await producer.send_message({"n": -1})
        version = producer._router().version
        await move(three, source, target)
        sends = [producer.send_message({"n": n}) for n in range(500)]
        assert all(isinstance(one, str) for one in await asyncio.gather(*sends))
        assert producer._router().version > version
        assert sorted(await stored(producer)) == list(range(-1, 500))
        calls = await three.raw[source].info("commandstats")
        await producer.send_message({"n": 500})
        assert (await three.raw[source].info("commandstats"))["cmdstat_xadd"] == calls["cmdstat_xadd"]


async def test_every_message_is_stored_once_while_its_slot_moves(three: Cluster) -> None:
    """With many in flight, through MIGRATING (ASK, TRYAGAIN) to MOVED, and back again; other commands follow too."""
    async with moving(three) as (source, target), MQProducer(KEY, redis_url=three.url) as producer:
        await producer.send_message({"n": -1})
        sending = Sending(producer)
        for there, here in ((source, target), (target, source), (source, target)):
            await sending.more(300)
            await three.migrate_begin(SLOT, there, here)
            await sending.more(300)
            await three.migrate_keys(SLOT, there, here)
            await sending.more(300)
            assert await producer.get_stream_length(KEY) > 0
            await three.migrate_end(SLOT, there, here)
        await sending.more(300)
        outcomes = await sending.stop()
        assert [one for one in outcomes if not isinstance(one, str)] == []
        assert sorted(await stored(producer)) == list(range(-1, len(outcomes)))


async def test_commands_of_a_block_that_were_refused_are_sent_again_by_key(three: Cluster) -> None:
    """As a driver does it: the block's errors are told to the channels, which say what to send again, and do."""
    client = open_client(three.url, {"decode_responses": False})
    router = open_router(client, owns_client=True)
    key = KEY.encode()
    commands = [pack(("XADD", KEY, "*", "n", n)) for n in range(300)]
    again: list[asyncio.Future[bytes]] = []
    good = 0

    def sink(_token: int, first: int, count: int, error: Exception | None, _ns: int, _last: object) -> None:
        nonlocal good
        if error is None:
            good += count
            return
        for n in range(first, first + count):
            assert router.learn(error)
            again.append(router.send(key, commands[n], after=error))

    async with moving(three) as (source, target):
        await router.discover()
        channel, version = router.bulk_for(key), router.version
        await channel.ready()
        channel.send_block(b"".join(commands[:100]), 100, sink, 0, 0)
        while good < 100:  # noqa: ASYNC110 - until the replies are there
            await asyncio.sleep(0)
        await three.migrate_begin(SLOT, source, target)
        await three.migrate_keys(SLOT, source, target)
        channel.send_block(b"".join(commands[100:200]), 100, sink, 0, 100)
        while len(again) < 100:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert all(await asyncio.gather(*again))
        assert router.version == version, "ASK says nothing of the next command"
        await three.migrate_end(SLOT, source, target)
        channel.send_block(b"".join(commands[200:]), 100, sink, 0, 200)
        while len(again) < 200:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert all(await asyncio.gather(*again))
        assert router.version > version
        assert router.bulk_for(key) is not channel
        entries = await router.execute(key, "XRANGE", key, "-", "+")
        assert [int(fields[b"n"]) for _, fields in entries] == list(range(300))
        await router.aclose()


async def test_readers_follow_a_slot_that_moves(three: Cluster) -> None:
    """A blocked group read, a blocked plain read and acknowledgements, through ASK and MOVED: nothing comes twice."""
    async with (
        moving(three) as (source, target),
        MQProducer(KEY, redis_url=three.url) as producer,
        GroupManager(KEY, redis_url=three.url) as manager,
        GroupConsumer(KEY, "g", "c", redis_url=three.url) as member,
        MQConsumer(KEY, redis_url=three.url) as plain,
    ):
        await manager.create_group("g")
        await plain.block_read_messages(block=1)
        by_group: list[int] = []
        by_plain: list[int] = []

        async def read_group() -> None:
            while not by_group or max(by_group) < 899:
                for _, entries in await member.block_read_messages():
                    by_group.extend(int(fields["n"]) for _, fields in entries)
                    ids = [entry for entry, _ in entries]
                    assert await member.ack_message(*ids) == len(ids)

        async def read_plain() -> None:
            while not by_plain or max(by_plain) < 899:
                for _, entries in await plain.block_read_messages():
                    by_plain.extend(int(fields["n"]) for _, fields in entries)

        readers = [asyncio.create_task(read_group()), asyncio.create_task(read_plain())]
        steps: list[Callable[..., Awaitable[None]]] = [three.migrate_begin, three.migrate_keys, three.migrate_end]
        sent = 0
        for there, here in ((source, target), (target, source), (source, target)):
            for step in steps:
                for _ in range(5):
                    await asyncio.gather(*(producer.send_message({"n": n}) for n in range(sent, sent + 20)))
                    sent += 20
                await step(SLOT, there, here)
        await asyncio.gather(*readers)
        assert sorted(by_group) == list(range(900))
        assert sorted(by_plain) == list(range(900))
        assert (await manager.get_groups_info())[0]["pending"] == 0
