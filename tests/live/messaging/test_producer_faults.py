"""What a producer does about losses: what its callers are told is true under each policy, and the order is kept."""

import asyncio
import contextlib

import pytest
import redis.asyncio
from losing import outcomes_of, through_proxy, values

from ombdriver import MQClient, OutcomeUnknownError, ProducerStatistics, RecordMetadata
from ombdriver.bench.servers.private_server import PrivateServer

Raw = redis.asyncio.Redis
POLICIES = ("raise", "resend", "idempotent")


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
