"""What is done to what goes through a link. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from ombdriver.bench.units import format_duration

MODES = ("down", "reset", "halfOpen", "swallow")
"""What is done to a link in place of slowing it down; told in `link_process`."""


@dataclass(frozen=True, slots=True)
class LinkShape:
    """What is done to what goes through a link; nothing without any of it.

    Attributes:
        mode: one of `MODES`; empty for none, and then the others hold.
        latency_ns: added to each direction.
        jitter_ns: by so much it is more or less, evenly distributed.
        bandwidth: bytes a second of each direction; 0 for no limit.
    """

    mode: str = ""
    latency_ns: int = 0
    jitter_ns: int = 0
    bandwidth: int = 0

    def __str__(self) -> str:
        """For people."""
        if self.mode:
            return self.mode
        found = {"latency": self.latency_ns, "jitter": self.jitter_ns}
        told = [f"{name} {format_duration(each)}" for name, each in found.items() if each]
        return ", ".join(told + ([f"bandwidth {self.bandwidth} B/s"] if self.bandwidth else [])) or "as it is"

    def to_order(self) -> Mapping[str, object]:
        """As `link_process` takes it."""
        found = {
            "mode": self.mode,
            "latencyNs": self.latency_ns,
            "jitterNs": self.jitter_ns,
            "bandwidth": self.bandwidth,
        }
        return {name: each for name, each in found.items() if each}
