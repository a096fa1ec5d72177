"""When a failed message is tried again, and when no more. Pure."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from ombdriver.messaging.errors import MessagingValueError, tells_unknown_options


@tells_unknown_options(
    {
        "base delay initial initial_delay initial_interval start wait": "give first_s, in seconds",
        "max_delay max_interval maximum max_wait": "give cap_s, in seconds",
        "factor multiplier exponent": "each wait is twice the one before; for others give RetryPolicy a function",
    }
)
@dataclass(frozen=True, slots=True)
class ExponentialBackoff:
    """Waits that double: about `first_s * 2**(deliveries - 1)` seconds, at most `cap_s`.

    Attributes:
        first_s: the wait after the first delivery, in seconds.
        cap_s: the bound that no wait passes, in seconds.
        jitter: the part of a wait that is left to chance, 0 to 1, so that what failed together is not tried together.

    Raises:
        MessagingValueError: if one of them can't be.
    """

    first_s: float = 0.2
    cap_s: float = 20.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        given = (self.first_s, self.cap_s, self.jitter)
        if not all(isinstance(each, int | float) and each >= 0 for each in given) or self.jitter > 1:
            raise MessagingValueError(f"{self!r}: give seconds of 0 or more, and a jitter from 0 to 1")

    def longest_s(self, deliveries: int) -> float:
        """The longest wait after so many deliveries (1 or more), in seconds."""
        return min(self.cap_s, self.first_s * 2.0 ** min(max(deliveries, 1) - 1, 60))

    def __call__(self, deliveries: int) -> float:
        """A wait after so many deliveries: `longest_s`, less up to `jitter` of it."""
        return self.longest_s(deliveries) * (1 - self.jitter * random.random())


@tells_unknown_options(
    {
        "attempts max_attempts max_deliver max_retries max_tries retries times": "give max_deliveries, the first one"
        " among them",
        "delay retry_delay wait wait_s interval": "give backoff=ExponentialBackoff(first_s=…)",
    }
)
@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a message is delivered, and how long after a failure it is delivered again.

    Attributes:
        max_deliveries: so many in all, by the count that the server keeps for each pending entry: what a process
            began before it was killed counts too. None for no bound.
        backoff: from deliveries so far to seconds of waiting; a function of yours, or `ExponentialBackoff`.

    Raises:
        MessagingValueError: if `max_deliveries` is not None or 1 or more, or `backoff` can't be called.
    """

    max_deliveries: int | None = 5
    backoff: Callable[[int], float] = field(default_factory=ExponentialBackoff)

    def __post_init__(self) -> None:
        most = self.max_deliveries
        if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
            raise MessagingValueError(f"max_deliveries is {most!r}; give 1 or more, or None for no bound")
        if not callable(self.backoff) or isinstance(self.backoff, type):
            raise MessagingValueError(
                f"backoff is {self.backoff!r}; give ExponentialBackoff(), or a function from deliveries to seconds"
            )

    def allows(self, deliveries: int) -> bool:
        """Whether a message may be delivered for the `deliveries`-th time."""
        return self.max_deliveries is None or deliveries <= self.max_deliveries

    def wait_s(self, deliveries: int) -> float:
        """Seconds until the next delivery of a message that failed at its `deliveries`-th; 0 or more."""
        return max(0.0, float(self.backoff(deliveries)))
