"""What servers are started with so that a run can break them. Pure.

Each part costs something all through a run, so servers get only what the faults of a run ask for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Equipment:
    """What servers that hold data are started with.

    Attributes:
        fsync_gate: their fsyncs are carried out by another process (`fsync_gate_process`).
        own_clock: they have a clock of their own (`own_clock`).
        own_address: they have an address of their own (`own_address`), Sentinels too, and call each other by links.
    """

    fsync_gate: bool = False
    own_clock: bool = False
    own_address: bool = False

    @classmethod
    def of(cls, wanted: Iterable["Equipment"]) -> "Equipment":
        """All that any of them has."""
        each = tuple(wanted)
        return cls(*(any(getattr(one, part.name) for one in each) for part in fields(cls)))


NOTHING = Equipment()
