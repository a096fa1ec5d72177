"""The options of a runner, with defaults and limits, and its statistics. Pure."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from ombdriver.messaging.errors import MessagingValueError
from ombdriver.messaging.streams import commands
from ombdriver.messaging.topics.consumer.config import ConsumerOptions, ConsumerSettings, ConsumerStatistics
from ombdriver.messaging.topics.recovery.dead_letters import DeadLetterPolicy
from ombdriver.messaging.topics.runner.retry import RetryPolicy

Ordering = Literal["none", "key"]


class RunnerOptions(ConsumerOptions, total=False):
    """The options of `MQClient.runner` by name, those of a consumer among them; `RunnerSettings` says what they are."""

    concurrency: int
    ordering: Ordering
    retry: RetryPolicy
    dead_letter: DeadLetterPolicy | None
    drain_timeout_s: float
    dead_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSettings(ConsumerSettings):
    """How a runner handles messages, what it does about failures, and how it ends.

    Args:
        start: this and the next three as for a consumer.
        prefetch: see `ConsumerSettings`.
        visibility_timeout_ms: see `ConsumerSettings`.
        block_ms: see `ConsumerSettings`.
        concurrency: handlers at work at the same time, at most.
        ordering: `none`; or `key`: the messages of a key are handled one after the other, in the order of their ids.
        retry: how often and when a message is tried again.
        dead_letter: what becomes of messages that are given up; None to acknowledge them, which loses them.
        drain_timeout_s: how long handlers may take to come to an end after `stop`, in seconds.
        dead_after_s: other consumers of the group that have asked for nothing in so many seconds, and have nothing
            pending, are removed from it.

    Raises:
        MessagingValueError: if one of them can't be.
    """

    concurrency: int = 32
    ordering: Ordering = "none"
    retry: RetryPolicy = RetryPolicy()  # noqa: RUF009 - frozen
    dead_letter: DeadLetterPolicy | None = DeadLetterPolicy()  # noqa: RUF009 - frozen
    drain_timeout_s: float = 30.0
    dead_after_s: float = 300.0

    def __post_init__(self) -> None:
        ConsumerSettings.__post_init__(self)  # super() does not work in a class with slots made by dataclass
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
            if (
                not isinstance(value, int | float)
                or isinstance(value, bool)
                or not value >= 0
                or (value == 0 and least != "0")
            ):
                raise MessagingValueError(f"{name} is {value!r}; give seconds, {least} or longer")


@dataclass(slots=True)
class RunnerStatistics:
    """What a runner has done, and what it has in hand.

    Attributes:
        handled: messages whose handler returned.
        failed: handlers that raised.
        redelivered: deliveries begun after a message's first.
        postponed: failures whose retry is longer off than the visibility time-out, and waits on the server.
        dead_lettered: messages given up, or rejected by their handlers, and put among the dead letters.
        dropped: messages given up and acknowledged, where there are no dead letters.
        reclaimed: messages taken over from consumers that died or let go.
        deleted: pending messages of others that were acknowledged because their content was trimmed or deleted.
        lost: messages that another member took over from this runner, since it could not renew its lease.
        returned: messages left to others at the end.
        running: handlers at work.
        in_hand: messages that wait here, are handled, or wait for a retry.
        consumer: of the consumer underneath.
    """

    handled: int = 0
    failed: int = 0
    redelivered: int = 0
    postponed: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    reclaimed: int = 0
    deleted: int = 0
    lost: int = 0
    returned: int = 0
    running: int = 0
    in_hand: int = 0
    consumer: ConsumerStatistics = field(default_factory=ConsumerStatistics)
