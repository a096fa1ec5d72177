"""Why a group can't be read any more: destroyed, its stream deleted, evicted or emptied with the server, or replaced.

A server answers all of these with NOGROUP. So it is asked once, when that has happened, what is there now; a server
that refuses to tell leaves several reasons possible, and then all of them are told.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ombdriver.bench.drivers.redis_streams.control import Control
from ombdriver.bench.drivers.redis_streams.server import read_lines
from ombdriver.messaging.errors import RedisError
from ombdriver.messaging.transport.router import Router

NO_EVICTION = "noeviction"


@dataclass(frozen=True, slots=True)
class Found:
    """What a server tells of one stream that lacks a group, and of itself; None for what it does not tell.

    Attributes:
        kind: the type of what the key holds; `none` for nothing.
        is_same: whether it still holds an entry that the group was given, or was cut before; so it was not made anew.
        evicted: keys that were evicted since the server started.
        policy: its maxmemory-policy.
        uptime_s: for how long it is up, in seconds.
        read_s: for how long the group was read, in seconds.
        keys: in all of its databases.
    """

    kind: str | None = None
    is_same: bool | None = None
    evicted: int | None = None
    policy: str | None = None
    uptime_s: int | None = None
    read_s: float = 0.0
    keys: int | None = None


def reason(key: str, group: str, found: Found) -> str:
    """What became of the group, and what to do."""
    if found.kind not in (None, "none", "stream"):
        return (
            f"{key} holds a {found.kind} now: another program has written there; use a server or a database of its own"
        )
    if found.kind == "stream" and found.is_same:
        return f"the group was destroyed while the stream {key} is there (XGROUP DESTROY); see who else uses the server"
    if found.kind is None or (found.kind == "stream" and found.is_same is None):
        return (
            f"the group was destroyed (XGROUP DESTROY), or its stream {key} was deleted or evicted; see who else uses"
            " the server"
        )
    again = ", and sending has made it anew" if found.kind == "stream" else ""
    if found.evicted and found.policy not in (None, NO_EVICTION):
        return (
            f"the stream {key} was evicted{again}: the server was full, and has evicted {found.evicted:,} keys"
            f" (maxmemory-policy {found.policy}); set maxmemory-policy {NO_EVICTION} on it, and raise maxmemory"
        )
    if found.uptime_s is not None and found.uptime_s + 1 < found.read_s:
        return (
            f"the server was started {found.uptime_s} s ago, without the stream {key}; see its log, and whether it is"
            " to keep its data (appendonly)"
        )
    if found.keys == 0:
        return f"the server was emptied (FLUSHALL or FLUSHDB), with the stream {key}; see who else uses the server"
    return f"the stream {key} was deleted{again} (DEL, UNLINK or FLUSHDB); see who else uses the server"


async def why_missing(
    router: Router, keys: Sequence[bytes], group: str, last: Mapping[bytes, bytes], read_s: float
) -> str:
    """`reason` for the first of the streams `keys` that has no group `group`.

    Args:
        router: where to ask.
        keys: the streams.
        group: the group.
        last: the last entry that the group was given of each stream, as far as it was.
        read_s: for how long it was read, in seconds.
    """
    without = [key for key in keys if not await _has_group(router, key, group)]
    key = (without or keys)[0]
    kind, info = await asyncio.gather(_told(router, key, "TYPE", key), _told(router, key, "INFO"))
    lines = {} if info is None else read_lines(info)
    figures = {name: int(text) for name, text in lines.items() if text.strip().isdecimal()}
    databases = [text for name, text in lines.items() if name[:2] == "db" and name[2:].isdecimal()]
    found = Found(
        kind=None if kind is None else kind.decode(),
        is_same=await _is_same(router, key, last.get(key)) if kind == b"stream" else None,
        evicted=figures.get("evicted_keys"),
        policy=lines.get("maxmemory_policy"),
        uptime_s=figures.get("uptime_in_seconds"),
        read_s=read_s,
        keys=None if "used_memory" not in lines else len(databases),
    )
    return reason(key.decode(errors="replace"), group, found)


async def _has_group(router: Router, key: bytes, group: str) -> bool:
    """Whether the stream has it; also where that is not told."""
    groups = await _told(router, key, "XINFO", "GROUPS", key)
    if groups is None:
        return bool(await _told(router, key, "EXISTS", key) != 0)
    return any(_pairs(each).get(b"name") == group.encode() for each in groups)


async def _is_same(router: Router, key: bytes, last: bytes | None) -> bool | None:
    """Whether the stream is the one that entry `last` is of; None where that can't be told.

    It is if it holds an entry up to that one, or if it was cut since it was made, which takes longer than a loss.
    """
    if last is not None and await _told(router, key, "XRANGE", key, "-", last, "COUNT", 1):
        return True
    info = await _told(router, key, "XINFO", "STREAM", key)
    if info is None:
        return None
    added, length = (_pairs(info).get(name) for name in (b"entries-added", b"length"))
    if added is not None and added > length:  # told from 7.0 on
        return True
    return None if last is None else False


async def _told(router: Router, key: bytes, *words: bytes | str | int) -> Any:
    """What the server answers; None where it refuses, or is gone."""
    try:
        return await Control(router, Counter()).ask(key, *words, bound_s=0, reply_timeout_s=1.0)
    except RedisError:
        return None


def _pairs(reply: Sequence[Any]) -> dict[bytes, Any]:
    return dict(zip(reply[::2], reply[1::2], strict=True))
