"""What a container may use of its machine: the limits of the control groups that this process is in.

Knows the files of cgroup 2 and of cgroup 1. The limits of the groups above count too, as far as they can be seen.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TypeVar

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
                cores.append(cpu_limit(_text(root / each / "cpu.max")))
                memory.append(memory_limit(_text(root / each / "memory.max")))
            if "cpu" in controllers:
                found = [_text(root / "cpu" / each / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
                cores.append(cpu_limit(" ".join(found)))
            if "memory" in controllers:
                memory.append(memory_limit(_text(root / "memory" / each / "memory.limit_in_bytes")))
    return _least(cores), _least(memory)


def cpu_limit(quota_and_period: str) -> float | None:
    """How many cores a group may use, from cgroup 2's `cpu.max` or cgroup 1's quota and period; None: no limit."""
    found = re.fullmatch(r"(\d+) (\d+)", quota_and_period)
    return round(int(found[1]) / int(found[2]), 3) if found and int(found[2]) else None


def memory_limit(most: str) -> int | None:
    """How many bytes a group may use, from `memory.max` or cgroup 1's `memory.limit_in_bytes`; None: no limit."""
    return int(most) if most.isdecimal() and int(most) < _NONE_V1 else None


def _groups(own: Path) -> Iterator[tuple[frozenset[str], PurePosixPath]]:
    """(controllers, folder) of each group; cgroup 2's has no controllers."""
    for line in _text(own).splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            yield frozenset(filter(None, parts[1].split(","))), PurePosixPath(parts[2].lstrip("/"))


def _upwards(folder: PurePosixPath) -> Iterator[PurePosixPath]:
    # A container sees its own group at the root, and a path that does not exist there.
    yield folder
    yield from folder.parents


def _least(limits: list[Limit | None]) -> Limit | None:
    return min((each for each in limits if each is not None), default=None)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
