"""What dead consumers left, and what is due, is claimed by one member at a time, whole and once."""

import logging
from collections.abc import AsyncIterator
from functools import partial

import pytest
import redis.asyncio
from pending import GROUP, PARTITION, STREAM, abandon, deliver, holds, member
from topologies import until

from ombdriver import MQClient
from ombdriver.messaging.streams.resumption import mark_at
from ombdriver.messaging.topics.consumer.group import GroupMember, ensure_group, recreate_group
from ombdriver.messaging.topics.consumer.leases import Claim, ClaimedEntry
from ombdriver.messaging.topics.consumer.partition import Partition
from ombdriver.messaging.topics.recovery import delayed
from ombdriver.messaging.topics.recovery.janitor import NOT_REPLAYED, PAUSED, Janitor, Look


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[MQClient]:
    """A client of the server."""
    async with MQClient(redis_url=server_url) as made:
        yield made


class Sweep:
    """A janitor of STREAM that keeps what it is given.

    Attributes:
        left: what others left.
        due: what was due.
        gone: what had no content any more.
    """

    def __init__(self, who: GroupMember, lease_ms: int = 60_000) -> None:
        self.left: list[ClaimedEntry] = []
        self.due: list[ClaimedEntry] = []
        self.gone: list[bytes] = []
        self._janitor = Janitor(who, partial(self._take, self.left), partial(self._take, self.due), lease_ms)

    def _take(self, into: list[ClaimedEntry], _: object, claim: Claim) -> None:
        into.extend(claim.entries)
        self.gone.extend(claim.gone)

    async def look(self, credit: int = 1_000, word: bytes | None = None, remove_after_ms: int | None = None) -> Look:
        """One look."""
        return await self._janitor.look({PARTITION: word}, credit, remove_after_ms)

    async def all(self) -> list[ClaimedEntry]:
        """Looks until there is no more; what others left."""
        while (await self.look()).more:
            pass
        return self.left

    async def resign(self) -> None:
        """As at the end."""
        await self._janitor.resign()


async def test_stale_entries_are_taken_and_fresh_ones_are_left(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """With their fields; claiming counts no delivery."""
    *stale, fresh = await deliver(raw, 4, "dead")
    await abandon(raw, stale, "dead")

    assert await Sweep(member(client, "me")).all() == [
        ClaimedEntry(one, 1, [b"value", b"%d" % n]) for n, one in enumerate(stale)
    ]
    assert await holds(raw) == {**dict.fromkeys(stale, ("me", 1)), fresh: ("dead", 1)}


async def test_a_hundred_thousand_entries_are_taken(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """Each once; the server is held up for a step at a time only."""
    ids = await deliver(raw, 100_000, "dead")
    await abandon(raw, ids, "dead")

    taken = await Sweep(member(client, "me")).all()

    assert [one.id for one in taken] == ids
    assert [one.fields[1] for one in taken] == [b"%d" % n for n in range(100_000)]
    assert (await raw.xpending(STREAM, GROUP))["consumers"] == [{"name": b"me", "pending": 100_000}]


async def test_a_partition_has_one_janitor_at_a_time(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """Until it resigns: then the next one is. Another one is told how many members there are."""
    await abandon(raw, await deliver(raw, 3, "dead"), "dead")
    first, other = Sweep(member(client, "me")), Sweep(member(client, "other"))

    await first.all()
    await abandon(raw, [one.id for one in first.left], "me")
    look = await other.look()
    assert (len(first.left), other.left) == (3, [])
    assert (look.is_janitor, look.members, look.more) == (False, 3, [])

    await other.resign()
    assert await other.all() == []
    await first.resign()
    assert [one.id for one in await other.all()] == [one.id for one in first.left]


async def test_the_janitors_lease_ends_by_itself(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """So one that dies holds nobody up for long."""
    await deliver(raw, 1, "dead")
    assert (await Sweep(member(client, "me"), lease_ms=50).look()).is_janitor

    await until(lambda: _is_gone(raw))


async def _is_gone(raw: redis.asyncio.Redis) -> bool:
    return not await raw.exists(b"{t:0}:janitor:g")


async def test_a_look_takes_no_more_than_there_is_credit_for(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """And goes on where the last one stopped; without credit a member is no janitor, and tells that there is more."""
    ids = await deliver(raw, 250, "dead")
    await abandon(raw, ids, "dead")
    sweep = Sweep(member(client, "me"))
    taken = []
    for credit in (0, 30, 100, 1_000, 1_000):
        look = await sweep.look(credit)
        taken.append((look.is_janitor, len(sweep.left), bool(look.more)))

    assert taken == [(False, 0, True), (True, 30, True), (True, 130, True), (True, 230, True), (True, 250, False)]
    assert [one.id for one in sweep.left] == ids


@pytest.mark.parametrize("word", [PAUSED, NOT_REPLAYED])
async def test_nothing_is_taken_over_where_the_member_must_not(
    client: MQClient, raw: redis.asyncio.Redis, word: bytes
) -> None:
    """Nor is it the janitor: others may be. Messages for later are moved all the same."""
    await abandon(raw, await deliver(raw, 3, "dead"), "dead")
    await client.delayed("t").send(b"later", 0)
    sweep = Sweep(member(client, "me"))

    look = await sweep.look(word=word)

    assert (look.is_janitor, sweep.left, look.more) == (False, [], [])
    assert await raw.xlen(STREAM) == 4
    assert len(await Sweep(member(client, "other")).all()) == 3


async def test_entries_that_were_trimmed_while_pending_are_acknowledged(
    client: MQClient, raw: redis.asyncio.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """On every server, counted and told: nobody can handle them any more."""
    ids = await deliver(raw, 5, "dead")
    await abandon(raw, ids, "dead")
    await raw.xdel(STREAM, *ids[:3])
    sweep = Sweep(member(client, "me"))

    with caplog.at_level(logging.WARNING):
        await sweep.all()

    assert [one.id for one in sweep.left] == ids[3:]
    assert await holds(raw) == dict.fromkeys(ids[3:], ("me", 1))
    assert sorted(sweep.gone) == sorted(ids[:3])
    assert "3 pending entries were gone" in caplog.text


async def test_nothing_to_look_after_is_no_error(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """No stream, or no group: whoever reads makes them."""
    assert await Sweep(member(client, "me")).all() == []
    await raw.xadd(STREAM, {"value": "0"})
    assert await Sweep(member(client, "me")).all() == []
    await Sweep(member(client, "me")).look(remove_after_ms=0)


async def test_an_empty_dead_consumer_goes_and_one_that_holds_something_stays(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """The one who looks stays too."""
    ids = await deliver(raw, 3, "holding")
    for name in ("empty", "me"):
        await raw.xreadgroup(GROUP, name, {STREAM: ">"})  # nothing left: XREADGROUP makes it known all the same
        await raw.xgroup_createconsumer(STREAM, GROUP, name)
    sweep = Sweep(member(client, "me"))

    await sweep.look(remove_after_ms=3_600_000)
    assert await names(raw) == {b"empty", b"holding", b"me"}
    await sweep.look(remove_after_ms=0)
    assert await names(raw) == {b"holding", b"me"}
    assert await holds(raw) == dict.fromkeys(ids, ("holding", 1))


async def test_what_a_dead_consumer_holds_is_reclaimed_and_then_it_goes(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """In one look: nothing is lost on the way."""
    ids = await deliver(raw, 3, "dead")
    await abandon(raw, ids, "dead")
    sweep = Sweep(member(client, "me"))

    await sweep.look(remove_after_ms=0)

    assert [one.id for one in sweep.left] == ids
    assert await names(raw) == {b"me"}


async def names(raw: redis.asyncio.Redis) -> set[bytes]:
    """The group's consumers."""
    return {row["name"] for row in await raw.xinfo_consumers(STREAM, GROUP)}


async def test_a_delayed_retry_is_nobodys_until_it_is_due(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """Even past the visibility time-out: sweeps leave it. Then it comes once, its count as it was."""
    (entry,) = await deliver(raw, 1, "me")
    me = member(client, "me")
    assert await delayed.delay_retry(me, PARTITION, entry, 3_600_000)
    await abandon(raw, [entry], "postponed")
    sweep = Sweep(me)

    look = await sweep.look()

    assert (sweep.left, sweep.due) == ([], [])
    assert look.due_s is not None
    assert 3_500 < look.due_s <= 3_600
    assert await holds(raw) == {entry: ("postponed", 1)}
    await raw.zadd(b"{t:0}:delayed:g", {entry: 1})
    for _ in range(2):
        await sweep.look()
    assert (sweep.left, sweep.due) == ([], [ClaimedEntry(entry, 1, [b"value", b"0"])])
    assert await holds(raw) == {entry: ("me", 1)}


@pytest.mark.parametrize("anew", ["nothing", "another retry"])
async def test_a_delayed_retry_outlives_its_group(client: MQClient, raw: redis.asyncio.Redis, anew: str) -> None:
    """Its entry stands, so it comes when it is due, also if others were delayed since; trimmed ones are told."""
    waiting, acknowledged, trimmed, other = await deliver(raw, 4, "me")
    me = member(client, "me")
    for entry in (waiting, acknowledged, trimmed):
        assert await delayed.delay_retry(me, PARTITION, entry, 3_600_000) == delayed.Delayed.WAITS
    await raw.xdel(STREAM, trimmed)
    await raw.xgroup_destroy(STREAM, GROUP)
    await raw.xgroup_create(STREAM, GROUP, "$")
    sweep = Sweep(me)
    if anew == "another retry":
        await raw.xclaim(STREAM, GROUP, "me", 0, [other], force=True)
        assert await delayed.delay_retry(me, PARTITION, other, 3_600_000) == delayed.Delayed.WAITS
    else:
        await sweep.look()
    await raw.xack(STREAM, GROUP, acknowledged)
    await raw.zadd(b"{t:0}:delayed:g", dict.fromkeys((waiting, acknowledged), 1))

    await sweep.look()

    assert [one.id for one in sweep.due] == [waiting]
    assert sweep.gone == ([] if anew == "another retry" else [trimmed])
    assert me.statistics.deleted == (anew == "another retry"), "it was told where it was found"


async def test_only_what_is_ours_can_be_delayed(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """What another has claimed is the other's to handle; what was trimmed while it waited is acknowledged."""
    claimed, trimmed = await deliver(raw, 2, "me")
    me = member(client, "me")
    await raw.xclaim(STREAM, GROUP, "other", 0, [claimed])

    assert not await delayed.delay_retry(me, PARTITION, claimed, 0)
    for _ in range(2):  # as when the reply to the first one was lost
        assert await delayed.delay_retry(me, PARTITION, trimmed, 0)
    await raw.xdel(STREAM, trimmed)
    await raw.zadd(b"{t:0}:delayed:g", {trimmed: 1})
    sweep = Sweep(me)
    await sweep.look()
    assert (sweep.due, sweep.gone) == ([], [trimmed])
    assert await holds(raw) == {claimed: ("other", 2)}


@pytest.mark.parametrize("place", [0, 1, 2, "$"])
@pytest.mark.parametrize("who", ["a member that had it", "a new member", "somebody else"])
async def test_a_group_that_is_made_anew_gives_each_waiting_message_once(
    client: MQClient, raw: redis.asyncio.Redis, who: str, place: int | str
) -> None:
    """Whoever makes it and wherever: what the group gives again waits no more, also when it was handled meanwhile."""
    ids = await deliver(raw, 4, "me")
    me, partition = member(client, "me"), Partition(0, "{t:0}")
    for entry in ids[:3]:
        assert await delayed.delay_retry(me, PARTITION, entry, 3_600_000) == delayed.Delayed.WAITS
    await raw.xgroup_destroy(STREAM, GROUP)
    start = b"$" if place == "$" else b"0" if place == 0 else ids[int(place) - 1]
    given = [] if place == "$" else ids[int(place) :]
    if who == "a member that had it":
        later = await raw.xadd(STREAM, {"value": "4"}, id=int(ids[-1].partition(b"-")[0]) + 1)
        partition.last_delivered = await mark_at(me.router, STREAM, later)
        partition.leased.update(given)
        given = [*given, later]  # of the last millisecond all comes again
        await recreate_group(me, [partition])
    elif who == "a new member":
        await ensure_group(me, [partition], start)
    else:
        await raw.xgroup_create(STREAM, GROUP, start)

    rows = await raw.xreadgroup(GROUP, "me", {STREAM: ">"})
    assert [entry for entry, _ in (rows[0][1] if rows else [])] == given
    if given and who != "somebody else":  # nobody can tell what a group of unknown making was given and is done with
        await raw.xack(STREAM, GROUP, *given)
    await Sweep(me).look()

    waiting = [entry for entry in ids[:3] if entry not in given]
    held = given if who == "somebody else" else []
    assert await holds(raw) == {**dict.fromkeys(waiting, ("postponed", 1)), **dict.fromkeys(held, ("me", 1))}
    assert await raw.zrange("{t:0}:delayed:g", 0, -1) == waiting


async def test_what_a_group_that_was_set_back_is_given_anew_is_left(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """It comes by a read, after what is older: to take it over would give it before."""
    ids = await deliver(raw, 4, "dead")
    await abandon(raw, ids, "dead")
    await raw.xgroup_setid(STREAM, GROUP, ids[1])
    sweep = Sweep(member(client, "me"))

    assert [one.id for one in await sweep.all()] == ids[:2]
    ((_, entries),) = await raw.xreadgroup(GROUP, "me", {STREAM: ">"})
    assert [entry for entry, _ in entries] == ids[2:]
