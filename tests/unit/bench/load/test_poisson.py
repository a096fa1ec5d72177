"""Random arrivals: exponential gaps, the same for each producer in whatever worker, by whatever profile."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.bench.load import poisson
from ombdriver.bench.load.poisson import PoissonArrivals, PoissonStripe, gaps, streams
from ombdriver.bench.load.profile import Profile, Stretch, constant
from ombdriver.bench.units import SECOND

PROFILE = Profile(
    (Stretch(SECOND, 300, 300), Stretch(SECOND, 300, 900), Stretch(SECOND // 2, 0, 0), Stretch(SECOND, 900, 0))
)
FOREVER = 10**18


def stripe_of(
    mine: list[int], producers: int, profile: Profile = PROFILE, seed: int = 1, phase: str = "measure"
) -> PoissonStripe:
    """The stripe of a phase that begins at 1,000 ns."""
    return PoissonStripe(1_000, profile, PoissonArrivals(seed, producers), mine, phase)


def everything(stripe: PoissonStripe, mine: list[int]) -> list[tuple[int, int]]:
    """(time, producer) of all messages, in order."""
    due = stripe.due(FOREVER)
    times, senders = stripe.intended_block(0, due), stripe.producers_of(0, due)
    return [(time, mine[position]) for time, position in zip(times, senders, strict=True)]


def test_gaps_are_exponential() -> None:
    """Mean, variance and tail are right within five standard errors; neighbours don't resemble each other."""
    drawn = gaps(streams(7, "measure", range(20)), np.zeros(20, np.int64), 10_000)
    count = drawn.size

    assert drawn.min() >= 0
    assert abs(drawn.mean() - 1) < 5 / math.sqrt(count)
    assert abs(drawn.var() - 1) < 5 * math.sqrt(8 / count)
    for bound in (1, 3):
        share = math.exp(-bound)
        assert abs((drawn > bound).mean() - share) < 5 * math.sqrt(share * (1 - share) / count)
    left, right = drawn[:, :-1].ravel() - 1, drawn[:, 1:].ravel() - 1
    assert abs((left * right).mean()) < 5 / math.sqrt(count)
    one, other = drawn[:-1].ravel() - 1, drawn[1:].ravel() - 1
    assert abs((one * other).mean()) < 5 / math.sqrt(count)


def test_a_gap_does_not_depend_on_those_before_it() -> None:
    """Drawn at once or in pieces, of one producer or of many, each number is the same."""
    starts = streams(3, "measure", [4, 9, 10_000])
    whole = gaps(starts, np.zeros(3, np.int64), 50)

    assert (gaps(starts, np.array([10, 20, 30]), 20)[2] == whole[2, 30:]).all()
    assert (gaps(streams(3, "measure", [9]), np.array([17]), 5)[0] == whole[1, 17:22]).all()


@pytest.mark.parametrize("other", [(2, "measure"), (-1, "measure"), (1, "warm-up"), (1, "probe 1")])
def test_seeds_and_phases_have_times_of_their_own(other: tuple[int, str]) -> None:
    """And the same ones come of the same."""
    mine = [0, 1]
    assert everything(stripe_of(mine, 2), mine) == everything(stripe_of(mine, 2), mine)
    assert everything(stripe_of(mine, 2, seed=other[0], phase=other[1]), mine) != everything(stripe_of(mine, 2), mine)


@settings(deadline=None, max_examples=40)
@given(
    owners=st.lists(st.integers(0, 3), min_size=1, max_size=12),
    seed=st.integers(-(2**63), 2**63 - 1),
    cells=st.sampled_from([1, 64, 1024]),
)
def test_the_stripes_of_any_workers_are_the_one_schedule(owners: list[int], seed: int, cells: int) -> None:
    """Each producer has the same times whatever worker it is in, and however many are drawn at once."""
    producers = len(owners)
    everyone = list(range(producers))
    together: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(poisson, "CELLS", cells)
        for worker in set(owners):
            mine = [producer for producer, owner in enumerate(owners) if owner == worker]
            own = everything(stripe_of(mine, producers, seed=seed), mine)
            assert own == sorted(own, key=lambda one: one[0])
            together += own

    assert sorted(together) == sorted(everything(stripe_of(everyone, producers, seed=seed), everyone))


@settings(deadline=None, max_examples=40)
@given(mine=st.sampled_from([[0], [1, 2], [0, 1, 2]]), steps=st.lists(st.integers(0, SECOND), max_size=12))
def test_no_debt_is_forgiven(mine: list[int], steps: list[int]) -> None:
    """Whenever one looks, what is due is what was intended until then, sent or not; the rest is still to come."""
    times = [time for time, _ in everything(stripe_of(mine, 3), mine)]
    stripe, now, sent = stripe_of(mine, 3), 1_000, 0

    for step in steps:
        now += step
        due = stripe.due(now)
        assert due == sum(time <= now for time in times)
        if step % 2 and sent < due:
            end = min(sent + 64, due)
            dealt = stripe.by_producer(sent, end)
            assert sorted(time for _, some in dealt for time in some) == times[sent:end]
            sent = end
        assert stripe.intended_or_none(sent) == (times[sent] if sent < len(times) else None)
        assert stripe.remaining(sent) >= min(1, len(times) - sent)
    stripe.due(FOREVER)
    assert stripe.remaining(sent) == len(times) - sent


def test_arrivals_follow_the_profile() -> None:
    """Each stretch has its share, within five standard deviations, and nothing comes in a pause."""
    times = np.array([time - 1_000 for time, _ in everything(stripe_of(list(range(7)), 7), list(range(7)))])

    for begin, end, expected in ((0, 1, 300), (1, 2, 600), (2.5, 3.5, 450)):
        count = ((times >= begin * SECOND) & (times < end * SECOND)).sum()
        assert abs(count - expected) < 5 * math.sqrt(expected)
    assert not ((times >= 2 * SECOND) & (times < 2.5 * SECOND)).any()
    assert 0 <= times.min() <= times.max() < PROFILE.duration_ns


def test_each_producer_has_its_equal_share() -> None:
    """Independent of the others: of 8 producers each sends an eighth, within five standard deviations."""
    senders = [
        producer for _, producer in everything(stripe_of(list(range(8)), 8, constant(8_000, SECOND)), list(range(8)))
    ]

    counts = np.bincount(senders, minlength=8)
    assert (abs(counts - 1_000) < 5 * math.sqrt(1_000)).all()
    assert len(set(counts.tolist())) > 1


def test_a_part_of_the_messages_can_be_asked_for() -> None:
    """As is done for those that are never sent: every seventh of them, over all windows."""
    stripe = stripe_of([0], 1, constant(5_000, SECOND))
    due = stripe.due(FOREVER)
    times = stripe.intended_block(0, due)

    for first in (0, 3, 1_500):
        assert stripe.intended_of(range(first, due, 7)) == times[first:due:7]


def test_what_is_forgotten_is_not_kept() -> None:
    """A long run keeps what is due and not sent, and what was drawn with it."""
    stripe = stripe_of([0], 1, constant(100_000, 100 * SECOND))
    for second in range(1, 20):
        due = stripe.due(second * SECOND)
        stripe.forget(due - 1)
        assert len(stripe.by_producer(due - 1, due)) == 1
        assert len(stripe._blocks) <= 2
    assert repr(stripe) == f"<PoissonStripe [1 producers, {stripe._known} messages]>"
