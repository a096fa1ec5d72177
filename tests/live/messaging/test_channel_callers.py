"""Hundreds of callers on one connection to a real server: everybody gets what is theirs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import uvloop
from redis.exceptions import ResponseError

from ombdriver.messaging.errors import NotSentError, OutcomeUnknownError
from ombdriver.messaging.streams.entry_ids import parse_id
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.connection import pack
from ombdriver.messaging.transport.factory import connection_factory, open_client

CALLERS, CALLS = 500, 20
Open = Callable[[int], Channel]


@pytest.fixture
async def open_channel(server_url: str) -> AsyncIterator[Open]:
    """Opens channels with so much room; they are closed after the test."""
    router: list[Channel] = []

    def open_one(max_in_flight: int) -> Channel:
        router.append(Channel(connection_factory(open_client(server_url, {})), max_in_flight=max_in_flight))
        return router[-1]

    yield open_one
    for channel in router:
        await channel.aclose()


@pytest.mark.parametrize("max_in_flight", [10_000, 100, 7])
async def test_500_callers_each_get_their_own_answers(open_channel: Open, max_in_flight: int) -> None:
    """Ids rise from call to call, and an entry holds what its caller wrote; also when most wait for room."""
    channel = open_channel(max_in_flight)
    calls = CALLS if max_in_flight >= 100 else 2

    async def caller(name: int) -> list[tuple[int, int]]:
        ids = []
        for number in range(calls):
            ids.append(await channel.execute("XADD", "s", "*", "name", name, "number", number, convert=parse_id))
            assert await channel.execute("ECHO", f"{name}:{number}") == b"%d:%d" % (name, number)
        return ids

    ids = await asyncio.gather(*(caller(name) for name in range(CALLERS)))

    owners = {one: (name, number) for name, some in enumerate(ids) for number, one in enumerate(some)}
    assert len(owners) == CALLERS * calls
    assert all(some == sorted(some) for some in ids)
    for entry, fields in await channel.execute("XRANGE", "s", "-", "+"):
        assert owners[parse_id(entry)] == (int(fields[1]), int(fields[3]))
    assert channel.statistics().replies == 2 * CALLERS * calls + 1


async def test_cancelled_callers_and_errors_disturb_nobody(open_channel: Open) -> None:
    """Every third gives up at another moment, every fifth is refused by the server."""
    channel = open_channel(50)

    async def caller(name: int) -> None:
        for number in range(CALLS):
            if name % 5 == 0:
                with pytest.raises(ResponseError, match=f"'NO{name}X{number}'"):
                    await channel.execute(f"NO{name}X{number}")
            assert await channel.execute("ECHO", f"{name}:{number}") == b"%d:%d" % (name, number)

    tasks = [asyncio.create_task(caller(name)) for name in range(CALLERS)]
    for task in tasks[::3]:
        await channel.execute("PING")
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(result is None for number, result in enumerate(results) if number % 3)
    assert {type(result) for result in results[::3]} <= {type(None), asyncio.CancelledError}


async def test_blocks_and_callers_share_a_connection(open_channel: Open, server_url: str) -> None:
    """Each index of each block is reported once and in order, while single callers get their own answers."""
    channel = open_channel(2_000)
    await channel.ready()
    seen: list[list[int]] = [[] for _ in range(40)]
    done = asyncio.Event()

    def sink(token: int, first: int, count: int, error: Exception | None, *_: object) -> None:
        assert (error is not None) == (first <= 250 < first + count)
        seen[token] += range(first, first + count)
        if all(len(some) == 500 for some in seen):
            done.set()

    async def send(token: int) -> None:
        data = b"".join(
            pack(("XADD", "s", "*", "f", number)) if number != 250 else pack(("NO",)) for number in range(500)
        )
        while channel.room() < 500:
            again = asyncio.Event()
            channel.when_room(again.set)
            await again.wait()
        channel.send_block(data, 500, sink, token, 0)

    async def echo() -> None:
        for number in range(CALLS):
            assert await channel.execute("ECHO", number) == b"%d" % number

    await asyncio.gather(*(echo() for _ in range(50)), *(send(token) for token in range(40)))
    await done.wait()

    assert seen == [list(range(500))] * 40
    assert await channel.execute("XLEN", "s") == 40 * 499


def test_a_lost_connection_costs_what_was_in_flight_and_no_more(server_url: str) -> None:
    """The server holds all that was acknowledged, and nothing that never left; nothing twice. On uvloop."""

    async def main() -> None:
        channel = Channel(connection_factory(open_client(server_url, {})), max_in_flight=100)
        control = Channel(connection_factory(open_client(server_url, {})))
        stored: set[bytes] = set()
        unknown: set[bytes] = set()
        enough = asyncio.Event()

        async def caller(name: int) -> None:
            number = 0
            while not enough.is_set():
                number += 1
                value = b"%d:%d" % (name, number)
                try:
                    await channel.execute("XADD", "s", "*", "f", value)
                    stored.add(value)
                except OutcomeUnknownError:
                    unknown.add(value)
                except NotSentError:
                    pass

        tasks = [asyncio.create_task(caller(name)) for name in range(200)]
        for kills in range(1, 4):
            number = await channel.execute("CLIENT", "ID")
            await control.execute("CLIENT", "KILL", "ID", number)
            while channel.statistics().reconnects < kills:
                await control.execute("PING")
        enough.set()
        await asyncio.gather(*tasks)
        found = [fields[1] for _, fields in await control.execute("XRANGE", "s", "-", "+")]

        assert len(found) == len(set(found))
        assert stored <= set(found) <= stored | unknown
        assert stored
        await channel.aclose()
        await control.aclose()

    run: Callable[[Coroutine[Any, Any, None]], None] = uvloop.run
    run(main())
