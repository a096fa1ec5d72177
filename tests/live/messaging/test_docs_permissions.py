"""The permissions that docs/library/operate.md gives are enough: each of its rows, by a user who has no other."""

import asyncio
import logging
import re
from collections.abc import Sequence

import pytest
import redis.asyncio
from printed import LIBRARY
from running import AT_ONCE, met
from topologies import Cluster, sentinel, until

from ombdriver import Message, MQClient, Retention, Topic

PAGE = (LIBRARY / "operate.md").read_text(encoding="utf-8")
ROWS = {
    who: re.findall(r"\+[a-z|]+", rules.replace("\\|", "|"))
    for who, rules in re.findall(r"^\| ([^|]+?) \| (`\+.*) \|$", PAGE, re.M)
}
ORDERS = Topic("orders", 2)
PRODUCER, IDEMPOTENT = "a producer", 'with `on_unknown="idempotent"`, also'
CONSUMER = "a consumer or a runner"
LETTERS, LATER, MOVE = "who looks after dead letters", "who sends messages for later", "`move_due`"
LAG, TRIM, BOUNDS = "`client.lag`", "`keep_trimmed`", "`keep_trimmed` with bounds, also"
HEALTH, CLUSTER, SENTINEL = "`check_health`", "anybody, in a cluster", "anybody, behind Sentinels"
BALANCED = "`balanced_topic`, in a cluster"


async def allow(servers: Sequence[redis.asyncio.Redis], *rows: str) -> None:
    """Makes the user `u` on all servers, with what these rows say."""
    rules = [rule for row in rows for rule in ROWS[row]]
    patterns = ["~{orders:*"] + (["~{orders}:placement", "~placement:turn"] if BALANCED in rows else [])
    for server in servers:
        await server.execute_command("ACL", "SETUSER", "u", "reset", "on", ">secret", *patterns, *rules)


def as_user(url: str) -> str:
    """The URL with the user's name."""
    return url.replace("://", "://u:secret@")


@pytest.fixture(autouse=True)
def nothing_refused(caplog: pytest.LogCaptureFixture):  # type: ignore[no-untyped-def]
    """No warning tells of a refusal that something else has hidden."""
    caplog.set_level(logging.INFO, "ombdriver.messaging")
    yield
    refused = [each.getMessage() for each in caplog.records if re.search("NOPERM|permission", each.getMessage())]
    assert refused == []


@pytest.fixture
async def admin(raw: redis.asyncio.Redis):  # type: ignore[no-untyped-def]
    """Who makes the user, and removes it."""
    yield raw
    await raw.execute_command("ACL", "DELUSER", "u")


def test_every_row_is_tried_here() -> None:
    """A new one needs a test."""
    assert set(ROWS) == {
        *(PRODUCER, IDEMPOTENT, CONSUMER, LETTERS, LATER, MOVE, LAG, TRIM, BOUNDS, HEALTH, CLUSTER, SENTINEL),
        BALANCED,
    }


async def test_a_producer(server_url: str, admin: redis.asyncio.Redis) -> None:
    """Batches, single messages, what it trims."""
    await allow([admin], PRODUCER)
    kept = Retention(max_length=10)
    async with MQClient(redis_url=as_user(server_url)) as client, client.producer(ORDERS, retention=kept) as producer:
        await producer.send_and_wait(b"v", key="k")
        await asyncio.gather(*await producer.send_batch([b"v"] * 50))


async def test_an_idempotent_producer(server_url: str, admin: redis.asyncio.Redis) -> None:
    """The same."""
    await allow([admin], PRODUCER, IDEMPOTENT)
    kept = Retention(max_length=10)
    async with (
        MQClient(redis_url=as_user(server_url)) as client,
        client.producer(ORDERS, retention=kept, on_unknown="idempotent") as producer,
    ):
        await producer.send_and_wait(b"v", key="k")
        await asyncio.gather(*await producer.send_batch([b"v"] * 50))


async def test_a_consumer(server_url: str, admin: redis.asyncio.Redis) -> None:
    """All that a message and a consumer can be told; and its group made again."""
    await allow([admin], CONSUMER)
    for number in range(4):
        await admin.xadd("{orders:0}", {"value": str(number)})
    async with MQClient(redis_url=as_user(server_url)) as client:
        async with client.consumer(ORDERS, "g") as consumer:
            await (await consumer.getone()).ack()
            message = await consumer.getone()
            assert await message.in_progress()
            await message.nack()
            assert await (await consumer.getone()).reject("no")
            await consumer.flush()
            await consumer.lag()
            await consumer.seek("latest", 1)
        assert await admin.xlen("{orders:0}:dlq") == 1
        async with client.consumer(ORDERS, "g2", "lasting", block_ms=50) as consumer:
            assert [await consumer.getone() for _ in range(2)]
            await admin.xgroup_destroy("{orders:0}", "g2")
            await until(lambda: met(consumer.statistics().groups_made > 0))
            await admin.client_kill_filter(_type="normal", skipme=True)
            await admin.xadd("{orders:1}", {"value": "after"})
            while (await consumer.getone()).value != b"after":
                pass


async def test_a_runner(server_url: str, admin: redis.asyncio.Redis) -> None:
    """Retries, dead letters, what others left, what comes later. See also test_docs_process."""
    await allow([admin], CONSUMER)
    await admin.xgroup_create("{orders:0}", "g", "0", mkstream=True)
    for value in ("stale", "poison", "good", "far"):
        await admin.xadd("{orders:0}", {"value": value})
    await admin.xreadgroup("g", "dead", {"{orders:0}": ">"}, count=1)
    seen: list[bytes] = []
    async with MQClient(redis_url=as_user(server_url)) as client:
        runner = client.runner(
            ORDERS, "g", block_ms=50, visibility_timeout_ms=400, dead_after_s=0.2, retry=AT_ONCE, ordering="key"
        )

        @runner.handler
        async def handle(message: Message[bytes]) -> None:
            seen.append(message.value)
            if message.value == b"poison":
                raise ValueError("no")
            if message.value == b"far":
                await message.nack(delay=3_600)

        task = asyncio.create_task(runner.run(signals=False))
        await until(lambda: met({b"stale", b"good", b"far"} <= set(seen) and runner.statistics().dead_lettered == 1))
        await until(lambda: _has_not(admin, b"dead"))
        await until(lambda: _is_there(admin, "{orders:0}:delayed:g"))
        runner.stop()
        await task


async def _has_not(raw: redis.asyncio.Redis, name: bytes) -> bool:
    return name not in [each["name"] for each in await raw.xinfo_consumers("{orders:0}", "g")]


async def _is_there(raw: redis.asyncio.Redis, key: str) -> bool:
    return bool(await raw.exists(key))


async def test_who_looks_after_dead_letters(server_url: str, admin: redis.asyncio.Redis) -> None:
    """Counts, reads, sends again to a group and to all, throws away."""
    await allow([admin], LETTERS)
    await admin.xgroup_create("{orders:0}", "g", "0", mkstream=True)
    here = await admin.xadd("{orders:0}", {"value": "here"})
    for entry in (here, b"1-1", b"1-2"):
        await admin.xadd("{orders:0}:dlq", {"value": "v", "x-group": "g", "x-id": entry})
    async with MQClient(redis_url=as_user(server_url)) as client:
        letters = client.dead_letters(ORDERS)
        assert (await letters.count(), len(await letters.read())) == (3, 3)
        assert await letters.redrive(count=2) == 2
        assert await letters.purge() == 1
    assert await admin.xlen("{orders:0}") == 2
    assert (await admin.xpending("{orders:0}", "g"))["pending"] == 1


async def test_messages_for_later(server_url: str, admin: redis.asyncio.Redis) -> None:
    """One user sends and counts them; another moves what is due."""
    await allow([admin], LATER)
    async with MQClient(redis_url=as_user(server_url)) as client:
        await client.delayed(ORDERS).send(b"v", 0)
        assert await client.delayed(ORDERS).count() == 1
    await allow([admin], MOVE)
    async with MQClient(redis_url=as_user(server_url)) as client:
        assert await client.delayed(ORDERS).move_due() == 1


async def test_lag_and_health(server_url: str, admin: redis.asyncio.Redis) -> None:
    """By an observer; the lag also where the server has none, and entries are counted."""
    await allow([admin], LAG, HEALTH)
    await admin.xgroup_create("{orders:0}", "g", "0", mkstream=True)
    ids = [await admin.xadd("{orders:0}", {"value": "v"}) for _ in range(5)]
    await admin.xdel("{orders:0}", ids[2])
    async with MQClient(redis_url=as_user(server_url)) as client:
        assert await client.check_health()
        lag = await client.lag(ORDERS, "g")
        assert (lag.partitions[0].messages, lag.partitions[0].is_exact) == (4, True)
        assert (lag.partitions[1].messages, lag.is_exact) == (0, False), "it has no such group there"


@pytest.mark.parametrize("bounds", [{}, {"maxlen": 5}, {"max_age_s": 3_600.0}], ids=["none", "length", "age"])
async def test_keep_trimmed(server_url: str, admin: redis.asyncio.Redis, bounds: dict[str, float]) -> None:
    """With bounds and without."""
    await allow([admin], TRIM, *([BOUNDS] if bounds else []))
    await admin.xgroup_create("{orders:0}", "g", "0", mkstream=True)
    for _ in range(20):
        await admin.xadd("{orders:0}", {"value": "v"})
    await admin.xreadgroup("g", "c", {"{orders:0}": ">"}, count=10, noack=True)
    async with MQClient(redis_url=as_user(server_url)) as client:
        trimmer = client.keep_trimmed(["{orders:0}"], approximate=False, dead_after_s=0.001, **bounds)  # type: ignore[arg-type]
        await trimmer.trim()
        await trimmer.trim()
        assert await admin.xlen("{orders:0}") == (5 if "maxlen" in bounds else 10)
        assert trimmer.statistics()[b"{orders:0}"].failures == 0


async def test_a_cluster(three: Cluster) -> None:
    """A topic that is placed, sent to and consumed."""
    await allow(three.raw, PRODUCER, CONSUMER, CLUSTER, BALANCED)
    try:
        async with MQClient(redis_url=as_user(three.url)) as client:
            topic = await client.balanced_topic("orders", 6)
            async with client.producer(topic) as producer, client.consumer(topic, "g") as consumer:
                for partition in range(6):
                    await producer.send_and_wait(b"v", partition=partition)
                for _ in range(6):
                    await (await consumer.getone()).ack()
    finally:
        for server in three.raw:
            await server.execute_command("ACL", "DELUSER", "u")


@pytest.mark.parametrize("rows", [(SENTINEL,), ()], ids=["may ask", "may not ask"])
async def test_sentinels(rows: tuple[str, ...]) -> None:
    """The Sentinels themselves are asked as their default user."""
    async with sentinel("valkey", 1) as watched:
        await allow(watched.raw, PRODUCER, *rows)
        async with MQClient(redis_url=as_user(watched.url)) as client, client.producer(ORDERS) as producer:
            await producer.send_and_wait(b"v")
