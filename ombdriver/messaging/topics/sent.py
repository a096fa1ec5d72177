"""What a producer tells: where a message was stored, and what it has done so far. Pure."""

from dataclasses import dataclass
from typing import NamedTuple


class RecordMetadata(NamedTuple):
    """Where a message was stored. A tuple, since each message gets one, and it takes a third of the time to make.

    Attributes:
        topic: name of the topic.
        partition: counted from 0.
        stream: key of the partition's stream.
        id: the entry's id there.
    """

    topic: str
    partition: int
    stream: str
    id: str

    @property
    def timestamp_ms(self) -> int:
        """When it was stored by the server's clock, in milliseconds since 1970."""
        return int(self.id.partition("-")[0])


@dataclass(frozen=True, slots=True)
class ProducerStatistics:
    """A producer's figures at one moment.

    Attributes:
        buffered_messages: accepted, and without an answer of the server so far; those on their way among them.
        buffered_bytes: their size.
        in_flight: messages that were sent and have no reply.
        waiting: callers that wait for space.
        sent: messages that the server has acknowledged.
        failed: messages that ended with an error.
        batches: batches that the server has answered.
        resent: batches that were sent again.
        unknown: batches whose outcome was unknown after a loss; with `resend` each may be stored twice.
        duplicates_avoided: messages that were sent again to a server that had them: with `idempotent`.
    """

    buffered_messages: int
    buffered_bytes: int
    in_flight: int
    waiting: int
    sent: int
    failed: int
    batches: int
    resent: int
    unknown: int
    duplicates_avoided: int


@dataclass(slots=True)
class Counts:
    """What partitions count together; see `ProducerStatistics`."""

    sent: int = 0
    failed: int = 0
    batches: int = 0
    resent: int = 0
    unknown: int = 0
    duplicates_avoided: int = 0
