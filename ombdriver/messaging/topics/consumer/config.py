"""The options of a consumer, with defaults and limits, and its statistics. Pure."""

from dataclasses import dataclass
from typing import TypedDict

from ombdriver.messaging.errors import MessagingValueError
from ombdriver.messaging.streams import commands
from ombdriver.messaging.topics.consumer.offsets import Offset, resolve


class ConsumerOptions(TypedDict, total=False):
    """The options of `MQClient.consumer` by name; `ConsumerSettings` says what they are."""

    start: Offset
    prefetch: int
    visibility_timeout_ms: int
    block_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSettings:
    """Where a consumer's group starts, how much it buffers, and for how long it leases messages and waits.

    Args:
        start: where the group starts if it is created: see `offsets.Offset`.
        prefetch: how many messages may be buffered that are not handed out: at least one for each partition, and no
            more than about 16 MiB; twice as many while messages of others are taken over.
        visibility_timeout_ms: a message whose lease is not renewed for so long is taken over by other members; the
            same for all of a group.
        block_ms: how long a read waits on the server; 5 s at most, and then it reads again.

    Raises:
        MessagingValueError: if one of them can't be.
    """

    start: Offset = "earliest"
    prefetch: int = 256
    visibility_timeout_ms: int = 30_000
    block_ms: int = 5_000

    def __post_init__(self) -> None:
        resolve(self.start)
        for name in ("prefetch", "visibility_timeout_ms"):
            if commands.number(name, getattr(self, name), 1) is None:
                raise MessagingValueError(f"{name} is None; give a whole number of 1 or more")
        if not isinstance(self.block_ms, int) or self.block_ms < 1:
            raise MessagingValueError(f"block_ms is {self.block_ms!r}; give milliseconds, 1 or more")


@dataclass(slots=True)
class ConsumerStatistics:
    """What a consumer has done, and what it has in hand.

    Attributes:
        received: messages taken from the server, those that came again included.
        redelivered: of these, such as were delivered before.
        replayed: of these, such as were pending for this consumer when it started or had lost its connection.
        repeated: given by the server though they were here already, and not handed out again.
        acknowledged: acknowledged, as the server has answered.
        late_acknowledgements: acknowledged after somebody else had done it, or after the server had lost them.
        nacked: given back by `nack`.
        rejected: put into the dead letters.
        deleted: acknowledged because their content was trimmed or deleted while they were pending.
        given_back: buffered when the consumer was closed, and left to others.
        reclaimed: taken over from members that died, or let go of them; a runner counts its own.
        lost: another member took them over from this one, since it could not renew its lease; a runner counts its own.
        groups_made: how often the group was destroyed and was created again.
        reconnects: connections for reading made after the first; where reads are polled, those whose reply was lost.
        lost_replies: reads that may have been carried out and whose reply was lost; the next ones ask for less.
        early_reads: reads that the server answered at once with nothing, though it was asked to wait.
        faults: errors that were no lost connections.
        buffered: messages that are not handed out yet.
        held: messages that are buffered or handed out, and not settled.
        unanswered: acknowledgements that the server has not answered yet.
    """

    received: int = 0
    redelivered: int = 0
    replayed: int = 0
    repeated: int = 0
    acknowledged: int = 0
    late_acknowledgements: int = 0
    nacked: int = 0
    rejected: int = 0
    deleted: int = 0
    given_back: int = 0
    reclaimed: int = 0
    lost: int = 0
    groups_made: int = 0
    reconnects: int = 0
    lost_replies: int = 0
    early_reads: int = 0
    faults: int = 0
    buffered: int = 0
    held: int = 0
    unanswered: int = 0
