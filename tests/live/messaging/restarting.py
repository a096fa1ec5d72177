"""A server that is killed and comes back on its port: with the data that it had, or without."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import redis.asyncio
from topologies import free_port, until

from ombdriver.bench.servers.private_server import find_binary
from ombdriver.bench.servers.topology import HOST


class Restarting:
    """One server on one port.

    Args:
        engine: which.
        folder: where it keeps its data.
    """

    def __init__(self, engine: str, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://{HOST}:{self.port}"
        self._binary, self._folder = find_binary(engine), folder
        self._process: asyncio.subprocess.Process | None = None

    async def up(self) -> None:
        """Starts it, and waits until it answers. Every write is on disk before it is answered."""
        words = ["--port", str(self.port), "--bind", HOST, "--dir", str(self._folder), "--save", ""]
        words += ["--appendonly", "yes", "--appendfsync", "always", "--logfile", "log"]
        self._process = await asyncio.create_subprocess_exec(
            self._binary, *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        async with redis.asyncio.Redis(host=HOST, port=self.port) as client:
            await until(client.ping)

    async def down(self, *, keep: bool) -> None:
        """Kills it; without `keep` its data is gone."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            await process.wait()
        if not keep:
            for path in sorted(self._folder.rglob("append*"), reverse=True):
                path.unlink() if path.is_file() else path.rmdir()


@contextlib.asynccontextmanager
async def restarting(engine: str, folder: Path) -> AsyncIterator[Restarting]:
    """A server that is up, and gone at the end."""
    server = Restarting(engine, folder)
    await server.up()
    try:
        yield server
    finally:
        await server.down(keep=True)
