"""What the processes of a run take becomes series and shares: the server's, the workers', the parent's. Pure.

Shares of processor time are of one core, so 2.0 is two cores in full. Knows no clock and no process.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ombdriver.bench.metrics.report import ProcessUsage
from ombdriver.bench.telemetry.summary import CpuShare, rounded
from ombdriver.bench.telemetry.window import MOST_SAMPLES, Downsampled, Window, WindowEnds
from ombdriver.bench.units import SECOND

CLOSEST_NS = SECOND // 5
"""Samples closer than this have no share: Linux counts processor time in steps of 10 ms."""

OuterUsage = tuple[int, int] | None
"""(processor time since the start in ns, resident bytes now) of a process as seen from outside; None when unseen."""


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """All processes at one moment.

    Attributes:
        at_ns: when, on the monotonic clock.
        outer: as seen from outside, by name.
        own: what processes of ours last reported of themselves, by name.
    """

    at_ns: int
    outer: Mapping[str, OuterUsage]
    own: Mapping[str, ProcessUsage]


OWN_SERIES = {
    "loopStalls": ("stalls", 1),
    "stalledMs": ("stalled_ns", 1e6),
    "collections": ("gc_pauses", 1),
    "collectingMs": ("gc_ns", 1e6),
}
"""Series of our own processes: the attribute of `ProcessUsage` whose growth each one is, and its unit."""


class ProcessSeries:
    """The processes of one run over time.

    Args:
        most: samples that are kept.
    """

    def __init__(self, most: int = MOST_SAMPLES) -> None:
        self._kept: Downsampled[ProcessSample] = Downsampled(most)
        self._ends: WindowEnds[ProcessSample] = WindowEnds()
        self._peaks: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<ProcessSeries {self._kept}>"

    def begin(self, window: Window) -> None:
        """That window counts; peaks begin anew."""
        self._ends.begin(window)
        self._peaks = {}

    def add(self, sample: ProcessSample) -> None:
        """Adds a sample; they come in order."""
        if (before := self._ends.add(sample)) is not None:
            for name in sample.outer:
                share = cpu_share(before, sample, name)
                if share is not None:
                    self._peaks[name] = max(self._peaks.get(name, 0.0), share)
        self._kept.add(sample)

    def cpu(self, name: str) -> CpuShare:
        """The share of a core that a process took over the window; its peak is never less than its mean."""
        mean = cpu_share(*self._ends.both, name) if self._ends.both else None
        peak = max((each for each in (mean, self._peaks.get(name)) if each is not None), default=None)
        return CpuShare(mean, peak)

    def to_json(self, server: str, parent: str, workers: Mapping[str, str]) -> dict[str, Any]:
        """Everything, as plain data for a result; times in seconds from the start of the window.

        Args:
            server: the name of the server's process.
            parent: that of the parent.
            workers: roles, by the names of the workers.
        """
        kept = self._kept.items
        return {
            "t": [self._ends.window.seconds(each.at_ns) for each in kept],
            "server": self._outer_series(server) if kept and server in kept[0].outer else None,
            "parent": self._outer_series(parent) | self._own_series(parent),
            "workers": [
                {"role": role} | self._outer_series(name) | self._own_series(name) for name, role in workers.items()
            ],
        }

    def _outer_series(self, name: str) -> dict[str, Any]:
        kept = self._kept.items
        shares = [cpu_share(before, now, name) for before, now in pairwise(kept)]
        resident = [usage[1] if (usage := each.outer.get(name)) else None for each in kept]
        return {"cpu": [None, *map(rounded, shares)][: len(kept)], "rssBytes": resident}

    def _own_series(self, name: str) -> dict[str, Any]:
        kept = [each.own.get(name) for each in self._kept.items]
        return {key: _increases(kept, attribute, unit) for key, (attribute, unit) in OWN_SERIES.items()}


def cpu_share(before: ProcessSample, now: ProcessSample, name: str) -> float | None:
    """The share of a core that a process took from one sample to another; None when not seen at both, or too close."""
    then, at = before.outer.get(name), now.outer.get(name)
    if then is None or at is None or now.at_ns - before.at_ns < CLOSEST_NS:
        return None
    return max(0, at[0] - then[0]) / (now.at_ns - before.at_ns)


def _increases(reports: Sequence[ProcessUsage | None], attribute: str, unit: float) -> list[float | None]:
    """By how much a count grew from sample to sample; one that began anew with a phase meanwhile stands for itself."""
    found: list[float | None] = [None]
    for before, now in pairwise(reports):
        if now is None:
            found.append(None)
            continue
        goes_on = before is not None and before.since_ns == now.since_ns
        increase = getattr(now, attribute) - (getattr(before, attribute) if goes_on else 0)
        found.append(increase if unit == 1 else rounded(increase / unit))
    return found[: len(reports)]
