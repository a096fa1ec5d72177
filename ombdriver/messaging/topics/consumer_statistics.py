"""The figures that a consumer gives: plain numbers of one moment. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
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
        lost: another member took them over from this one, since it could not renew its hold; a runner counts its own.
        groups_made: how often the group was gone and was made again.
        reconnects: connections for reading made after the first; where reads are polled, those whose reply was lost.
        faults: errors that were no lost connections.
        buffered: messages that are not handed out yet.
        held: messages that are buffered or handed out, and not settled.
        unanswered: acknowledgements that the server has not answered yet.
    """

    received: int
    redelivered: int
    replayed: int
    repeated: int
    acknowledged: int
    late_acknowledgements: int
    nacked: int
    rejected: int
    deleted: int
    given_back: int
    reclaimed: int
    lost: int
    groups_made: int
    reconnects: int
    faults: int
    buffered: int
    held: int
    unanswered: int
