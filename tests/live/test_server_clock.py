"""The clock of a private server: set ahead and back, and nothing of it left."""

import os
import time

import pytest
from managed import eventually, present

from ombdriver.bench.servers.equipment import Equipment
from ombdriver.bench.servers.own_clock import faketime_library, lacks_own_clock
from ombdriver.bench.servers.private_server import PrivateServer, find_binary
from ombdriver.bench.servers.reaper import StartError
from ombdriver.bench.servers.resp_client import ask
from tests.missing import missing

SHARED = "/dev/shm"
HOUR_S = 3600.0
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def _library() -> None:
    """All of it is by libfaketime."""
    if faketime_library() is None:
        missing("no libfaketime; install it (Debian's package faketime)")


async def ahead_s(server: PrivateServer) -> float:
    """How far its clock is ahead of this machine's."""
    ((seconds, microseconds),) = await ask(server.socket, ("TIME",))  # type: ignore[misc]
    return float(seconds) + float(microseconds) / 1e6 - time.time()  # type: ignore[arg-type]


@pytest.mark.parametrize("fsync_gate", [False, True])
async def test_a_clock_is_set_ahead_and_back_and_stays_so_when_the_server_starts_again(fsync_gate: bool) -> None:
    """Whatever else it is started with; what the library shares in memory goes with the server."""
    binary = find_binary("valkey")
    assert lacks_own_clock(binary) is None
    equipment = Equipment(own_clock=True, fsync_gate=fsync_gate)
    async with await PrivateServer.launch(binary, {"appendonly": "yes"}, equipment=equipment) as server:
        pids = {server.pid}
        assert abs(await ahead_s(server)) < HOUR_S / 2

        for hours in (2, -2):

            async def is_set(wanted_s: float = hours * HOUR_S) -> bool:
                return abs(await ahead_s(server) - wanted_s) < HOUR_S / 2

            await server.set_clock(hours * HOUR_S)
            await eventually(is_set)
            await server.crash()
            await server.start_again()
            assert await is_set()
            pids.add(server.pid)

    assert len(pids) == 3
    assert not {f"faketime_shm_{pid}" for pid in pids} & set(os.listdir(SHARED))
    assert not {f"sem.faketime_sem_{pid}" for pid in pids} & set(os.listdir(SHARED))


async def test_a_server_without_a_clock_of_its_own_says_so() -> None:
    """It was not started with one."""
    async with await PrivateServer.start() as server:
        with pytest.raises(StartError, match="could not set its clock"):
            await server.set_clock(1.0)


def test_a_server_that_does_not_go_with_the_library_is_found_out() -> None:
    """Debian's redis-server has an allocator that asks for the time before it can have memory."""
    binary = find_binary(present("redis"))
    if b"jemalloc" not in binary.resolve().read_bytes():
        pytest.skip("this redis-server has another allocator")

    said = lacks_own_clock(binary)

    assert said is not None
    assert "with libfaketime" in said
    assert said.endswith("use a server that has the system's, as the engine valkey")
