"""Which streams belong to which run, written on the server itself, so that a killed run can be cleaned up after.

`ombdriver:run:<run id>` (a hash) names the topics that a run created, or the streams of others on which it created
groups, and where it ran; `ombdriver:alive:<run id>` expires `ALIVE_S` after the run last renewed it, and a run's
connections bear its id, for a server that is full or refuses writes renews no mark. Only streams and groups that a
run's record names, and whose name bears the run's id, are ever deleted. Knows nothing of workloads.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from ombdriver.bench.drivers.api import TopicSpec
from ombdriver.bench.drivers.redis_streams.control import Control
from ombdriver.bench.units import quoted
from ombdriver.messaging.errors import MessagingError, RedisError
from ombdriver.messaging.streams import placement
from ombdriver.messaging.streams.topic import Topic

logger = logging.getLogger(__name__)

RECORD = "ombdriver:run:"
ALIVE = "ombdriver:alive:"
ALIVE_S = 60
RENEW_S = 15.0
HAND_BACK_S = 1.0
"""How long the reply may take by which a run's mark is gone."""
READ_S = 10
"""A consumer that is there asks more often than that: no BLOCK is longer than 5 s."""
MOST_STREAMS = 100_000
"""A record of more is none of ours: no workload has so many, and their names alone could fill this machine."""
LOOKED_AT = 16
"""So many streams of a run are looked at for consumers; each consumer reads many, if not all of them."""
FREED_LOOKS, FREED_LOOK_S = 50, 0.2
"""How often, and in which seconds, it is looked whether a server has freed what was unlinked."""
_NOTHING_PENDING = b"lazyfree_pending_objects:0\r"
TOPIC_PREFIX = "ombdriver-"


@dataclass(frozen=True, slots=True)
class Created:
    """What a run created.

    Attributes:
        topics: its own.
        keys: the streams of these.
        placed: whether their keys are not natural, but chosen and recorded.
        joined: streams of others.
        groups: what the run created on these.
    """

    topics: tuple[TopicSpec, ...] = ()
    keys: tuple[bytes, ...] = ()
    placed: bool = False
    joined: tuple[bytes, ...] = ()
    groups: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.topics or self.joined)


@dataclass(frozen=True, slots=True)
class OrphanedRun:
    """A run that left a record.

    Attributes:
        run_id: which.
        host: where it ran.
        started: when, ISO 8601 in UTC.
        alive: what shows that it may still be running; empty when nothing does.
        created: what it created.
    """

    run_id: str
    host: str
    started: str
    alive: str
    created: Created


async def register(control: Control, run_id: str, made: Created) -> None:
    """Writes the run's record, before anything is created."""
    fields: dict[str, str | int] = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "topics": json.dumps([[topic.name, topic.partitions] for topic in made.topics]),
    }
    if made.placed:
        fields["keys"] = json.dumps([key.decode() for key in made.keys])
    if made.joined:
        fields["joined"] = json.dumps([key.decode() for key in made.joined])
        fields["groups"] = json.dumps(made.groups)
    await control.outlast(lambda: renew(control, run_id))
    await control.ask(record(run_id), "HSET", record(run_id), *chain.from_iterable(fields.items()))


async def has_record(control: Control, run_id: str) -> bool:
    """Whether the run's record is there."""
    return bool(await control.ask(record(run_id), "EXISTS", record(run_id)))


def record(run_id: str) -> bytes:
    """The key of a run's record."""
    return (RECORD + run_id).encode()


async def renew(control: Control, run_id: str) -> None:
    """Marks the run as alive for another `ALIVE_S` seconds.

    A server that is full refuses SET; EXPIRE of a mark that is there needs no memory.
    """
    for node in control.router.controls():
        with contextlib.suppress(RedisError):  # not every server has CLIENT for every user
            await node.execute("CLIENT", "SETNAME", RECORD + run_id)
    alive = (ALIVE + run_id).encode()
    try:
        await control.ask(alive, "SET", alive, 1, "EX", ALIVE_S, bound_s=0)
    except RedisError:
        with contextlib.suppress(RedisError):  # the reason why not is the first one
            if await control.ask(alive, "EXPIRE", alive, ALIVE_S, bound_s=0):
                return
        raise


async def keep_renewing(control: Control, run_id: str, statistics: "Counter[str]") -> None:
    """Renews until cancelled. A failure is counted, the first one told, and tried again."""
    while True:
        await asyncio.sleep(RENEW_S)
        try:
            await renew(control, run_id)
        except Exception as error:
            if not statistics["failedRenewals"]:
                logger.warning(
                    "the server refuses to renew the mark of this run (%s); while it does, don't let `ombdriver clean` "
                    "run there without --run-id",
                    error,
                )
            statistics["failedRenewals"] += 1


async def hand_back(control: Control, run_id: str) -> None:
    """Takes the run's mark away, so that what it could not delete may be cleaned at once.

    Tried once: the mark expires by itself, and a server that refuses this has refused for long.
    """
    alive = (ALIVE + run_id).encode()
    await control.ask(alive, "UNLINK", alive, bound_s=0, reply_timeout_s=HAND_BACK_S)


async def delete(control: Control, run_id: str, made: Created) -> int:
    """Deletes what a run made, and its record; returns how many streams it had made something of."""
    deleted = await control.count_of("UNLINK", made.keys)
    ended = [("XGROUP", "DESTROY", key, group) for key in made.joined for group in made.groups]
    replies = await asyncio.gather(*(control.ask(words[2], *words) for words in ended), return_exceptions=True)
    for (_, _, key, _), reply in zip(ended, replies, strict=True):
        if isinstance(reply, BaseException) and await control.count_of("EXISTS", [key]):  # else it is gone with it
            raise reply
    await forget(control, run_id, made.topics)
    return deleted + len(made.joined)


async def until_freed(control: Control) -> None:
    """Waits until the memory of what was unlinked is free, so that a run that comes next finds it; not for long."""
    for _ in range(FREED_LOOKS):
        with contextlib.suppress(RedisError):
            infos = await asyncio.gather(*(node.execute("INFO", "memory") for node in control.router.controls()))
            if not any(b"lazyfree_pending_objects:" in each and _NOTHING_PENDING not in each for each in infos):
                return
        await asyncio.sleep(FREED_LOOK_S)


async def forget(control: Control, run_id: str, topics: Sequence[TopicSpec]) -> None:
    """Deletes what was written of a run, and nothing that it created."""
    placed = (placement.placement_key(topic.name).encode() for topic in topics)
    await control.count_of("UNLINK", [record(run_id), (ALIVE + run_id).encode(), *placed])


async def orphaned_runs(control: Control) -> list[OrphanedRun]:
    """The runs that have a record on this server or cluster, in the order of their start."""
    found: set[str] = set()
    for node in control.router.controls():
        cursor = b"0"
        while True:
            reply = await control.ask_node(node, "SCAN", cursor, "MATCH", RECORD + "*", "COUNT", 1000)
            if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[1], list):
                raise MessagingError(f"SCAN is answered by {quoted(reply)}; use a server that can list its keys")
            cursor, keys = reply
            names = [key.decode(errors="replace") for key in keys]
            found |= {name for name, key in zip(names, keys, strict=True) if name.encode() == key}  # else not ours
            if cursor == b"0":
                break
    runs = [await _read(control, key.removeprefix(RECORD)) for key in sorted(found)]
    return sorted((run for run in runs if run is not None), key=lambda run: run.started)


async def _read(control: Control, run_id: str) -> OrphanedRun | None:
    """None for what is no record of ours: it is left as it is."""
    key = record(run_id)
    if await control.ask(key, "TYPE", key) != b"hash":
        return None
    *fields, placed, joined, groups = await control.ask(
        key, "HMGET", key, "host", "pid", "started", "topics", "keys", "joined", "groups"
    )
    if None in fields:
        return None
    host, _pid, started, topics = (value.decode(errors="replace") for value in fields)
    prefix = f"{TOPIC_PREFIX}{run_id}-"
    try:
        named = [(str(name), int(partitions)) for name, partitions in json.loads(topics)]
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    if sum(abs(partitions) for _, partitions in named) > MOST_STREAMS:
        return None
    # A name of ours is plain ASCII, and a topic has a partition at least.
    specs = tuple(
        TopicSpec(*each) for each in named if each[0].startswith(prefix) and each[0].isascii() and each[1] > 0
    )
    own = tuple(name for name in _texts(groups) or () if name.startswith(prefix))
    made = Created(
        specs,
        tuple(_keys(specs, prefix, placed)),
        joined=tuple(name.encode() for name in _texts(joined) or ()) if own else (),
        groups=own,
    )
    if not made:
        return None
    return OrphanedRun(run_id, host, started, await _sign_of_life(control, run_id, made), made)


async def _sign_of_life(control: Control, run_id: str, made: Created) -> str:
    """What shows that the run may still be there, for a message; empty when nothing does."""
    mark = (ALIVE + run_id).encode()
    if await control.ask(mark, "EXISTS", mark):
        return f"it was alive less than {ALIVE_S} s ago"
    name = f" name={RECORD}{run_id} ".encode()
    for node in control.router.controls():
        with contextlib.suppress(RedisError):
            if name in await control.ask_node(node, "CLIENT", "LIST"):
                return "it has a connection to the server"
    for key in (made.joined or made.keys)[:LOOKED_AT]:
        with contextlib.suppress(RedisError):
            if await _has_readers(control, key, made.groups):
                return f"consumers of it have read less than {READ_S} s ago"
    return ""


async def _has_readers(control: Control, key: bytes, only: Sequence[str]) -> bool:
    """Whether a consumer of a group on the stream (of `only`, if there are any) was active within `READ_S`."""
    for group in await control.ask(key, "XINFO", "GROUPS", key):
        name = _pairs(group)[b"name"]
        if only and name.decode(errors="replace") not in only:
            continue
        for consumer in await control.ask(key, "XINFO", "CONSUMERS", key, name):
            if _pairs(consumer)[b"idle"] < READ_S * 1000:
                return True
    return False


def _pairs(reply: Sequence[Any]) -> dict[bytes, Any]:
    return dict(zip(reply[::2], reply[1::2], strict=True))


def _keys(specs: Sequence[TopicSpec], prefix: str, placed: bytes | None) -> list[bytes]:
    """The keys of streams that the record names; only those that bear the run's id."""
    natural = [key.encode() for spec in specs for key in Topic(spec.name, spec.partitions).keys]
    found = _texts(placed)
    return natural if found is None else [name.encode() for name in found if name.startswith("{" + prefix)]


def _texts(text: bytes | None) -> list[str] | None:
    """A list of texts as a record has it; None when there is none."""
    try:
        return [str(each) for each in json.loads(text)] if text else None
    except (ValueError, TypeError, RecursionError):
        return None
