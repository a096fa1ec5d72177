"""How much memory is taken: by this process, in two ways, and by the server. Sampled as the run goes on."""

import gc
import sys
from dataclasses import dataclass, field

import psutil

from ombdriver.testing import LocalServer
from tests.soak.trend import Trend, trend_of

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that must not grow.

    Attributes:
        name: what it is.
        unit: for people.
        per_unit: how many of what is sampled make one.
        allowed: growth in the time judged that is no leak yet, in units: an allocator's whims, caches.
    """

    name: str
    unit: str
    per_unit: float
    allowed: float


FIGURES = (
    # Objects of up to 512 bytes, counted by Python itself: one that is kept for each message shows within seconds.
    Figure("number of objects of this process", "thousand", 1_000, 4.0),
    # Everything else, the buffers of sockets and large values among it.
    Figure("memory of this process", "MiB", MIB, 6.0),
    # Streams, pending entries, consumers, dead letters, helper keys.
    Figure("memory of the server", "MiB", MIB, 3.0),
)


@dataclass(slots=True)
class Memory:
    """The samples of one run, a list for each of `FIGURES`."""

    server: LocalServer
    samples: list[list[tuple[float, float]]] = field(default_factory=lambda: [[] for _ in FIGURES])

    def sample(self, time_s: float) -> None:
        """Takes a sample, without what is garbage."""
        gc.collect()
        values = (sys.getallocatedblocks(), psutil.Process().memory_info().rss, self._used())
        for figure, samples, value in zip(FIGURES, self.samples, values, strict=True):
            samples.append((time_s, value / figure.per_unit))

    def trends(self) -> list[tuple[Figure, Trend]]:
        """How each figure went; raises ValueError if there are too few samples."""
        return [(figure, trend_of(samples)) for figure, samples in zip(FIGURES, self.samples, strict=True)]

    def _used(self) -> int:
        told = str(self.server.ask("INFO", "memory"))
        return int(told.partition("used_memory:")[2].split()[0])
