"""What servers are started with so that a run can break them. Pure.

Each part costs something all through a run, so servers get only what the faults of a run ask for.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Equipment:
    """What servers that hold data are started with.

    Attributes:
        fsync_gate: their fsyncs are carried out by another process (`fsync_gate_process`).
        own_clock: they have a clock of their own (`own_clock`).
    """

    fsync_gate: bool = False
    own_clock: bool = False

    @classmethod
    def of(cls, wanted: Iterable["Equipment"]) -> "Equipment":
        """All that any of them has."""
        each = tuple(wanted)
        return cls(any(one.fsync_gate for one in each), any(one.own_clock for one in each))


NOTHING = Equipment()
