"""The hold on pending entries: renewed only where it is ours, counted when a delivery begins, given back."""

from collections.abc import AsyncIterator

import pytest
import redis.asyncio
from pending import GROUP, STREAM, abandon, deliver, holds, idle_ms, member

from ombdriver import MQClient
from ombdriver.messaging.topics.leases import CHUNK, Leases


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[MQClient]:
    """A client of the server."""
    async with MQClient(redis_url=server_url) as made:
        yield made


async def test_a_renewed_hold_is_fresh_and_counts_no_delivery(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """So that no sweep takes it, and the retries that are left stay as they are."""
    ids = await deliver(raw, 3, "me")
    await abandon(raw, ids, "me")

    assert await Leases(member(client, "me"), 30_000).renew(STREAM, ids) == []

    assert await holds(raw) == dict.fromkeys(ids, ("me", 1))
    assert max([await idle_ms(raw, one) for one in ids]) < 60_000


async def test_what_another_has_claimed_is_told_and_never_stolen_back(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """A plain XCLAIM by the former owner would take it from whoever handles it now."""
    mine, claimed, acknowledged = await deliver(raw, 3, "me")
    await raw.xclaim(STREAM, GROUP, "other", 0, [claimed])
    await raw.xack(STREAM, GROUP, acknowledged)

    gone = await Leases(member(client, "me"), 30_000).renew(STREAM, [mine, claimed, acknowledged])

    assert gone == [claimed, acknowledged]
    assert await holds(raw) == {mine: ("me", 1), claimed: ("other", 2)}


async def test_many_holds_are_renewed_in_chunks(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """More than one script takes; what is lost is told from each of them."""
    ids = await deliver(raw, 2 * CHUNK + 1, "me")
    lost = [ids[0], ids[CHUNK], ids[-1]]
    await raw.xclaim(STREAM, GROUP, "other", 0, lost)
    told: list[tuple[bytes, bytes]] = []

    await Leases(member(client, "me"), 30_000).renew_all(lambda: {STREAM: ids}, lambda *one: told.append(one))

    assert told == [(STREAM, one) for one in lost]


async def test_a_delivery_that_begins_is_counted_if_the_entry_is_ours(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """By the server, before the handler runs: a handler that kills its process has used one up."""
    mine, claimed, acknowledged = await deliver(raw, 3, "me")
    await raw.xclaim(STREAM, GROUP, "other", 0, [claimed])
    await raw.xack(STREAM, GROUP, acknowledged)
    leases = Leases(member(client, "me"), 30_000)

    assert [await leases.begin(STREAM, one) for one in (mine, mine, claimed, acknowledged)] == [2, 3, None, None]

    assert await holds(raw) == {mine: ("me", 3), claimed: ("other", 2)}


async def test_what_is_given_back_can_be_taken_at_once(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """With a delivery taken off where none was begun; what is another's is left alone."""
    begun, buffered, claimed = await deliver(raw, 3, "me")
    await raw.xclaim(STREAM, GROUP, "other", 0, [claimed])

    given = await Leases(member(client, "me"), 30_000).give_back(STREAM, {begun: 0, buffered: 1, claimed: 1})

    assert given == 2
    assert await holds(raw) == {begun: ("me", 1), buffered: ("me", 0), claimed: ("other", 2)}
    _, taken, *_ = await raw.xautoclaim(STREAM, GROUP, "next", 30_000)
    assert [one for one, _ in taken] == [begun, buffered]


async def test_without_a_group_nothing_is_ours(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """As after FLUSHALL: all holds are told as lost."""
    leases = Leases(member(client, "me"), 30_000)

    assert await leases.renew(STREAM, [b"1-1"]) == [b"1-1"]
    assert await leases.begin(STREAM, b"1-1") is None
    assert await leases.give_back(STREAM, {b"1-1": 0}) == 0
