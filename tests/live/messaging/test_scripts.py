"""Every script of the library may be carried out twice, as when its reply was lost: what is on the server is the same.

Each is run on a topic that has something of everything: entries that are pending, left by others, trimmed, waiting for
a retry, dead letters, messages for later. Whether a script is tried here is looked at too.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
import redis.asyncio

import ombdriver.messaging
from ombdriver.messaging.streams.scripts import Script

STREAM, GROUP, ME, POSTPONED, REDRIVEN = b"{t:0}", b"g", b"me", b"postponed", b"redriven"
DLQ, RETRIES, LATER = b"{t:0}:dlq", b"{t:0}:delayed:g", b"{t:0}:delayed"
LEASE, DEDUPE = b"{t:0}:janitor:g", b"{t:0}:producer:p"


def entry(number: int) -> bytes:
    """The id of an entry."""
    return b"%d-0" % number


MOVED = b"{t:0}:moved:g:" + entry(1)
FIELDS = (b"value", b"1")
NO_GROUP = "no group"
"""Before a run of these the group is destroyed, with all that was pending for it."""

RUNS: dict[str, tuple[str, list[bytes], list[Any]]] = {
    "topics.consumer.leases._CLAIM": ("", [STREAM], [GROUP, ME, entry(1), entry(2), entry(4)]),
    "topics.consumer.leases._UPDATE": ("", [STREAM], [GROUP, ME, 0, entry(1), 3, entry(2), ""]),
    "topics.consumer.leases._LEAVE": ("", [STREAM], [GROUP, b"idle"]),
    "topics.consumer.lag._COUNT": ("", [STREAM], [GROUP, ME, entry(1), 10]),
    "topics.consumer.group._MAKE": (NO_GROUP, [STREAM, RETRIES], [GROUP, entry(9), b"", entry(0), POSTPONED]),
    "topics.consumer.group._CREATE": (NO_GROUP, [STREAM, RETRIES], [GROUP, ME, b"$", POSTPONED]),
    "topics.producer.idempotence._STORE": ("", [STREAM, DEDUPE], [1, 60_000, 3, b"*", *FIELDS]),
    "topics.recovery.dead_letters._REDRIVE": ("", [STREAM, DLQ], [b"", b"-", b"+", 10, 1_000, REDRIVEN]),
    "topics.recovery.dead_letters._MOVE": (
        "",
        [STREAM, DLQ, MOVED],
        [GROUP, ME, entry(1), b"why", b"", 60_000],
    ),
    "topics.recovery.maintenance._SAY_ALIVE": ("", [b"{t:0}:alive:g"], [ME, 60_000]),
    "topics.recovery.janitor._LOOK": (
        "",
        [STREAM, LEASE, RETRIES, LATER],
        [GROUP, ME, 30_000, 60_000, 100, 0, 100, POSTPONED, b"0-0"],
    ),
    "topics.recovery.janitor._RESIGN": ("", [LEASE], [GROUP, ME]),
    "topics.recovery.delayed._SCHEDULE": ("", [STREAM, LATER], [60_000, b"token", *FIELDS]),
    "topics.recovery.delayed._MOVE_DUE": ("", [STREAM, LATER], [100]),
    "topics.recovery.delayed._DELAY": ("", [STREAM, RETRIES], [GROUP, ME, entry(1), 60_000, POSTPONED]),
    "streams.trimmer._TRIM": ("", [STREAM], ["=", 3, "", 0, 500]),
    "streams.resumption._MAKE": (NO_GROUP, [STREAM], [GROUP, entry(9), b"", entry(0)]),
    "group._DELETE_IF_EMPTY": ("", [STREAM], [GROUP, b"idle"]),
}


def scripts() -> Iterator[tuple[str, Script]]:
    """All of the library, by module and name."""
    for found in pkgutil.walk_packages(ombdriver.messaging.__path__, "ombdriver.messaging."):
        if found.name.endswith(".prometheus"):
            continue
        module = importlib.import_module(found.name)
        for name, value in vars(module).items():
            if isinstance(value, Script):
                yield f"{found.name.removeprefix('ombdriver.messaging.')}.{name}", value


SCRIPTS = dict(scripts())


def test_every_script_is_tried_here() -> None:
    """A new one needs a line."""
    assert SCRIPTS.keys() == RUNS.keys()


@pytest.mark.parametrize("name", RUNS)
async def test_twice_is_as_once(raw: redis.asyncio.Redis, name: str) -> None:
    """On the server; and a script that keeps its reply gives the same one again."""
    before, keys, arguments = RUNS[name]
    script, seen = SCRIPTS[name], []
    for times in (1, 2):
        await build(raw, before)
        words = (*keys, *script._keys_of_call(keys[0]))
        replies = [await raw.eval(script._text.decode(), len(words), *words, *arguments) for _ in range(times)]
        if len(words) > len(keys):
            assert replies[0] == replies[-1]
            await raw.delete(words[-1])
        seen.append(await state(raw))
    assert seen[0] == seen[1]


async def build(raw: redis.asyncio.Redis, before: str) -> None:
    """Something of everything; the same each time."""
    await raw.flushdb()
    await raw.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    for number in range(1, 10):
        await raw.xadd(STREAM, {"value": number}, id=entry(number))
    await raw.xreadgroup(GROUP, ME, {STREAM: ">"}, count=4)
    await raw.xreadgroup(GROUP, "dead", {STREAM: ">"}, count=2)
    await raw.xclaim(STREAM, GROUP, "dead", 0, [entry(5), entry(6)], idle=60_000, justid=True)
    await raw.xclaim(STREAM, GROUP, POSTPONED, 0, [entry(3)], justid=True)
    await raw.zadd(RETRIES, {entry(3): 1, entry(6): 1})
    await raw.xgroup_createconsumer(STREAM, GROUP, "idle")
    await raw.xdel(STREAM, entry(4), entry(6))
    origin = {"x-stream": STREAM, "x-group": GROUP, "x-consumer": ME, "x-deliveries": 5, "x-error": "e", "x-time": 1}
    for number in (2, 7, 99):  # pending, not pending, and in the stream no more
        await raw.xadd(DLQ, {"value": number, **origin, "x-id": entry(number)})
    await raw.eval("redis.call('ZADD', KEYS[1], 1, cmsgpack.pack({'token', 'value', 'later'}))", 1, LATER)
    await raw.set(LEASE, ME)
    if before == NO_GROUP:
        await raw.xgroup_destroy(STREAM, GROUP)


async def state(raw: redis.asyncio.Redis) -> dict[str, Any]:
    """What is on the server, without times and what is made of them."""
    seen: dict[str, Any] = {}
    for key in sorted(await raw.keys()):
        kind = await raw.type(key)
        if kind == b"stream":
            rows = await raw.xrange(key)
            seen[str(key)] = [{name: field for name, field in row.items() if name != b"x-time"} for _, row in rows]
            for info in await raw.xinfo_groups(key):
                pending = await raw.xpending_range(key, info["name"], "-", "+", 100)
                held = sorted((row["message_id"], row["consumer"], row["times_delivered"]) for row in pending)
                consumers = sorted(row["name"] for row in await raw.xinfo_consumers(key, info["name"]))
                seen[f"{key!r} {info['name']!r}"] = held, consumers, info["last-delivered-id"]
        elif kind == b"zset":
            seen[str(key)] = await raw.zrange(key, 0, -1)
        elif key != DEDUPE:  # it has the ids that were given
            seen[str(key)] = await raw.get(key)
    return seen
