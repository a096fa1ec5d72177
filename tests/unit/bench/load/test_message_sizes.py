"""Messages of several sizes: how ranges are written, what is drawn, and the bodies that come of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.load.message import (
    STAMP,
    PayloadPool,
    PayloadSpec,
    SizeRange,
    drawn_sizes,
    mean_size,
    parse_distribution,
)
from ombdriver.bench.spec.workload import Workload
from ombdriver.errors import InputError

BASE = """
topics: 1
partitionsPerTopic: 1
subscriptionsPerTopic: 1
producersPerTopic: 1
consumerPerSubscription: 1
producerRate: 500
testDuration: 1s
"""
RANGES = st.lists(
    st.tuples(st.integers(40, 5000), st.integers(0, 5000), st.integers(1, 9)).map(
        lambda each: SizeRange(each[0], each[0] + each[1], each[2])
    ),
    min_size=1,
    max_size=5,
)


def test_ranges_are_written_as_in_omb_with_units_as_well() -> None:
    """What is below the least that a message has becomes that."""
    found = parse_distribution({"0-256": 3, "1KiB-4KiB": 1}, 40, 1 << 20)

    assert found == (SizeRange(40, 256, 3), SizeRange(1024, 4096, 1))
    assert mean_size(found) == round((3 * 148 + 2560) / 4)


@pytest.mark.parametrize(
    ("given_", "fault"),
    [
        ({}, "{} is no distribution; write a range"),
        (["0-256"], "is no distribution"),
        ({"256": 1}, "'256' is not a range of sizes"),
        ({"256-100": 1}, "'256-100' ends before it begins"),
        ({"0-39": 1}, "'0-39' ends out of range; write 40 to"),
        ({"0-256": 0}, "'0-256': the weight is 0; write a whole number"),
        ({"0-256": 1.5}, "the weight is 1.5"),
        ({"0-2GB": 1}, "is not a size"),
    ],
)
def test_what_is_no_distribution_is_told_with_what_is(given_: object, fault: str) -> None:
    """In words."""
    with pytest.raises(ValueError, match="write") as caught:
        parse_distribution(given_, 40, 1 << 20)

    assert fault in str(caught.value)


@given(RANGES, st.integers(1, 2000), st.integers(0, 2**32))
def test_each_range_has_its_share_to_the_message(ranges: list[SizeRange], count: int, seed: int) -> None:
    """In an order by chance, the same with the same seed."""
    sizes = drawn_sizes(ranges, count, seed)

    assert sizes == drawn_sizes(ranges, count, seed)
    assert len(sizes) == count
    weights = sum(each.weight for each in ranges)
    for at, each in enumerate(ranges):
        within = sum(each.low <= size <= each.high for size in sizes)
        before = sum(other.weight for other in ranges[:at])
        assert within >= count * (before + each.weight) // weights - count * before // weights


@pytest.mark.parametrize("ratio", [None, 0.5])
def test_bodies_have_the_sizes_that_were_drawn(ratio: float | None) -> None:
    """With the fill, or random in part; the pool begins anew after all of them."""
    ranges = (SizeRange(40, 40, 1), SizeRange(100, 200, 1))
    pool = PayloadPool(PayloadSpec(size=mean_size(ranges), sizes=ranges, random_ratio=ratio))
    sizes = [len(body) + STAMP.size for body in pool.next_bodies(20_014)]

    assert set(sizes[:10_007]) >= {40, 100, 200}
    assert set(sizes) <= {40, *range(100, 201)}
    assert sizes[:10_007] == sizes[10_007:]
    assert sizes.count(40) == pytest.approx(10_007, abs=2)


def test_large_messages_take_no_more_memory_than_a_pool_may() -> None:
    """Fewer of them are kept ready."""
    ranges = (SizeRange(8 << 20, 8 << 20, 1),)
    pool = PayloadPool(PayloadSpec(size=8 << 20, sizes=ranges))

    assert len({id(body) for body in pool.next_bodies(100)}) == 4


def test_a_workload_s_message_size_is_the_mean_of_its_distribution() -> None:
    """It is told so, and read again with it."""
    workload = Workload.parse(BASE + "messageSizeDistribution: {'100-200': 1, '1KiB-1KiB': 1}\n", "w.yaml")

    assert workload.message_size == 587
    assert Workload.parse(str(workload.spec()), "again.yaml").spec() == workload.spec()
    assert workload.payload.sizes == (SizeRange(100, 200, 1), SizeRange(1024, 1024, 1))


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("messageSize: 100\nmessageSizeDistribution: {'100-200': 1}\n", "has a mean of 150, and messageSize is 100"),
        ("messageSizeDistribution: {'1-2': 1}\n", "messageSizeDistribution: '1-2' ends out of range"),
    ],
)
def test_a_distribution_that_can_not_be_is_told_in_its_line(more: str, fault: str) -> None:
    """And messageSize is not called missing as well."""
    with pytest.raises(InputError) as caught:
        Workload.parse(BASE + more, "w.yaml")

    (told,) = caught.value.messages
    assert fault in told
