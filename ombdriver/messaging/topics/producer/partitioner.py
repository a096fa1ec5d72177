"""Which partition a message goes to: the one given, the one of its key, or the one whose batch is open."""

import random
from collections.abc import Sequence

from ombdriver.messaging.errors import MessagingValueError
from ombdriver.messaging.streams.commands import text_bytes
from ombdriver.messaging.streams.topic import Partitioner, Topic
from ombdriver.messaging.topics.producer.partition_sender import PartitionSender


class StickyPartitioner:
    """Picks partitions for one producer; messages without a key stay with one until its batch closes.

    Args:
        topic: whose partitions to pick from.
    """

    def __init__(self, topic: Topic) -> None:
        self._topic, self._partitioner = topic, Partitioner(topic)
        self._sticky = random.randrange(topic.partitions)

    def check(self, key: str | bytes | None, partition: int | None) -> bytes | None:
        """The key as bytes.

        Raises:
            MessagingValueError: if it is no key, or a text with a lone surrogate, or the topic has no such partition.
        """
        if partition is not None:
            self._topic.key(partition)
        if key is None or isinstance(key, bytes):
            return key
        if not isinstance(key, str):
            raise MessagingValueError(f"a key is str or bytes, not {type(key).__name__}")
        return text_bytes(key, "the key")

    def pick(self, key: bytes | None, partition: int | None) -> int:
        """The partition of the next message."""
        if partition is not None:
            return partition
        return self._sticky if key is None else self._partitioner.pick(key)

    def on_batch_closed(self, partition: int, senders: Sequence[PartitionSender]) -> None:
        """Messages without a key go to the next available partition, if `partition` is the one that they went to.

        Called when a batch of it takes no more messages, or when it became unavailable.
        """
        if partition == self._sticky and len(senders) > 1:
            following = [*senders[partition + 1 :], *senders[:partition]]
            self._sticky = next(
                (sender.partition for sender in following if sender.is_available), (partition + 1) % len(senders)
            )
