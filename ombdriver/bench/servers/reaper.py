"""Our side of a reaper process: starts one, knows the program and the directory that it looks after, and ends both.

Only starter of `reaper_process`. Must not know what a server is told or asked: it hands a configuration over as text.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Self

from ombdriver.bench.servers import fsync_gate_process, reaper_process
from ombdriver.bench.servers.configuration import SOCKET_NAME
from ombdriver.bench.servers.equipment import NOTHING, Equipment
from ombdriver.bench.servers.own_clock import faketime_library
from ombdriver.bench.units import visible
from ombdriver.errors import LINE

_SOCKET_PATH_LIMIT = 100  # bytes: sun_path holds 107 on Linux and 103 on macOS
_PATTERN = frozenset("*?[]")
_PLAIN_FOLDER = "/tmp"
_NAME = "server"
MESSAGE_LINES = 10
"""Lines of the end of a log that a message holds."""


class StartError(Exception):
    """A program did not start: what happened instead, and its log; the caller words the message.

    Attributes:
        log: all of the log that there is; it may hold passwords.
    """

    def __init__(self, what: str, log: str = "") -> None:
        super().__init__(what)
        self.log = log


class FolderError(StartError):
    """The folder for temporary files can't be used; the text is the whole message."""

    def __init__(self, folder: str, reason: str) -> None:
        super().__init__(
            f"the folder for temporary files, {visible(folder)}, can't be written to ({reason}); free it, or set TMPDIR"
            " to another one"
        )


class Reaper:
    """One reaper process with what it looks after: a program in a directory of its own, or a directory alone.

    It belongs to no event loop. When this process ends, by whatever, all of it ends too.

    Attributes:
        pid: of the program; of the reaper itself where there is none.
        directory: where the program lives; gone when it has ended.
    """

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._log = b""
        self._lock = threading.Lock()
        self.pid = 0
        self.directory: Path | None = None

    @classmethod
    async def start(
        cls,
        program: Path,
        configuration: str,
        arguments: Sequence[str] = (),
        processors: Sequence[int] = (),
        equipment: Equipment = NOTHING,
    ) -> Self:
        """Starts `program CONFIGURATION_FILE ARGUMENTS`, on these processors if there are any, with that equipment.

        Raises:
            FolderError: if there is no place for its files.
            StartError: if it can't be started.
        """
        gate = fsync_gate_process.__file__ if equipment.fsync_gate else ""
        library = (faketime_library() or "") if equipment.own_clock else ""
        command = [str(program), _NAME, ",".join(map(str, processors)), gate, library, *arguments]
        return await cls._start(command, configuration.encode() + b"\0")

    @classmethod
    async def folder(cls) -> Self:
        """Makes a directory, without a program, that only its owner may look into.

        Raises:
            StartError: if it can't be made.
        """
        return await cls._start([], b"")

    @classmethod
    async def _start(cls, command: list[str], given: bytes) -> Self:
        folder = _parent_folder()
        process = _start_process([folder, *command])
        reaper = cls(process)
        try:
            with contextlib.suppress(BrokenPipeError):  # if it is gone already, what it said tells why
                _pipe(process.stdin).write(given)
                _pipe(process.stdin).flush()
            line = await asyncio.to_thread(_pipe(process.stdout).readline)
            pid, _, directory = line.decode(errors="replace").strip().partition(" ")
            if pid == "!":
                raise FolderError(folder, directory)
            if not pid.isdigit() or not directory:
                raise StartError("could not be guarded", line.decode(errors="replace"))
            if pid == "0":
                raise StartError("could not be started")
            reaper.pid, reaper.directory = int(pid), Path(os.fsdecode(bytes.fromhex(directory)))
        except BaseException as error:
            log = await asyncio.shield(asyncio.to_thread(reaper.finish))
            if isinstance(error, StartError) and not isinstance(error, FolderError):
                error.log += log
            raise
        return reaper

    @property
    def exit_code(self) -> int | None:
        """The program's, once it has ended; None while it runs."""
        return self._process.poll()

    async def order(self, order: str) -> int:
        """Has the reaper do one of the orders of `reaper_process`; returns the program's pid, 0 while it does not run.

        Raises:
            StartError: if it could not be done, or the program has ended by itself meanwhile.
        """
        pid = await self._number(order)
        self.pid = pid or self.pid
        return pid

    async def order_disk(self, order: str) -> int:
        """Has who carries out the program's fsyncs do one of the orders of `fsync_gate_process`; returns its answer.

        Raises:
            StartError: if it could not be done, or the program has ended by itself meanwhile.
        """
        return await self._number(f"disk {order}")

    async def _number(self, order: str) -> int:
        line = await asyncio.to_thread(self._order, order)
        answer = line.decode(errors="replace").strip()
        if not line.endswith(b"\n") or not answer.isdigit():
            raise StartError(f"could not {order} ({answer or 'it has ended'})")
        return int(answer)

    def _order(self, order: str) -> bytes:
        with self._lock:
            stdin, stdout = _pipe(self._process.stdin), _pipe(self._process.stdout)
            if stdin.closed or stdout.closed:
                return b""
            with contextlib.suppress(BrokenPipeError):
                stdin.write(order.encode() + b"\n")
                stdin.flush()
            return stdout.readline()

    async def set_clock(self, offset_s: float) -> None:
        """Sets how far the program's clock is from this machine's; it looks within a second or two.

        Raises:
            StartError: if it has no clock of its own, or that can't be written.
        """
        try:
            await asyncio.to_thread(self._write_clock, offset_s)
        except OSError as error:
            raise StartError(f"could not set its clock ({error.strerror or error})") from error

    def _write_clock(self, offset_s: float) -> None:
        path = os.path.join(self.directory or "", f"{_NAME}.clock")
        os.stat(path)  # there from the beginning where it has one
        reaper_process.write_offset(path, offset_s)

    def close(self) -> None:
        """Lets it end, and does not wait for that."""
        with contextlib.suppress(BrokenPipeError):
            _pipe(self._process.stdin).close()

    def finish(self) -> str:
        """Lets it end, waits for that, and returns the end of the log. Blocks; may be called again."""
        self.close()
        with self._lock:
            stdout = _pipe(self._process.stdout)
            if not stdout.closed:
                self._log = stdout.read()
                stdout.close()
            if self._process.wait() < 0 and self.directory is not None:
                # The reaper itself was killed: the program is still in its session, and its directory is there.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                reaper_process.forget_clock(self.pid)
                shutil.rmtree(self.directory, ignore_errors=True)
            return self._log.decode(errors="replace")

    def log_end(self) -> str:
        """The end of the log so far, whether the program runs or has ended."""
        if self.exit_code is not None:
            return self.finish()
        try:
            with open((self.directory or Path()) / f"{_NAME}.log", "rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(0, size - reaper_process.LOG_TAIL))
                return log.read().decode(errors="replace")
        except OSError:
            return ""  # it ends just now


def save_log(text: str) -> Path | None:
    """Writes a log, which would go with its directory, to a file of its own that stays; None if there is no room."""
    try:
        handle, path = tempfile.mkstemp(prefix=reaper_process.PREFIX, suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        return None
    return Path(path)


def last_lines(log: str) -> str:
    """As much of the end of a log as a message holds."""
    return LINE.join(log.strip().splitlines()[-MESSAGE_LINES:])


def _start_process(command: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-I", "-S", reaper_process.__file__, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C goes to the whole foreground group: to us, but not to the server
    )


def _parent_folder() -> str:
    """Where the directory goes: the usual place, unless a server could not live there.

    Its socket's path may be too long, or no UTF-8, as a URL is; and some servers take `*`, `?` and `[` in the path of
    their configuration file for a pattern.

    Raises:
        FolderError: if there is no place at all.
    """
    try:
        usual = os.path.abspath(tempfile.gettempdir())
    except OSError as error:
        raise FolderError(os.environ.get("TMPDIR", _PLAIN_FOLDER), error.strerror or str(error)) from error
    path = os.path.join(usual, reaper_process.PREFIX + "x" * 8, SOCKET_NAME)
    is_plain = path.encode(errors="replace") == os.fsencode(path) and not _PATTERN & set(usual)
    return usual if is_plain and len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT else _PLAIN_FOLDER


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # both were asked for
    return stream
