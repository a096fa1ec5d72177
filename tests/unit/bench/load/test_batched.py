"""Batches: what is due within an interval is due at its beginning, for every kind of schedule."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.bench.load.batched import BatchedStripe
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.load.poisson import PoissonArrivals
from ombdriver.bench.load.profile import Profile, Stretch

SECOND = 10**9
START = 7_000_000_123
RAMP = Profile((Stretch(SECOND, 0, 900), Stretch(SECOND, 900, 100)))
PHASES = {
    "even": Phase(0, "measure", START, 2 * SECOND, 700),
    "profile": Phase(0, "measure", START, 2 * SECOND, 900, RAMP),
    "random": Phase(0, "measure", START, 2 * SECOND, 700, None, PoissonArrivals(3, 4)),
}


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(sorted(PHASES)),
    mine=st.sampled_from([[0, 1, 2, 3], [1], [0, 3]]),
    interval_ns=st.integers(100_000, 3 * SECOND),
    times=st.lists(st.integers(START - SECOND, START + 3 * SECOND), min_size=1, max_size=10),
)
def test_each_message_is_due_at_the_beginning_of_its_interval(
    kind: str, mine: list[int], interval_ns: int, times: list[int]
) -> None:
    """All of one together, in the order and by the producers of the stripe itself, and never before the phase."""
    phase = PHASES[kind]
    plain, batched = phase.stripe(4, mine), BatchedStripe(phase.stripe(4, mine), START, interval_ns)
    count = plain.due(START + 5 * SECOND)
    expected = [each - (each - START) % interval_ns for each in plain.intended_of(range(count))]

    for now_ns in sorted(times):
        assert batched.due(now_ns) == sum(each <= now_ns for each in expected)
    assert batched.due(START + 5 * SECOND) == count
    assert min(expected) >= START
    assert batched.intended_of(range(0, count, 3)) == expected[::3]
    assert [batched.intended_or_none(j) for j in (0, count - 1, count)] == [expected[0], expected[-1], None]
    assert batched.remaining(0) == plain.remaining(0)
    block = range(count // 3, count // 2)
    told = sorted(time for _, each in batched.by_producer(block.start, block.stop) for time in each)
    assert told == expected[block.start : block.stop]
    whose = [batched.producer(j) for j in block]
    assert whose == [plain.producer(j) for j in block]


def test_its_repr_says_what_it_is() -> None:
    """With the interval."""
    assert repr(BatchedStripe(PHASES["even"].stripe(4, [0]), START, 5_000_000)).startswith("<BatchedStripe every 5 ms")


@pytest.mark.parametrize("interval_ns", [5_000_000])
def test_a_batch_holds_what_is_due_until_the_next(interval_ns: int) -> None:
    """700 a second in batches 5 ms apart: three or four in each."""
    stripe = BatchedStripe(PHASES["even"].stripe(1, [0]), START, interval_ns)
    sizes = [stripe.due(START + k * interval_ns) - stripe.due(START + k * interval_ns - 1) for k in range(100)]
    assert sum(sizes) == 350
    assert set(sizes) == {3, 4}
