"""What others do at any moment of a trimmer's round: what becomes needed again before the cut is not cut away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
import redis.asyncio
from pending import GROUP, PARTITION, STREAM, deliver, member
from topologies import Cluster

from ombdriver import AcknowledgedTrimmer, MQClient
from ombdriver.messaging.topics.recovery.dead_letters import DeadLetterPolicy, move_to_dead_letters
from ombdriver.messaging.transport.router import Router

Act = Callable[[], Awaitable[object]]


class Interrupted:
    """The connections of a client; something is done just before one of the commands that leave by them."""

    def __init__(self, client: MQClient, moment: int, act: Act) -> None:
        self._router, self._left, self._act = client._router(), moment, act
        self.health = self._router.health
        self.came = False

    async def _pass(self) -> None:
        self._left -= 1
        if self._left == -1:
            await self._act()
            self.came = True

    async def ask(self, key: bytes, *words: Any) -> Any:
        """See `Router`."""
        await self._pass()
        return await self._router.execute(key, *words)

    async def execute_idempotent(self, key: bytes, *words: Any) -> Any:
        """See `Router`."""
        await self._pass()
        return await self._router.execute_idempotent(key, *words)

    def send(self, key: bytes, data: bytes, **options: Any) -> "asyncio.Future[Any]":
        """See `Router`."""

        async def send() -> Any:
            await self._pass()
            return await self._router.send(key, data, **options)

        return asyncio.ensure_future(send())


async def trimmed_around(client: MQClient, moment: int, act: Act, **bounds: Any) -> bool:
    """One round, with `act` before its command number `moment`; False if it has no such command."""
    interrupted = Interrupted(client, moment, act)
    router = cast(Router, interrupted)
    await AcknowledgedTrimmer(lambda: router, [STREAM], approximate=False, **bounds).trim()
    return interrupted.came


async def at_every_moment(
    client: MQClient, raw: redis.asyncio.Redis, act: Act, prepare: Act, check: Act, **bounds: Any
) -> None:
    """Does it all anew for each command of a round."""
    moment = 0
    while True:
        await raw.delete(STREAM, b"{t:0}:dlq")
        await prepare()
        if not await trimmed_around(client, moment, act, **bounds):
            break
        await check()
        moment += 1
    assert moment > 0


async def values(raw: redis.asyncio.Redis) -> list[bytes]:
    """What a new member of the group gets: all that is pending, and all that is new."""
    _, pending, *_ = await raw.xautoclaim(STREAM, GROUP, "next", 0, count=100)
    new = await raw.xreadgroup(GROUP, "next", {STREAM: ">"})
    return [fields[b"value"] for _, fields in (*pending, *(row for _, rows in new for row in rows)) if fields]


async def redriven_at_every_moment(client: MQClient, raw: redis.asyncio.Redis, **bounds: Any) -> None:
    """A dead letter in the middle of what everybody has done with."""

    async def prepare() -> None:
        ids = await deliver(raw, 5, "me")
        await raw.xack(STREAM, GROUP, *(ids[:2] + ids[3:]))
        await move_to_dead_letters(member(client, "me"), PARTITION, ids[2], "no", DeadLetterPolicy(), 1, [])

    async def check() -> None:
        assert await values(raw) == [b"2"]

    await at_every_moment(client, raw, client.dead_letters("t").redrive, prepare, check, **bounds)


@pytest.mark.parametrize("bounds", [{}, {"maxlen": 1}], ids=["none", "length"])
async def test_a_dead_letter_that_is_sent_again_meanwhile_is_not_lost(
    server_url: str, raw: redis.asyncio.Redis, bounds: dict[str, int]
) -> None:
    """Before the cut it is pending, and stays; after it, it is published anew. The group has a live consumer."""
    async with MQClient(redis_url=server_url) as client:
        await redriven_at_every_moment(client, raw, **bounds)


async def test_nor_is_it_in_a_cluster(three: Cluster) -> None:
    """The script is carried out where the stream is."""
    async with MQClient(redis_url=three.url, decode_responses=False) as client:
        await redriven_at_every_moment(client, client.redis_pool)


@pytest.mark.parametrize("how", ["set back", "made"])
async def test_a_group_finds_what_stood_when_it_was_set_back_or_made(
    server_url: str, raw: redis.asyncio.Redis, how: str
) -> None:
    """At an older id, before the cut: nothing is taken from under it."""
    stood: list[bytes] = []

    async def prepare() -> None:
        await raw.xack(STREAM, GROUP, *await deliver(raw, 5, "me"))

    async def act() -> None:
        if how == "set back":
            await raw.xgroup_setid(STREAM, GROUP, "0")
        else:
            await raw.xgroup_create(STREAM, "late", "0")
        stood[:] = [fields[b"value"] for _, fields in await raw.xrange(STREAM)]

    async def check() -> None:
        group = GROUP if how == "set back" else b"late"
        found = await raw.xreadgroup(group, "next", {STREAM: ">"})
        assert [fields[b"value"] for _, rows in found for _, fields in rows] == stood

    async with MQClient(redis_url=server_url) as client:
        await at_every_moment(client, raw, act, prepare, check)
