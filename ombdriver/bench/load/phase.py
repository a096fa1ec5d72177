"""A phase of a run, its schedule, and what that asks for over any part of it, in messages per second. Pure.

A constant rate is what it is; of a rate that changes it is the mean; of random arrivals it is what is due then, which
is known before it is sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ombdriver.bench.load.poisson import PoissonArrivals, PoissonStripe
from ombdriver.bench.load.profile import Profile, constant
from ombdriver.bench.load.schedule import Schedule, Stripe
from ombdriver.bench.units import SECOND


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the run with a schedule of its own.

    Attributes:
        index: its place among the phases, from 0.
        name: `warm-up` or `measure`.
        start_ns: when its first message is due, on the monotonic clock.
        duration_ns: how long messages go on to become due.
        rate: messages per second over all producers; the highest where it changes.
        profile: how the rate changes, as long as the phase; None when it does not.
        poisson: that arrivals are random; None when messages are evenly spaced.
    """

    index: int
    name: str
    start_ns: int
    duration_ns: int
    rate: int
    profile: Profile | None = None
    poisson: PoissonArrivals | None = None

    @property
    def end_ns(self) -> int:
        """When the last message of the schedule has become due."""
        return self.start_ns + self.duration_ns

    def stripe(self, producers_total: int, mine: Sequence[int]) -> Stripe | PoissonStripe:
        """The part of its schedule that some producers send.

        Args:
            producers_total: how many producers the run has.
            mine: the numbers of those that are meant, rising.
        """
        profile = self.profile or constant(self.rate, self.duration_ns)
        if self.poisson is not None:
            return PoissonStripe(self.start_ns, profile, self.poisson, mine, self.name)
        return Stripe(Schedule(self.start_ns, profile), producers_total, mine)


class TargetRate:
    """What the schedule of a phase asks for.

    Args:
        phase: which.
        step_ns: random arrivals are counted in steps of that; parts that are asked for begin and end with one, but for
            the end of the last.
    """

    def __init__(self, phase: Phase, step_ns: int) -> None:
        self._phase, self._step_ns = phase, step_ns
        self._profile = phase.profile or constant(phase.rate, phase.duration_ns)
        self._stripe: PoissonStripe | None = None
        if (poisson := phase.poisson) is not None:
            self._stripe = PoissonStripe(0, self._profile, poisson, range(poisson.producers), phase.name)
        self._counts = [0]

    @property
    def is_constant(self) -> bool:
        """Whether the rate is the same in every part."""
        return self._stripe is None and self._phase.profile is None

    def rate(self, begin_ns: int, end_ns: int) -> float:
        """Messages per second from `begin_ns` to `end_ns` of the phase."""
        if self.is_constant or end_ns <= begin_ns:
            return self._phase.rate
        return (self._messages(end_ns) - self._messages(begin_ns)) * SECOND / (end_ns - begin_ns)

    def _messages(self, elapsed_ns: int) -> float:
        """How many messages are due before that."""
        if self._stripe is None:
            return self._profile.messages(elapsed_ns)
        steps, rest_ns = divmod(elapsed_ns, self._step_ns)
        for step in range(len(self._counts), steps + 1):
            self._counts.append(self._stripe.due(step * self._step_ns - 1))
            self._stripe.forget(self._counts[-1])
        return self._stripe.due(elapsed_ns - 1) if rest_ns else self._counts[steps]
