"""Is a running server what its plan says? Asks it for its options, and the system for its processors."""

import os
from collections.abc import Sequence

from ombdriver.bench.ask import RefusedError
from ombdriver.bench.engine import SECRET_KEYS
from ombdriver.bench.servers.node import Node
from ombdriver.bench.servers.options import UNREADABLE, Options, alike, in_one, shown_difference, unquoted


async def config_differences(node: Node, options: Options) -> list[str]:
    """What of `options` the server has not taken, as sentences; changes nothing that is as it should be.

    Where the text differs and may still mean the same, the server itself says: what it is told to have, and then has
    as before, it had.

    Raises:
        RefusedError: if the server does not let us ask.
        LostError: if it can't be asked.
    """
    found = []
    for name, wanted in options.items():
        if name.lower() in UNREADABLE:
            continue
        value = await _value(node, name)
        if value is None or not (_same(name, wanted, value) or await _same_to_the_server(node, name, wanted, value)):
            found.append(f"{node.name} {shown_difference(name.lower(), wanted, value)}")
    return found


def pinning_differences(node: Node, cpus: Sequence[int]) -> list[str]:
    """Sentence, if the server does not stay on the processors `cpus`. Linux only."""
    found = os.sched_getaffinity(node.pid)
    if found == set(cpus):
        return []
    there, wanted = (", ".join(map(str, sorted(numbers))) for numbers in (found, cpus))
    return [f"{node.name} is on the processors {there}, not on {wanted}; use those that this process may have"]


async def _value(node: Node, name: str) -> str | None:
    (reply,) = await node.ask(("CONFIG", "GET", name))
    return str(reply[1]) if isinstance(reply, list) and len(reply) == 2 else None


def _same(name: str, wanted: str | Sequence[str], found: str) -> bool:
    if name.lower() in SECRET_KEYS:
        return isinstance(wanted, str) and unquoted(wanted) in (found, found.strip())
    return alike(wanted, found)


async def _same_to_the_server(node: Node, name: str, wanted: str | Sequence[str], before: str) -> bool:
    if name.lower() in SECRET_KEYS:
        return False
    try:
        await node.ask(("CONFIG", "SET", name, in_one(wanted)))
    except RefusedError:  # it can't be changed while the server runs, or not to this
        return False
    return await _value(node, name) == before
