"""Examples as they are printed in a page of documentation, and a way to run them."""

import ast
import asyncio
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).parents[3]
LIBRARY = HOUSE / "docs" / "library"


def examples_of(page: Path) -> list[str]:
    """The blocks of Python, in their order."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


async def run(text: str, names: Mapping[str, Any] | None = None, **addresses: str) -> None:
    """Runs an example that awaits at its top.

    Args:
        text: as it is printed.
        names: what it takes for granted.
        addresses: in place of those that it names: `server` for `redis://…`, `cluster` for `redis+cluster://…`.
    """
    for scheme, url in addresses.items():
        start = {"server": "redis"}.get(scheme, f"redis+{scheme}")
        text = re.sub(rf'"{re.escape(start)}://[^"]*"', f'"{url}"', text)
    code = compile(text, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    async with asyncio.timeout(40):
        coroutine = eval(code, dict(names or {}))
        assert inspect.iscoroutine(coroutine), "an example that awaits nothing"
        await coroutine
