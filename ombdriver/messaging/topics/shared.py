"""What the partitions of one producer have in common."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ombdriver.messaging.connection import Channels
from ombdriver.messaging.topics.buffer import Buffer
from ombdriver.messaging.topics.sent import Counts
from ombdriver.messaging.topics.settings import ProducerSettings


@dataclass(slots=True)
class Shared:
    """One for each producer.

    Attributes:
        topic: its name.
        channels: the connections.
        settings: the producer's.
        buffer: takes back the space of what has left.
        opened: told of each batch that is begun.
        closed: told of each partition whose batch takes no more messages, or is stuck.
        counts: what was done so far.
    """

    topic: str
    channels: Channels
    settings: ProducerSettings
    buffer: Buffer
    opened: Callable[[], None]
    closed: Callable[[int], None]
    counts: Counts = field(default_factory=Counts)
