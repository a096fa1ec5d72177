"""Whether this machine lets another process carry out a server's fsyncs, and what that costs. Tries it.

Knows no server; `reaper_process` starts what does it, `fsync_gate_process`.
"""

import functools
import subprocess
import sys

from ombdriver.bench.servers import fsync_gate_process

_TRY_S = 10.0


@functools.cache
def lacks_fsync_gate() -> str | None:
    """Why it does not, in a few words; None where it does."""
    if sys.platform != "linux":
        return "only Linux can"
    tried = _try()
    if not tried.returncode:
        return None
    said = (tried.stdout or tried.stderr).strip().splitlines()
    return f"this machine does not allow it (seccomp: {said[-1] if said else 'no reason is told'})"


def fsync_gate_cost_ns() -> int | None:
    """How many nanoseconds longer an fsync takes here by that now, without any delay; None where it can't be told.

    Blocks for some hundredths of a second.
    """
    try:
        tried = _try("cost")
    except subprocess.TimeoutExpired:
        return None
    return None if tried.returncode else max(0, int(tried.stdout))


def _try(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-I", "-S", fsync_gate_process.__file__, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TRY_S,
        check=False,
    )
