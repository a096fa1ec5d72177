"""What others say of how two clocks stand to each other, beside what exchanges prove (`clock_bounds`). Pure.

A witness knows nothing of the exchanges, and comes another way: the kernel of each host, which keeps a wall clock and
an opinion of its error, and each server, whose TIME every host may ask for. It moves no figure; one that contradicts
the bound says that one of the two is wrong.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ombdriver.bench.load.host_clock import ServerTime
from ombdriver.bench.units import SECOND

STEPPED_RATE = 1e-3
"""By how much the clock of the server and that of a host may drift apart; see `clock_bounds.STEERED_RATES`."""


@dataclass(frozen=True, slots=True)
class WallReading:
    """Both clocks of a host at one moment, and what its kernel holds of the wall clock (adjtimex).

    Attributes:
        monotonic_ns, wall_ns: read within `between_ns` of each other.
        between_ns: see there.
        synchronised: whether the kernel takes its wall clock for kept by somebody; None where it does not tell.
        max_error_ns: how wrong it may be then, by the kernel.
        estimated_error_ns: how wrong it is likely to be.
        frequency_ppm: by how much the kernel corrects the rate of its clocks.
    """

    monotonic_ns: int
    wall_ns: int
    between_ns: int
    synchronised: bool | None = None
    max_error_ns: int = 0
    estimated_error_ns: int = 0
    frequency_ppm: float = 0.0

    @property
    def ahead_of_wall_ns(self) -> int:
        """By how much the monotonic clock is ahead of the wall clock, which changes only when that one steps."""
        return self.monotonic_ns - self.wall_ns

    def to_json(self) -> dict[str, Any]:
        """What a result tells of it."""
        return {
            "synchronised": self.synchronised,
            "maxErrorMs": self.max_error_ns / 1e6,
            "estimatedErrorMs": self.estimated_error_ns / 1e6,
            "frequencyPpm": round(self.frequency_ppm, 3),
        }


@dataclass(frozen=True, slots=True)
class Claim:
    """By how much the clock of a host is ahead of the run's, as a witness has it.

    Attributes:
        witness: `kernel` or `serverTime`.
        at_ns: when, on the run's clock.
        ahead_ns: what it says.
        error_ns: how wrong that may be, as the witness has it.
        server: which server it is; empty for the kernel, and where the driver calls it nothing.
    """

    witness: str
    at_ns: int
    ahead_ns: int
    error_ns: int
    server: str = ""

    def beyond_ns(self, offset_ns: int, bound_ns: int) -> int:
        """By how much it contradicts that the host is `offset_ns` ahead, within `bound_ns`; 0 if both may be true."""
        return max(0, abs(self.ahead_ns - offset_ns) - bound_ns - self.error_ns)


def kernels_claim(own: WallReading, there: WallReading) -> Claim | None:
    """What the kernels of the run's host and of another one say; None where either keeps no true wall clock."""
    if not own.synchronised or not there.synchronised:
        return None
    error_ns = own.max_error_ns + there.max_error_ns + own.between_ns + there.between_ns
    return Claim("kernel", own.monotonic_ns, there.ahead_of_wall_ns - own.ahead_of_wall_ns, error_ns)


def servers_claims(own: Sequence[ServerTime], there: Sequence[ServerTime]) -> list[Claim]:
    """What the clock of each server says that the run's host and another one have both asked for.

    Where either knows but one it is the same, whatever they call it.
    """
    here, other = _by_server(own), _by_server(there)
    if len(here) == len(other) == 1:
        ((name, times),) = other.items()
        (mine,) = here.values()
        return [_claim(name, mine, times)]
    return [_claim(name, here[name], times) for name, times in other.items() if name in here]


def _by_server(times: Sequence[ServerTime]) -> dict[str, list[ServerTime]]:
    found: dict[str, list[ServerTime]] = {}
    for each in times:
        found.setdefault(each.server, []).append(each)
    return found


def _claim(server: str, own: Sequence[ServerTime], there: Sequence[ServerTime]) -> Claim:
    """The narrowest of each count. What the server's clock steps or drifts between the two is part of the error."""
    here, other = (min(some, key=lambda each: each.answered_ns - each.asked_ns) for some in (own, there))
    low = (other.asked_ns - other.server_ns) - (here.answered_ns - here.server_ns)
    high = (other.answered_ns - other.server_ns) - (here.asked_ns - here.server_ns)
    apart_ns = abs(other.server_ns - here.server_ns)
    at_ns = here.asked_ns + (here.answered_ns - here.asked_ns) // 2
    whole_ns = SECOND // 10**6  # TIME is in whole microseconds
    # The rate is of true time, of which a clock that is slowed by it has told less.
    slack_ns = math.ceil(STEPPED_RATE / (1 - STEPPED_RATE) * (apart_ns + whole_ns)) + whole_ns
    return Claim("serverTime", at_ns, (low + high) // 2, (high - low + 1) // 2 + slack_ns, server)
