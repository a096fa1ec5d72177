"""`HostClock`: what is translated between the clock of a host and that of the run."""

import numpy as np

from ombdriver.bench.load.host_clock import SAME_HOST, HostClock
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.load.profile import constant

PHASE = Phase(3, "measure", 5_000, 10**9, 100, constant(100, 10**9))


def test_orders_and_stamps_are_moved_by_the_offset() -> None:
    """A host whose clock is 1,000 ns behind that of the run has to be given 1,000."""
    clock = HostClock(1_000)

    assert clock.from_run(5_000) == 4_000
    assert clock.phase_from_run(PHASE) == Phase(3, "measure", 4_000, 10**9, 100, constant(100, 10**9))
    assert clock.stamps_from_run(np.array([5_000, 0])).tolist() == [4_000, -1_000]


def test_on_the_host_that_commands_nothing_is_touched() -> None:
    """The very same objects, so that a local run pays nothing for it."""
    stamps = np.array([5_000])

    assert SAME_HOST.phase_from_run(PHASE) is PHASE
    assert SAME_HOST.stamps_from_run(stamps) is stamps
    assert SAME_HOST.from_run(5_000) == 5_000
