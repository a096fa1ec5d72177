"""What the kernel has counted for this process: memory, the wait for a processor, and the throttling of its cgroup.

Reads small files of /proc and /sys and nothing else, so that a worker can ask with every report: all of it took
115 µs. Elsewhere than on Linux the figures are missing (0 or None), which is no good value.
"""

import os
import resource
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def resident_bytes() -> tuple[int, int]:
    """The resident size of this process in bytes: now, and at its greatest.

    Linux hands `ru_maxrss` on from the process that spawned this one, so there it is no use.
    """
    try:
        status = _keyed(Path("/proc/self/status").read_text(encoding="ascii", errors="replace"), ":")
        return int(status["VmRSS"].split()[0]) * 1024, int(status["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak, peak


class RunDelay:
    """How long the main thread of this process was ready to run and had no processor, since its start; 0 if unknown.

    The main thread alone, since that is where the event loop is: what the others wait for delays no message, and a
    thread that ends would take its share out of a sum. The file is kept open, so that asking takes 2 µs.
    """

    def __init__(self, path: Path = Path("/proc/self/schedstat")) -> None:
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def __repr__(self) -> str:
        return f"<RunDelay {self.ns() / 1e6:.1f} ms>"

    def ns(self) -> int:
        """Until now."""
        if self._fd < 0:
            return 0
        try:
            return int(os.pread(self._fd, 128, 0).split()[1])
        except (OSError, IndexError, ValueError):
            return 0

    def busy_ns(self) -> int:
        """For how long the main thread has run, or waited to run, until now; where that is not told, has run."""
        try:
            ran, waited = os.pread(self._fd, 128, 0).split()[:2]
            return int(ran) + int(waited)
        except (OSError, ValueError):
            return time.thread_time_ns()

    def close(self) -> None:
        """Frees the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def throttle_files(root: Path = CGROUPS) -> tuple[Path, ...]:
    """The `cpu.stat` of this process's cgroup and of those above it, as far as they can be read."""
    try:
        text = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return tuple(path for path in stat_paths(text, root) if path.is_file())


def stat_paths(cgroups: str, root: Path) -> Iterator[Path]:
    """Where a `cpu.stat` of a process may be (pure).

    Args:
        cgroups: the text of `/proc/PID/cgroup`, of version 2, of version 1, or of both.
        root: where the cgroups are mounted.
    """
    for line in cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / controllers if controllers else root
        inside = Path(path.lstrip("/"))
        yield from (mount / each / "cpu.stat" for each in (inside, *inside.parents) if each != Path("."))
        yield mount / "cpu.stat"


def throttled_ns(files: Iterable[Path]) -> int | None:
    """How long the cgroups of `files` (see `throttle_files`) were kept from running by their limits, since they exist.

    None when no file has it. A limit further up holds up all below it, so the times are added. They are of whole
    cgroups, the same for every process in one.
    """
    times = [found for path in files if (found := throttled_in(_text(path))) is not None]
    return sum(times) if times else None


def throttled_in(stat: str) -> int | None:
    """The throttled time in the text of a `cpu.stat`, in ns: µs in version 2 of cgroups, ns in version 1 (pure)."""
    fields = _keyed(stat, " ")
    if "throttled_usec" in fields:
        return int(fields["throttled_usec"]) * 1000
    return int(fields["throttled_time"]) if "throttled_time" in fields else None


def _keyed(text: str, separator: str) -> dict[str, str]:
    return dict(line.split(separator, 1) for line in text.splitlines() if separator in line)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
