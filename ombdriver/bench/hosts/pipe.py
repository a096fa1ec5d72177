"""Frames over a pipe between two processes of one host, read in a thread. The only importer of multiprocessing."""

import asyncio
import contextlib
import multiprocessing.connection
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeAlias

Pipe: TypeAlias = "Connection[bytes, bytes]"


def pair() -> tuple[Pipe, Pipe]:
    """Both ends of a new pipe; frames go either way.

    Raises:
        OSError: if this process may open no more files.
    """
    return multiprocessing.connection.Pipe()


def adopt(descriptor: int) -> Pipe:
    """The end of a pipe that this process was given; it is closed with what this returns."""
    return Connection(descriptor)


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
