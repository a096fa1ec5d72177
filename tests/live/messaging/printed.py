"""Examples as they are printed in a page of documentation, and a way to run them."""

import ast
import asyncio
import inspect
import re
from pathlib import Path

HOUSE = Path(__file__).parents[3]
LIBRARY = HOUSE / "docs" / "library"


def examples_of(page: Path) -> list[str]:
    """The blocks of Python, in their order."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


async def run(text: str, **addresses: str) -> None:
    """Runs an example that awaits at its top, with other addresses than it names: `cluster` for `redis+cluster://…`."""
    for scheme, url in addresses.items():
        start = {"server": "redis"}.get(scheme, f"redis+{scheme}")
        text = re.sub(rf'"{re.escape(start)}://[^"]*"', f'"{url}"', text)
    code = compile(text, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    async with asyncio.timeout(40):
        coroutine = eval(code, {})
        assert inspect.iscoroutine(coroutine), "an example that awaits nothing"
        await coroutine
