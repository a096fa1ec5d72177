"""A backlog of two groups that was drained, as measured: group-1 in 2 s, group-2 in 5 s."""

from sample_result import figures

from ombdriver.bench.metrics.summary import GROUP_FAMILIES, BacklogDelivery, BacklogMetrics, DrainMetrics

SECOND = 10**9
MS = 10**6
GROUPS = ("group-1", "group-2")


def drain(messages: int, drain_ns: int, received: int, left: int = 0, caught_up: bool = True) -> DrainMetrics:
    """One drain, whose latencies grow with its time."""
    backlog, fresh = figures(drain_ns // 40, messages), figures(drain_ns // 1000, received - messages)
    return DrainMetrics(
        messages=messages,
        left=left,
        drain_ns=drain_ns,
        caught_up=caught_up,
        received=received,
        backlog_latency=dict.fromkeys(GROUP_FAMILIES, backlog),
        fresh_latency=dict.fromkeys(GROUP_FAMILIES, fresh),
    )


def measured_drain(*, caught_up: bool = True, lost: int = 0) -> BacklogMetrics:
    """10,000 messages before each group, which the second one may not have drained; some of its own may be lost."""
    left = 0 if caught_up else 12_000
    return BacklogMetrics(
        asked_bytes=20_480_000,
        asked_messages=10_000,
        level=200,
        message_size=1024,
        build_ns=5 * SECOND,
        subscriptions={
            "group-1": drain(10_000, 2 * SECOND, 14_000),
            "group-2": drain(10_000, 5 * SECOND, 20_000, left, caught_up),
        },
        total=drain(20_000, 5 * SECOND, 40_000, left, caught_up),
        publish_during=dict.fromkeys(("publish", "publishResponse"), figures(MS, 10_000)),
        publish_after=dict.fromkeys(("publish", "publishResponse"), figures(MS // 5, 50_000)),
        delivery=[
            BacklogDelivery("group-1", 10_000, 10_000),
            BacklogDelivery("group-2", 10_000, 10_000 - lost, lost),
        ],
        settled_interval=5 if caught_up else None,
    )
