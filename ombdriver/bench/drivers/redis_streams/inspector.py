"""Reads what a server holds: entries and positions of streams (`api.Inspector`), backlogs, samples for the telemetry.

Only commands that change nothing: XRANGE, XPENDING, INFO, XLEN, XINFO. Samples travel on a connection of their own, so
that they neither wait behind messages nor hold them up; what the server refuses to tell is noted in them, and fails no
run. A reference is an entry's id as two numbers, which sort as the entries lie.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ombdriver.bench.drivers.api import TopicSpec
from ombdriver.bench.drivers.redis_streams.control import Control
from ombdriver.bench.drivers.redis_streams.errors import Endpoint, map_errors
from ombdriver.bench.drivers.redis_streams.topics import StreamTopics
from ombdriver.bench.drivers.sample import (
    CommandSample,
    GroupSample,
    ServerSample,
    StreamSample,
    TopicPartition,
)
from ombdriver.messaging.errors import ConnectionLost, RedisError
from ombdriver.messaging.streams.entry_ids import IdParts, format_id, parse_id
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.router import Router


class StreamInspector:
    """Looks at streams.

    Args:
        control: carries the questions.
        topics: know the keys.
        server: how messages name the server.
    """

    def __init__(self, control: Control, topics: StreamTopics, server: Endpoint) -> None:
        self._control, self._topics, self._server = control, topics, server

    def reference(self, answer: object) -> IdParts:
        """The id that XADD gave."""
        assert isinstance(answer, bytes)
        return parse_id(answer)

    def after(self, reference: IdParts) -> IdParts:
        """See `api.Inspector.after`."""
        return reference[0], reference[1] + 1

    async def held(
        self, topic: TopicSpec, partition: int, first: IdParts | None, last: IdParts | None, count: int
    ) -> Sequence[tuple[IdParts, bytes]]:
        """XRANGE; see `api.Inspector.held`."""
        ends = (b"-" if first is None else format_id(first), b"+" if last is None else format_id(last))
        entries = await self._ask("XRANGE", self._key(topic, partition), *ends, "COUNT", count)
        return [(parse_id(entry_id), fields[1]) for entry_id, fields in entries]

    async def position(self, topic: TopicSpec, partition: int, subscription: str) -> IdParts | None:
        """The group's last delivered id; see `api.Inspector.position`."""
        key, name = self._key(topic, partition), self._topics.group(topic, subscription)
        with map_errors(self._server):
            groups = await self._control.ask(key, "XINFO", "GROUPS", key)
        for fields in (dict(zip(group[::2], group[1::2], strict=True)) for group in groups):
            if fields[b"name"].decode() == name:
                reached = parse_id(fields[b"last-delivered-id"])
                return None if reached == (0, 0) else reached
        return None

    async def pending(
        self, topic: TopicSpec, partition: int, subscription: str, references: Sequence[IdParts]
    ) -> set[IdParts]:
        """XPENDING of each; see `api.Inspector.pending`."""
        key, name = self._key(topic, partition), self._topics.group(topic, subscription)
        asked = (self._ask("XPENDING", key, name, format_id(each), format_id(each), 1) for each in references)
        found = await asyncio.gather(*asked)
        return {reference for reference, some in zip(references, found, strict=True) if some}

    async def _ask(self, name: str, key: bytes, *words: str | bytes | int) -> Any:
        with map_errors(self._server):
            return await self._control.ask(key, name, key, *words)

    def _key(self, topic: TopicSpec, partition: int) -> bytes:
        return self._topics.key(topic.name, partition).encode()


async def backlog(control: Control, keys: Sequence[bytes], subscription: str) -> int | None:
    """Lag and pending of a group over the streams `keys`; None where the server can't tell.

    A group that has been given the newest entry has no lag, whatever the server says: redis 7.0 goes on to tell one
    when the stream was cut past the group. Else None on servers before 7.0, and where the lag was lost, as by XDEL.

    Raises:
        RedisError: if a stream can't be asked.
    """
    asked = (control.ask(key, "XINFO", "STREAM", key) for key in keys)
    streams = await asyncio.gather(*asked, return_exceptions=True)  # a user may lack the permission
    replies = await asyncio.gather(*(control.ask(key, "XINFO", "GROUPS", key) for key in keys))
    total = 0
    for stream, groups in zip(streams, replies, strict=True):
        known = {} if isinstance(stream, BaseException) else dict(zip(stream[::2], stream[1::2], strict=True))
        newest = known.get(b"last-generated-id")
        for fields in (dict(zip(group[::2], group[1::2], strict=True)) for group in groups):
            if fields[b"name"].decode() == subscription:
                lag = 0 if fields[b"last-delivered-id"] == newest else fields.get(b"lag")
                if lag is None:
                    return None
                total += int(fields[b"pending"]) + int(lag)
    return total


FIGURES = {
    "used_memory": "usedMemoryBytes",
    "used_memory_rss": "memoryRssBytes",
    "connected_clients": "clients",
    "blocked_clients": "blockedClients",
    "rdb_bgsave_in_progress": "saving",
    "aof_rewrite_in_progress": "rewriting",
    "latest_fork_usec": "lastForkMicros",
    "connected_slaves": "replicas",
    "master_repl_offset": "replicationOffset",
    "used_cpu_user": "cpuUserSeconds",
    "used_cpu_sys": "cpuSystemSeconds",
    "total_commands_processed": "commandsProcessed",
    "total_net_input_bytes": "netInputBytes",
    "total_net_output_bytes": "netOutputBytes",
    "evicted_keys": "evictedKeys",
    "expired_keys": "expiredKeys",
    "aof_delayed_fsync": "delayedFsyncs",
    "uptime_in_seconds": "uptimeSeconds",
    "total_forks": "forks",
    "rdb_saves": "saves",
    "aof_rewrites": "rewrites",
}
"""Lines of INFO, and our names for them. Older servers lack some: forks are counted from 6.2 on, saves from 7.0 on."""

_NOT_ADDED = ("uptimeSeconds", "lastForkMicros", "replicationOffset", "saving", "rewriting")
_CHILDREN = ("used_cpu_user_children", "used_cpu_sys_children")


async def observe(
    router: Router, streams: Sequence[TopicPartition], keys: Sequence[str], subscription: Callable[[str], str] = str
) -> ServerSample:
    """One sample; all its commands leave together. Of a cluster, every primary is asked, and figures are added up.

    Args:
        router: for samples alone.
        streams: whose length and groups to ask for.
        keys: theirs.
        subscription: which subscription a group is of, by its name.

    Raises:
        RedisError: if the connection can't be made, or is lost.
    """
    await router.discover()
    nodes = router.controls()
    # `INFO all` is what every version knows; several sections in one command came with 7.0.
    asked: list[tuple[Channel, tuple[str, ...]]] = [(node, ("INFO", "all")) for node in nodes]
    homes = [router.control_for(key.encode()) for key in keys]
    asked += [(home, ("XLEN", key)) for home, key in zip(homes, keys, strict=True)]
    asked += [(home, ("XINFO", "GROUPS", key)) for home, key in zip(homes, keys, strict=True)]
    replies = await asyncio.gather(*(node.execute(*words) for node, words in asked), return_exceptions=True)
    answers: list[Any] = []
    unseen: dict[str, str] = {}
    for (_, words), reply in zip(asked, replies, strict=True):
        if isinstance(reply, BaseException):
            router.learn(reply)
            if isinstance(reply, ConnectionLost) or not isinstance(reply, RedisError):
                raise reply
            unseen[words[0] if words[0] != "XINFO" else "XINFO GROUPS"] = str(reply)
            answers.append(None)
        else:
            answers.append(reply)
    infos, rest = answers[: len(nodes)], answers[len(nodes) :]
    lengths, groups = rest[: len(keys)], rest[len(keys) :]
    return replace(
        merged([read_info("" if info is None else info.decode(errors="replace")) for info in infos]),
        streams={
            stream: StreamSample(
                None if length is None else int(length),
                None if fields is None else _by_subscription(read_groups(fields), subscription),
            )
            for stream, length, fields in zip(streams, lengths, groups, strict=True)
        },
        unseen=[f"{command}: {why}" for command, why in unseen.items()],
        commands_sent=len(asked),
    )


def _by_subscription(groups: Mapping[str, GroupSample], subscription: Callable[[str], str]) -> dict[str, GroupSample]:
    """Where a group of others is called like a subscription of ours, ours is the one that is fields."""
    ours = {name for name in groups if subscription(name) != name}
    return {subscription(name): groups[name] for name in sorted(groups, key=ours.__contains__)}


def merged(samples: Sequence[ServerSample]) -> ServerSample:
    """Samples of several servers as one: figures and commands added up, the longest of times, all run ids (pure)."""
    if len(samples) == 1:
        return samples[0]
    figures = {
        name: (max if name in _NOT_ADDED else sum)(each.figures[name] for each in samples)
        for name in samples[0].figures
        if all(name in each.figures for each in samples)
    }
    commands: dict[str, CommandSample] = {}
    latency: dict[str, dict[str, float]] = {}
    for sample in samples:
        for name, one in sample.commands.items():
            before = commands.get(name, CommandSample(0, 0))
            commands[name] = CommandSample(before.calls + one.calls, before.micros + one.micros)
        for name, percentiles in sample.command_latency.items():
            held = latency.setdefault(name, {})
            for at, value in percentiles.items():
                held[at] = max(value, held.get(at, 0.0))
    return ServerSample(figures, " ".join(sorted(sample.server_id for sample in samples)), commands, latency)


def read_info(text: str) -> ServerSample:
    """What the text of INFO says, as far as it is there and can be read (pure)."""
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    figures = {ours: number for theirs, ours in FIGURES.items() if (number := _number(lines.get(theirs))) is not None}
    children = [_number(lines.get(name)) for name in _CHILDREN]
    if all(each is not None for each in children):
        figures["childrenCpuSeconds"] = sum(each for each in children if each is not None)
    if "used_memory" in lines:  # databases without a key have no line
        counts = (
            _pairs(fields).get("keys") for name, fields in lines.items() if name[:2] == "db" and name[2:].isdecimal()
        )
        figures["keys"] = sum(int(number) for each in counts if (number := _number(each)) is not None)
    commands, latency = {}, {}
    for name, fields in lines.items():
        if name.startswith("cmdstat_"):
            calls, micros = (_number(_pairs(fields).get(key)) for key in ("calls", "usec"))
            if calls is not None and micros is not None:
                commands[name.removeprefix("cmdstat_")] = CommandSample(int(calls), int(micros))
        elif name.startswith("latency_percentiles_usec_"):
            found = {key: number for key, each in _pairs(fields).items() if (number := _number(each)) is not None}
            latency[name.removeprefix("latency_percentiles_usec_")] = found
    return ServerSample(figures, lines.get("run_id", "").strip(), commands, latency)


def read_groups(reply: Sequence[Sequence[Any]]) -> Mapping[str, GroupSample]:
    """What XINFO GROUPS says; the lag is unknown before 7.0, and where the server lost it, as by XDEL (pure)."""
    found = {}
    for group in reply:
        fields = dict(zip(group[::2], group[1::2], strict=True))
        lag = fields.get(b"lag")
        name = fields[b"name"].decode(errors="replace")
        found[name] = GroupSample(None if lag is None else int(lag), int(fields[b"pending"]))
    return found


def _pairs(fields: str) -> dict[str, str]:
    return dict(each.split("=", 1) for each in fields.strip().split(",") if "=" in each)


def _number(text: str | None) -> float | None:
    try:
        number = math.nan if text is None else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
