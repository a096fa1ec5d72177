"""This machine and its processes as seen from outside: cores, memory, and what a process takes of them.

The only importer of psutil; what can't be found out is None. A container's limits come from the control groups, of
version 2 and 1, that this process is in; the limits of the groups above count too, as far as they can be seen.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

import psutil  # type: ignore[import-untyped]

from ombdriver.bench.telemetry.summary import OuterUsage


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


class ProcessMeter:
    """Reads what one process has taken so far, from outside.

    Args:
        pid: the process; one that is gone, or may not be looked at, reads as None.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._process: psutil.Process | None = None
        try:
            self._process = psutil.Process(pid)
        except (OSError, psutil.Error):
            return

    def __repr__(self) -> str:
        return f"<ProcessMeter of pid {self._pid}>"

    def read(self) -> OuterUsage | None:
        """What it has taken; processor time in steps of 10 ms on Linux."""
        if self._process is None:
            return None
        try:
            with self._process.oneshot():
                times, memory = self._process.cpu_times(), self._process.memory_info()
        except (OSError, psutil.Error):
            return None
        return OuterUsage(round((times.user + times.system) * 1e9), int(memory.rss), _waited_ns(self._pid))


class ProcessesMeter:
    """Reads what several processes have taken together; one that has ended counts with what it had taken.

    Args:
        pids: the processes.
    """

    def __init__(self, pids: Sequence[int]) -> None:
        self._meters = [ProcessMeter(pid) for pid in pids]
        self._last = [OuterUsage(0, 0)] * len(pids)

    def __repr__(self) -> str:
        return f"<ProcessesMeter of {self._meters}>"

    def add(self, pid: int) -> None:
        """Another process that counts from now on."""
        self._meters.append(ProcessMeter(pid))
        self._last.append(OuterUsage(0, 0))

    def read(self) -> OuterUsage | None:
        """As `ProcessMeter.read`; None when none of them can be seen."""
        found = [meter.read() for meter in self._meters]
        if all(each is None for each in found):
            return None
        self._last = [each or last._replace(rss_bytes=0) for each, last in zip(found, self._last, strict=True)]
        waited = [each.waited_ns for each in self._last if each.waited_ns is not None]
        return OuterUsage(
            sum(each.cpu_ns for each in self._last),
            sum(each.rss_bytes for each in self._last),
            sum(waited) if waited else None,
        )


def _waited_ns(pid: int) -> int | None:
    """For how long the main thread of a process was ready to run and had no core, since its start."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return None


Limit = TypeVar("Limit", int, float)

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")

_NONE_V1 = 1 << 60
"""cgroup 1 has no word for no limit: it has the largest number of whole pages."""


def limits(root: Path = ROOT, own: Path = OWN) -> tuple[float | None, int | None]:
    """(processor cores, bytes of memory) that this process may use; None where there is no limit.

    Args:
        root: where control groups are mounted.
        own: the kernel's list of the groups that this process is in.
    """
    cores: list[float | None] = []
    memory: list[int | None] = []
    for controllers, folder in _groups(own):
        v2 = not controllers
        for each in _upwards(folder):
            if v2:
                cores.append(cpu_limit(_cgroup_text(root / each / "cpu.max")))
                memory.append(memory_limit(_cgroup_text(root / each / "memory.max")))
            if "cpu" in controllers:
                found = [_cgroup_text(root / "cpu" / each / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
                cores.append(cpu_limit(" ".join(found)))
            if "memory" in controllers:
                memory.append(memory_limit(_cgroup_text(root / "memory" / each / "memory.limit_in_bytes")))
    return _least(cores), _least(memory)


class Memory(NamedTuple):
    """How much memory processes here may still take, and of how much, in bytes."""

    available: int
    total: int


def available_memory(root: Path = ROOT, own: Path = OWN) -> Memory | None:
    """That of this machine, or of the control group that has the least left; None when nobody tells.

    Files that the kernel has read count as available: it gives them up when memory is wanted.

    Args: see `limits`.
    """
    found = []
    try:
        machine = psutil.virtual_memory()
        found.append(Memory(int(machine.available), int(machine.total)))
    except (OSError, AttributeError, psutil.Error):
        pass
    for controllers, folder in _groups(own):
        if controllers and "memory" not in controllers:
            continue
        above, most, now, files = (
            (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            if controllers
            else (root, "memory.max", "memory.current", "inactive_file")
        )
        for each in _upwards(folder):
            limit, used = memory_limit(_cgroup_text(above / each / most)), _cgroup_text(above / each / now)
            if limit is not None and used.isdecimal():
                cached = re.search(rf"^{files} (\d+)$", _cgroup_text(above / each / "memory.stat"), re.MULTILINE)
                found.append(Memory(max(0, limit - int(used) + int(cached[1] if cached else 0)), limit))
    return min(found, default=None)


def cpu_limit(quota_and_period: str) -> float | None:
    """How many cores a group may use, from cgroup 2's `cpu.max` or cgroup 1's quota and period; None: no limit."""
    found = re.fullmatch(r"(\d+) (\d+)", quota_and_period)
    return round(int(found[1]) / int(found[2]), 3) if found and int(found[2]) else None


def memory_limit(most: str) -> int | None:
    """How many bytes a group may use, from `memory.max` or cgroup 1's `memory.limit_in_bytes`; None: no limit."""
    return int(most) if most.isdecimal() and int(most) < _NONE_V1 else None


def _groups(own: Path) -> Iterator[tuple[frozenset[str], PurePosixPath]]:
    """(controllers, folder) of each group; cgroup 2's has no controllers."""
    for line in _cgroup_text(own).splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            yield frozenset(filter(None, parts[1].split(","))), PurePosixPath(parts[2].lstrip("/"))


def _upwards(folder: PurePosixPath) -> Iterator[PurePosixPath]:
    # A container sees its own group at the root, and a path that does not exist there.
    yield folder
    yield from folder.parents


def _least(limits: list[Limit | None]) -> Limit | None:
    return min((each for each in limits if each is not None), default=None)


def _cgroup_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
