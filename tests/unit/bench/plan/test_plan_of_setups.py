"""What a setup changes in a plan: what partitions keep, who reads which of them, and who is a subscription."""

import pytest
from small_plan import plan_of

from ombdriver.bench.load.retention import plan_trimming
from ombdriver.bench.plan.planner import fault_site
from ombdriver.bench.spec.setup import Setup, parse_retention
from ombdriver.errors import InputError

EXCLUSIVE = "{name: e, driver: redis-streams, server: {engine: valkey}, streams: {assignment: exclusive}}"


def test_an_age_is_told_in_entries_too() -> None:
    """A partition's share of so much time; of twice that when messages are keyed."""
    how = parse_retention({"maxage": "30s", "exact": True})

    got = plan_trimming(how, rate=2_000, partitions=4, message_size=100, keyed=False)
    keyed = plan_trimming(how, rate=2_000, partitions=4, message_size=100, keyed=True)

    assert (got.max_entries, got.by_age_ms, got.exact) == (15_000, 30_000, True)
    assert keyed.max_entries == 30_000


def test_what_is_not_acknowledged_is_kept_up_to_a_bound() -> None:
    """Sending trims nothing then."""
    how = parse_retention({"acknowledged": True, "maxlen": 50_000, "maxage": "10m"})

    got = plan_trimming(how, rate=2_000, partitions=4, message_size=100, keyed=False)

    assert (got.max_entries, got.by_age_ms, got.acknowledged) == (None, None, True)
    assert (got.bound_entries, got.bound_age_ms) == (50_000, 600_000)


def test_exclusive_partitions_are_dealt_to_consumers() -> None:
    """Each partition has one reader in each group, and each reader its own share; messages never meet twice."""
    setup = Setup.parse(EXCLUSIVE, "e")
    made = plan_of(setup, partitionsPerTopic=5, consumerPerSubscription=2, subscriptionsPerTopic=2)

    shares = [(each.subscription, each.name, each.partitions) for w in made.workers for each in w.consumers]
    assert sorted(shares) == [
        ("group-1", "consumer-1", (0, 2, 4)),
        ("group-1", "consumer-2", (1, 3)),
        ("group-2", "consumer-1", (0, 2, 4)),
        ("group-2", "consumer-2", (1, 3)),
    ]
    assert not made.shared


def test_a_consumer_without_a_partition_of_its_own_is_refused() -> None:
    """It would read nothing, and be told as a consumer all the same."""
    with pytest.raises(InputError, match=r"3 consumers can't have a partition of their own where there are 2"):
        plan_of(Setup.parse(EXCLUSIVE, "e"), partitionsPerTopic=2, consumerPerSubscription=3)


def test_with_plain_reads_every_consumer_is_a_subscription() -> None:
    """Each sees every message, so each is accounted for by itself."""
    setup = Setup.load("plain-read")

    assert plan_of(setup, consumerPerSubscription=2, subscriptionsPerTopic=1).subscriptions == (
        "group-1.1",
        "group-1.2",
    )
    assert plan_of(setup, consumerPerSubscription=1, subscriptionsPerTopic=2).subscriptions == ("group-1", "group-2")


def test_a_threshold_on_a_group_that_plain_reads_have_not_is_refused() -> None:
    """The names that there are, are told."""
    with pytest.raises(InputError, match=r"there is no group 'group-1'; did you mean group-1\.[12]\?"):
        plan_of(
            Setup.load("plain-read"),
            consumerPerSubscription=2,
            subscriptionsPerTopic=1,
            thresholds=["endToEnd[group-1].p99 < 5ms"],
        )


RUNNER = "{name: r, driver: redis-streams, server: {engine: valkey}, client: {consumer: runner}}"


@pytest.mark.parametrize("consumers", [1, 3])
def test_each_topic_of_a_runner_is_read_as_a_whole(consumers: int) -> None:
    """However many partitions it has: a Runner reads all of them."""
    plan = plan_of(Setup.parse(RUNNER, "s.yaml"), partitionsPerTopic=500, consumerPerSubscription=consumers)

    readers = [reader for worker in plan.workers for reader in worker.consumers]
    assert [reader.partitions for reader in readers] == [None] * consumers


def test_a_backlog_is_not_for_runners() -> None:
    """They read ahead, also while consumers are to pause."""
    with pytest.raises(InputError, match=r"consumerBacklogSizeGB: a Runner reads ahead.*; write 0, or remove"):
        plan_of(Setup.parse(RUNNER, "s.yaml"), consumerBacklogSizeGB=0.01)


def test_only_workers_whose_work_another_process_can_take_up_are_killed() -> None:
    """Of groups on this machine; on other hosts, and without groups, they can be paused."""
    plain = Setup.parse("{name: p, driver: redis-streams, server: {engine: valkey}, streams: {read: plain}}", "s.yaml")
    killed = {"faults": "[{at: 1s, kill: consumers}]"}

    assert plan_of(Setup.load("embedded"), **killed).faults
    for setup in (plain, Setup.load("redis-py-client"), Setup.load("memory")):
        with pytest.raises(InputError, match="only worker processes of this machine can be killed"):
            plan_of(setup, **killed)
    assert not fault_site(Setup.load("embedded"), on_hosts=True).can_kill_workers
