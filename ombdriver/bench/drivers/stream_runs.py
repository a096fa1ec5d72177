"""Which streams belong to which run, written on the server itself, so that a killed run can be cleaned up after.

`ombdriver:run:<run id>` (a hash) says which topics a run made, and where it ran; `ombdriver:alive:<run id>` expires
`ALIVE_S` after the run last renewed it. Only streams that a run's record names, and whose name bears the run's id, are
ever deleted. Knows nothing of workloads; commands go over a channel.
"""

import asyncio
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ombdriver.bench.driver import TopicSpec
from ombdriver.bench.drivers.stream_server import ask, count_of
from ombdriver.messaging import placement
from ombdriver.messaging.connection import Channels
from ombdriver.messaging.topic import Topic

RECORD = "ombdriver:run:"
ALIVE = "ombdriver:alive:"
ALIVE_S = 60
RENEW_S = 15.0
TOPIC_PREFIX = "ombdriver-"


@dataclass(frozen=True, slots=True)
class Leftover:
    """A run that left a record.

    Attributes:
        run_id: which.
        host: where it ran.
        started: when, ISO 8601 in UTC.
        alive: whether it has renewed its mark within `ALIVE_S`, so that it may still be running.
        topics: what it made.
        keys: the streams of these.
    """

    run_id: str
    host: str
    started: str
    alive: bool
    topics: tuple[TopicSpec, ...]
    keys: tuple[bytes, ...]


async def register(
    channels: Channels, run_id: str, topics: Sequence[TopicSpec], keys: Sequence[bytes] | None = None
) -> None:
    """Writes the run's record, before anything is created; `keys` where they are not natural."""
    made = json.dumps([[topic.name, topic.partitions] for topic in topics])
    placed: list[str] = [] if keys is None else ["keys", json.dumps([key.decode() for key in keys])]
    started = datetime.now(UTC).isoformat(timespec="seconds")
    await renew(channels, run_id)
    fields: tuple[str | int, ...] = (
        "host",
        socket.gethostname(),
        "pid",
        os.getpid(),
        "started",
        started,
        "topics",
        made,
        *placed,
    )
    await ask(channels, record(run_id), "HSET", record(run_id), *fields)


def record(run_id: str) -> bytes:
    """The key of a run's record."""
    return (RECORD + run_id).encode()


async def renew(channels: Channels, run_id: str) -> None:
    """Marks the run as alive for another `ALIVE_S` seconds."""
    alive = (ALIVE + run_id).encode()
    await ask(channels, alive, "SET", alive, 1, "EX", ALIVE_S)


async def keep_renewing(channels: Channels, run_id: str) -> None:
    """Renews until cancelled; a failure is passed over, the next attempt may succeed."""
    while True:
        await asyncio.sleep(RENEW_S)
        try:
            await renew(channels, run_id)
        except Exception:
            continue


async def delete(channels: Channels, run_id: str, topics: Sequence[TopicSpec], keys: Sequence[bytes]) -> int:
    """Deletes the streams `keys` of `topics` and the run's record; returns how many streams there were."""
    deleted = await count_of(channels, "UNLINK", keys)
    await forget(channels, run_id, topics)
    return deleted


async def forget(channels: Channels, run_id: str, topics: Sequence[TopicSpec]) -> None:
    """Deletes what was written of a run, and nothing that it created."""
    placed = (placement.placement_key(topic.name).encode() for topic in topics)
    await count_of(channels, "UNLINK", [record(run_id), (ALIVE + run_id).encode(), *placed])


async def leftovers(channels: Channels) -> list[Leftover]:
    """The runs that have a record on this server or cluster, in the order of their start."""
    found: set[str] = set()
    for node in channels.every_control():
        cursor = b"0"
        while True:
            cursor, keys = await node.execute("SCAN", cursor, "MATCH", RECORD + "*", "COUNT", 1000)
            names = [key.decode(errors="replace") for key in keys]
            found |= {name for name, key in zip(names, keys, strict=True) if name.encode() == key}  # else not ours
            if cursor == b"0":
                break
    runs = [await _read(channels, key.removeprefix(RECORD)) for key in sorted(found)]
    return sorted((run for run in runs if run is not None), key=lambda run: run.started)


async def _read(channels: Channels, run_id: str) -> Leftover | None:
    """None for what is no record of ours: it is left as it is."""
    key = record(run_id)
    if await ask(channels, key, "TYPE", key) != b"hash":
        return None
    *fields, placed = await ask(channels, key, "HMGET", key, "host", "pid", "started", "topics", "keys")
    if None in fields:
        return None
    host, _pid, started, topics = (value.decode(errors="replace") for value in fields)
    prefix = f"{TOPIC_PREFIX}{run_id}-"
    try:
        named = [(str(name), int(partitions)) for name, partitions in json.loads(topics)]
    except (ValueError, TypeError, OverflowError):
        return None
    # A name of ours is plain ASCII, and a topic has a partition at least.
    specs = tuple(
        TopicSpec(*each) for each in named if each[0].startswith(prefix) and each[0].isascii() and each[1] > 0
    )
    if not specs:
        return None
    mark = (ALIVE + run_id).encode()
    alive = bool(await ask(channels, mark, "EXISTS", mark))
    return Leftover(run_id, host, started, alive, specs, tuple(_keys(specs, prefix, placed)))


def _keys(specs: Sequence[TopicSpec], prefix: str, placed: bytes | None) -> list[bytes]:
    """The keys of streams that the record names; only those that bear the run's id."""
    natural = [key.encode() for spec in specs for key in Topic(spec.name, spec.partitions).keys]
    try:
        found = [str(key).encode() for key in json.loads(placed)] if placed else natural
    except (ValueError, TypeError):
        return natural
    return [key for key in found if key.startswith(b"{" + prefix.encode())]
