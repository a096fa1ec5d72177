"""What the processes of a run take, and wait for, becomes series and shares; what the machine lacked as well. Pure.

Shares of processor time are of one core, so 2.0 is two cores in full. Knows no clock and no process.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ombdriver.bench.metrics.report import ProcessUsage
from ombdriver.bench.telemetry.contention import Contention
from ombdriver.bench.telemetry.summary import CpuShare, OuterUsage, rounded
from ombdriver.bench.telemetry.window import MOST_SAMPLES, Downsampled, Window, WindowEnds
from ombdriver.bench.units import SECOND

CLOSEST_NS = SECOND // 5
"""Samples closer than this have no share: Linux counts processor time in steps of 10 ms."""


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """All processes at one moment.

    Attributes:
        at_ns: when, on the monotonic clock.
        outer: as seen from outside, by name; None for one that was not seen.
        own: what processes of ours last reported of themselves, by name.
        contention: the machine's.
    """

    at_ns: int
    outer: Mapping[str, OuterUsage | None]
    own: Mapping[str, ProcessUsage]
    contention: Contention = field(default_factory=Contention)


OWN_SERIES = {
    "loopStalls": ("stalls", 1),
    "stalledMs": ("stalled_ns", 1e6),
    "collections": ("gc_pauses", 1),
    "collectingMs": ("gc_ns", 1e6),
}
"""Series of our own processes: the attribute of `ProcessUsage` whose growth each one is, and its unit."""


Counter = tuple[str, str]
"""What a share is of, and the name of the process; none for the machine."""
STEAL: Counter = ("steal", "")
PRESSURE: Counter = ("pressure", "")
MACHINE_CPU: Counter = ("cpu", "")
"""What the processors that the run may use did for everybody."""


def counters(sample: ProcessSample) -> dict[Counter, tuple[int, ...]]:
    """The counters of a sample, in ns; the greatest growth counts of one with several parts."""
    found: dict[Counter, tuple[int, ...]] = {}
    for name, usage in sample.outer.items():
        if usage is not None:
            found["cpu", name] = (usage.cpu_ns,)
            if usage.waited_ns is not None:
                found["waiting", name] = (usage.waited_ns,)
    if sample.contention.stolen_ns:
        found[STEAL] = sample.contention.stolen_ns
    if sample.contention.pressure_ns is not None:
        found[PRESSURE] = (sample.contention.pressure_ns,)
    if sample.contention.busy_ns is not None:
        found[MACHINE_CPU] = (sample.contention.busy_ns,)
    return found


class ProcessSeries:
    """The processes of one run over time.

    Args:
        most: samples that are kept.
    """

    def __init__(self, most: int = MOST_SAMPLES) -> None:
        self._kept: Downsampled[ProcessSample] = Downsampled(most)
        self._ends: WindowEnds[ProcessSample] = WindowEnds()
        self._peaks: dict[Counter, float] = {}

    def __repr__(self) -> str:
        return f"<ProcessSeries {self._kept}>"

    def begin(self, window: Window) -> None:
        """That window counts; peaks begin anew."""
        self._ends.begin(window)
        self._peaks = {}

    def add(self, sample: ProcessSample) -> None:
        """Adds a sample; they come in order."""
        if (before := self._ends.add(sample)) is not None:
            for counter, share in shares(before, sample).items():
                self._peaks[counter] = max(self._peaks.get(counter, 0.0), share)
        self._kept.add(sample)

    def cpu(self, name: str) -> CpuShare:
        """The share of a core that a process took over the window."""
        return self.share(("cpu", name))

    def waiting(self, name: str) -> CpuShare:
        """The share of the window for which a process waited for a core; of several, all of them together."""
        return self.share(("waiting", name))

    def share(self, counter: Counter) -> CpuShare:
        """By how much a counter grew over the window; its peak is never less than its mean."""
        mean = shares(*self._ends.both).get(counter) if self._ends.both else None
        peak = max((each for each in (mean, self._peaks.get(counter)) if each is not None), default=None)
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
            "machine": {name: self._shares((name, "")) for name, _ in (STEAL, PRESSURE, MACHINE_CPU)},
            "server": self._outer_series(server) if kept and server in kept[0].outer else None,
            "parent": self._outer_series(parent) | self._own_series(parent),
            "workers": [
                {"role": role} | self._outer_series(name) | self._own_series(name) for name, role in workers.items()
            ],
        }

    def _outer_series(self, name: str) -> dict[str, Any]:
        kept = self._kept.items
        resident = [usage.rss_bytes if (usage := each.outer.get(name)) else None for each in kept]
        return {kind: self._shares((kind, name)) for kind in ("cpu", "waiting")} | {"rssBytes": resident}

    def _shares(self, counter: Counter) -> list[float | None]:
        kept = self._kept.items
        found = [shares(before, now).get(counter) for before, now in pairwise(kept)]
        return [None, *map(rounded, found)][: len(kept)]

    def _own_series(self, name: str) -> dict[str, Any]:
        kept = [each.own.get(name) for each in self._kept.items]
        return {key: _increases(kept, attribute, unit) for key, (attribute, unit) in OWN_SERIES.items()}


def shares(before: ProcessSample, now: ProcessSample) -> dict[Counter, float]:
    """By how much each counter grew from one sample to another, per time; none when they are too close."""
    length_ns = now.at_ns - before.at_ns
    if length_ns < CLOSEST_NS:
        return {}
    then = counters(before)
    return {
        counter: max(0, *(at - was for at, was in zip(parts, then[counter], strict=False))) / length_ns
        for counter, parts in counters(now).items()
        if counter in then
    }


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
