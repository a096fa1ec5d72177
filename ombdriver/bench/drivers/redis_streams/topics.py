"""Where the partitions of topics lie, and what their groups are called.

Natural keys, or on a cluster such that each primary gets its share: a balanced topic's keys are recorded on the server
by whoever creates it, so that all processes agree. A topic that exists lies where the library would have put it; with
one partition its name is the key of the stream itself, so that any stream can be named. Groups on these bear the run's
id, so that they are nobody else's.
"""

from collections.abc import Sequence

from ombdriver.bench.drivers.api import TopicSpec
from ombdriver.messaging.streams import placement
from ombdriver.messaging.streams.topic import Topic, stream_key
from ombdriver.messaging.transport.router import Router

OWN_PREFIX = "ombdriver-"


def own_groups(run_id: str) -> str:
    """What the names of a run's groups begin with on topics of others."""
    return f"{OWN_PREFIX}{run_id}-"


class SingleStream(Topic):
    """A topic of one partition whose name is the key of its stream, whatever that is."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """The key is not made of the name."""
        object.__setattr__(self, "keys", (self.name,))


def topic_of(spec: TopicSpec) -> Topic:
    """A topic with natural keys; or one that exists, with the keys that it has."""
    if spec.existing and spec.partitions == 1:
        return SingleStream(spec.name)
    return Topic(spec.name, spec.partitions)


class StreamTopics:
    """Knows the keys of topics.

    Args:
        router: where placements are recorded.
        balanced: give each primary its even share of the partitions.
        run_id: names the run.
    """

    def __init__(self, router: Router, balanced: bool, run_id: str) -> None:
        self._router, self._balanced = router, balanced
        self._own = own_groups(run_id)
        self._known: dict[str, Topic] = {}

    def __repr__(self) -> str:
        return f"<StreamTopics {'balanced' if self._balanced else 'natural'}, {len(self._known)} known>"

    async def topic(self, spec: TopicSpec, first: int = 0) -> Topic:
        """A topic with its keys; recorded on the server if it has to be and is not yet: see `balanced_topic`."""
        known = self._known.get(spec.name)
        if known is None:
            if self._balanced and not spec.existing:
                known = await placement.balanced_topic(self._router, spec.name, spec.partitions, first)
            else:
                known = topic_of(spec)
            self._known[spec.name] = known
        return known

    async def place(self, specs: Sequence[TopicSpec]) -> list[bytes]:
        """The keys of all partitions of `specs`; where they are balanced, all together."""
        keys: list[bytes] = []
        for spec in specs:
            keys += [key.encode() for key in (await self.topic(spec, len(keys))).keys]
        return keys

    def group(self, spec: TopicSpec, subscription: str) -> str:
        """What the group of a subscription is called on a topic's streams."""
        return self._own + subscription if spec.existing else subscription

    def subscription(self, group: str) -> str:
        """Which subscription a group is of; others' groups keep their names."""
        return group.removeprefix(self._own)

    def key(self, topic: str, partition: int) -> str:
        """The key of a partition of a topic that was asked for before, or that is natural."""
        known = self._known.get(topic)
        return stream_key(topic, partition) if known is None else known.keys[partition]
