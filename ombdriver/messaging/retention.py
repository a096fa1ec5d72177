"""What may be trimmed: how far every group of a stream has read and acknowledged, and what a bound makes of that.

Asks the server, changes nothing. The rules themselves, `first_needed` and `cut`, are pure.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from redis.exceptions import ResponseError

Ask = Callable[..., Awaitable[Any]]
"""`ask(key, name, *words)`: a command to the server of `key`, in redis-py's shape for it, with bytes."""
Parts = tuple[int, int]
"""An entry id: milliseconds and sequence."""


def first_needed(groups: Iterable[tuple[bytes, bytes | None]]) -> bytes | None:
    """The lowest id that some group still needs; None if there is no group, so that nothing may go.

    Args:
        groups: per group its last-delivered id, and its oldest pending id or None. A pending id is never above the
            last-delivered one, except after the group was set back, when the lower of the two still holds.
    """
    needed = [_needed(delivered, pending) for delivered, pending in groups]
    return text_of(min(needed)) if needed else None


def _needed(delivered: bytes, pending: bytes | None) -> Parts:
    return after(delivered) if pending is None else min(parts_of(pending), after(delivered))


def cut(needs: Mapping[bytes, Parts], dead: Iterable[bytes], bound: Parts) -> tuple[Parts, list[bytes]] | None:
    """Up to which id a bound makes a stream be cut, and the groups that lose something by it; None for no cut.

    A group with live consumers is never cut into, however far it is behind.

    Args:
        needs: group to the lowest id that it still needs.
        dead: the groups without live consumers.
        bound: the lowest id that is within the bound.
    """
    gone = set(dead)
    target = min([bound, *(first for group, first in needs.items() if group not in gone)])
    losing = sorted(group for group, first in needs.items() if first < target)
    return (target, losing) if losing else None


async def read_needs(ask: Ask, key: bytes) -> dict[bytes, Parts]:
    """Each group of stream `key` with the lowest id that it still needs; empty too when there is no such stream.

    How far a group was given entries is read before what it has pending: an entry that is given out in between is
    above the former.
    """
    try:
        infos = await ask(key, "XINFO GROUPS", key)
    except ResponseError as error:
        if "no such key" in str(error):
            return {}
        raise
    needs = {}
    for info in infos:
        oldest = None
        if info["pending"]:
            try:
                oldest = (await ask(key, "XPENDING", key, info["name"]))["min"]
            except ResponseError as error:
                if str(error).startswith("NOGROUP"):
                    continue  # destroyed meanwhile: it needs nothing
                raise
        needs[info["name"]] = _needed(info["last-delivered-id"], oldest)
    return needs


async def read_dead(ask: Ask, key: bytes, groups: Iterable[bytes], after_s: float) -> list[bytes]:
    """Those of `groups` without a consumer that has asked for anything in the last `after_s` seconds."""
    dead = []
    for group in groups:
        try:
            consumers = await ask(key, "XINFO CONSUMERS", key, group)
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            consumers = []
        if all(consumer["idle"] >= after_s * 1000 for consumer in consumers):
            dead.append(group)
    return dead


async def oldest_needed(ask: Ask, key: bytes) -> bytes | None:
    """The lowest id of stream `key` that some group still needs; None if it has no group.

    Raises:
        redis.exceptions.ResponseError: if the server refuses.
    """
    needs = await read_needs(ask, key)
    return text_of(min(needs.values())) if needs else None


def parts_of(entry_id: bytes) -> Parts:
    """An id as numbers."""
    ms, _, sequence = entry_id.partition(b"-")
    return int(ms), int(sequence or 0)


def text_of(parts: Parts) -> bytes:
    """An id as the server writes it."""
    return b"%d-%d" % parts


def after(entry_id: bytes) -> Parts:
    """The next id."""
    ms, sequence = parts_of(entry_id)
    return ms, sequence + 1
