"""A process that has imported what `python -m ombdriver` imports, and forks the command each time that it is asked to.

Nearly two hundred tests start the command, and to import its packages takes two thirds of a second of a processor each
time, which is most of what a short run takes. A command that is forked has all that it has otherwise: a process id and,
if asked for, a session; arguments, environment, working directory, descriptors, signals as they are at first, and an
exit code. What is not tried so is how it starts: `test_cli`, `test_process_limits` and others start it by themselves.

A request is the length of an order in four bytes, with three descriptors (standard output, standard error, and where
the status is written), and the order in JSON. The status is two lines: the process id, and the exit code.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
import threading
import traceback
from typing import Any, NoReturn

from ombdriver.bench.run.signals import ENDING

SHARED = (
    "ombdriver.__main__",
    "ombdriver.cli",
    "ombdriver.bench.drivers.memory",
    "ombdriver.bench.drivers.redis_streams.driver",
    "ombdriver.bench.report.plan",
    "ombdriver.bench.report.prometheus",
    "ombdriver.bench.report.series",
    "ombdriver.bench.report.terminal",
    "ombdriver.bench.results.compare.comparison",
    "ombdriver.bench.results.harness_share",
    "ombdriver.bench.run.rerun",
    "ombdriver.bench.run.runner",
)
LENGTH_BYTES = 4


def serve(requests: socket.socket) -> None:
    """Forks until whoever asks is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those below
    while True:
        length, descriptors, _, _ = socket.recv_fds(requests, LENGTH_BYTES, 3)
        if not length:
            return
        order = b""
        while len(order) < int.from_bytes(length):
            order += requests.recv(int.from_bytes(length) - len(order))
        if not os.fork():
            requests.close()
            watch(json.loads(order), *descriptors)
        for each in descriptors:
            os.close(each)


def watch(order: dict[str, Any], stdout: int, stderr: int, status: int) -> NoReturn:
    """The parent of one command, which tells how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if not pid:
        os.close(status)
        become_command(order, stdout, stderr)
    os.close(stdout)
    os.close(stderr)
    with contextlib.suppress(BrokenPipeError):
        os.write(status, b"%d\n" % pid)
        _, ended = os.waitpid(pid, 0)
        os.write(status, b"%d\n" % os.waitstatus_to_exitcode(ended))
    os._exit(0)


def become_command(order: dict[str, Any], stdout: int, stderr: int) -> NoReturn:
    """The life of a command, as `python -m ombdriver` has it from when its imports are done."""
    if order["session"]:
        os.setsid()
    for number in ENDING:  # some are ignored where the tests run under `nohup`, or in a shell's background
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    for ours, theirs in ((stdout, 1), (stderr, 2)):
        os.dup2(ours, theirs)
        os.close(ours)
    sys.stdout = os.fdopen(1, "w", encoding=sys.stdout.encoding, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, sys.stderr.encoding, "backslashreplace", closefd=False)
    sys.argv = [str(importlib.import_module("ombdriver.__main__").__file__), *order["arguments"]]
    sys.path.insert(0, order["folder"])
    code = 1
    try:
        importlib.import_module("ombdriver.__main__").main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, AttributeError):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # one more thread would be one that is not there after a fork
    for name in SHARED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
    os._exit(0)
