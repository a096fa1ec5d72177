"""Examples as they are printed in a page of documentation, and a way to run them: as programs, as they are pasted."""

import asyncio
import contextlib
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

HOUSE = Path(__file__).parents[3]
LIBRARY = HOUSE / "docs" / "library"


def examples_of(page: Path) -> list[str]:
    """The blocks of Python, in their order."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def program_of(text: str, **addresses: str) -> str:
    """An example with the addresses of the servers that there are.

    Args:
        text: as it is printed.
        addresses: in place of those that it names: `server` for `redis://…`, `cluster` for `redis+cluster://…`.
    """
    program = text.replace("start_http_server(9464", "start_http_server(0")  # a port that is free
    for scheme, url in addresses.items():
        start = {"server": "redis"}.get(scheme, f"redis+{scheme}")
        program = re.sub(rf'"{re.escape(start)}://[^"]*"', f'"{url}"', program)
    assert program != text, "an example that asks no server"
    return program


def output_of(text: str, **addresses: str) -> str:
    """What an example prints; it ends well, and tells nothing on standard error."""
    words = [sys.executable, "-W", "error", "-c", program_of(text, **addresses)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=50, check=False, cwd=HOUSE)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


@contextlib.asynccontextmanager
async def printing(text: str, **addresses: str) -> AsyncIterator[asyncio.StreamReader]:
    """What an example prints that never ends by itself; in the end it is killed."""
    words = [sys.executable, "-u", "-c", program_of(text, **addresses)]
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE, cwd=HOUSE)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.kill()
        await process.wait()
