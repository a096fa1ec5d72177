"""How large a backlog is built, and when it counts as drained. Pure; knows numbers only.

The size is OMB's: GiB of messages over all subscriptions together, so that of three groups each has a third before it.
"""

from dataclasses import dataclass

from ombdriver.bench.load.retention import Trimming

ON_THE_WAY_S = 0.1
"""A subscription has caught up when it has no more before it than what comes in this time: that much may be on its way
between two processes whose counts are not of one moment. OMB takes 1,000 messages over all subscriptions, which at high
rates are on their way at any time, so that its drain does not end."""


@dataclass(frozen=True, slots=True)
class BacklogPlan:
    """A backlog that is built while consumers pause, and drained while producers go on.

    Attributes:
        size_bytes: what was asked for, over all subscriptions together.
        messages: messages before each subscription when its consumers resume.
        level: a subscription has caught up when no more than that are before it.
        build_ns: how long it takes to send them: a schedule of that length holds exactly these.
    """

    size_bytes: int
    messages: int
    level: int
    build_ns: int


def plan_backlog(
    size_bytes: int, drain_ratio: float, *, rate: int, message_size: int, subscriptions: int
) -> BacklogPlan:
    """The plan of a backlog.

    Args:
        size_bytes: over all subscriptions together; above 0.
        drain_ratio: the share that is drained when it counts as drained; 0 to 1.
        rate: messages per second.
        message_size: bytes, on average.
        subscriptions: that are read; 1 or more.

    Raises:
        ValueError: if it is no more than what is on its way at any time.
    """
    messages = -(-size_bytes // (message_size * subscriptions))
    on_the_way = max(1, round(rate * ON_THE_WAY_S))
    if messages <= on_the_way:
        raise ValueError(
            f"makes a backlog of {messages:,} messages for each group, what comes in {ON_THE_WAY_S:g} s at"
            f" {rate:,} messages/s; write a larger consumerBacklogSizeGB, or a lower producerRate"
        )
    left = messages - int(messages * drain_ratio)
    return BacklogPlan(size_bytes, messages, max(left, on_the_way), messages * 10**9 // rate)


def retention_error(
    backlog: BacklogPlan, trimming: Trimming, *, partitions: int, skew: int, derived: bool
) -> str | None:
    """Why the retention of a setup has no room for a backlog; None when it has.

    Trimming by length or age is held as long as a subscription is far behind, so nothing of a backlog would be trimmed;
    but then streams would grow past what the setup says that they keep, and another setup would be measured. Bounds of
    `acknowledged` are not held: under them there must be room for what comes in while the backlog is drained, too.

    Args:
        backlog: the plan.
        trimming: how partitions are trimmed.
        partitions: of all topics.
        skew: how many times its even share a partition may get.
        derived: whether the length was derived from the rate, and not given.
    """
    times = 2 if trimming.acknowledged else 1
    length = trimming.bound_entries if trimming.acknowledged else None if derived else trimming.max_entries
    age_ms = trimming.bound_age_ms if trimming.acknowledged else trimming.by_age_ms
    entries, seconds = times * -(-backlog.messages * skew // partitions), 2 * backlog.build_ns / 1e9
    if age_ms is not None and age_ms < 1000 * seconds:
        kept, enough = f"nothing older than {age_ms / 1000:g} s", f"maxage: {int(seconds) + 1}s"
    elif age_ms is None and length is not None and length < entries:
        kept, enough = f"{length:,} entries of a partition", f"maxlen: {entries}"
    else:
        return None
    return (
        f"{kept} is kept (streams.retention), and the backlog is {backlog.messages:,} messages over"
        f" {partitions:,} partitions; write {enough} or more, retention: auto, acknowledged or none, or a smaller"
        " consumerBacklogSizeGB"
    )
