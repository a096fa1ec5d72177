"""A process that imports what every worker needs once, and forks a worker each time that it is asked to.

It has no thread and no event loop, so that what it forks begins with neither. It serves until its socket ends, which it
does with whoever started this process, whatever ended that. Then workers that were stopped are told to go on, since
they see the end of their pipes only so.

A request is four bytes, the worker's number, with two descriptors: the worker's end of its pipe, and where its status
is written. A status is a line with the process id, or `!` and the number of the error by which there is none; then,
when the worker has ended, a line with its exit code (below 0: the signal that ended it). Its end without an exit code
says that this process is gone.
"""

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

NUMBER_BYTES = 4
WORKER = "ombdriver.bench.hosts.worker_process"
DRIVERS = {
    "redis-streams": "ombdriver.bench.drivers.redis_streams.driver",
    "redis-py": "ombdriver.bench.drivers.redis_py",
}
"""The drivers that are imported before any worker is there: those that take long. None of others, who may start a
thread when they are imported."""


class ForkServer:
    """Forks workers as it is asked to, and tells how they ended.

    Args:
        requests: the socket by which it is asked.
        parents_signals: see `worker_process.run`.
    """

    def __init__(self, requests: socket.socket, parents_signals: Sequence[int]) -> None:
        self._requests, self._parents_signals = requests, parents_signals
        self._status: dict[int, int] = {}  # by the worker's process id
        self._wakeup, self._wakeup_end = os.pipe()

    def __repr__(self) -> str:
        return f"<ForkServer of {len(self._status)} workers>"

    def serve(self) -> None:
        """Until the socket ends."""
        requests = self._requests.fileno()
        os.set_blocking(self._wakeup_end, False)
        signal.set_wakeup_fd(self._wakeup_end)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            while True:
                ready, _, _ = select.select([requests, self._wakeup], [], [])
                if self._wakeup in ready:
                    os.read(self._wakeup, 4096)
                    self._tell_of_ended()
                if requests in ready and not self._take_request():
                    return
        finally:
            for pid in self._status:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _take_request(self) -> bool:
        """Serves one request; False at the end of them."""
        number, descriptors, _, _ = socket.recv_fds(self._requests, NUMBER_BYTES, 2)
        if len(descriptors) == 2:
            self._fork(int.from_bytes(number), *descriptors)
        else:  # cut off, as this process may open no more files: the requester sees their ends
            for each in descriptors:
                os.close(each)
        return bool(number)

    def _fork(self, number: int, pipe: int, status: int) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            _write(status, f"!{error.errno}")
            os.close(status)
        else:
            if not pid:
                self._become_worker(number, pipe, status)
            _write(status, f"{pid}")
            self._status[pid] = status
        os.close(pipe)

    def _become_worker(self, number: int, pipe: int, status: int) -> NoReturn:
        """The life of a worker; nothing of this process is left in it but what was imported."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._requests.close()
            for each in (self._wakeup, self._wakeup_end, status, *self._status.values()):
                os.close(each)
            _name_process(f"ombdriver-w{number}")
            from ombdriver.bench.hosts import worker_process
            from ombdriver.bench.hosts.pipe import adopt

            worker_process.run(adopt(pipe), self._parents_signals)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            os._exit(code)

    def _tell_of_ended(self) -> None:
        """Buries the workers that have ended."""
        while self._status:
            pid, ended = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            status = self._status.pop(pid)
            _write(status, f"{os.waitstatus_to_exitcode(ended)}")
            os.close(status)


def _name_process(name: str) -> None:
    """What `top` and `ps` call it, of at most 15 characters. Linux only."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(name)


def _write(status: int, line: str) -> None:
    with contextlib.suppress(OSError):  # nobody wants to know any more
        os.write(status, line.encode() + b"\n")


def main(requests: int, parents_signals: Sequence[int], driver: str) -> None:
    """The whole life of the process.

    Args:
        requests: the descriptor of the socket by which it is asked.
        parents_signals: see `worker_process.run`.
        driver: the registered name of the workers' driver.
    """
    # One more thread would be one that is not there after a fork; and nothing here multiplies matrices.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    importlib.import_module(WORKER)
    if driver in DRIVERS:
        importlib.import_module(DRIVERS[driver])
    gc.collect()
    gc.freeze()  # a collection in a worker would write to the pages that all of them share
    ForkServer(socket.socket(fileno=requests), parents_signals).serve()
    os._exit(0)  # there is nothing to tidy up, which would take longer than all that was done here
