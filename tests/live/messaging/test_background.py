"""What a client does in the background goes on past errors that nobody expected, and whoever asks is told of them."""

from collections.abc import Callable
from typing import Any

import pytest
import redis.asyncio
from pending import STREAM
from running import met, running
from topologies import until

from ombdriver import MessagingError, MQClient
from ombdriver.messaging.streams import trimmer
from ombdriver.messaging.topics.consumer import fetcher, leases
from ombdriver.messaging.topics.recovery import janitor

WORK: dict[str, tuple[object, str]] = {
    "renewing leases": (leases, "renew"),
    "taking over what others left, and what is due": (janitor.Janitor, "look"),
    "taking messages again that were given back": (leases, "claim"),
    "reading": (fetcher.BlockingFetch, "send"),
    "trimming": (trimmer, "trim"),
}
"""What goes on in the background, and a part of it that can be made to fail."""


class Failing:
    """Has a part of the library raise what nobody expects, until it is mended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, holder: object, name: str) -> None:
        self._real: Callable[..., Any] = getattr(holder, name)
        self.fails, self.times = True, 0
        monkeypatch.setattr(holder, name, lambda *arguments, **options: self._call(*arguments, **options))

    def _call(self, *arguments: Any, **options: Any) -> Any:
        if self.fails:
            self.times += 1
            raise KeyError("nobody expected this")
        return self._real(*arguments, **options)


async def _is_well(client: MQClient) -> bool:
    try:
        return await client.check_health()
    except MessagingError:
        return False


@pytest.mark.parametrize("what", WORK)
async def test_it_goes_on_past_an_error_that_nobody_expected(
    server_url: str,
    raw: redis.asyncio.Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    what: str,
) -> None:
    """It is logged with its trace, `check_health` tells, and with the next round that goes well all is well."""
    handled: list[str] = []

    async def handle(message: Any) -> None:
        if message.delivery_count == 1:
            await message.nack()
        else:
            handled.append(message.id)

    failing = Failing(monkeypatch, *WORK[what])
    async with (
        MQClient(redis_url=server_url) as client,
        client.keep_trimmed([STREAM], every_s=0.05),
        running(client, handle, visibility_timeout_ms=400, dead_after_s=0.1),
    ):
        entry: bytes = await raw.xadd(STREAM, {"value": "v"})
        await until(lambda: met(failing.times > 1))
        with pytest.raises(MessagingError, match=f"{what}.* fails: KeyError"):
            await client.check_health()
        failing.fails = False
        await until(lambda: _is_well(client))
        await until(lambda: met(entry.decode() in handled))
    told = [record for record in caplog.records if record.levelname == "ERROR" and what in record.getMessage()]
    assert told
    assert all(record.exc_info for record in told)


@pytest.mark.parametrize("what", ["renewing leases", "reading"])
async def test_a_consumer_counts_it_and_keeps_what_it_has(
    server_url: str, raw: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """As a fault; what it had handed out stays its own, since leases are renewed again in time."""
    await raw.xadd(STREAM, {"value": "v"})
    async with MQClient(redis_url=server_url) as client:
        async with client.consumer("t", "g", visibility_timeout_ms=3_000, block_ms=50) as consumer:
            message = await consumer.getone()
            failing = Failing(monkeypatch, *WORK[what])
            await until(lambda: met(failing.times > 0))
            failing.fails = False
            await until(lambda: _is_well(client))
            assert consumer.statistics().faults >= 1
            assert await message.in_progress()
        await client.check_health()


async def test_what_is_closed_fails_no_more(
    server_url: str, raw: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its faults go with it."""
    async with MQClient(redis_url=server_url) as client:
        failing = [Failing(monkeypatch, *WORK[what]) for what in ("renewing leases", "reading", "trimming")]
        async with (
            client.keep_trimmed([STREAM], every_s=0.05),
            client.consumer("t", "g", visibility_timeout_ms=300),
        ):
            await until(lambda: met(all(each.times for each in failing)))
            with pytest.raises(MessagingError, match="fails"):
                await client.check_health()
        assert await client.check_health()
