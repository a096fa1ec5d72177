"""A private server that is broken on purpose: it stays ours while it is down, and comes back where it was."""

import os
import signal
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from managed import eventually

from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.bench.servers.reaper import StartError
from ombdriver.bench.servers.resp_client import ask

ENGINES = ("valkey", "redis")
AOF = {"appendonly": "yes", "appendfsync": "always"}


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_server_without_a_disk_comes_back_empty(engine: str) -> None:
    """On the same port, as another process; while it is down it does not count as ended."""
    async with await PrivateServer.start(engine) as server:
        await ask(server.socket, ("SET", "key", "value"))
        before, port = server.pid, server.port

        await server.crash()
        assert server.exit_code is None
        assert not psutil.pid_exists(before)
        found = await server.start_again()

        assert not found
        assert server.pid != before
        assert await ask(server.socket, ("GET", "key"), ("CONFIG", "GET", "port")) == [None, ["port", str(port)]]
        server.check()


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_server_comes_back_with_what_it_wrote_unless_that_is_to_be_lost(engine: str) -> None:
    """Both are told before it answers."""
    async with await PrivateServer.start(engine, AOF) as server:
        await ask(server.socket, ("SET", "key", "value"))

        await server.crash()
        assert await server.start_again()
        assert await ask(server.socket, ("GET", "key")) == ["value"]

        await server.crash()
        assert not await server.start_again(lose_data=True)
        assert await ask(server.socket, ("GET", "key")) == [None]


async def test_what_can_not_be_done_is_told() -> None:
    """A server that runs is not started, and one that has ended by itself is not crashed."""
    async with await PrivateServer.start() as server:
        with pytest.raises(StartError, match="could not start"):
            await server.start_again()
        os.kill(server.pid, signal.SIGKILL)

        async def ended() -> bool:
            return server.exit_code is not None

        await eventually(ended)
        with pytest.raises(StartError, match="could not crash"):
            await server.crash()


async def test_a_server_that_is_down_or_stopped_leaves_nothing() -> None:
    """Its directory and its process are gone when it is stopped for good."""
    down, stopped = await PrivateServer.start(), await PrivateServer.start()
    await down.crash()
    stopped.pause()
    folders: list[Path] = [each.socket.parent for each in (down, stopped)]

    await down.stop()
    await stopped.stop()

    assert not any(folder.exists() for folder in folders)
    assert not psutil.pid_exists(stopped.pid)
