"""What a server refuses, and what is made of it: errors of one message, of one login, of one role."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext

import pytest
import redis.asyncio
from losing import outcomes_of, values
from redis.exceptions import AuthenticationError, NoPermissionError, OutOfMemoryError, ResponseError
from topologies import free_port

from ombdriver import MessagingValueError, MQClient, OutcomeUnknownError, RecordMetadata, Retention, Topic
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.messaging.topics.producer.config import OnUnknown
from ombdriver.messaging.topics.record import MOST_FIELDS, MOST_SCRIPT_FIELDS

Raw = redis.asyncio.Redis
POLICIES = ("raise", "resend", "idempotent")


async def test_an_error_of_one_partition_fails_its_messages_alone(server_url: str, raw: Raw) -> None:
    """WRONGTYPE is told to the messages that met it; all others are stored, and the partition goes on when it can."""
    await raw.set("{t:0}", "no stream")
    async with MQClient(redis_url=server_url) as client, client.producer(Topic("t", 2)) as producer:
        wrong = [await producer.send(b"%d" % n, partition=0) for n in range(10)]
        good = [await producer.send(b"%d" % n, partition=1) for n in range(10)]
        errors = await asyncio.gather(*wrong, return_exceptions=True)
        assert {type(error) for error in errors} == {ResponseError}
        assert all("WRONGTYPE" in str(error) for error in errors)
        assert {each.partition for each in await asyncio.gather(*good)} == {1}
        await raw.delete("{t:0}")
        await producer.send_and_wait(b"v", partition=0)
        done = producer.statistics()
    assert (done.sent, done.failed, done.buffered_messages) == (11, 10, 0)


@pytest.mark.parametrize("on_unknown", ["raise", "idempotent"])
async def test_a_server_without_memory_fails_the_messages_that_it_refuses(
    server_url: str, raw: Raw, on_unknown: str
) -> None:
    """OOM in the middle: what is told as stored is stored, in order, and nothing else is."""
    async with (
        MQClient(redis_url=server_url) as client,
        client.producer("t", on_unknown=on_unknown) as producer,  # type: ignore[arg-type]
    ):
        await producer.send_and_wait(b"first")
        used = (await raw.info("memory"))["used_memory"]
        await raw.config_set("maxmemory", used + 300_000)
        try:
            futures = [await producer.send(b"%06d" % n + b"x" * 1024) for n in range(2_000)]
            outcomes = await asyncio.gather(*futures, return_exceptions=True)
        finally:
            await raw.config_set("maxmemory", 0)
        assert {type(one) for one in outcomes} == {RecordMetadata, OutOfMemoryError}
        good = [one.id for one in outcomes if isinstance(one, RecordMetadata)]
        assert [entry_id.decode() for entry_id, _ in await raw.xrange("{t:0}")][1:] == good
        await producer.send_and_wait(b"again")


@pytest.mark.parametrize("on_unknown", POLICIES)
@pytest.mark.parametrize("refusal", ["BUSY", "NOREPLICAS"])
async def test_a_refusal_that_passes_reaches_no_caller(
    server_url: str, raw: Raw, refusal: str, on_unknown: str
) -> None:
    """A script that runs for long, too few replicas: what was refused is sent again, in order, until it is stored."""
    async with (
        MQClient(redis_url=server_url) as client,
        client.producer("t", on_unknown=on_unknown, max_batch_messages=10) as producer,  # type: ignore[arg-type]
        redis.asyncio.Redis.from_url(server_url, socket_timeout=None) as other,
    ):
        await producer.send_and_wait(b"0")
        if refusal == "BUSY":
            limit = (await raw.config_get("lua-time-limit"))["lua-time-limit"]
            await raw.config_set("lua-time-limit", 1)
            running = asyncio.ensure_future(other.eval("while true do end", 0))
        else:
            await raw.config_set("min-replicas-to-write", 1)
        try:
            futures = [await producer.send(b"%d" % n) for n in range(1, 101)]
            while producer.statistics().resent < 2:  # noqa: ASYNC110 - until it was refused
                await asyncio.sleep(0.001)
        finally:
            if refusal == "BUSY":
                await raw.execute_command("SCRIPT", "KILL")
                await asyncio.wait([running])
                await raw.config_set("lua-time-limit", limit)
            else:
                await raw.config_set("min-replicas-to-write", 0)
        assert {type(one) for one in await asyncio.gather(*futures)} == {RecordMetadata}
        assert await values(raw) == list(range(101))


@pytest.mark.parametrize("on_unknown", POLICIES)
async def test_a_server_that_is_a_replica_for_a_while_is_waited_for(engine: str, on_unknown: str) -> None:
    """READONLY reaches no caller, and the order is kept."""
    async with (
        await PrivateServer.start(engine) as server,
        redis.asyncio.Redis(port=server.port) as eyes,
        MQClient(redis_url=server.url) as client,
        client.producer(Topic("t"), on_unknown=on_unknown, max_batch_messages=10) as producer,  # type: ignore[arg-type]
    ):
        await producer.send_and_wait(b"0")
        await eyes.execute_command("REPLICAOF", "127.0.0.1", free_port())  # nobody is there to replace its data
        futures = [await producer.send(b"%d" % n) for n in range(1, 101)]
        while producer.statistics().resent < 2:  # noqa: ASYNC110 - until it was refused
            await asyncio.sleep(0.001)
        await eyes.execute_command("REPLICAOF", "NO", "ONE")
        assert {type(one) for one in await asyncio.gather(*futures)} == {RecordMetadata}
        assert await values(eyes) == list(range(101))


async def test_a_user_who_may_not_use_transactions_is_told(server_url: str, raw: Raw) -> None:
    """The server then carries out each XADD by itself: that they may be stored is the truth, and the cause is named."""
    await raw.execute_command("ACL", "SETUSER", "limited", "on", ">secret", "~*", "+@all", "-multi")
    url = server_url.replace("redis://", "redis://limited:secret@")
    async with MQClient(redis_url=url) as client, client.producer("t") as producer:
        await producer.send_and_wait(b"0")
        outcomes = await outcomes_of(producer, range(1, 4))
    await raw.execute_command("ACL", "DELUSER", "limited")
    assert {type(one) for one in outcomes} == {OutcomeUnknownError}
    assert "refuses MULTI" in str(outcomes[0])
    assert await values(raw) == [0, 1, 2, 3]


async def test_a_login_that_is_refused_on_the_way_is_told_at_once(server_url: str, raw: Raw) -> None:
    """There is no use in trying again; whoever comes later is told too, or served if the login is good again."""
    await raw.execute_command("ACL", "SETUSER", "leaving", "on", ">secret", "~*", "+@all")
    url = server_url.replace("redis://", "redis://leaving:secret@")
    async with MQClient(redis_url=url) as client, client.producer("t", max_batch_messages=2) as producer:
        await producer.send_and_wait(b"0")
        await raw.execute_command("ACL", "SETUSER", "leaving", "off")
        await raw.execute_command("CLIENT", "KILL", "USER", "leaving")
        while client.statistics().bulk.connected:  # noqa: ASYNC110 - until the loss is seen
            await asyncio.sleep(0)
        outcomes = await outcomes_of(producer, range(1, 8))
        assert {type(one) for one in outcomes} == {AuthenticationError}
        await raw.execute_command("ACL", "SETUSER", "leaving", "on")
        await producer.send_and_wait(b"8")
    await raw.execute_command("ACL", "DELUSER", "leaving")
    assert await values(raw) == [0, 8]


@pytest.mark.parametrize("missing", ["+get", "+set", "+xadd", "+evalsha"])
async def test_an_idempotent_producer_without_a_permission_stores_nothing(
    server_url: str, raw: Raw, missing: str
) -> None:
    """Rather than without what makes it idempotent; every caller is told."""
    rules = [rule for rule in ("+eval", "+evalsha", "+get", "+set", "+xadd") if rule != missing]
    await raw.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">secret", "~{t:*", *rules)
    url = server_url.replace("redis://", "redis://limited:secret@")
    async with MQClient(redis_url=url) as client, client.producer("t", on_unknown="idempotent") as producer:
        outcomes = await outcomes_of(producer, range(3))
        await raw.execute_command("ACL", "SETUSER", "limited", missing)
        again = await outcomes_of(producer, range(3, 6))
    await raw.execute_command("ACL", "DELUSER", "limited")
    assert {type(one) for one in outcomes} <= {ResponseError, NoPermissionError}
    assert all("permission" in str(one) or "can't run" in str(one) for one in outcomes)
    assert {type(one) for one in again} == {RecordMetadata}
    assert await values(raw) == [3, 4, 5]


@pytest.mark.parametrize("headers", [MOST_SCRIPT_FIELDS - 2, MOST_SCRIPT_FIELDS - 1, 5_000, MOST_FIELDS])
@pytest.mark.parametrize("on_unknown", POLICIES)
async def test_a_message_of_too_many_headers_is_refused_before_it_is_accepted(
    server_url: str, raw: Raw, on_unknown: OnUnknown, headers: int
) -> None:
    """And takes no other with it; what is accepted is stored whole, beside others, and trimmed."""
    many = {f"h{n}": "" for n in range(headers)}
    fits = headers < (MOST_SCRIPT_FIELDS - 1 if on_unknown == "idempotent" else MOST_FIELDS - 1)
    retention = Retention(max_length=3, exact=True)
    async with (
        MQClient(redis_url=server_url) as client,
        client.producer(
            "t", on_unknown=on_unknown, retention=retention, max_batch_bytes=1 << 26, buffer_bytes=1 << 26
        ) as producer,
    ):
        before = await producer.send(b"0", key="k")
        sends: list[Callable[[], Awaitable[object]]] = [
            lambda: producer.send(b"1", "k", many),
            lambda: producer.send_batch([b"2"], "k", many),
        ]
        for send in sends:
            with nullcontext() if fits else pytest.raises(MessagingValueError, match="into the value"):
                await send()
        after = await producer.send(b"3", key="k")
        await asyncio.gather(before, after)
        await producer.flush()
        assert producer.statistics().failed == 0
    assert await values(raw) == ([1, 2, 3] if fits else [0, 3])
