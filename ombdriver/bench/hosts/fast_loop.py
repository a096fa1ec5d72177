"""The event loop of workers, agents and trials. The only importer of uvloop."""

from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

Returned = TypeVar("Returned")


def run_fast(main: Coroutine[Any, Any, Returned]) -> Returned:
    """`asyncio.run` on the workers' kind of loop."""
    return uvloop.run(main)
