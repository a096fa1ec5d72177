"""What a runner can be told, with its defaults and what they may be. Pure.

The figures that a runner gives: plain numbers of one moment. Pure.
"""

from dataclasses import dataclass
from typing import Literal, TypedDict, get_args

from ombdriver.messaging.errors import MessagingValueError
from ombdriver.messaging.streams import commands
from ombdriver.messaging.topics.consumer.config import ConsumerStatistics
from ombdriver.messaging.topics.consumer.offsets import Position
from ombdriver.messaging.topics.recovery.dead_letters import DeadLetterPolicy
from ombdriver.messaging.topics.runner.retry import RetryPolicy

Ordering = Literal["none", "key"]


class RunnerOptions(TypedDict, total=False):
    """The options of `MQClient.runner` by name; `RunnerSettings` says what they are."""

    concurrency: int
    ordering: Ordering
    retry: RetryPolicy
    dead_letter: DeadLetterPolicy | None
    visibility_timeout_ms: int
    drain_timeout_s: float
    dead_after_s: float
    start: Position
    prefetch: int
    block_ms: int


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """How a runner handles messages, what it does about failures, and how it ends.

    Args:
        concurrency: handlers at work at the same time, at most.
        ordering: `none`; or `key`: the messages of a key are handled one after the other, in the order of their ids.
        retry: how often and when a message is tried again.
        dead_letter: what becomes of messages that are given up; None to acknowledge them, which loses them.
        visibility_timeout_ms: a message whose hold is not renewed for so long is taken over by other runners.
        drain_timeout_s: how long handlers may take to come to an end after `stop`, in seconds.
        dead_after_s: other consumers of the group that have asked for nothing in so many seconds, and have nothing
            pending, are removed from it.
        start: where the group starts if it is made; see `offsets.Position`.
        prefetch: how many messages may be buffered.
        block_ms: how long a read waits on the server.

    Raises:
        MessagingValueError: if one of them can't be.
    """

    concurrency: int = 32
    ordering: Ordering = "none"
    retry: RetryPolicy = RetryPolicy()  # noqa: RUF009 - frozen
    dead_letter: DeadLetterPolicy | None = DeadLetterPolicy()  # noqa: RUF009 - frozen
    visibility_timeout_ms: int = 30_000
    drain_timeout_s: float = 30.0
    dead_after_s: float = 300.0
    start: Position = "earliest"
    prefetch: int = 256
    block_ms: int = 2_000

    def __post_init__(self) -> None:
        if commands.number("concurrency", self.concurrency, 1) is None:
            raise MessagingValueError("concurrency is None; give how many handlers may be at work at the same time")
        if self.ordering not in get_args(Ordering):
            raise MessagingValueError(f"ordering is {self.ordering!r}; give none or key")
        if not isinstance(self.retry, RetryPolicy):
            raise MessagingValueError(f"retry is {self.retry!r}; give a RetryPolicy")
        if self.dead_letter is not None and not isinstance(self.dead_letter, DeadLetterPolicy):
            raise MessagingValueError(f"dead_letter is {self.dead_letter!r}; give a DeadLetterPolicy, or None")
        for name, least in (("drain_timeout_s", "0"), ("dead_after_s", "more than 0")):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not value >= 0 or (value == 0 and least != "0"):
                raise MessagingValueError(f"{name} is {value!r}; give seconds, {least} or longer")


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
