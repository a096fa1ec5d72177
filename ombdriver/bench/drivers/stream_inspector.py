"""Looks at the entries that a stream still holds, and at how far its groups are (`driver.Inspector`).

A reference is an entry's id as two numbers, which sort as the entries lie.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from ombdriver.bench.driver import TopicSpec
from ombdriver.bench.drivers.stream_consumer import id_order
from ombdriver.bench.drivers.stream_server import ask, border
from ombdriver.bench.drivers.stream_topics import StreamTopics
from ombdriver.messaging.connection import Channels

EntryId = tuple[int, int]


class StreamInspector:
    """Looks at streams.

    Args:
        channels: carry the questions.
        topics: know the keys.
        server: the URL without its password, for messages.
    """

    def __init__(self, channels: Channels, topics: StreamTopics, server: str) -> None:
        self._channels, self._topics, self._server = channels, topics, server

    def reference(self, answer: object) -> EntryId:
        """The id that XADD gave."""
        assert isinstance(answer, bytes)
        return id_order(answer)

    def after(self, reference: EntryId) -> EntryId:
        """See `driver.Inspector.after`."""
        return reference[0], reference[1] + 1

    async def held(
        self, topic: TopicSpec, partition: int, first: EntryId | None, last: EntryId | None, count: int
    ) -> Sequence[tuple[EntryId, bytes]]:
        """XRANGE; see `driver.Inspector.held`."""
        ends = ("-" if first is None else _text(first), "+" if last is None else _text(last))
        entries = await self._ask("XRANGE", self._key(topic, partition), *ends, "COUNT", count)
        return [(id_order(entry_id), fields[1]) for entry_id, fields in entries]

    async def position(self, topic: TopicSpec, partition: int, subscription: str) -> EntryId | None:
        """The group's last delivered id; see `driver.Inspector.position`."""
        key, name = self._key(topic, partition), self._topics.group(topic, subscription)
        with border(self._server):
            groups = await ask(self._channels, key, "XINFO", "GROUPS", key)
        for told in (dict(zip(group[::2], group[1::2], strict=True)) for group in groups):
            if told[b"name"].decode() == name:
                reached = id_order(told[b"last-delivered-id"])
                return None if reached == (0, 0) else reached
        return None

    async def pending(
        self, topic: TopicSpec, partition: int, subscription: str, references: Sequence[EntryId]
    ) -> set[EntryId]:
        """XPENDING of each; see `driver.Inspector.pending`."""
        key, name = self._key(topic, partition), self._topics.group(topic, subscription)
        asked = (self._ask("XPENDING", key, name, _text(each), _text(each), 1) for each in references)
        found = await asyncio.gather(*asked)
        return {reference for reference, some in zip(references, found, strict=True) if some}

    async def _ask(self, name: str, key: bytes, *words: str | int) -> Any:
        with border(self._server):
            return await ask(self._channels, key, name, key, *words)

    def _key(self, topic: TopicSpec, partition: int) -> bytes:
        return self._topics.key(topic.name, partition).encode()


async def backlog(channels: Channels, keys: Sequence[bytes], subscription: str) -> int | None:
    """Lag and pending of a group over the streams `keys`; None where the server can't tell.

    A group that has been given the newest entry has no lag, whatever the server says: redis 7.0 goes on to tell one
    when the stream was cut past the group. Else None on servers before 7.0, and where the lag was lost, as by XDEL.

    Raises:
        RedisError: if a stream can't be asked.
    """
    asked = (ask(channels, key, "XINFO", "STREAM", key) for key in keys)
    streams = await asyncio.gather(*asked, return_exceptions=True)  # a user may lack the permission
    replies = await asyncio.gather(*(ask(channels, key, "XINFO", "GROUPS", key) for key in keys))
    total = 0
    for stream, groups in zip(streams, replies, strict=True):
        known = {} if isinstance(stream, BaseException) else dict(zip(stream[::2], stream[1::2], strict=True))
        newest = known.get(b"last-generated-id")
        for told in (dict(zip(group[::2], group[1::2], strict=True)) for group in groups):
            if told[b"name"].decode() == subscription:
                lag = 0 if told[b"last-delivered-id"] == newest else told.get(b"lag")
                if lag is None:
                    return None
                total += int(told[b"pending"]) + int(lag)
    return total


def _text(entry_id: EntryId) -> str:
    return f"{entry_id[0]}-{entry_id[1]}"
