"""A worker as a process of its own, at the end of a pipe (`worker.Link`).

Nothing is given to it but the pipe, on which both sides greet each other before the parent says what the worker is for.
It ends by itself when the parent is gone, since its pipe ends then.
"""

import contextlib
import ctypes
import gc
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from ombdriver.bench.hosts.carried_files import PlacedFiles
from ombdriver.bench.hosts.fast_loop import run_fast
from ombdriver.bench.hosts.pipe import Pipe, listen
from ombdriver.bench.limits import limit_reached
from ombdriver.bench.logs import log_to_standard_error
from ombdriver.bench.servers.url import with_files
from ombdriver.bench.worker import protocol, wire_format
from ombdriver.bench.worker.worker import serve
from ombdriver.errors import OmbdriverError

OF_OTHER_VERSION = 70
"""Exit code of a worker that was started by another version of this program, which knows that by itself."""
_PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when its parent ends."""


class PipeLink:
    """A worker's end of its pipe."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def send(self, message: protocol.WorkerMessage) -> None:
        """Writes `message`; the parent reads all the time, so this does not wait for long."""
        frame = wire_format.encode(message)
        with contextlib.suppress(BrokenPipeError):  # the parent is gone, which `listen` notices
            self._pipe.send_bytes(frame)

    def listen(self, on_command: Callable[[protocol.Command], None], on_end: Callable[[str], None]) -> None:
        """Reads commands as they come."""

        def on_frame(frame: bytes) -> None:
            try:
                command = wire_format.decode(frame)
            except OmbdriverError as error:
                on_end(str(error))
            else:
                on_command(command)

        listen(self._pipe, on_frame, lambda: on_end("the parent is gone"))


def run(pipe: Pipe, parents_signals: Sequence[int]) -> None:
    """The life of a worker process.

    Args:
        pipe: its end of it.
        parents_signals: what may reach the whole group of processes, and is for the parent alone to act on. They may
            be blocked, and are not afterwards.

    Raises:
        SystemExit: if it was started by another version of this program.
    """
    log_to_standard_error()
    for number in parents_signals:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, parents_signals)
    try:
        pipe.send_bytes(wire_format.greeting())
        wire_format.check_greeting(pipe.recv_bytes())
        job = wire_format.decode(pipe.recv_bytes())
    except (EOFError, OSError):  # the parent is gone
        return
    except OmbdriverError:  # which the parent finds out by itself
        raise SystemExit(OF_OTHER_VERSION) from None
    if job.plan.faults:
        _go_on_without_parent()
    files = PlacedFiles(job.files)  # they are there as long as this process
    if files.paths:
        job = replace(job, options={**job.options, "url": with_files(str(job.options["url"]), files.paths)})
    link = PipeLink(pipe)
    try:
        run_fast(serve(job, link))
    except (OSError, RuntimeError, MemoryError) as error:
        if (limit := limit_reached(error)) is None:
            raise
        link.send(protocol.Failed(limit, known=True))
    gc.disable()  # the process ends: nothing to collect


def _go_on_without_parent() -> None:
    """When the parent is gone, a worker that is stopped goes on, so that it sees the end of its pipe. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)
