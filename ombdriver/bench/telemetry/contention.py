"""What this machine as a whole did not get, or had to wait for: processor time stolen by its host, and pressure (PSI).

Reads two small files of /proc, which took 40 µs. Elsewhere than on Linux, and where the kernel does not tell, the
figures are missing, which is no good value.
"""

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

_STEAL = 8
"""Where the stolen time stands in a line of /proc/stat, after the name of the processor."""


class Contention(NamedTuple):
    """Counters since the start of the machine; empty or None for what is not told.

    Attributes:
        stolen_ns: of each processor that is meant, the time for which it was ready to work and its host ran others.
        pressure_ns: the time for which at least one process waited for a core.
    """

    stolen_ns: tuple[int, ...] = ()
    pressure_ns: int | None = None


def read_contention(processors: Collection[int], proc: Path = Path("/proc")) -> Contention:
    """The counters now.

    Args:
        processors: the numbers of those that are meant.
        proc: where the kernel's files are.
    """
    stolen = stolen_ns(_text(proc / "stat"), processors, _ticks_per_second())
    return Contention(stolen, pressure_ns(_text(proc / "pressure" / "cpu")))


def usable_processors() -> frozenset[int]:
    """The numbers of the processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def stolen_ns(stat: str, processors: Collection[int], ticks_per_second: int) -> tuple[int, ...]:
    """The stolen time of each of `processors` in the text of /proc/stat (pure)."""
    wanted = {f"cpu{number}" for number in processors}
    lines = (line.split() for line in stat.splitlines() if line.startswith("cpu"))
    ticks = [int(line[_STEAL]) for line in lines if line[0] in wanted and len(line) > _STEAL]
    return tuple(each * 10**9 // ticks_per_second for each in ticks)


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
