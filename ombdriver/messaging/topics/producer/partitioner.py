"""Which partition a message goes to: what its caller says, what its key picks, or the one whose batch is open."""

import random
from collections.abc import Sequence

from ombdriver.messaging.errors import MessagingValueError
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
            MessagingValueError: if it is no key, or the topic has no such partition.
        """
        if partition is not None:
            self._topic.key(partition)
        if key is None or isinstance(key, bytes):
            return key
        if not isinstance(key, str):
            raise MessagingValueError(f"a key is str or bytes, not {type(key).__name__}")
        return key.encode()

    def pick(self, key: bytes | None, partition: int | None) -> int:
        """The partition of the next message."""
        if partition is not None:
            return partition
        return self._sticky if key is None else self._partitioner.pick(key)

    def rotate(self, partition: int, lanes: Sequence[PartitionSender]) -> None:
        """A batch is closed, or stuck: messages without a key go to the next partition that is not."""
        if partition == self._sticky and len(lanes) > 1:
            following = [*lanes[partition + 1 :], *lanes[:partition]]
            self._sticky = next(
                (lane.partition for lane in following if not lane.is_stuck), (partition + 1) % len(lanes)
            )
