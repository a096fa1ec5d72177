"""This machine and its processes as seen from outside: cores, memory, and what a process takes.

Only importer of psutil. Knows no worker, server or run. What can't be found out is None.
"""

from collections.abc import Sequence

import psutil  # type: ignore[import-untyped]


def physical_cores() -> int | None:
    """Cores that are not just threads of another one."""
    try:
        found: int | None = psutil.cpu_count(logical=False)
    except (OSError, psutil.Error):
        return None
    return found


def memory_bytes() -> int | None:
    """The memory of this machine."""
    try:
        return int(psutil.virtual_memory().total)
    except (OSError, AttributeError, psutil.Error):
        return None


class Meter:
    """Reads what one process has taken so far, from outside.

    Args:
        pid: the process; one that is gone, or may not be looked at, is told as None.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._process: psutil.Process | None = None
        try:
            self._process = psutil.Process(pid)
        except (OSError, psutil.Error):
            return

    def __repr__(self) -> str:
        return f"<Meter of pid {self._pid}>"

    def read(self) -> tuple[int, int] | None:
        """Processor time since its start in ns (in steps of 10 ms on Linux), and its resident size in bytes now."""
        if self._process is None:
            return None
        try:
            with self._process.oneshot():
                times, memory = self._process.cpu_times(), self._process.memory_info()
        except (OSError, psutil.Error):
            return None
        return round((times.user + times.system) * 1e9), int(memory.rss)


class Meters:
    """Reads what several processes have taken together; one that has ended counts with what it had taken.

    Args:
        pids: the processes.
    """

    def __init__(self, pids: Sequence[int]) -> None:
        self._meters = [Meter(pid) for pid in pids]
        self._cpu_ns = [0] * len(pids)

    def __repr__(self) -> str:
        return f"<Meters of {self._meters}>"

    def read(self) -> tuple[int, int] | None:
        """As `Meter.read`; None when none of them can be seen."""
        found = [meter.read() for meter in self._meters]
        for at, each in enumerate(found):
            if each is not None:
                self._cpu_ns[at] = each[0]
        if all(each is None for each in found):
            return None
        return sum(self._cpu_ns), sum(each[1] for each in found if each is not None)
