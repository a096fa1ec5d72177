"""The examples of docs/library/consume.md run as they are printed, but for the address of the server."""

import ast
import asyncio
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from records import store

from ombdriver import Topic

PAGE = Path(__file__).parents[3] / "docs" / "library" / "consume.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


class EnoughError(Exception):
    """Ends an example that would go on for ever."""


async def run(text: str, names: dict[str, Any]) -> None:
    """Runs statements with `await` in them, as the body of a function."""
    code = compile(text, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    coroutine = eval(code, names)
    assert inspect.iscoroutine(coroutine), "an example that awaits nothing"
    await coroutine


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

    text = textwrap.dedent(EXAMPLES[number]).replace("redis://localhost:6379", server_url)
    async with asyncio.timeout(20):
        try:
            await run(text, {"handle": handle})
        except EnoughError:
            assert len(set(handled)) == 8
        else:
            assert handled == []


def test_there_are_examples() -> None:
    """The page has not been emptied."""
    assert len(EXAMPLES) == 4
