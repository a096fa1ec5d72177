"""Commands that `command_server` forks: processes that can be signalled, waited for, and read from."""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TextIO

import command_server


class ForkedCommand:
    """A process of `ombdriver`, whose standard output and error are pipes to here.

    Args:
        arguments: of the command.
        folder: its working directory.
        environment: all of it.
        session: it leads a session of its own.

    Attributes:
        pid: its process id.
        stderr: its standard error, as text.
        returncode: its exit code, once it has been waited for; below 0 the signal that ended it.
    """

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], *, session: bool = False
    ) -> None:
        order = {
            "arguments": list(arguments),
            "folder": str(folder),
            "environment": dict(environment),
            "session": session,
        }
        pipes = [os.pipe() for _ in range(3)]
        text = json.dumps(order).encode()
        requests = _server()
        socket.send_fds(requests, [len(text).to_bytes(command_server.LENGTH_BYTES)], [writing for _, writing in pipes])
        requests.sendall(text)
        for _, writing in pipes:
            os.close(writing)
        self._stdout, self.stderr, self._status = (os.fdopen(reading, encoding="utf-8") for reading, _ in pipes)
        self.pid = int(self._status.readline())
        self.returncode: int | None = None

    def send_signal(self, number: int) -> None:
        """Sends it a signal, if it has not ended."""
        if not self._has_ended():
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it by force."""
        self.send_signal(signal.SIGKILL)

    def communicate(self) -> tuple[str, str]:
        """Waits until it has ended; the rest of its standard output and error. Once it was called, there is no more."""
        if self._stdout.closed:
            return "", ""
        told: list[str] = []

        def read(stream: TextIO) -> None:
            told.append(stream.read())

        reading = threading.Thread(target=read, args=(self.stderr,))
        reading.start()
        stdout = self._stdout.read()
        reading.join()
        self.returncode = int(self._status.readline())
        for stream in (self._stdout, self.stderr, self._status):
            stream.close()
        return stdout, told[0]

    def _has_ended(self) -> bool:
        return self._status.closed or bool(select.select([self._status], [], [], 0)[0])


@cache
def _server() -> socket.socket:
    """Where commands are asked for, of a server that ends with this process."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", command_server.__file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours
