"""The faults that `ombdriver chaos` meets every setup with: the ones that people ask of. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ombdriver.bench.units import SECOND, format_duration

TAG = "chaos"
"""The tag of results that names their standard fault."""
LATEST_NS = 10 * SECOND
"""A fault is injected so long after the window begins, or after a quarter of it where that is less."""
ROOM_NS = 3 * SECOND
"""Time that is left to see a recovery, after the last of a fault has been healed."""


@dataclass(frozen=True, slots=True)
class StandardFault:
    """One of them.

    Attributes:
        name: as in options, names of workloads and tables.
        what: what it stands for, in a few words.
        entry: as a workload has it, without its time.
        lasts_ns: from the injection until it is healed.
    """

    name: str
    what: str
    entry: Mapping[str, object]
    lasts_ns: int

    def entry_in(self, test_ns: int) -> Mapping[str, object]:
        """The entry for a measured window of that length.

        Raises:
            ValueError: if it is too short to see what came of it.
        """
        least_ns = self.least_ns
        if test_ns < least_ns:
            raise ValueError(
                f"{self.name} needs {format_duration(least_ns)} of measured time; write --duration"
                f" {format_duration(least_ns)} or more"
            )
        return {"at": format_duration(_at_ns(test_ns)), **self.entry}

    @property
    def least_ns(self) -> int:
        """The shortest measured time in which it has room, in whole seconds."""
        # A quarter goes before it, and three are for it and for the recovery.
        seconds = -(-(self.lasts_ns + ROOM_NS) * 4 // (3 * SECOND))
        return seconds * SECOND


def _at_ns(test_ns: int) -> int:
    return min(LATEST_NS, test_ns // 4 // 1_000_000 * 1_000_000)


STANDARD: Sequence[StandardFault] = (
    StandardFault(
        "restart",
        "the primary dies, and is started again after half a second",
        {"kill": "primary", "restartAfter": "500ms"},
        SECOND // 2,
    ),
    StandardFault(
        "kill",
        "the primary dies, and is back after 8 s: where a replica can take over, it does",
        {"kill": "primary", "restartAfter": "8s"},
        8 * SECOND,
    ),
    StandardFault(
        "restart-all",
        "all servers with data die, and are started again after half a second",
        {"kill": "servers", "restartAfter": "500ms"},
        SECOND // 2,
    ),
    StandardFault("hang", "the primary hangs for 2 s", {"for": "2s", "pause": "primary"}, 2 * SECOND),
    StandardFault("failover", "a replica takes over in order", {"failover": "ordered"}, SECOND),
    StandardFault(
        "cut",
        "clients can't reach the primary for 2 s",
        {"for": "2s", "link": {"between": ["clients", "primary"], "down": True}},
        2 * SECOND,
    ),
)
"""All of them, in the order in which they are injected."""
