"""The examples of docs/library/consume.md run as they are printed, but for the address of the server."""

from typing import Any

import pytest
import redis.asyncio
from printed import LIBRARY, examples_of, run
from records import store

from ombdriver import Topic

EXAMPLES = examples_of(LIBRARY / "consume.md")


class EnoughError(Exception):
    """Ends an example that would go on for ever."""


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
async def test_an_example_runs(server_url: str, raw: redis.asyncio.Redis, number: int) -> None:
    """On a server with a few messages; those that never end are ended after they have handled some."""
    for topic in (Topic("orders", 4), Topic("payments", 1)):
        await store(raw, range(8), topic)
    await raw.xadd("{payments:0}", {"value": "no json"})
    handled: list[Any] = []

    async def handle(value: Any) -> None:
        handled.append(value)
        if len(handled) == 8:
            raise EnoughError

    try:
        await run(EXAMPLES[number], {"handle": handle}, server=server_url)
    except EnoughError:
        assert len(set(handled)) == 8
    else:
        assert handled == []


def test_there_are_examples() -> None:
    """The page has not been emptied."""
    assert len(EXAMPLES) == 4
