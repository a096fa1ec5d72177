"""What dead consumers left pending is taken over, by one member at a time, whole and once."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import pytest
import redis.asyncio
from pending import GROUP, PARTITION, STREAM, abandon, deliver, holds, member
from topologies import until

from ombdriver import MQClient
from ombdriver.messaging.topics.consumer.group import GroupMember
from ombdriver.messaging.topics.consumer.leases import Claim, ClaimedEntry
from ombdriver.messaging.topics.recovery import delayed
from ombdriver.messaging.topics.recovery.reclaim import Reclaimer


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[MQClient]:
    """A client of the server."""
    async with MQClient(redis_url=server_url) as made:
        yield made


def into_list(taken: list[ClaimedEntry], gone: list[bytes] | None = None) -> Callable[[object, Claim], None]:
    """Puts what is claimed there."""

    def take_over(_: object, claim: Claim) -> None:
        taken.extend(claim.entries)
        if gone is not None:
            gone.extend(claim.gone)

    return take_over


def reclaimer(who: GroupMember, into: list[ClaimedEntry], lease_ms: int = 60_000) -> Reclaimer:
    """One for STREAM that puts what it takes into a list."""

    async def credit(_: object) -> int:
        return 1_000_000

    return Reclaimer(who, credit, into_list(into), lease_ms=lease_ms)


async def test_stale_entries_are_taken_and_fresh_ones_are_left(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """With their fields; claiming counts no delivery."""
    *stale, fresh = await deliver(raw, 4, "dead")
    await abandon(raw, stale, "dead")
    taken: list[ClaimedEntry] = []

    await reclaimer(member(client, "me"), taken).sweep([PARTITION])

    assert taken == [ClaimedEntry(one, 1, [b"value", b"%d" % n]) for n, one in enumerate(stale)]
    assert await holds(raw) == {**dict.fromkeys(stale, ("me", 1)), fresh: ("dead", 1)}


async def test_a_hundred_thousand_entries_are_taken_in_one_round(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """Each once; the server is held up for a step at a time only."""
    ids = await deliver(raw, 100_000, "dead")
    await abandon(raw, ids, "dead")
    taken: list[ClaimedEntry] = []
    sweeping = reclaimer(member(client, "me"), taken)

    await sweeping.sweep([PARTITION])

    assert [one.id for one in taken] == ids
    assert [one.fields[1] for one in taken] == [b"%d" % n for n in range(100_000)]
    assert (await raw.xpending(STREAM, GROUP))["consumers"] == [{"name": b"me", "pending": 100_000}]


async def test_one_member_sweeps_at_a_time(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """Until its lease has ended: then the next one does."""
    await abandon(raw, await deliver(raw, 3, "dead"), "dead")
    first: list[ClaimedEntry] = []
    second: list[ClaimedEntry] = []
    other = reclaimer(member(client, "other"), second)

    await reclaimer(member(client, "me"), first, lease_ms=60_000).sweep([PARTITION])
    await abandon(raw, [one.id for one in first], "me")
    await other.sweep([PARTITION])
    assert (len(first), second) == (3, [])

    await raw.delete(b"{t:0}:sweep:g")
    await other.sweep([PARTITION])
    assert [one.id for one in second] == [one.id for one in first]


async def test_the_sweepers_lease_ends_by_itself(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """So a sweeper that dies holds nobody up for long."""
    await abandon(raw, await deliver(raw, 1, "dead"), "dead")
    await reclaimer(member(client, "me"), [], lease_ms=50).sweep([PARTITION])

    await until(lambda: _is_gone(raw))


async def _is_gone(raw: redis.asyncio.Redis) -> bool:
    return not await raw.exists(b"{t:0}:sweep:g")


async def test_a_round_takes_no_more_than_there_is_credit_for(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """It waits for credit between its steps, and goes on where it stopped."""
    ids = await deliver(raw, 250, "dead")
    await abandon(raw, ids, "dead")
    taken: list[ClaimedEntry] = []
    steps: list[int] = []
    granted = iter([30, 100, 1_000, 1_000, 1_000])

    async def credit(_: object) -> int:
        steps.append(len(taken))
        return next(granted)

    await Reclaimer(member(client, "me"), credit, into_list(taken)).sweep([PARTITION])

    assert [one.id for one in taken] == ids
    assert steps[:4] == [0, 30, 130, 230]


async def test_a_cancelled_round_goes_on_where_it_stopped(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """What a step took is never lost: it was handed over, or is pending for this member."""
    ids = await deliver(raw, 250, "dead")
    await abandon(raw, ids, "dead")
    taken: list[ClaimedEntry] = []
    waits = asyncio.Event()

    async def credit(_: object) -> int:
        if len(taken) == 100:
            waits.set()
            await asyncio.Future()
        return 100

    sweeping = Reclaimer(member(client, "me"), credit, into_list(taken))
    round_ = asyncio.create_task(sweeping.sweep([PARTITION]))
    await waits.wait()
    round_.cancel()
    await asyncio.wait([round_])
    taken.append(ClaimedEntry(b"", 0, []))  # no more than 100 now
    await sweeping.sweep([PARTITION])

    assert [one.id for one in taken if one.id] == ids


async def test_entries_that_were_trimmed_while_pending_are_acknowledged(
    client: MQClient, raw: redis.asyncio.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """On every server, counted and told: nobody can handle them any more."""
    ids = await deliver(raw, 5, "dead")
    await abandon(raw, ids, "dead")
    await raw.xdel(STREAM, *ids[:3])
    taken: list[ClaimedEntry] = []
    gone: list[bytes] = []

    async def credit(_: object) -> int:
        return 100

    with caplog.at_level(logging.WARNING):
        await Reclaimer(member(client, "me"), credit, into_list(taken, gone)).sweep([PARTITION])

    assert [one.id for one in taken] == ids[3:]
    assert await holds(raw) == dict.fromkeys(ids[3:], ("me", 1))
    assert sorted(gone) == sorted(ids[:3])
    assert "3 pending entries were gone" in caplog.text


async def test_nothing_to_sweep_is_no_error(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """No stream, or no group: whoever reads makes them."""
    taken: list[ClaimedEntry] = []
    await reclaimer(member(client, "me"), taken).sweep([PARTITION])
    await raw.xadd(STREAM, {"value": "0"})
    await reclaimer(member(client, "me"), taken).sweep([PARTITION])

    assert taken == []


async def test_a_delayed_retry_is_nobodys_until_it_is_due(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """Even past the visibility time-out: sweeps leave it. Then it comes once, its count as it was."""
    (entry,) = await deliver(raw, 1, "me")
    me = member(client, "me")
    assert await delayed.delay_retry(me, PARTITION, entry, 3_600_000)
    await abandon(raw, [entry], "postponed")
    taken: list[ClaimedEntry] = []

    await reclaimer(me, taken).sweep([PARTITION])

    assert (taken, await delayed.take_due(me, PARTITION)) == ([], ([], []))
    assert await holds(raw) == {entry: ("postponed", 1)}
    await raw.zadd(b"{t:0}:delayed:g", {entry: 1})
    assert await delayed.take_due(me, PARTITION) == ([ClaimedEntry(entry, 1, [b"value", b"0"])], [])
    assert await delayed.take_due(me, PARTITION) == ([], [])
    assert await holds(raw) == {entry: ("me", 1)}


async def test_only_what_is_ours_can_be_delayed(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """What another has claimed is the other's to handle; what was trimmed while it waited is acknowledged."""
    claimed, trimmed = await deliver(raw, 2, "me")
    me = member(client, "me")
    await raw.xclaim(STREAM, GROUP, "other", 0, [claimed])

    assert not await delayed.delay_retry(me, PARTITION, claimed, 0)
    for _ in range(2):  # as when the reply to the first one was lost
        assert await delayed.delay_retry(me, PARTITION, trimmed, 0)
    await raw.xdel(STREAM, trimmed)
    assert await delayed.take_due(me, PARTITION) == ([], [trimmed])
    assert await holds(raw) == {claimed: ("other", 2)}
