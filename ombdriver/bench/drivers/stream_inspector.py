"""Looks at the entries that a stream still holds, and at how far its groups are (`driver.Inspector`).

A reference is an entry's id as two numbers, which sort as the entries lie.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from ombdriver.bench.driver import TopicSpec
from ombdriver.bench.drivers.stream_consumer import id_order
from ombdriver.bench.drivers.stream_server import border
from ombdriver.messaging.channel import Channel
from ombdriver.messaging.topic import Topic

GUARD_S = 10.0
"""A server that owes a reply for so long is taken for gone."""

EntryId = tuple[int, int]


class StreamInspector:
    """Looks at streams.

    Args:
        channel: carries the questions.
        server: the URL without its password, for messages.
    """

    def __init__(self, channel: Channel, server: str) -> None:
        self._channel, self._server = channel, server

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
        entries = await self._ask("XRANGE", _key(topic, partition), *ends, "COUNT", count)
        return [(id_order(entry_id), fields[1]) for entry_id, fields in entries]

    async def position(self, topic: TopicSpec, partition: int, subscription: str) -> EntryId | None:
        """The group's last delivered id; see `driver.Inspector.position`."""
        for group in await self._ask("XINFO", "GROUPS", _key(topic, partition)):
            told = dict(zip(group[::2], group[1::2], strict=True))
            if told[b"name"].decode() == subscription:
                reached = id_order(told[b"last-delivered-id"])
                return None if reached == (0, 0) else reached
        return None

    async def pending(
        self, topic: TopicSpec, partition: int, subscription: str, references: Sequence[EntryId]
    ) -> set[EntryId]:
        """XPENDING of each; see `driver.Inspector.pending`."""
        key = _key(topic, partition)
        asked = (self._ask("XPENDING", key, subscription, _text(each), _text(each), 1) for each in references)
        found = await asyncio.gather(*asked)
        return {reference for reference, some in zip(references, found, strict=True) if some}

    async def _ask(self, *words: str | int) -> Any:
        with border(self._server):
            return await self._channel.execute(*words, guard_s=GUARD_S)


def _key(topic: TopicSpec, partition: int) -> str:
    return Topic(topic.name, topic.partitions).key(partition)


def _text(entry_id: EntryId) -> str:
    return f"{entry_id[0]}-{entry_id[1]}"
