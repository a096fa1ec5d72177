"""What this machine as a whole took, did not get, or waited for: processor time, steal by its host, pressure (PSI).

Reads two small files of /proc, which took 40 µs. Elsewhere than on Linux, and where the kernel does not tell, the
figures are missing, which is no good value.
"""

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

_STEAL = 8
"""Where the stolen time stands in a line of /proc/stat, after the name of the processor."""
_BUSY = (1, 2, 3, 6, 7)
"""Where the times stand that add up to a processor's work: user, nice, system, irq, softirq; guests are in user."""


class Contention(NamedTuple):
    """Counters since the start of the machine; empty or None for what is not told.

    Attributes:
        stolen_ns: of each processor that is meant, the time for which it was ready to work and its host ran others.
        pressure_ns: the time for which at least one process waited for a core.
        busy_ns: the time for which these processors worked, all together, for whatever process.
    """

    stolen_ns: tuple[int, ...] = ()
    pressure_ns: int | None = None
    busy_ns: int | None = None


def read_contention(processors: Collection[int], proc: Path = Path("/proc")) -> Contention:
    """The counters now.

    Args:
        processors: the numbers of those that are meant.
        proc: where the kernel's files are.
    """
    stat, ticks = _text(proc / "stat"), _ticks_per_second()
    pressure = pressure_ns(_text(proc / "pressure" / "cpu"))
    return Contention(stolen_ns(stat, processors, ticks), pressure, busy_ns(stat, processors, ticks))


def usable_processors() -> frozenset[int]:
    """The numbers of the processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def stolen_ns(stat: str, processors: Collection[int], ticks_per_second: int) -> tuple[int, ...]:
    """The stolen time of each of `processors` in the text of /proc/stat (pure)."""
    ticks = [int(line[_STEAL]) for line in _lines(stat, processors) if len(line) > _STEAL]
    return tuple(each * 10**9 // ticks_per_second for each in ticks)


def busy_ns(stat: str, processors: Collection[int], ticks_per_second: int) -> int | None:
    """The working time of `processors` together in the text of /proc/stat; None where it does not tell (pure)."""
    lines = [line for line in _lines(stat, processors) if len(line) > max(_BUSY)]
    if not lines:
        return None
    return sum(int(line[at]) for line in lines for at in _BUSY) * 10**9 // ticks_per_second


def _lines(stat: str, processors: Collection[int]) -> list[list[str]]:
    """The words of the line of each of `processors`."""
    wanted = {f"cpu{number}" for number in processors}
    lines = (line.split() for line in stat.splitlines() if line.startswith("cpu"))
    return [line for line in lines if line[0] in wanted]


def pressure_ns(pressure: str) -> int | None:
    """The time in which some process waited, in the text of /proc/pressure/cpu (pure)."""
    for line in pressure.splitlines():
        kind, _, rest = line.partition(" ")
        total = dict(part.partition("=")[::2] for part in rest.split()).get("total", "")
        if kind == "some" and total.isdecimal():
            return int(total) * 1000
    return None


def _ticks_per_second() -> int:
    return os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
