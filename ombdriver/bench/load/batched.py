"""The load of a producer that sends in batches: what is due within an interval is due at its beginning. Pure."""

from collections.abc import Sequence

from ombdriver.bench.load.poisson import PoissonStripe
from ombdriver.bench.load.schedule import Stripe


class BatchedStripe:
    """A stripe whose messages are due at the beginnings of intervals, all those of one together (`schedule.Stripe`).

    So a batch is part of the load, and no message is late for being in one.

    Args:
        stripe: when each would be due by itself.
        start_ns: when the first interval begins.
        interval_ns: the length of each.
    """

    def __init__(self, stripe: Stripe | PoissonStripe, start_ns: int, interval_ns: int) -> None:
        self._stripe, self._start_ns, self._interval_ns = stripe, start_ns, interval_ns
        self.remaining, self.producer, self.producers_of = stripe.remaining, stripe.producer, stripe.producers_of
        self.forget = stripe.forget

    def __repr__(self) -> str:
        return f"<BatchedStripe every {self._interval_ns / 1e6:g} ms of {self._stripe}>"

    def _begin(self, time_ns: int) -> int:
        """When the interval begins that holds `time_ns`."""
        return time_ns - (time_ns - self._start_ns) % self._interval_ns

    def due(self, now_ns: int) -> int:
        """How many of these messages are intended at or before `now_ns`."""
        if now_ns < self._start_ns:
            return 0
        return self._stripe.due(self._begin(now_ns) + self._interval_ns - 1)

    def intended_or_none(self, j: int) -> int | None:
        """When local message `j` is intended; None when there is none."""
        time_ns = self._stripe.intended_or_none(j)
        return None if time_ns is None else self._begin(time_ns)

    def intended_of(self, which: range) -> list[int]:
        """When each of these local messages is intended."""
        return list(map(self._begin, self._stripe.intended_of(which)))

    def by_producer(self, j0: int, j1: int) -> Sequence[tuple[int, Sequence[int]]]:
        """The local messages `j0` to `j1` - 1 by producer: when each is intended."""
        return [(at, list(map(self._begin, times))) for at, times in self._stripe.by_producer(j0, j1)]
