"""Where the partitions of topics lie: natural keys, or on a cluster such that each primary gets its share.

A balanced topic's keys are recorded on the server by whoever creates it, so that all processes agree.
"""

from collections.abc import Sequence

from ombdriver.bench.driver import TopicSpec
from ombdriver.messaging import placement
from ombdriver.messaging.connection import Channels
from ombdriver.messaging.topic import Topic, stream_key


class StreamTopics:
    """Knows the keys of topics.

    Args:
        channels: where placements are recorded.
        balanced: give each primary its even share of the partitions.
    """

    def __init__(self, channels: Channels, balanced: bool) -> None:
        self._channels, self._balanced = channels, balanced
        self._known: dict[str, Topic] = {}

    def __repr__(self) -> str:
        return f"<StreamTopics {'balanced' if self._balanced else 'natural'}, {len(self._known)} known>"

    async def topic(self, spec: TopicSpec) -> Topic:
        """A topic with its keys; recorded on the server if it has to be and is not yet."""
        known = self._known.get(spec.name)
        if known is None:
            if self._balanced:
                known = await placement.placed(self._channels, spec.name, spec.partitions)
            else:
                known = Topic(spec.name, spec.partitions)
            self._known[spec.name] = known
        return known

    async def place(self, specs: Sequence[TopicSpec]) -> list[bytes]:
        """The keys of all partitions of `specs`."""
        return [key.encode() for spec in specs for key in (await self.topic(spec)).keys]

    def key(self, topic: str, partition: int) -> str:
        """The key of a partition of a topic that was asked for before, or that is natural."""
        known = self._known.get(topic)
        return stream_key(topic, partition) if known is None else known.keys[partition]
