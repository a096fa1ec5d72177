"""How the monotonic clock of a host stands to the clock of the run, which is that of the host that commands it. Pure.

A worker lives by the clock of its own host. Times cross in the clock of the run, and are translated in three places:
orders when they come in, stamps when they go out, and the stamps of messages that arrive.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ombdriver.bench.load.phase import Phase


@dataclass(frozen=True, slots=True)
class HostClock:
    """The clock of one host.

    Attributes:
        offset_ns: what a time of this host is to be given to be the run's, in nanoseconds; 0 on the host that commands.
    """

    offset_ns: int = 0

    def from_run(self, run_ns: int) -> int:
        """A time of the run, on this host's clock."""
        return run_ns - self.offset_ns

    def phase_from_run(self, phase: Phase) -> Phase:
        """A phase of the run, by this host's clock."""
        return replace(phase, start_ns=self.from_run(phase.start_ns)) if self.offset_ns else phase

    def stamps_from_run(self, run_ns: "NDArray[np.int64]") -> "NDArray[np.int64]":
        """The times of many stamps, on this host's clock; the very same array where there is nothing to translate."""
        return run_ns - self.offset_ns if self.offset_ns else run_ns


SAME_HOST = HostClock()
"""On the host that commands, both clocks are one."""


@dataclass(frozen=True, slots=True)
class ServerTime:
    """One TIME of a server, asked for by a host.

    Attributes:
        asked_ns, answered_ns: on the host's monotonic clock.
        server_ns: what the server said in between, on its wall clock.
        server: which one, as the driver calls it on every host; empty where there is but one.
    """

    asked_ns: int
    server_ns: int
    answered_ns: int
    server: str = ""
