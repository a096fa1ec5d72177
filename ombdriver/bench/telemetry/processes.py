"""What the processes of a run take becomes what a result tells of it: the server's, the workers', the parent's.

Pure: knows no clock and no process. Shares of processor time are of one core, so 2.0 is two cores in full.

A sequence of any length kept as a bounded one, evenly spaced. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, TypeVar

from ombdriver.bench.metrics.report import ProcessUsage

Item = TypeVar("Item")

MOST = 2048
"""Items kept, as many as a run has intervals at most."""


class Downsampled(Generic[Item]):
    """The items taken so far; when there are `most`, every second one goes, and from then on comes every second one.

    Args:
        most: items kept, 2 or more.

    Attributes:
        items: those kept, the first one always among them.
        stride: of so many items taken, one is kept.
    """

    def __init__(self, most: int = MOST) -> None:
        self.items: list[Item] = []
        self.stride = 1
        self._most = most
        self._taken = 0

    def __repr__(self) -> str:
        return f"<Downsampled {len(self.items)} of {self._taken}>"

    def take(self, item: Item) -> None:
        """Adds `item`, or passes over it."""
        if self._taken % self.stride == 0:
            if len(self.items) == self._most:
                del self.items[1::2]
                self.stride *= 2
            if self._taken % self.stride == 0:
                self.items.append(item)
        self._taken += 1


SECOND = 10**9
CLOSEST_NS = SECOND // 5
"""Ticks closer than this tell no share: Linux books processor time in steps of 10 ms."""

Taken = tuple[int, int] | None
"""(processor time since the start in ns, resident bytes now) of one process; None when it could not be seen."""


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """All processes at one moment.

    Attributes:
        at_ns: when, on the monotonic clock.
        taken: by name.
        own: what processes of ours last reported of themselves, by name.
    """

    at_ns: int
    taken: Mapping[str, Taken]
    own: Mapping[str, ProcessUsage]


OWN = {
    "loopStalls": ("stalls", 1),
    "stalledMs": ("stalled_ns", 1e6),
    "collections": ("gc_pauses", 1),
    "collectingMs": ("gc_ns", 1e6),
}
"""Series of our own processes: the attribute of `ProcessUsage` whose growth each one is, and its unit."""


class ProcessSeries:
    """The ticks of one run.

    Args:
        most: ticks that are kept.
    """

    def __init__(self, most: int = MOST) -> None:
        self._kept: Downsampled[ProcessSample] = Downsampled(most)
        self._last: ProcessSample | None = None
        self.begin(0, 0)

    def __repr__(self) -> str:
        return f"<ProcessSeries {self._kept}>"

    def begin(self, start_ns: int, end_ns: int) -> None:
        """The window that counts; peaks begin anew."""
        self._start_ns, self._end_ns = start_ns, end_ns
        self._first: ProcessSample | None = None
        self._final: ProcessSample | None = None
        self._peaks: dict[str, float] = {}

    def prolong(self, end_ns: int) -> None:
        """The window ends there, later than thought; it has not ended."""
        self._end_ns = max(self._end_ns, end_ns)

    def end(self, end_ns: int) -> None:
        """The window ended there, sooner than thought."""
        self._end_ns = min(self._end_ns, end_ns)

    def take(self, tick: ProcessSample) -> None:
        """Adds a tick; they come in order."""
        before, self._last = self._last, tick
        if before is not None and self._start_ns <= (before.at_ns + tick.at_ns) // 2 <= self._end_ns:
            self._first = self._first or before
            self._final = tick
            for name in tick.taken:
                share = cpu_share(before, tick, name)
                if share is not None:
                    self._peaks[name] = max(self._peaks.get(name, 0.0), share)
        self._kept.take(tick)

    def cpu(self, name: str) -> dict[str, float | None]:
        """The share of a core that a process took over the window: `mean`, and `peak` between two ticks, never less."""
        mean = cpu_share(self._first, self._final, name) if self._first and self._final else None
        peak = max((each for each in (mean, self._peaks.get(name)) if each is not None), default=None)
        return {"mean": _rounded(mean), "peak": _rounded(peak)}

    def told(self, server: str, parent: str, workers: Mapping[str, str]) -> dict[str, Any]:
        """Everything, as plain data for a result; times in seconds from the start of the window.

        Args:
            server: the name of the server's process.
            parent: that of the parent.
            workers: roles, by the names of the workers.
        """
        kept = self._kept.items
        return {
            "t": [round((each.at_ns - self._start_ns) / SECOND, 3) for each in kept],
            "server": self._taken(server) if kept and server in kept[0].taken else None,
            "parent": self._taken(parent) | self._own(parent),
            "workers": [{"role": role} | self._taken(name) | self._own(name) for name, role in workers.items()],
        }

    def _taken(self, name: str) -> dict[str, Any]:
        kept = self._kept.items
        shares = [cpu_share(before, now, name) for before, now in pairwise(kept)]
        resident = [taken[1] if (taken := each.taken.get(name)) else None for each in kept]
        return {"cpu": [None, *map(_rounded, shares)][: len(kept)], "rssBytes": resident}

    def _own(self, name: str) -> dict[str, Any]:
        kept = [each.own.get(name) for each in self._kept.items]
        return {told: _growth(kept, attribute, unit) for told, (attribute, unit) in OWN.items()}


def cpu_share(before: ProcessSample, now: ProcessSample, name: str) -> float | None:
    """The share of a core that a process took from one tick to another; None when not seen at both, or too close."""
    then, at = before.taken.get(name), now.taken.get(name)
    if then is None or at is None or now.at_ns - before.at_ns < CLOSEST_NS:
        return None
    return max(0, at[0] - then[0]) / (now.at_ns - before.at_ns)


def _growth(reports: Sequence[ProcessUsage | None], attribute: str, unit: float) -> list[float | None]:
    """By how much a count has grown from tick to tick; one that began anew with a phase meanwhile stands for itself."""
    found: list[float | None] = [None]
    for before, now in pairwise(reports):
        if now is None:
            found.append(None)
            continue
        goes_on = before is not None and before.since_ns == now.since_ns
        growth = getattr(now, attribute) - (getattr(before, attribute) if goes_on else 0)
        found.append(growth if unit == 1 else _rounded(growth / unit))
    return found[: len(reports)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
