"""What was injected and healed, and when: the record of one run. Plain data."""

from collections.abc import Sequence
from dataclasses import dataclass

from ombdriver.bench.faults.spec import FaultSpec


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """One injection. Times are from the beginning of the measured window, in nanoseconds.

    Attributes:
        spec: which fault.
        hit: the names of those that were hit; none where it could not be injected.
        asked_ns: when it was to be injected.
        injected_ns: when it was.
        healed_ns: when it was healed; None where it was not, or there was nothing to heal.
        error: why it could not be injected, or not be healed; None when it could.
        data_lost: whether a server came back without anything of before.
    """

    spec: FaultSpec
    hit: Sequence[str]
    asked_ns: int
    injected_ns: int
    healed_ns: int | None = None
    error: str | None = None
    data_lost: bool = False
