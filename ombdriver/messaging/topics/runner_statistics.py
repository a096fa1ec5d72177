"""The figures that a runner gives: plain numbers of one moment. Pure."""

from dataclasses import dataclass

from ombdriver.messaging.topics.consumer_statistics import ConsumerStatistics


@dataclass(frozen=True, slots=True)
class RunnerStatistics:
    """What a runner has done, and what it has in hand.

    Attributes:
        handled: messages whose handler returned.
        failed: handlers that raised.
        redelivered: deliveries begun after a message's first.
        postponed: failures whose retry is longer off than the visibility time-out, and set aside on the server.
        dead_lettered: messages given up, and put among the dead letters.
        dropped: messages given up and acknowledged, where there are no dead letters.
        reclaimed: messages taken over from consumers that died or let go.
        deleted: pending messages of others that were acknowledged because their content was trimmed or deleted.
        lost: messages that another member took over from this runner, since it could not renew its hold.
        returned: messages left to others at the end.
        running: handlers at work.
        in_hand: messages that wait here, are handled, or wait for a retry.
        consumer: of the consumer underneath.
    """

    handled: int
    failed: int
    redelivered: int
    postponed: int
    dead_lettered: int
    dropped: int
    reclaimed: int
    deleted: int
    lost: int
    returned: int
    running: int
    in_hand: int
    consumer: ConsumerStatistics
