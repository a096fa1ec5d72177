"""A private server for the tests of programs that use the library: started on loopback, and gone at the end.

For pytest there are fixtures, in `pytest_plugin`, which use this; anything else can use `private_server` itself.
The library never imports this: the servers are the harness's. It needs nothing but the library's own installation; only
the embedded Valkey comes with the extra `testing` (or `bench`).
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ombdriver.bench.servers.options import ServerConfig
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.bench.servers.resp_client import RefusedError, Reply, ask

__all__ = ["LocalServer", "RefusedError", "private_server"]

Result = TypeVar("Result")


class LocalServer:
    """A running server that nobody else uses. Made by `private_server`.

    Its methods wait for the server, for a millisecond or so, in a test with a running event loop or without one.

    Attributes:
        url: `redis://127.0.0.1:PORT`.
        port: the TCP port.
        pid: the process id of the server: SIGSTOP makes it hang, SIGCONT lets it go on.
    """

    def __init__(self, server: PrivateServer) -> None:
        self._server = server
        self.url, self.port, self.pid = server.url, server.port, server.pid

    def __repr__(self) -> str:
        return f"<LocalServer {self.url} pid={self.pid}>"

    def ask(self, *words: str) -> Reply:
        """The reply to one command: text, a number, None, or a list of these.

        Raises:
            RefusedError: if the server answers with an error; the text is its own.
            OSError: if the server has ended.
        """
        return _outside(ask(self._server.socket, words))[0]

    def empty(self) -> None:
        """Deletes all keys of all databases. Users and settings stay as they are."""
        self.ask("FLUSHALL")

    def cut_connections(self) -> None:
        """Closes every connection of a client, as a failing network would."""
        self.ask("CLIENT", "KILL", "TYPE", "normal")


@contextlib.contextmanager
def private_server(engine: str = "valkey", config: ServerConfig | None = None) -> Iterator[LocalServer]:
    """Starts a server, and in the end stops it with all that it holds.

    It also goes when this process is killed. Nothing is written to disk, unless `config` says so.

    Args:
        engine: `valkey`, which the extra `testing` brings; `redis`, the redis-server on the PATH; or the path of a
            program.
        config: settings by their names in the server's configuration file, such as `{"maxmemory": "10mb"}`.

    Raises:
        ombdriver.errors.ServerError: if there is no such program, or it does not start; with the end of its log.
        ValueError: if a setting holds a line break or NUL.
    """
    server = _outside(PrivateServer.start(engine, config))
    try:
        yield LocalServer(server)
    finally:
        _outside(server.stop())


def _outside(coroutine: Coroutine[object, object, Result]) -> Result:
    """Runs it in another thread, since this one may have an event loop that runs."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
