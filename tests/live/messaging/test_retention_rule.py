"""How far a stream is cut: the script on the server, against the rule in a few words of Python."""

import asyncio
from dataclasses import dataclass

import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ombdriver import MQClient
from ombdriver.messaging.streams import trimmer

STREAM = "s"
LAST = 12


@dataclass(frozen=True)
class GroupState:
    """A group: how many entries it was given, and which of them it has not acknowledged, if it has a consumer at all.

    Attributes:
        given: entries.
        pending: None where no consumer is.
    """

    given: int
    pending: frozenset[int] | None

    def first_needed(self) -> int:
        """The rule."""
        return min([*(self.pending or ()), self.given + 1])


@st.composite
def groups_of_a_stream(draw: st.DrawFn) -> GroupState:
    """Any group."""
    count = draw(st.integers(0, LAST))
    entries = st.frozensets(st.integers(1, count), max_size=3) if count else st.just(frozenset[int]())
    return GroupState(count, draw(st.none() | entries))


def expected(groups: list[GroupState], bound: int | None, *, may_live: bool) -> tuple[int, list[int]]:
    """The lowest entry that stays, and the groups that lose something by the bound."""
    if not groups:
        return 1, []
    horizon = min(group.first_needed() for group in groups)
    if bound is None or bound <= horizon:
        return horizon, []
    alive = [group for group in groups if may_live and group.pending is not None]
    first = min([bound, *(group.first_needed() for group in alive)])
    return first, [number for number, group in enumerate(groups) if group.first_needed() < first]


async def lay_out(raw: redis.asyncio.Redis, groups: list[GroupState]) -> None:
    """A stream with the entries 1-1 to 1-12, and groups that were given so much of it."""
    await raw.delete(STREAM)
    for number in range(1, LAST + 1):
        await raw.xadd(STREAM, {"n": number}, id=f"1-{number}")
    for number, group in enumerate(groups):
        name = f"g{number}"
        await raw.xgroup_create(STREAM, name, "0" if group.pending is not None else f"1-{group.given}")
        if group.pending is not None:
            await raw.xgroup_createconsumer(STREAM, name, "c")
            if group.given:
                await raw.xreadgroup(name, "c", {STREAM: ">"}, count=group.given)
            if done := [f"1-{each}" for each in range(1, group.given + 1) if each not in group.pending]:
                await raw.xack(STREAM, name, *done)


async def cut_as_expected(url: str, groups: list[GroupState], bound: int | None, *, may_live: bool) -> None:
    """Lays it out, cuts, and looks."""
    async with MQClient(redis_url=url) as client:
        raw = redis.asyncio.Redis.from_url(url, protocol=2)
        await lay_out(raw, groups)
        done = await trimmer.trim(
            client._router(),
            STREAM.encode(),
            approximate=False,
            maxlen=None if bound is None else LAST - bound + 1,
            dead_after_ms=3_600_000 if may_live else 0,  # 0: nobody has asked for anything since
        )
        left = [int(fields[b"n"]) for _, fields in await raw.xrange(STREAM)]
        await raw.aclose()
    first, losing = expected(groups, bound, may_live=may_live)
    assert left == list(range(first, LAST + 1))
    assert (done.removed, done.losing) == (LAST - len(left), [b"g%d" % number for number in losing])


# A busy machine is no failure; and each example lays its stream out anew, so the server may be the same.
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(groups_of_a_stream(), max_size=4), st.none() | st.integers(1, LAST), st.booleans())
def test_what_stays_is_what_some_group_needs_and_no_more(
    valkey_url: str, groups: list[GroupState], bound: int | None, may_live: bool
) -> None:
    """Whatever the groups have read and acknowledged; below a bound only groups that somebody reads are heard."""
    asyncio.run(cut_as_expected(valkey_url, groups, bound, may_live=may_live))


async def test_ids_of_any_size_are_told_apart(server_url: str, raw: redis.asyncio.Redis) -> None:
    """Numbers of scripts are exact to 2^53 only; what can't be told there stays, and nothing is taken for less."""
    ids = ["9-999", "10-0", "9007199254740992-5", "9007199254740993-5", "9007199254740993-18446744073709551615"]
    for each in ids:
        await raw.xadd(STREAM, {"n": 0}, id=each)
    await raw.xgroup_create(STREAM, "g", "0")
    async with MQClient(redis_url=server_url) as client:
        for count, stay in enumerate([*range(5, 0, -1), 1]):
            await raw.xgroup_setid(STREAM, "g", ids[count - 1] if count else "0")
            await client.trim_acknowledged(STREAM, approximate=False)
            assert await raw.xlen(STREAM) == stay
