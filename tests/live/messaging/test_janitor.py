"""Consumers that are gone are removed, and never one that holds something."""

from collections.abc import AsyncIterator

import pytest
import redis.asyncio
from pending import GROUP, PARTITION, STREAM, abandon, deliver, holds, member

from ombdriver import MQClient
from ombdriver.messaging.topics.consumer.leases import Claim, ClaimedEntry
from ombdriver.messaging.topics.recovery.reclaim import Reclaimer, remove_dead


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[MQClient]:
    """A client of the server."""
    async with MQClient(redis_url=server_url) as made:
        yield made


async def names(raw: redis.asyncio.Redis) -> set[bytes]:
    """The group's consumers."""
    return {row["name"] for row in await raw.xinfo_consumers(STREAM, GROUP)}


async def test_an_empty_dead_consumer_goes_and_one_that_holds_something_stays(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """The one who asks stays too."""
    ids = await deliver(raw, 3, "holding")
    for name in ("empty", "me"):
        await raw.xreadgroup(GROUP, name, {STREAM: ">"})  # nothing left: XREADGROUP makes it known all the same

    await raw.xgroup_createconsumer(STREAM, GROUP, "empty")
    assert await remove_dead(member(client, "me"), PARTITION, 3_600_000) == []
    assert await remove_dead(member(client, "me"), PARTITION, 0) == [b"empty"]

    assert b"holding" in await names(raw)
    assert await holds(raw) == dict.fromkeys(ids, ("holding", 1))


async def test_what_a_dead_consumer_holds_is_reclaimed_and_then_it_goes(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """Nothing is lost on the way."""
    ids = await deliver(raw, 3, "dead")
    await abandon(raw, ids, "dead")
    me = member(client, "me")
    taken: list[ClaimedEntry] = []

    async def credit(_: object) -> int:
        return 100

    def take_over(_: object, claim: Claim) -> None:
        taken.extend(claim.entries)

    assert await remove_dead(me, PARTITION, 0) == []
    await Reclaimer(me, credit, take_over).sweep([PARTITION])

    assert await remove_dead(me, PARTITION, 0) == [b"dead"]
    assert [one.id for one in taken] == ids
    assert await names(raw) == {b"me"}


async def test_without_a_group_there_is_nobody(client: MQClient) -> None:
    """No error either."""
    assert await remove_dead(member(client, "me"), PARTITION, 0) == []
