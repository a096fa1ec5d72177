"""A clock of its own for a server: the library that gives it one (libfaketime), and whether it does. Tries it, once.

`reaper_process` starts servers with it, and knows by which variables.
"""

import functools
import glob
import os
import subprocess
import tempfile
from pathlib import Path

from ombdriver.bench.servers.reaper_process import clock_variables, forget_clock, write_offset

_PLACES = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime")
_NAME = "libfaketime.so.1"
_TRY_S = 5.0


@functools.cache
def faketime_library() -> str | None:
    """Its path; None where it is not installed."""
    found = (each for place in _PLACES for each in glob.glob(os.path.join(place, _NAME)))
    return next(found, None)


@functools.cache
def lacks_own_clock(binary: Path) -> str | None:
    """Why a server of that program can't have a clock of its own, with the way out; None where it can."""
    library = faketime_library()
    if library is None:
        return "libfaketime is not installed; install it (Debian's package faketime)"
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "clock")
        write_offset(file)
        with subprocess.Popen(
            [str(binary), "--version"],
            env=os.environ | clock_variables(library, file),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as tried:
            try:
                _, said = tried.communicate(timeout=_TRY_S)
                ended = "does not start"
            except subprocess.TimeoutExpired:
                tried.kill()
                _, said = tried.communicate()
                ended = "hangs"
        forget_clock(tried.pid)
        if not tried.returncode and b"libfaketime:" not in said:
            return None
    return (
        f"{binary} {ended} with libfaketime, as programs with the allocator jemalloc do; use a server that has the"
        " system's, as the engine valkey"
    )
