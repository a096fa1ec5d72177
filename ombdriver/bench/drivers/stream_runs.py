"""Which streams belong to which run, written on the server itself, so that a killed run can be cleaned up after.

`ombdriver:run:<run id>` (a hash) says which topics a run made, and where it ran; `ombdriver:alive:<run id>` expires
`ALIVE_S` after the run last renewed it. Only streams that a run's record names, and whose name bears the run's id, are
ever deleted. Knows nothing of workloads; commands go over a channel.
"""

import asyncio
import json
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from ombdriver.bench.driver import TopicSpec
from ombdriver.messaging.channel import Channel
from ombdriver.messaging.topic import Topic

RECORD = "ombdriver:run:"
ALIVE = "ombdriver:alive:"
ALIVE_S = 60
RENEW_S = 15.0
TOPIC_PREFIX = "ombdriver-"
_UNLINK_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Leftover:
    """A run that left a record.

    Attributes:
        run_id: which.
        host: where it ran.
        started: when, ISO 8601 in UTC.
        alive: whether it has renewed its mark within `ALIVE_S`, so that it may still be running.
        topics: what it made.
    """

    run_id: str
    host: str
    started: str
    alive: bool
    topics: tuple[TopicSpec, ...]


def stream_keys(topics: Iterable[TopicSpec]) -> list[str]:
    """The keys of all partitions of `topics`."""
    return [key for spec in topics for key in Topic(spec.name, spec.partitions).keys]


async def register(channel: Channel, run_id: str, topics: Sequence[TopicSpec]) -> None:
    """Writes the run's record, before anything is created."""
    made = json.dumps([[topic.name, topic.partitions] for topic in topics])
    started = datetime.now(UTC).isoformat(timespec="seconds")
    await renew(channel, run_id)
    await channel.execute(
        "HSET", RECORD + run_id, "host", socket.gethostname(), "pid", os.getpid(), "started", started, "topics", made
    )


async def renew(channel: Channel, run_id: str) -> None:
    """Marks the run as alive for another `ALIVE_S` seconds."""
    await channel.execute("SET", ALIVE + run_id, 1, "EX", ALIVE_S)


async def keep_renewing(channel: Channel, run_id: str) -> None:
    """Renews until cancelled; a failure is passed over, the next attempt may succeed."""
    while True:
        await asyncio.sleep(RENEW_S)
        try:
            await renew(channel, run_id)
        except Exception:
            continue


async def delete(channel: Channel, run_id: str, topics: Sequence[TopicSpec]) -> int:
    """Deletes the streams of `topics` and the run's record; returns how many streams there were."""
    keys = iter(stream_keys(topics))
    deleted = 0
    while some := list(islice(keys, _UNLINK_AT_ONCE)):
        # One UNLINK per key, as in a cluster every stream has a slot of its own; they leave in one write all the same.
        deleted += sum(await asyncio.gather(*(channel.execute("UNLINK", key) for key in some)))
    await asyncio.gather(channel.execute("UNLINK", RECORD + run_id), channel.execute("UNLINK", ALIVE + run_id))
    return deleted


async def leftovers(channel: Channel) -> list[Leftover]:
    """The runs that have a record on this server, in the order of their start."""
    cursor, found = b"0", []
    while True:
        cursor, keys = await channel.execute("SCAN", cursor, "MATCH", RECORD + "*", "COUNT", 1000)
        names = [key.decode(errors="replace") for key in keys]
        found += [name for name, key in zip(names, keys, strict=True) if name.encode() == key]  # else not ours
        if cursor == b"0":
            break
    runs = [await _read(channel, key.removeprefix(RECORD)) for key in sorted(set(found))]
    return sorted((run for run in runs if run is not None), key=lambda run: run.started)


async def _read(channel: Channel, run_id: str) -> Leftover | None:
    """None for what is no record of ours: it is left as it is."""
    if await channel.execute("TYPE", RECORD + run_id) != b"hash":
        return None
    fields = await channel.execute("HMGET", RECORD + run_id, "host", "pid", "started", "topics")
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
    alive = bool(await channel.execute("EXISTS", ALIVE + run_id))
    return Leftover(run_id, host, started, alive, specs)
