"""A rate that changes over time: exact at its borders, an inverse to the nanosecond, complete over any workers."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.bench.load.profile import PARTS, SECOND, Profile, Stretch, constant
from ombdriver.bench.load.schedule import Schedule, Stripe

RATES = st.one_of(st.integers(0, 10_000_000), st.sampled_from([0, 1, 3, 7, 1000, 9_999_999]))
STRETCHES = st.builds(Stretch, st.one_of(st.integers(1, 10**12), st.sampled_from([1, SECOND, 7])), RATES, RATES)
PROFILES = (
    st.lists(STRETCHES, min_size=1, max_size=6)
    .map(tuple)
    .filter(lambda each: any(one.first or one.last for one in each))
    .map(Profile)
)
SMALL = (
    st.lists(st.builds(Stretch, st.integers(1, 10 * SECOND), *[st.integers(0, 20)] * 2), min_size=1, max_size=4)
    .map(tuple)
    .filter(lambda each: any(one.first or one.last for one in each))
    .map(Profile)
)


def exactly(profile: Profile, elapsed_ns: int) -> Fraction:
    """The messages of a profile up to a moment, by plain fractions: the areas under its lines."""
    area, begin = Fraction(0), 0
    for each in profile.stretches:
        within = min(max(elapsed_ns - begin, 0), each.duration_ns)
        rate = each.first + Fraction((each.last - each.first) * within, each.duration_ns)
        area += (each.first + rate) / 2 * Fraction(within, SECOND)
        begin += each.duration_ns
    return area


@pytest.mark.parametrize(
    ("stretches", "times_ms"),
    [
        ([(1000, 4, 4)], [0, 250, 500, 750]),
        # a pause: what would be due at its beginning is due at its end, where the rate goes on
        ([(500, 4, 4), (1000, 0, 0), (500, 4, 4)], [0, 250, 1500, 1750]),
        ([(1000, 0, 0), (500, 4, 4)], [1000, 1250]),
        # from 0 to 8/s in a second: 4 t**2 messages up to t
        ([(1000, 0, 8)], [0, 500, 707, 866]),
        # and back: the mirror of it
        ([(1000, 8, 0)], [0, 133, 292, 500]),
        ([(1000, 2, 2), (500, 10, 10)], [0, 500, 1000, 1100, 1200, 1300, 1400]),
    ],
)
def test_messages_are_due_by_the_area_under_the_rate(
    stretches: list[tuple[int, int, int]], times_ms: list[int]
) -> None:
    """Message i is due when i messages have come together."""
    profile = Profile(tuple(Stretch(ms * 10**6, first, last) for ms, first, last in stretches))

    assert profile.total == len(times_ms)
    assert [profile.time_of(at * PARTS) // 10**6 for at in range(profile.total)] == times_ms


@settings(deadline=None)
@given(profile=PROFILES, where=st.floats(0, 1))
def test_what_has_come_together_is_the_area_under_the_rate(profile: Profile, where: float) -> None:
    """Rounded up in parts of a message, and as near as a float is otherwise."""
    elapsed_ns = round(where * profile.duration_ns)
    area = exactly(profile, elapsed_ns)

    assert profile.parts_before(elapsed_ns) == -(-area * PARTS // 1)
    assert profile.count_before(elapsed_ns) == -(-area // 1)
    assert profile.messages(elapsed_ns) == pytest.approx(float(area), rel=1e-12)
    assert profile.mean == pytest.approx(float(exactly(profile, profile.duration_ns) * SECOND / profile.duration_ns))


@settings(deadline=None)
@given(profile=PROFILES, parts=st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_counting_and_timing_are_inverses(profile: Profile, parts: list[float]) -> None:
    """To the nanosecond, at any part of a message; and what comes later is never due sooner."""
    chosen = sorted(min(round(part * profile.parts), profile.parts - 1) for part in parts)
    times = [profile.time_of(part) for part in chosen]

    assert times == sorted(times)
    for part, time in zip(chosen, times, strict=True):
        assert 0 <= time < profile.duration_ns
        assert profile.parts_before(time) <= part < profile.parts_before(time + 1)
    assert profile.time_of(profile.parts) == profile.duration_ns


@settings(deadline=None)
@given(profile=PROFILES, start=st.integers(0, 2**62), where=st.floats(0, 1))
def test_due_and_intended_agree(profile: Profile, start: int, where: float) -> None:
    """Message i is due at its intended time and not a nanosecond before; all are due before the end."""
    schedule = Schedule(start, profile)
    message = min(round(where * schedule.total), schedule.total - 1)
    intended = schedule.intended(message)

    assert schedule.due(intended - 1) <= message < schedule.due(intended)
    assert schedule.due(start - 1) == 0
    assert schedule.due(start + profile.duration_ns - 1) == schedule.total == schedule.due(start + 10**18)


@settings(deadline=None)
@given(rate=st.integers(1, 10**7), duration_ns=st.integers(1, 10**12), message=st.integers(0, 10**7))
def test_at_a_constant_rate_messages_are_evenly_spaced(rate: int, duration_ns: int, message: int) -> None:
    """To the nanosecond, counted from the start."""
    schedule = Schedule(5, constant(rate, duration_ns))

    assert schedule.total == -(-duration_ns * rate // SECOND)
    if message < schedule.total:
        assert schedule.intended(message) == 5 + message * SECOND // rate


@settings(deadline=None, max_examples=50)
@given(profile=SMALL, owners=st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_the_stripes_of_any_workers_are_the_one_schedule(profile: Profile, owners: list[int]) -> None:
    """However producers are dealt out, each message is sent once, by its own producer, at its own time."""
    schedule, producers = Schedule(1_000, profile), len(owners)
    sent: list[tuple[int, int]] = []
    for worker in set(owners):
        mine = [producer for producer, owner in enumerate(owners) if owner == worker]
        stripe = Stripe(schedule, producers, mine)
        assert stripe.remaining(0) == stripe.total
        assert stripe.intended_or_none(stripe.total) is None
        for first in range(0, stripe.total, 5):
            for position, times in stripe.by_producer(first, min(first + 5, stripe.total)):
                sent += [(time, mine[position]) for time in times]

    assert sorted(sent) == sorted((schedule.intended(at), at % producers) for at in range(schedule.total))


@settings(deadline=None, max_examples=50)
@given(profile=SMALL, looks=st.lists(st.integers(0, 50 * SECOND), max_size=8))
def test_no_debt_is_forgiven(profile: Profile, looks: list[int]) -> None:
    """Whenever one looks, what is due is what was intended until then, whatever was looked at or sent before."""
    stripe = Stripe(Schedule(0, profile), 1, [0])
    times = stripe.intended_block(0, stripe.total)

    for now in sorted(looks):
        assert stripe.due(now) == sum(time <= now for time in times)


@pytest.mark.parametrize("stretches", [(Stretch(0, 1, 1),), (Stretch(5, 0, 0),), (Stretch(5, -1, 9),)])
def test_a_profile_without_a_message_is_refused(stretches: tuple[Stretch, ...]) -> None:
    """It would be a phase with nothing to measure."""
    with pytest.raises(ValueError, match="a profile needs"):
        Profile(stretches)
