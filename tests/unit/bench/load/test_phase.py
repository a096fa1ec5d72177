"""`TargetRate`: what the schedule of a phase asks for over any part of it."""

import pytest

from ombdriver.bench.load.phase import Phase, TargetRate
from ombdriver.bench.load.poisson import PoissonArrivals, PoissonStripe
from ombdriver.bench.load.profile import Profile, Stretch, constant
from ombdriver.bench.units import SECOND

RAMP = Profile((Stretch(4 * SECOND, 0, 400), Stretch(2 * SECOND, 0, 0)))


def test_a_constant_rate_is_the_same_in_every_part() -> None:
    """As it was given."""
    targets = TargetRate(Phase(1, "measure", 10**12, 10 * SECOND, 2000), SECOND)

    assert targets.is_constant
    assert targets.rate(0, SECOND) == targets.rate(3, 17) == 2000


def test_a_run_that_only_reads_asks_for_nothing() -> None:
    """Its phases have a rate of 0, which no schedule has."""
    targets = TargetRate(Phase(0, "measure", 0, SECOND, 0), SECOND)

    assert targets.is_constant
    assert targets.rate(0, SECOND) == 0


def test_of_a_profile_each_part_has_its_mean() -> None:
    """From 0 to 400/s in 4 s that is 50/s in the first second, 350/s in the last; then nothing."""
    targets = TargetRate(Phase(1, "measure", 10**12, 6 * SECOND, 400, RAMP), SECOND)

    assert not targets.is_constant
    rates = [targets.rate(at * SECOND, (at + 1) * SECOND) for at in range(6)]
    assert rates == pytest.approx([50, 150, 250, 350, 0, 0])
    assert targets.rate(0, 6 * SECOND) == pytest.approx(800 / 6)


@pytest.mark.parametrize("profile", [None, RAMP])
def test_of_random_arrivals_it_is_what_is_due_then(profile: Profile | None) -> None:
    """To the message, also of a last part that is a shorter one; whoever asks first."""
    random = PoissonArrivals(5, 3)
    phase = Phase(1, "measure", 10**12, 6 * SECOND, 400, profile, random)
    stripe = PoissonStripe(phase.start_ns, profile or constant(400, 6 * SECOND), random, range(3), "measure")
    stripe.due(10**18)
    times = stripe.intended_block(0, stripe.due(10**18))

    def due(begin_ns: int, end_ns: int) -> int:
        return sum(begin_ns <= time - phase.start_ns < end_ns for time in times)

    targets = TargetRate(phase, SECOND)
    for begin_ns, end_ns in ((0, SECOND), (2 * SECOND, 4 * SECOND), (0, 5 * SECOND), (5 * SECOND, 5_500_000_000)):
        expected = due(begin_ns, end_ns) * SECOND / (end_ns - begin_ns)
        assert targets.rate(begin_ns, end_ns) == pytest.approx(expected)
