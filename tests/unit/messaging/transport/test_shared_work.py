"""Work that several callers wait for: who is cancelled ends nobody else, and nobody is cancelled by its end."""

import asyncio

import pytest
from fake_server import turns

from ombdriver import ClosedError, MQClient
from ombdriver.messaging.transport.background import shared


@pytest.mark.parametrize("ends_work", [False, True])
@pytest.mark.parametrize("ends_caller", [False, True])
@pytest.mark.parametrize("caller_is_first", [False, True])
async def test_only_who_is_cancelled_is_cancelled(ends_work: bool, ends_caller: bool, caller_is_first: bool) -> None:
    """The work, one of its two callers, both in either order in one turn: the other caller has the outcome or why."""
    work: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    caller, other = (asyncio.ensure_future(shared(work, lambda: ClosedError("closed"))) for _ in range(2))
    await turns()
    steps = [ends_work and work.cancel, ends_caller and caller.cancel]
    for step in reversed(steps) if caller_is_first else steps:
        if step:
            step()
    await turns()
    if not work.done():
        work.set_result("done")
    await turns()

    assert caller.cancelled() == ends_caller
    for task in [other] if ends_caller else [caller, other]:
        assert isinstance(task.exception(), ClosedError) if ends_work else task.result() == "done"


async def test_closing_a_client_of_a_cluster_that_is_silent_cancels_nobody() -> None:
    """Whoever waits for the slots, or for a connection, is told that it was closed."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        client = MQClient(redis_url=f"redis+cluster://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        calls = [
            asyncio.ensure_future(each)
            for each in (client.check_health(), client.producer("t").start(), client.get_stream_length("s"))
        ]
        consuming = asyncio.ensure_future(client.consumer("t", "g").start())
        await turns(20)
        await client.aclose()
        await asyncio.wait([*calls, consuming])
    assert [type(call.exception()) for call in (*calls, consuming)] == [ClosedError] * 4
