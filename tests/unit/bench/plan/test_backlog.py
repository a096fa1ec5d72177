"""How large a backlog is built, when it is drained, and what a retention has room for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.load.profile import constant
from ombdriver.bench.load.retention import NO_TRIMMING, Trimming
from ombdriver.bench.plan.backlog import BacklogPlan, plan_backlog, retention_error
from ombdriver.bench.units import GIB

SECOND = 10**9
BUILT = BacklogPlan(size_bytes=GIB, messages=100_000, level=1_000, build_ns=10 * SECOND)


@given(
    messages=st.integers(2_000, 10**9),
    rate=st.integers(1, 10_000),
    size=st.integers(40, 2**20),
    groups=st.integers(1, 100),
    ratio=st.floats(0, 1),
)
def test_the_schedule_of_a_build_holds_what_is_asked_for(
    messages: int, rate: int, size: int, groups: int, ratio: float
) -> None:
    """To the message, whatever the rate; all groups together have OMB's bytes before them, and no message more."""
    plan = plan_backlog(messages * size * groups, ratio, rate=rate, message_size=size, subscriptions=groups)

    assert plan.messages == messages
    assert constant(rate, plan.build_ns).total == messages
    assert max(1, round(rate / 10)) <= plan.level <= messages
    assert plan.level == max(1, round(rate / 10)) or messages - plan.level == int(messages * ratio)


def test_the_size_is_that_of_all_groups_together() -> None:
    """As OMB means it: each of three groups has a third of it before it."""
    plan = plan_backlog(GIB, 1.0, rate=10_000, message_size=1024, subscriptions=3)

    assert plan.messages == -(-GIB // 3072)
    assert plan.level == 1_000  # what comes in a tenth of a second


def test_a_ratio_leaves_the_rest() -> None:
    """Of 100,000 messages and a ratio of 0.8 it is drained when a fifth is left."""
    assert plan_backlog(100_000 * 100, 0.8, rate=1000, message_size=100, subscriptions=1).level == 20_000


def test_a_backlog_that_is_on_its_way_at_any_time_is_refused() -> None:
    """There would be nothing to drain."""
    with pytest.raises(ValueError, match=r"a backlog of 1,000 messages .*; write a larger consumerBacklogSizeGB"):
        plan_backlog(100_000, 1.0, rate=10_000, message_size=100, subscriptions=1)


@pytest.mark.parametrize(
    ("trimming", "told"),
    [
        (NO_TRIMMING, None),
        (Trimming(50_000), None),
        (Trimming(49_999), "49,999 entries of a partition is kept .*; write maxlen: 50000 or more"),
        (Trimming(10**6, by_age_ms=20_000), None),
        (Trimming(10**6, by_age_ms=19_999), "nothing older than 19.999 s is kept .*; write maxage: 21s or more"),
        (Trimming(acknowledged=True), None),
        (Trimming(acknowledged=True, bound_entries=100_000), None),
        (Trimming(acknowledged=True, bound_entries=99_999), "write maxlen: 100000 or more"),
        (Trimming(acknowledged=True, bound_age_ms=8_000), "write maxage: 21s or more"),
    ],
)
def test_a_retention_that_has_no_room_is_refused_with_one_that_has(trimming: Trimming, told: str | None) -> None:
    """Of two partitions each has half; bounds on what is acknowledged need room for what comes in meanwhile."""
    fault = retention_error(BUILT, trimming, partitions=2, skew=1, derived=False)

    if told is None:
        assert fault is None
    else:
        with pytest.raises(ValueError, match=told):
            raise ValueError(fault)


def test_a_length_that_was_derived_is_no_promise() -> None:
    """Trimming is held while a group is behind, and streams grow past it."""
    assert retention_error(BUILT, Trimming(1_000), partitions=1, skew=1, derived=True) is None


def test_keys_spread_unevenly() -> None:
    """A partition may get twice its share."""
    assert retention_error(BUILT, Trimming(99_999), partitions=2, skew=2, derived=False) is not None
