"""One schedule for a run, shared by striping: exact at its borders, without drift, complete over any workers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.bench.load.profile import constant
from ombdriver.bench.load.schedule import Schedule, Stripe
from ombdriver.bench.units import SECOND

RATES = st.one_of(st.integers(1, 10_000_000), st.sampled_from([1, 3, 7, 333_333, 1_000, 10**6, 10**7, 9_999_999]))


@st.composite
def shares(draw: st.DrawFn) -> tuple[int, list[list[int]]]:
    """A number of producers, dealt out in any way to workers that each have some."""
    total = draw(st.integers(1, 40))
    workers: dict[int, list[int]] = {}
    for producer in range(total):
        workers.setdefault(draw(st.integers(0, 5)), []).append(producer)
    return total, list(workers.values())


@pytest.mark.parametrize(
    ("rate", "duration_ns", "elapsed_ns", "due"),
    [
        (1000, 10 * SECOND, -1, 0),  # before the start nothing is due
        (1000, 10 * SECOND, 0, 1),  # message 0 is intended at the start itself
        (1000, 10 * SECOND, 999_999, 1),  # a nanosecond before message 1
        (1000, 10 * SECOND, 1_000_000, 2),  # on the nanosecond of message 1
        (3, 10 * SECOND, 333_333_332, 1),  # 1/3 s is no whole number of nanoseconds: rounded down
        (3, 10 * SECOND, 333_333_333, 2),
        (1000, 10 * SECOND, 10 * SECOND - 1, 10_000),  # the last message is due before the end
        (1000, 10 * SECOND, 10 * SECOND, 10_000),  # what would come at the end does not belong to the phase
        (1000, 10 * SECOND, 3600 * SECOND, 10_000),  # never more than the total
        (1000, 0, 0, 0),  # a phase without duration has no message
    ],
)
def test_what_is_due_is_exact_at_the_borders(rate: int, duration_ns: int, elapsed_ns: int, due: int) -> None:
    """A message is due from its own nanosecond on, and the end of the phase is not part of it."""
    start = 7 * 10**18  # years of uptime change nothing
    schedule = Schedule(start, constant(rate, duration_ns))

    assert schedule.due(start + elapsed_ns) == due


@pytest.mark.parametrize("rate", [1, 3, 7, 2000, 333_333, 9_999_999])
def test_nothing_drifts(rate: int) -> None:
    """After a month the schedule has sent rate times seconds messages, and stands on the second."""
    month = 30 * 24 * 3600
    schedule, end_ns = Schedule(5, constant(rate, month * SECOND)), 5 + month * SECOND

    assert schedule.total == rate * month
    assert schedule.intended(rate * month) == end_ns
    assert schedule.due(end_ns - 1) == schedule.total


@settings(deadline=None)
@given(rate=RATES, duration_ns=st.integers(0, 10**12), start=st.integers(0, 2**62), message=st.integers(0, 10**7))
def test_due_and_intended_agree(rate: int, duration_ns: int, start: int, message: int) -> None:
    """Message i is due at its intended time and not a nanosecond before; the total counts those before the end."""
    schedule = Schedule(start, constant(rate, duration_ns))
    intended = schedule.intended(message)

    assert (message < schedule.total) == (intended < start + duration_ns)
    if message < schedule.total:
        assert schedule.due(intended - 1) <= message < schedule.due(intended)


@settings(deadline=None)
@given(rate=RATES, share=shares(), messages=st.integers(0, 300))
def test_the_stripes_of_any_workers_are_the_schedule(
    rate: int, share: tuple[int, list[list[int]]], messages: int
) -> None:
    """However producers are dealt out, each message is sent once, by its own producer, at its own time."""
    producers, workers = share
    schedule = Schedule(1_000, constant(rate, messages * SECOND // rate))
    sent: dict[int, tuple[int, int]] = {}
    for mine in workers:
        stripe = Stripe(schedule, producers, mine)
        block = stripe.intended_block(0, stripe.total)
        indices = [stripe.index(j) for j in range(stripe.total)]
        assert indices == sorted(indices)
        for j, (index, intended) in enumerate(zip(indices, block, strict=True)):
            assert index not in sent
            sent[index] = (mine[stripe.producer(j)], intended)

    assert sent == {i: (i % producers, schedule.intended(i)) for i in range(schedule.total)}


@settings(deadline=None)
@given(rate=RATES, share=shares(), now=st.integers(-10, 10**9))
def test_what_is_due_to_the_workers_is_what_is_due(rate: int, share: tuple[int, list[list[int]]], now: int) -> None:
    """At any time the workers' shares add up to the whole, and what comes next to each is not due yet."""
    producers, workers = share
    schedule = Schedule(0, constant(rate, SECOND // 2))
    stripes = [Stripe(schedule, producers, mine) for mine in workers]

    assert sum(stripe.due(now) for stripe in stripes) == schedule.due(now)
    assert sum(stripe.total for stripe in stripes) == schedule.total
    for stripe in stripes:
        due = stripe.due(now)
        assert due == stripe.total or schedule.intended(stripe.index(due)) > now
        assert due == 0 or schedule.intended(stripe.index(due - 1)) <= now


@settings(deadline=None)
@given(rate=RATES, share=shares(), first=st.integers(0, 10**9), count=st.integers(0, 200))
def test_a_block_is_its_messages_one_by_one(
    rate: int, share: tuple[int, list[list[int]]], first: int, count: int
) -> None:
    """Times taken by block are those taken singly, wherever the block begins and ends."""
    producers, workers = share
    stripe = Stripe(Schedule(3, constant(rate, 10**13)), producers, workers[0])

    first = min(first, stripe.total)
    end = min(first + count, stripe.total)

    assert stripe.intended_block(first, end) == [stripe.schedule.intended(stripe.index(j)) for j in range(first, end)]


@pytest.mark.parametrize("mine", [[], [1, 0], [0, 0], [2], [-1]])
def test_a_stripe_refuses_producers_that_are_not(mine: list[int]) -> None:
    """Producers out of order, twice, or not of this run would break the order of messages."""
    with pytest.raises(ValueError, match="not some of 2 producers"):
        Stripe(Schedule(0, constant(1, SECOND)), 2, mine)


@pytest.mark.parametrize(("rate", "duration_ns"), [(-1, 1), (1, -1)])
def test_a_rate_below_zero_and_a_negative_time_are_refused(rate: int, duration_ns: int) -> None:
    """A phase can't end before it begins."""
    with pytest.raises(ValueError, match="a profile needs"):
        constant(rate, duration_ns)


@pytest.mark.parametrize(("rate", "duration_ns"), [(0, SECOND), (5, 0)])
def test_of_no_rate_and_of_no_time_there_is_no_message(rate: int, duration_ns: int) -> None:
    """As of a run that only reads."""
    schedule = Schedule(7, constant(rate, duration_ns))

    assert (schedule.total, schedule.due(10**18)) == (0, 0)


def test_a_stripe_tells_what_it_is() -> None:
    """Its repr is one line."""
    assert repr(Stripe(Schedule(0, constant(10, SECOND)), 3, [0, 2])) == "<Stripe [2 of 3 producers, 7 messages]>"
