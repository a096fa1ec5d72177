"""Processes at the end of a pipe, and frames over it, read in a thread. The only importer of multiprocessing."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TypeAlias

Pipe: TypeAlias = "Connection[bytes, bytes]"
Process: TypeAlias = BaseProcess

_SAFE_PATH = "PYTHONSAFEPATH"


def spawn(main: Callable[[Pipe, Sequence[int]], None], name: str, blocked: Sequence[int]) -> tuple[Process, Pipe]:
    """Starts a Python that calls `main` with its end of a new pipe, and gives our end; frames go either way.

    Args:
        main: a function of a module.
        name: of the process.
        blocked: signals that are blocked there from its first moment on, and given to `main`.

    Raises:
        OSError, RuntimeError: if there is no room for it.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=main, args=(theirs, tuple(blocked)), name=name, daemon=True)
    # Inherited, so that no signal hits its start-up; and none that comes meanwhile is lost to us.
    with _safe_path():
        resource_tracker.ensure_running()  # it unblocks SIGINT when it starts
        before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return process, ours


@contextlib.contextmanager
def _safe_path() -> Iterator[None]:
    """Processes that start in this block take no module from the working directory, where a `signal.py` may lie."""
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before


def listen(pipe: Pipe, on_frame: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
    """Calls `on_frame` in the running loop with each frame that comes, and `on_end` at the end of the pipe.

    In a thread: uvloop makes a pipe that it watches non-blocking, and then frames larger than the pipe's buffer would
    be written and read in part. The thread does not touch the pipe after `on_end`, and nobody may close it before.
    """
    loop = asyncio.get_running_loop()

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            try:
                with contextlib.suppress(EOFError, OSError):
                    while True:
                        loop.call_soon_threadsafe(on_frame, pipe.recv_bytes())
            finally:
                loop.call_soon_threadsafe(on_end)

    threading.Thread(target=read, name="pipe", daemon=True).start()
