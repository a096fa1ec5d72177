"""The hold on pending entries: renewed only where it is ours, counted when a delivery begins, given back."""

from collections.abc import AsyncIterator

import pytest
import redis.asyncio
from pending import GROUP, PARTITION, STREAM, abandon, deliver, holds, idle_ms, member

from ombdriver import MQClient
from ombdriver.messaging.topics.consumer.group import Partition
from ombdriver.messaging.topics.consumer.leases import begin, renew, renew_all
from ombdriver.messaging.topics.consumer.pending import AT_ONCE


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[MQClient]:
    """A client of the server."""
    async with MQClient(redis_url=server_url) as made:
        yield made


async def test_a_renewed_hold_is_fresh_and_counts_no_delivery(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """So that no sweep takes it, and the retries that are left stay as they are."""
    ids = await deliver(raw, 3, "me")
    await abandon(raw, ids, "me")

    assert await renew(member(client, "me"), PARTITION, ids) == []

    assert await holds(raw) == dict.fromkeys(ids, ("me", 1))
    assert max([await idle_ms(raw, one) for one in ids]) < 60_000


async def test_what_another_has_claimed_is_told_and_never_stolen_back(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """A plain XCLAIM by the former owner would take it from whoever handles it now."""
    mine, claimed, acknowledged = await deliver(raw, 3, "me")
    await raw.xclaim(STREAM, GROUP, "other", 0, [claimed])
    await raw.xack(STREAM, GROUP, acknowledged)

    gone = await renew(member(client, "me"), PARTITION, [mine, claimed, acknowledged])

    assert gone == [claimed, acknowledged]
    assert await holds(raw) == {mine: ("me", 1), claimed: ("other", 2)}


async def test_many_holds_are_renewed_in_chunks(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """More than one script takes; what is lost is told from each of them."""
    ids = await deliver(raw, 2 * AT_ONCE + 1, "me")
    lost = [ids[0], ids[AT_ONCE], ids[-1]]
    await raw.xclaim(STREAM, GROUP, "other", 0, lost)
    told: set[bytes] = set()
    partition = Partition(0, STREAM.decode())
    partition.held.update(ids)

    await renew_all(member(client, "me"), [partition], lambda _, one: told.add(one))

    assert told == set(lost)


async def test_a_delivery_that_begins_is_counted_if_the_entry_is_ours(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """By the server, before the handler runs: a handler that kills its process has used one up."""
    mine, claimed, acknowledged = await deliver(raw, 3, "me")
    await raw.xclaim(STREAM, GROUP, "other", 0, [claimed])
    await raw.xack(STREAM, GROUP, acknowledged)
    me = member(client, "me")

    assert [await begin(me, PARTITION, one) for one in (mine, mine, claimed, acknowledged)] == [2, 3, None, None]

    assert await holds(raw) == {mine: ("me", 3), claimed: ("other", 2)}


async def test_without_a_group_nothing_is_ours(client: MQClient) -> None:
    """As after FLUSHALL."""
    assert await begin(member(client, "me"), PARTITION, b"1-1") is None
