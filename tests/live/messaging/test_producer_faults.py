"""What a producer does about losses: what its callers are told is true under each policy, and the order is kept."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import redis.asyncio
from losing import LosingProxy
from redis.exceptions import AuthenticationError
from topologies import free_port

from ombdriver import (
    BufferFullError,
    MQClient,
    NotSentError,
    OutcomeUnknownError,
    Producer,
    ProducerStatistics,
    RecordMetadata,
    Topic,
)
from ombdriver.bench.server import PrivateServer
from ombdriver.messaging.topics.settings import ProducerOptions

Raw = redis.asyncio.Redis
POLICIES = ("raise", "resend", "idempotent")


async def values(raw: Raw, stream: str = "{t:0}") -> list[int]:
    """The numbers that lie in a stream, in order."""
    return [int(fields[b"value"]) for _, fields in await raw.xrange(stream)]


@contextlib.asynccontextmanager
async def through_proxy(server_url: str, **options: object) -> AsyncIterator[tuple[LosingProxy, Producer[bytes]]]:
    """A producer to topic `t` whose connections can be broken."""
    given: ProducerOptions = options  # type: ignore[assignment]  # the tests know what they give
    async with (
        LosingProxy(server_url) as proxy,
        MQClient(redis_url=proxy.url) as client,
        client.producer("t", **given) as producer,
    ):
        yield proxy, producer


async def outcomes_of(producer: Producer[bytes], numbers: range) -> list[object]:
    """Sends numbers in one turn; what became of each."""
    futures = [await producer.send(b"%d" % n) for n in numbers]
    return list(await asyncio.gather(*futures, return_exceptions=True))


async def held(proxy: LosingProxy, producer: Producer[bytes]) -> "asyncio.Future[RecordMetadata]":
    """A message that is on its way and does not arrive until the proxy lets it."""
    proxy.passing.clear()
    future = await producer.send(b"0")
    while not producer.statistics().in_flight:  # noqa: ASYNC110 - until it has left
        await asyncio.sleep(0)
    return future


# -- the outcome is unknown --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 100])
async def test_raise_tells_that_messages_may_be_stored(server_url: str, raw: Raw, size: int) -> None:
    """Their replies are lost: each caller gets OutcomeUnknownError, nothing is sent twice, and what follows goes on."""
    async with through_proxy(server_url, on_unknown="raise") as (proxy, producer):
        proxy.lose_replies()
        outcomes = await outcomes_of(producer, range(size))
        assert {type(one) for one in outcomes} == {OutcomeUnknownError}
        await producer.send_and_wait(b"%d" % size)
        assert proxy.lost == 1
        done = producer.statistics()
    assert await values(raw) == list(range(size + 1))
    assert (done.unknown, done.resent, done.failed, done.sent) == (1, 0, size, 1)


@pytest.mark.parametrize("size", [1, 100])
async def test_resend_stores_messages_at_least_once(server_url: str, raw: Raw, size: int) -> None:
    """Their replies are lost: they are sent again without the caller's help, and so are stored twice."""
    async with through_proxy(server_url, on_unknown="resend") as (proxy, producer):
        proxy.lose_replies()
        outcomes = await outcomes_of(producer, range(size))
        assert {type(one) for one in outcomes} == {RecordMetadata}
        entries = await raw.xrange("{t:0}")
        assert [one.id for one in outcomes] == [entry_id.decode() for entry_id, _ in entries[size:]]  # type: ignore[attr-defined]
        done = producer.statistics()
    assert await values(raw) == [*range(size), *range(size)]
    assert (done.unknown, done.resent, done.sent) == (1, 1, size)


@pytest.mark.parametrize("size", [1, 100])
async def test_idempotent_stores_messages_exactly_once(server_url: str, raw: Raw, size: int) -> None:
    """Their replies are lost, twice: they are sent again, and callers are told the ids that they got at first."""
    async with through_proxy(server_url, on_unknown="idempotent") as (proxy, producer):
        await producer.send_and_wait(b"-1")
        proxy.lose_replies(2)
        outcomes = await outcomes_of(producer, range(size))
        assert proxy.lost == 2
        entries = await raw.xrange("{t:0}")
        assert [one.id for one in outcomes] == [entry_id.decode() for entry_id, _ in entries[1:]]  # type: ignore[attr-defined]
        await producer.send_and_wait(b"%d" % size)
        done = producer.statistics()
    assert await values(raw) == list(range(-1, size + 1))
    assert (done.unknown, done.duplicates_avoided, done.failed) == (2, size, 0)


@pytest.mark.parametrize("on_unknown", POLICIES)
async def test_messages_lost_on_their_way_are_stored_once_or_told(server_url: str, raw: Raw, on_unknown: str) -> None:
    """They have left and never arrived; nobody can know that here, and each policy does what it promises."""
    async with through_proxy(server_url, on_unknown=on_unknown) as (proxy, producer):
        proxy.lose_requests()
        outcomes = await outcomes_of(producer, range(50))
        await producer.send_and_wait(b"50")
    if on_unknown == "raise":
        assert {type(one) for one in outcomes} == {OutcomeUnknownError}
        assert await values(raw) == [50]
    else:
        assert {type(one) for one in outcomes} == {RecordMetadata}
        assert await values(raw) == list(range(51))


@pytest.mark.parametrize("on_unknown", POLICIES)
async def test_the_order_is_kept_through_many_losses(server_url: str, raw: Raw, on_unknown: str) -> None:
    """Messages that wait never overtake those that are sent again."""
    async with through_proxy(server_url, on_unknown=on_unknown, max_batch_messages=20, delivery_timeout_ms=50_000) as (
        proxy,
        producer,
    ):
        futures = []
        for n in range(1_000):
            futures.append(await producer.send(b"%d" % n))
            if n % 100 == 0:
                (proxy.lose_replies if n % 200 else proxy.lose_requests)()
                await asyncio.sleep(0)
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        assert proxy.lost == 10
    stored = await values(raw)
    first_times = list(dict.fromkeys(stored))
    assert first_times == sorted(first_times)
    acknowledged = {n for n, one in enumerate(outcomes) if isinstance(one, RecordMetadata)}
    assert acknowledged <= set(stored)
    if on_unknown == "raise":
        assert len(stored) == len(first_times)
        assert {type(one) for one in outcomes} == {RecordMetadata, OutcomeUnknownError}
    else:
        assert len(acknowledged) == 1_000
    if on_unknown == "idempotent":
        assert stored == list(range(1_000))


# -- restarts ----------------------------------------------------------------------------------------------------------


async def restarts(
    engine: str, config: dict[str, str], on_unknown: str
) -> tuple[list[object], list[int], ProducerStatistics]:
    """A server that crashes and comes back while messages are sent: what became of them, and what is there."""
    async with (
        await PrivateServer.start(engine, {"enable-debug-command": "yes", **config}) as server,
        MQClient(redis_url=server.url) as client,
        client.producer("t", on_unknown=on_unknown, max_batch_messages=10) as producer,  # type: ignore[arg-type]
        redis.asyncio.Redis(port=server.port, single_connection_client=False) as eyes,
    ):
        outcomes: list[object] = []
        for crash in (True, False):
            first = len(outcomes)
            futures = [await producer.send(b"%d" % n) for n in range(first, first + 500)]
            if crash:
                with contextlib.suppress(redis.exceptions.ConnectionError):
                    await eyes.execute_command("DEBUG", "CRASH-AND-RECOVER")
            outcomes += await asyncio.gather(*futures, return_exceptions=True)
        return outcomes, await values(eyes), producer.statistics()


async def test_a_restart_with_its_data_loses_and_repeats_nothing(engine: str) -> None:
    """With an append-only file that is written at once, and an idempotent producer."""
    outcomes, stored, _ = await restarts(engine, {"appendonly": "yes", "appendfsync": "always"}, "idempotent")
    assert {type(one) for one in outcomes} == {RecordMetadata}
    assert stored == list(range(1_000))


async def test_a_restart_without_its_data_is_gone_through(engine: str) -> None:
    """What it had is gone; whatever was not acknowledged then is sent again, and the producer goes on, in order."""
    outcomes, stored, _ = await restarts(engine, {"save": ""}, "idempotent")
    assert {type(one) for one in outcomes} == {RecordMetadata}
    assert stored == list(range(stored[0], 1_000))


async def test_a_restart_is_told_with_raise(engine: str) -> None:
    """As unknown for what was on its way, and for nothing else; nothing is stored twice."""
    outcomes, stored, done = await restarts(engine, {"appendonly": "yes", "appendfsync": "always"}, "raise")
    good = {n for n, one in enumerate(outcomes) if isinstance(one, RecordMetadata)}
    unknown = {n for n, one in enumerate(outcomes) if isinstance(one, OutcomeUnknownError)}
    assert len(good) + len(unknown) == 1_000
    assert done.unknown <= len(unknown) <= 10 * done.unknown < 1_000
    assert stored == sorted(set(stored))
    assert good <= set(stored)


# -- too slow ----------------------------------------------------------------------------------------------------------


async def test_a_full_buffer_holds_senders_back_in_order(server_url: str, raw: Raw) -> None:
    """`send` waits while the server does not answer, and goes on when it does."""
    async with through_proxy(server_url, buffer_messages=10) as (proxy, producer):
        await held(proxy, producer)
        sends = [asyncio.create_task(producer.send(b"%d" % n)) for n in range(1, 31)]
        while producer.statistics().waiting < 21:  # noqa: ASYNC110 - until they are there
            await asyncio.sleep(0)
        assert sum(send.done() for send in sends) == 9
        assert producer.statistics().buffered_messages == 10
        proxy.passing.set()
        for send in sends:
            await (await send)
        assert producer.statistics().buffered_messages == 0
    assert await values(raw) == list(range(31))


async def test_a_buffer_is_full_by_bytes_too(valkey_url: str) -> None:
    """And what can never fit is refused at once."""
    async with through_proxy(valkey_url, buffer_bytes=1_000, max_block_ms=20) as (proxy, producer):
        with pytest.raises(ValueError, match="buffer_bytes"):
            await producer.send(b"x" * 1_000)
        await held(proxy, producer)
        await producer.send(b"x" * 800)
        with pytest.raises(BufferFullError, match=r"within 0\.02 s"):
            await producer.send(b"x" * 200)
        assert producer.statistics().waiting == 0
        proxy.passing.set()
        await producer.flush()
        await producer.send_and_wait(b"x" * 800)


async def test_a_message_without_a_reply_in_time_is_unknown(valkey_url: str) -> None:
    """One behind it that has not left is told as not sent; both in the time given."""
    async with through_proxy(valkey_url, delivery_timeout_ms=100) as (proxy, producer):
        first = await held(proxy, producer)
        second = await producer.send(b"1")
        with pytest.raises(OutcomeUnknownError, match=r"no reply within 0\.1 s"):
            await first
        with pytest.raises(NotSentError, match=r"could not be sent within 0\.1 s"):
            await second
        assert producer.statistics().failed == 2
        proxy.passing.set()
        assert (await producer.send_and_wait(b"2")).partition == 0
        assert producer.statistics().buffered_messages == 0


async def test_closing_takes_no_longer_than_messages_have(valkey_url: str) -> None:
    """A server that does not answer holds up nobody for ever."""
    async with through_proxy(valkey_url, delivery_timeout_ms=100, linger_ms=90) as (proxy, producer):
        proxy.passing.clear()
        futures = [await producer.send(b"%d" % n) for n in range(3)]
        await producer.close()
        assert {type(future.exception()) for future in futures} == {OutcomeUnknownError}
        proxy.passing.set()


async def test_a_message_with_no_server_is_not_sent(engine: str) -> None:
    """Connecting goes on for as long as the message has time; the reason is told."""
    server = await PrivateServer.start(engine)
    async with (
        MQClient(redis_url=server.url) as client,
        client.producer("t", delivery_timeout_ms=300, on_unknown="resend") as producer,
    ):
        await producer.send_and_wait(b"v")
        await server.stop()
        with pytest.raises(NotSentError, match="could not be sent"):
            await producer.send_and_wait(b"v")


# -- cancellation ------------------------------------------------------------------------------------------------------


async def test_a_send_cancelled_while_it_waits_for_space_has_sent_nothing(server_url: str, raw: Raw) -> None:
    """Nor does it keep the space, or its place in the line."""
    async with through_proxy(server_url, buffer_messages=1) as (proxy, producer):
        await held(proxy, producer)
        first, second = (asyncio.create_task(producer.send(b"%d" % n)) for n in (1, 2))
        while producer.statistics().waiting < 2:  # noqa: ASYNC110 - until they wait
            await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        proxy.passing.set()
        await (await second)
        await producer.send_and_wait(b"3")
    assert await values(raw) == [0, 2, 3]


async def test_a_send_cancelled_as_space_comes_gives_it_back(valkey_url: str) -> None:
    """The moment between being given space and waking up."""
    async with through_proxy(valkey_url, buffer_messages=1) as (_, producer):
        for _ in range(20):
            await producer.send(b"0")
            waiting = asyncio.create_task(producer.send(b"1"))
            while producer.statistics().buffered_messages and not producer.statistics().waiting:  # noqa: ASYNC110
                await asyncio.sleep(0)
            while producer.statistics().waiting:  # noqa: ASYNC110 - until it was given space
                await asyncio.sleep(0)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await (await waiting)
        await producer.flush()
        assert producer.statistics().buffered_messages == 0


async def test_a_wait_cancelled_after_sending_leaves_the_others_alone(server_url: str, raw: Raw) -> None:
    """The message is on its way, and is stored; its neighbours get their own replies."""
    async with through_proxy(server_url) as (proxy, producer):
        proxy.passing.clear()
        waits = [asyncio.create_task(producer.send_and_wait(b"%d" % n)) for n in range(3)]
        while producer.statistics().in_flight < 3:  # noqa: ASYNC110 - until they have left
            await asyncio.sleep(0)
        waits[1].cancel()
        await asyncio.wait([waits[1]])
        proxy.passing.set()
        found = [await waits[0], await waits[2]]
        entries = await raw.xrange("{t:0}")
    assert [each.id for each in found] == [entries[0][0].decode(), entries[2][0].decode()]
    assert waits[1].cancelled()


async def test_a_future_cancelled_before_its_message_left_takes_it_out(server_url: str, raw: Raw) -> None:
    """Nobody wants it any more; its space is given back."""
    async with through_proxy(server_url) as (proxy, producer):
        await held(proxy, producer)
        futures = [await producer.send(b"%d" % n) for n in (1, 2, 3)]
        futures[1].cancel()
        proxy.passing.set()
        await asyncio.gather(futures[0], futures[2])
        assert producer.statistics().buffered_messages == 0
    assert await values(raw) == [0, 1, 3]


@pytest.mark.parametrize("ends", [False, True])
async def test_a_flush_or_close_that_is_cancelled_leaves_messages_on_their_way(
    server_url: str, raw: Raw, ends: bool
) -> None:
    """A second one waits for them."""
    async with through_proxy(server_url) as (proxy, producer):
        await held(proxy, producer)
        futures = [await producer.send(b"%d" % n) for n in (1, 2)]
        first = asyncio.create_task(producer.close() if ends else producer.flush())
        await asyncio.sleep(0.01)
        assert not first.done()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not any(future.done() for future in futures)
        proxy.passing.set()
        await (producer.close() if ends else producer.flush())
        assert all(future.done() and not future.cancelled() for future in futures)
    assert await values(raw) == [0, 1, 2]


async def test_a_start_that_is_cancelled_can_be_tried_again(valkey_url: str) -> None:
    """It holds nothing."""
    async with LosingProxy(valkey_url) as proxy, MQClient(redis_url=proxy.url) as client:
        producer = client.producer("t")
        proxy.passing.clear()
        starting = asyncio.create_task(producer.start())
        await asyncio.sleep(0.01)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        proxy.passing.set()
        async with producer:
            await producer.send_and_wait(b"v")


# -- roles -------------------------------------------------------------------------------------------------------------


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


# -- refusals ----------------------------------------------------------------------------------------------------------


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
