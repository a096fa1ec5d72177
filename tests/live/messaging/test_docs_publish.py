"""The examples of docs/library/publish.md run as they are printed, but for the address of the server."""

import ast
import asyncio
import inspect
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "library" / "publish.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
async def test_an_example_runs(server_url: str, number: int) -> None:
    """On an empty server; each holds by itself what it says."""
    text = EXAMPLES[number].replace("redis://localhost:6379", server_url)
    code = compile(text, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    async with asyncio.timeout(20):
        coroutine = eval(code, {})
        assert inspect.iscoroutine(coroutine), "an example that awaits nothing"
        await coroutine


def test_there_are_examples() -> None:
    """The page has not been emptied."""
    assert len(EXAMPLES) == 6
