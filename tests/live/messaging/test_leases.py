"""Leases: renewed only where they are this member's, counted when a handling begins, released."""

from collections.abc import AsyncIterator

import pytest
import redis.asyncio
from pending import GROUP, PARTITION, STREAM, VISIBILITY_MS, abandon, deliver, holds, idle_ms, member

from ombdriver import MQClient
from ombdriver.messaging.topics.consumer.leases import AT_ONCE, ClaimedEntry, begin, claim, release, renew


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[MQClient]:
    """A client of the server."""
    async with MQClient(redis_url=server_url) as made:
        yield made


async def test_a_renewed_lease_is_fresh_and_counts_no_delivery(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """So that no sweep takes it, and the retries that are left stay as they are."""
    ids = await deliver(raw, 3, "me")
    await abandon(raw, ids, "me")

    assert await renew(member(client, "me"), PARTITION, ids) == ids

    assert await holds(raw) == dict.fromkeys(ids, ("me", 1))
    assert max([await idle_ms(raw, one) for one in ids]) < 60_000


async def test_what_another_has_claimed_is_told_and_never_stolen_back(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """A plain XCLAIM by the former owner would take it from whoever handles it now."""
    mine, claimed, acknowledged = await deliver(raw, 3, "me")
    await raw.xclaim(STREAM, GROUP, "other", 0, [claimed])
    await raw.xack(STREAM, GROUP, acknowledged)

    renewed = await renew(member(client, "me"), PARTITION, [mine, claimed, acknowledged])

    assert renewed == [mine]
    assert await holds(raw) == {mine: ("me", 1), claimed: ("other", 2)}


async def test_many_leases_are_renewed_in_chunks(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """More than one script takes."""
    ids = await deliver(raw, 2 * AT_ONCE + 1, "me")
    lost = [ids[0], ids[AT_ONCE], ids[-1]]
    await raw.xclaim(STREAM, GROUP, "other", 0, lost)

    renewed = await renew(member(client, "me"), PARTITION, ids)

    assert renewed == [each for each in ids if each not in lost]


async def test_a_handling_that_begins_is_counted_if_the_entry_is_ours(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """By the server, before the handler runs: a handler that kills its process has used one up."""
    mine, claimed, acknowledged = await deliver(raw, 3, "me")
    await raw.xclaim(STREAM, GROUP, "other", 0, [claimed])
    await raw.xack(STREAM, GROUP, acknowledged)
    me = member(client, "me")

    for _ in range(2):  # as when the reply to the first one was lost
        assert await begin(me, PARTITION, dict.fromkeys((mine, claimed, acknowledged), 2)) == [mine]

    assert await holds(raw) == {mine: ("me", 2), claimed: ("other", 2)}


async def test_a_claim_counts_nothing_and_acknowledges_what_is_gone(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """However often it is carried out; what another member has stays with it."""
    mine, trimmed, claimed = await deliver(raw, 3, "me")
    await raw.xdel(STREAM, trimmed)
    await raw.xclaim(STREAM, GROUP, "other", 0, [claimed])
    me = member(client, "me")

    for gone in ([trimmed], []):
        found = await claim(me, PARTITION, [mine, trimmed, claimed])
        assert found == ([ClaimedEntry(mine, 1, [b"value", b"0"])], gone)

    assert await holds(raw) == {mine: ("me", 1), claimed: ("other", 2)}


async def test_what_is_released_can_be_claimed_after_its_delay(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """With the deliveries that have begun: none, where it was only buffered."""
    now, later = await deliver(raw, 2, "me")
    me = member(client, "me")

    for _ in range(2):
        assert await release(me, PARTITION, {now: 0}) == [now]
        assert await release(me, PARTITION, {later: 1}, 20) == [later]

    assert await holds(raw) == {now: ("me", 0), later: ("me", 1)}
    assert VISIBILITY_MS <= await idle_ms(raw, now) < VISIBILITY_MS + 5_000
    assert VISIBILITY_MS - 20_000 <= await idle_ms(raw, later) < VISIBILITY_MS - 15_000


async def test_without_a_group_nothing_is_known_of_leases(client: MQClient) -> None:
    """As after FLUSHALL: that is an error, and not a loss, since the group is created again."""
    for call in (begin(member(client, "me"), PARTITION, {b"1-1": 2}), renew(member(client, "me"), PARTITION, [b"1-1"])):
        with pytest.raises(redis.exceptions.ResponseError, match="NOGROUP"):
            await call
