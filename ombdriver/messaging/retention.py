"""What may be trimmed: how far every group of a stream has read and acknowledged.

Asks the server, changes nothing. The rule itself, `first_needed`, is pure.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

Ask = Callable[..., Awaitable[Any]]
"""`ask(key, name, *words)`: a command to the server of `key`, in redis-py's shape for it, with bytes."""


def first_needed(groups: Iterable[tuple[bytes, bytes | None]]) -> bytes | None:
    """The lowest id that some group still needs; None if there is no group, so that nothing may go.

    Args:
        groups: per group its last-delivered id, and its oldest pending id or None. A pending id is never above the
            last-delivered one, except after the group was set back, when the lower of the two still holds.
    """
    needed = [
        _after(delivered) if pending is None else min(_parts(pending), _after(delivered))
        for delivered, pending in groups
    ]
    return b"%d-%d" % min(needed) if needed else None


async def oldest_needed(ask: Ask, key: bytes) -> bytes | None:
    """The lowest id of stream `key` that some group still needs; None if it has no group.

    How far a group was given entries is read before what it has pending: an entry that is given out in between is
    above the former.
    """
    infos = await ask(key, "XINFO GROUPS", key)
    groups = []
    for info in infos:
        oldest = None
        if info["pending"]:
            summary = await ask(key, "XPENDING", key, info["name"])
            oldest = summary["min"]
        groups.append((info["last-delivered-id"], oldest))
    return first_needed(groups)


def _parts(entry_id: bytes) -> tuple[int, int]:
    ms, _, sequence = entry_id.partition(b"-")
    return int(ms), int(sequence or 0)


def _after(entry_id: bytes) -> tuple[int, int]:
    ms, sequence = _parts(entry_id)
    return ms, sequence + 1
