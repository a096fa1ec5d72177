"""Topics: one name, several partitions, each a stream of its own; which partition a key goes to.

Pure. Knows how a partition's stream is called and how Kafka's clients hash keys; knows no connection.
"""

from dataclasses import dataclass, field

from ombdriver.messaging.errors import MessagingValueError, tells_unknown_options
from ombdriver.messaging.streams.commands import text_bytes
from ombdriver.messaging.streams.retention import Retention

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995
_SEED = 0x9747B28C
_CACHE_LIMIT = 65_536


def topic_of(given: "Topic | str") -> "Topic":
    """`given`, or the topic of one partition that it names.

    Raises:
        MessagingValueError: if it is neither.
    """
    if isinstance(given, Topic):
        return given
    if isinstance(given, str):
        return Topic(given)
    raise MessagingValueError(f"topic is {given!r}; give a Topic, or the name of one with a single partition")


@tells_unknown_options({"num_partitions partition_count": "give partitions", "key": "give it to send()"})
@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of `partitions` streams; partition p is the stream key `{name:p}`.

    The braces are Redis Cluster's hash tag: all keys of one partition share a slot, and partitions spread, fairly but
    not evenly. `MQClient.balanced_topic` gives one whose partitions are spread evenly.

    Args:
        name: not empty, without braces.
        partitions: 1 or more. Changing it for a topic in use sends keys to other partitions than before.
        tags: the hash tag of each partition, in place of `name:p`.
        retention: what is trimmed by producers of the topic level that say nothing else; None for nothing.

    Raises:
        MessagingValueError: if one of them is not as said.
    """

    name: str
    partitions: int = 1
    tags: tuple[str, ...] | None = field(default=None, repr=False)
    retention: Retention | None = field(default=None, repr=False, compare=False, kw_only=True)
    keys: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or "{" in self.name or "}" in self.name:
            raise MessagingValueError(
                f"{self.name!r} can't name a topic; give a text without braces, they mark the hash tag"
            )
        if not isinstance(self.partitions, int) or isinstance(self.partitions, bool) or self.partitions < 1:
            raise MessagingValueError(f"topic {self.name!r}: partitions is {self.partitions!r}; give 1 or more")
        if self.retention is not None and not isinstance(self.retention, Retention):
            raise MessagingValueError(f"topic {self.name!r}: retention is {self.retention!r}; give a Retention")
        if self.tags is None:
            keys = tuple(stream_key(self.name, p) for p in range(self.partitions))
        else:
            self._check_tags(self.tags)
            keys = tuple(f"{{{tag}}}" for tag in self.tags)
        for key in keys if self.tags is not None else keys[:1]:
            text_bytes(key, f"the key of a partition of topic {self.name!a}")
        object.__setattr__(self, "keys", keys)

    def _check_tags(self, tags: tuple[str, ...]) -> None:
        good = isinstance(tags, tuple) and all(
            isinstance(tag, str) and tag and not set(tag) & set("{}") for tag in tags
        )
        if not good or len(tags) != self.partitions or len(set(tags)) != len(tags):
            raise MessagingValueError(
                f"topic {self.name!r}: tags are {tags!r}; give a tuple with a text of its own for each of the "
                f"{self.partitions} partitions, without braces"
            )

    def key(self, partition: int) -> str:
        """The stream key of `partition`, counted from 0.

        Raises:
            MessagingValueError: if the topic has no such partition.
        """
        if not 0 <= partition < self.partitions:
            raise MessagingValueError(f"topic {self.name!r} has partitions 0 to {self.partitions - 1}, not {partition}")
        return self.keys[partition]

    def partition_of(self, key: str | bytes) -> int:
        """The partition of messages with `key` (str as UTF-8): the one that Kafka's default partitioner picks."""
        data = text_bytes(key, "the key") if isinstance(key, str) else key
        return (murmur2(data) & 0x7FFFFFFF) % self.partitions


def stream_key(topic: str, partition: int) -> str:
    """The key of the stream of one partition, whose number is not checked."""
    return f"{{{topic}:{partition}}}"


class Partitioner:
    """Picks partitions for one producer: by key, or in turn for messages without one.

    Args:
        topic: whose partitions to pick from.
    """

    __slots__ = ("_by_key", "_turn", "topic")

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self._turn = -1
        self._by_key: dict[str | bytes, int] = {}

    def pick(self, key: str | bytes | None = None) -> int:
        """The partition of the next message.

        Raises:
            MessagingValueError: if `key` is neither str, bytes nor None.
        """
        if key is None:
            self._turn = turn = (self._turn + 1) % self.topic.partitions
            return turn
        partition = self._by_key.get(key)
        if partition is None:
            if not isinstance(key, str | bytes):
                raise MessagingValueError(f"a key is str or bytes, not {type(key).__name__}")
            if len(self._by_key) >= _CACHE_LIMIT:  # many distinct keys: start anew rather than grow
                self._by_key.clear()
            partition = self._by_key[key] = self.topic.partition_of(key)
        return partition


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2 of `data`, as an unsigned int (Java shows it signed)."""
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * _M & _MASK
        h = (h * _M & _MASK) ^ ((k ^ (k >> 24)) * _M & _MASK)
    if whole != length:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    return h ^ (h >> 15)
