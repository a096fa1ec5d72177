"""Flows: a flow is what one producer sends to one partition of its topic.

The messages of a flow have sequence numbers from 0 on without a gap, so what is lost, duplicated or out of order shows
by them. Knows the stamp; no topic, driver or delivery. Pure, on numpy.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SEQUENCES = 1 << 44
"""Sequence numbers are below this, so that a flow and a sequence number fit into one integer of 64 bits."""


@dataclass(frozen=True, slots=True)
class Flows:
    """The flows of a run, numbered from 0.

    Attributes:
        run: the run's number in the stamp.
        producers: how many producers the run has; 0 when it only reads.
        partitions: of each topic.
    """

    run: int
    producers: int
    partitions: int

    @property
    def count(self) -> int:
        """How many flows there are."""
        return self.producers * self.partitions

    def number(self, producer: int, partition: int) -> int:
        """The number of the flow of `producer` to `partition`."""
        return producer * self.partitions + partition

    def ends(self, flow: int) -> tuple[int, int]:
        """The producer and the partition of a flow."""
        return divmod(flow, self.partitions)

    def numbers(self, stamps: "NDArray[np.void]") -> "NDArray[np.int64]":
        """The flow of each of `stamps` (`STAMP_DTYPE`, shape (n,)), which are of this run."""
        found: NDArray[np.int64] = stamps["producer"].astype(np.int64) * self.partitions + stamps["partition"]
        return found

    def owns(self, stamps: "NDArray[np.void]") -> "NDArray[np.bool_]":
        """Which of `stamps` (`STAMP_DTYPE`, shape (n,)) are of this run: of its flows, or of its probes."""
        own: NDArray[np.bool_] = (stamps["run"] == self.run) & (stamps["producer"] < self.producers)
        own &= stamps["partition"] < self.partitions
        own &= is_probe(stamps) | (stamps["sequence"] < SEQUENCES)
        return own


def is_probe(stamps: "NDArray[np.void]") -> "NDArray[np.bool_]":
    """Which of `stamps` are of probes: they are sent outside of every phase and belong to no flow."""
    found: NDArray[np.bool_] = stamps["intended_ns"] == 0
    return found
