"""A password from a file, or from a program that writes it into a pipe when it is asked for."""

import contextlib
import errno
import os
import stat
import time
from pathlib import Path

PIPE_S = 5.0
"""How long the writer of a pipe may take to come."""
MAX_BYTES = 1 << 16


def read_secret(path: Path) -> bytes:
    """The first bytes of a file, or all that comes out of a pipe, whose writer may come within `PIPE_S`.

    Raises:
        OSError: if it can't be read, nobody writes into the pipe, or it is neither.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    if not stat.S_ISFIFO(mode):
        raise OSError(errno.EINVAL, "neither a file nor a pipe")
    # Without a writer a plain `open` would wait for ever, and heed no signal.
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        content, until_s = b"", time.monotonic() + PIPE_S
        while time.monotonic() < until_s:
            with contextlib.suppress(BlockingIOError):  # there is a writer, who has more to say
                part = os.read(pipe, 4096)
                content += part
                if content and (not part or len(content) >= MAX_BYTES):
                    return content
                if part:
                    continue
            time.sleep(0.02)
        raise OSError(errno.ETIMEDOUT, f"a pipe into which nobody writes for {PIPE_S:g} s")
    finally:
        os.close(pipe)
