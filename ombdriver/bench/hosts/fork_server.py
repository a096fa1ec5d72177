"""Our side of a fork server: starts its process, asks it for workers, and reads what became of each.

Only starter of `fork_server_process`. It belongs to no event loop.
"""

import contextlib
import errno
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import ombdriver
from ombdriver.bench.hosts import fork_server_process
from ombdriver.bench.limits import limit_reached

_START = f"""\
import sys
requests, signals, driver, root, *path = sys.argv[1:]
sys.path.insert(0, root)
import ombdriver
del sys.path[0]
sys.path += [each for each in path if each not in sys.path]
from {fork_server_process.__name__} import main
main(int(requests), [int(each) for each in signals.split()], driver)
"""
"""Our own package is the one that this process has, whatever else is installed. What else is on the path of this
process, as a driver of others, comes last, so that it can't take the place of something of Python's."""


class ForkServer:
    """The process that forks workers; a context manager, which ends it.

    It is there at once, and ready when it has imported what workers need; what it is asked for meanwhile waits.

    Args:
        parents_signals: see `worker_process.run`.
        driver: the registered name of the driver that workers have.

    Raises:
        OSError: if it can't be started.
    """

    def __init__(self, parents_signals: Sequence[int], driver: str) -> None:
        self._requests, theirs = socket.socketpair()
        signals = " ".join(str(int(each)) for each in parents_signals)
        root = str(Path(ombdriver.__file__).parents[1])
        given = [str(theirs.fileno()), signals, driver, root, *filter(None, sys.path)]
        try:
            # Blocked there for ever: what reaches the whole group of processes does not end it, nor a worker that it
            # has just forked.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, parents_signals)
            try:
                self._process = subprocess.Popen(
                    # Safe path: nothing of the working directory, where a `signal.py` may lie.
                    [sys.executable, "-P", "-c", _START, *given],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                )
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        except BaseException:
            self._requests.close()
            raise
        finally:
            theirs.close()

    def __repr__(self) -> str:
        return f"<ForkServer {self._process.pid}>"

    @property
    def has_ended(self) -> bool:
        """Whether it can fork no more."""
        return self._process.poll() is not None

    def fork(self, number: int, pipe: int) -> "ForkedProcess":
        """Asks for a worker.

        Args:
            number: of the worker.
            pipe: the descriptor of the worker's end of its pipe, which may be closed here afterwards.

        Raises:
            OSError: if this process may open no more files.
        """
        ours, theirs = os.pipe()
        try:
            told = number.to_bytes(fork_server_process.NUMBER_BYTES)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # gone, as the end of the status says
                socket.send_fds(self._requests, [told], [pipe, theirs])
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return ForkedProcess(ours, self._process)

    def close(self) -> None:
        """Ends it, whatever it is at. Workers that are left end by themselves, with their pipes."""
        self._requests.close()
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "ForkServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ForkedProcess:
    """A process that was asked for, as far as its status has been told.

    Args:
        status: the descriptor to read it from; see `fork_server_process`.
        server: what forks it.
    """

    def __init__(self, status: int, server: "subprocess.Popen[bytes]") -> None:
        os.set_blocking(status, False)
        self._status, self._server = status, server
        self._told = b""
        self._is_over = False

    def __repr__(self) -> str:
        return f"<ForkedProcess {self.pid} {self.fate()}>"

    @property
    def pid(self) -> int:
        """Its process id; 0 until it is known, and when there is none."""
        self._read()
        first, end, _ = self._told.partition(b"\n")
        return int(first) if end and not first.startswith(b"!") else 0

    @property
    def has_ended(self) -> bool:
        """Whether it has ended, never was, or is lost, so that its end can't be told."""
        self._read()
        return self._is_over

    def wait(self, timeout_s: float) -> bool:
        """Waits until it has ended; whether it has, in time."""
        deadline = time.monotonic() + timeout_s
        poll = select.poll()  # which takes descriptors of any number
        poll.register(self._status, select.POLLIN)
        while not self.has_ended:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return False
        return True

    def fate(self) -> str:
        """What became of it, as the end of a sentence."""
        if not self.has_ended:
            return "runs" if self.pid else "is not there yet"
        pid, *code = self._told.decode().splitlines() or [f"!{errno.ESRCH}"]
        if pid.startswith("!"):
            error = OSError(int(pid[1:]), os.strerror(int(pid[1:])))
            return f"could not be started: {limit_reached(error) or 'the process that forks workers has ended'}"
        return f"died with exit code {code[0]}" if code else "was lost with the process that had forked it"

    def signal(self, number: int) -> None:
        """Sends it a signal, if it is there."""
        if self.pid and self._told.count(b"\n") == 1:  # not ended, by all that is known
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it by force; one that is not there yet, with what is to fork it."""
        self.signal(signal.SIGKILL)
        if not self.pid:
            self._server.kill()

    def close(self) -> None:
        """Forgets it."""
        if not self._is_over:
            self._is_over = True
            os.close(self._status)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while not self._is_over:
                told = os.read(self._status, 4096)
                self._told += told
                if not told:
                    self.close()
