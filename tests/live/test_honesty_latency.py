"""The harness tells the truth about latencies: a stall of known length gives the percentiles that arithmetic gives.

A server stalls for D seconds within a window of T, at R messages per second, and then takes what has piled up at C per
second. A message that was due t after the beginning of the stall is answered D - t (1 - R/C) after it was due; so of
all R T messages the slowest share q was due within the first q T, and the quantile 1 - q is D - q T (1 - R/C).
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rig import Rig, reasons, running

from ombdriver.bench.results.result import Result
from ombdriver.bench.servers.private_server import PrivateServer

WINDOW_S, RATE, STALL_S = 5.0, 1000, 1.0
pytestmark = pytest.mark.alone


@pytest.fixture
async def server() -> AsyncIterator[PrivateServer]:
    """A server of the test's own, since others would stall with it."""
    started = await PrivateServer.start("valkey")
    yield started
    await started.stop()


def predicted_ms(stalled_s: float, share: float, catch_up: float) -> float:
    """The quantile 1 - `share` of the publish response."""
    return 1000 * (stalled_s - share * WINDOW_S * (1 - RATE / catch_up))


def check_response(result: Result, stalled_s: float, catch_up: float) -> None:
    """p99 and p99.9 are what was predicted, within -3 % and +5 % of the stall."""
    told = result.latency["publishResponse"]
    for figure, share in ((told.p99 / 1e6, 0.01), (told.p999 / 1e6, 0.001)):
        off = (figure - predicted_ms(stalled_s, share, catch_up)) / (1000 * stalled_s)
        assert -0.03 < off < 0.05, f"{figure:.1f} ms is {off:+.1%} of the stall off"
    assert result.totals["published"] == WINDOW_S * RATE
    assert result.totals["unsent"] == 0
    assert reasons(result) == {}, "all that was due was delivered in the window, and nobody was late: VALID"


async def paused(rig: Rig, server: PrivateServer) -> float:
    """Pauses all clients of the server; seconds until it answered again."""
    began = time.monotonic()
    await rig.server.client_pause(int(1000 * STALL_S), all=True)
    await rig.server.ping()
    return time.monotonic() - began


async def stopped(rig: Rig, server: PrivateServer) -> float:
    """Stops the server's process for a while; for how many seconds."""
    os.kill(server.pid, signal.SIGSTOP)
    began = time.monotonic()
    await asyncio.sleep(STALL_S)  # the stall itself
    os.kill(server.pid, signal.SIGCONT)
    return time.monotonic() - began


@pytest.mark.parametrize("stall", [paused, stopped])
async def test_a_stall_of_the_server_is_in_the_response_as_arithmetic_has_it(
    tmp_path: Path, server: PrivateServer, stall: "type[paused]"
) -> None:
    """Nobody is spared by a send that waits: who was due during the stall has waited from then on."""
    async with running(tmp_path, server.url, producerRate=RATE, testDuration=f"{WINDOW_S:g}s") as rig:
        await rig.measuring(2 * RATE)
        stalled_s = await stall(rig, server)
        result = await rig.result()
        check_response(result, stalled_s, catch_up=50_000)
        assert result.latency["endToEndResponse"].max >= 1e9 * stalled_s * 0.97


async def test_a_closed_loop_hides_a_stall_that_the_response_shows(tmp_path: Path, server: PrivateServer) -> None:
    """One message in flight: only that one was slow from its send on, though a thousand were due meanwhile."""
    async with running(tmp_path, server.url, producerRate=RATE, testDuration=f"{WINDOW_S:g}s", maxInFlight=1) as rig:
        await rig.measuring(2 * RATE)
        stalled_s = await paused(rig, server)
        result = await rig.result()
        service = result.latency["publish"]
        assert service.p99 < 1e9 * stalled_s / 20
        assert service.max > 1e9 * stalled_s * 0.97
        check_response(result, stalled_s, catch_up=1e9 / service.p50)
