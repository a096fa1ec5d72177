"""The disk of a private server: fsyncs that are late or fail, files that may not grow, and a loss of power."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil  # type: ignore[import-untyped]
import pytest
from managed import eventually, present

from ombdriver.bench.servers.disk_shape import DiskShape
from ombdriver.bench.servers.equipment import Equipment
from ombdriver.bench.servers.fsync_gate import lacks_fsync_gate
from ombdriver.bench.servers.private_server import PrivateServer, find_binary
from ombdriver.bench.servers.resp_client import RefusedError, Reply, ask
from ombdriver.bench.units import MS
from tests.missing import missing

ENGINES = ("valkey", "redis")
FAILURES = [DiskShape(full=True), DiskShape(fsync_error="EIO")]
NOT_SOON_NS = 3_600_000 * MS
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def _gate() -> None:
    """All of it is by the process that carries out fsyncs."""
    lack = lacks_fsync_gate()
    if lack is not None:
        missing(lack)


@asynccontextmanager
async def server_of(engine: str, fsync: str) -> AsyncIterator[PrivateServer]:
    """A server that writes an append-only file, whose fsyncs another process carries out."""
    config = {"appendonly": "yes", "appendfsync": fsync}
    binary = find_binary(present(engine))
    async with await PrivateServer.launch(binary, config, equipment=Equipment(fsync_gate=True)) as server:
        yield server


async def told(server: PrivateServer, *command: str) -> Reply:
    """The reply to one command."""
    (reply,) = await ask(server.socket, command)
    return reply


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_late_fsync_holds_up_what_waits_for_it_until_it_is_let_go(engine: str) -> None:
    """By as much as is ordered, and no longer than that order holds."""
    async with server_of(engine, "always") as server:
        await server.shape_disk(DiskShape(fsync_delay_ns=300 * MS))
        begin = time.monotonic()
        await told(server, "SET", "key", "1")
        assert time.monotonic() - begin >= 0.3

        await server.shape_disk(DiskShape(fsync_delay_ns=NOT_SOON_NS))
        late = asyncio.create_task(told(server, "SET", "key", "2"))
        await asyncio.sleep(0)
        await server.shape_disk(DiskShape())

        assert await late == "OK"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", FAILURES)
async def test_a_server_that_promises_the_disk_ends_where_it_has_none_and_comes_back(
    engine: str, shape: DiskShape
) -> None:
    """With what it had acknowledged; meanwhile it does not count as ended by itself."""
    async with server_of(engine, "always") as server:
        await told(server, "SET", "acknowledged", "1")
        before = psutil.Process(server.pid)

        await server.shape_disk(shape)
        with pytest.raises((OSError, EOFError)):
            await told(server, "SET", "refused", "1")
        await asyncio.to_thread(psutil.wait_procs, [before])
        assert server.exit_code is None
        await server.shape_disk(DiskShape())

        assert server.pid != before.pid
        assert await told(server, "GET", "acknowledged") == "1"
        assert await told(server, "SET", "again", "1") == "OK"
        server.check()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", FAILURES)
async def test_a_server_that_syncs_every_second_refuses_until_its_disk_is_well(engine: str, shape: DiskShape) -> None:
    """It goes on, as the same process; after an fsync that has failed it has to be started again."""
    async with server_of(engine, "everysec") as server:
        before = server.pid

        async def refuses() -> bool:
            try:
                await told(server, "SET", "key", "1")
            except RefusedError as error:
                return "MISCONF" in str(error)
            return False

        async def takes() -> bool:
            return not await refuses()

        await server.shape_disk(shape)
        await eventually(refuses)
        await server.shape_disk(DiskShape())
        if shape.fsync_error:  # it fsyncs only what is new, and takes nothing new
            assert await refuses()
            await server.crash()
            await server.start_again()
        await eventually(takes)

        assert (server.pid == before) is shape.full


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_loss_of_power_takes_what_no_fsync_had_covered_and_nothing_else(engine: str) -> None:
    """A crash alone takes nothing: the system still has it."""
    async with server_of(engine, "always") as server:
        await told(server, "SET", "synced", "1")
        await told(server, "CONFIG", "SET", "appendfsync", "no")
        await told(server, "SET", "written", "1")
        await server.crash()
        await server.start_again()
        assert await told(server, "MGET", "synced", "written") == ["1", "1"]

        await told(server, "CONFIG", "SET", "appendfsync", "no")
        await told(server, "SET", "again", "1")
        assert await server.lose_power() > 0
        assert await server.start_again()

        assert await told(server, "MGET", "synced", "again") == ["1", None]


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_loss_of_power_takes_nothing_of_what_was_rewritten_and_synced(engine: str) -> None:
    """The files of a rewrite are others than those before it."""
    async with server_of(engine, "always") as server:
        for number in range(3):
            await told(server, "SET", f"key-{number}", "1")
            await told(server, "BGREWRITEAOF")

            async def rewritten() -> bool:
                info = str(await told(server, "INFO", "persistence"))
                return "aof_rewrite_in_progress:0" in info and "aof_rewrite_scheduled:0" in info

            await eventually(rewritten)
            await told(server, "SET", f"after-{number}", "1")
            await server.lose_power()
            await server.start_again()

        names = [f"{which}-{number}" for which in ("key", "after") for number in range(3)]
        assert await told(server, "MGET", *names) == ["1"] * 6


async def test_nothing_is_left_of_a_server_whose_fsyncs_wait() -> None:
    """It ends in order, and with it who carries them out."""
    async with server_of("valkey", "always") as server:
        guard = psutil.Process(server.pid).parent()
        family = [guard, *guard.children(recursive=True)]
        assert len(family) == 3
        folder = server.socket.parent
        await server.shape_disk(DiskShape(fsync_delay_ns=NOT_SOON_NS))
        waits = asyncio.create_task(told(server, "SET", "key", "1"))
        await asyncio.sleep(0)

    await asyncio.gather(waits, return_exceptions=True)
    assert psutil.wait_procs(family, timeout=30)[1] == []
    assert not folder.exists()
