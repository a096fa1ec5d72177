"""The options of a producer, with defaults and limits, and what it gives: metadata of records, and statistics. Pure."""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypedDict, get_args

from ombdriver.messaging.errors import MessagingValueError
from ombdriver.messaging.streams import commands
from ombdriver.messaging.streams.retention import Retention
from ombdriver.messaging.streams.topic import Topic

OnUnknown = Literal["raise", "resend", "idempotent"]
"""What to do with messages that were sent and have no reply because the connection was lost."""


class ProducerOptions(TypedDict, total=False):
    """The options of `MQClient.producer` by name; `ProducerSettings` says what they are."""

    linger_ms: float
    max_batch_messages: int
    max_batch_bytes: int
    buffer_messages: int
    buffer_bytes: int
    max_block_ms: float | None
    delivery_timeout_ms: float
    on_unknown: OnUnknown
    retention: Retention | None


@dataclass(frozen=True, slots=True)
class ProducerSettings:
    """How a producer batches, how much it buffers, and what it does about lost connections.

    Args:
        linger_ms: how long a batch waits for more messages. With 0 it leaves in this turn of the loop, or when the
            partition's last batch has its reply, whichever is later: under load that alone makes batches.
        max_batch_messages: a batch of so many leaves at once.
        max_batch_bytes: so does a batch that another message would bring above so many bytes.
        buffer_messages: messages that may have no outcome yet; past it `send` waits for space.
        buffer_bytes: the same in bytes. No message may be larger.
        max_block_ms: how long `send` waits for space before it raises; None for ever.
        delivery_timeout_ms: a message that has no reply so long after it was accepted fails.
        on_unknown: `raise`: it fails with OutcomeUnknownError. `resend`: it is sent again, and may be stored twice.
            `idempotent`: it is sent again, with a number that has the server store it once.
        retention: what is trimmed; None for the retention of the topic.

    Raises:
        MessagingValueError: if one of them can't be.
    """

    linger_ms: float = 0
    max_batch_messages: int = 500
    max_batch_bytes: int = 256 * 1024
    buffer_messages: int = 100_000
    buffer_bytes: int = 32 * 1024 * 1024
    max_block_ms: float | None = 60_000
    delivery_timeout_ms: float = 30_000
    on_unknown: OnUnknown = "raise"
    retention: Retention | None = None

    def on(self, topic: Topic) -> "ProducerSettings":
        """These settings, with the retention of the topic where none was given."""
        return self if self.retention is not None else replace(self, retention=topic.retention)

    def __post_init__(self) -> None:
        for name in ("max_batch_messages", "max_batch_bytes", "buffer_messages", "buffer_bytes"):
            if commands.number(name, getattr(self, name), 1) is None:
                raise MessagingValueError(f"{name} is None; give a whole number of 1 or more")
        for name, least in (("linger_ms", "0"), ("max_block_ms", "0"), ("delivery_timeout_ms", "more than 0")):
            value = getattr(self, name)
            if value is None and name == "max_block_ms":
                continue
            if not isinstance(value, int | float) or value < 0 or (value == 0 and least != "0"):
                raise MessagingValueError(f"{name} is {value!r}; give milliseconds, {least} or longer")
        if self.linger_ms >= self.delivery_timeout_ms:
            raise MessagingValueError("linger_ms is not below delivery_timeout_ms: messages would fail while they wait")
        if self.on_unknown not in get_args(OnUnknown):
            raise MessagingValueError(f"on_unknown is {self.on_unknown!r}; give raise, resend or idempotent")
        if self.retention is not None and not isinstance(self.retention, Retention):
            raise MessagingValueError(f"retention is {self.retention!r}; give a Retention")


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


@dataclass(slots=True)
class ProducerStatistics:
    """What a producer has done, and what it has in hand.

    Attributes:
        buffered_messages: accepted, and without an outcome so far; those in flight among them.
        buffered_bytes: their size.
        in_flight: messages that were sent and have no reply.
        waiting: callers that wait for space.
        sent: messages that the server has acknowledged.
        failed: messages that ended with an error.
        batches: batches that the server has answered.
        resent: batches that were sent again.
        unknown: batches whose outcome was unknown after a loss; with `resend` each may be stored twice.
        duplicates_avoided: messages that were sent again to a server that had them, with `idempotent`.
    """

    buffered_messages: int = 0
    buffered_bytes: int = 0
    in_flight: int = 0
    waiting: int = 0
    sent: int = 0
    failed: int = 0
    batches: int = 0
    resent: int = 0
    unknown: int = 0
    duplicates_avoided: int = 0
