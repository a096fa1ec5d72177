"""The harness tells the truth about itself: who was the bottleneck when somebody was made to be it on purpose."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from proxy import ThrottlingProxy
from rig import reasons, running

from ombdriver.bench.results.result import Result
from ombdriver.bench.spec.setup import Setup

PRODUCING, CONSUMING = 0, 1
NEIGHBOURS = 3
"""A process that shares its core with so many busy ones gets a quarter of it."""
HELD_S = 0.06


async def test_a_worker_slowed_on_purpose_makes_the_run_invalid(tmp_path: Path, valkey_url: str) -> None:
    """It is stopped for half of the time, as by a machine that is too busy: the generator is named, not the server."""
    async with running(tmp_path, valkey_url) as rig:
        await rig.measuring(100)
        worker = rig.workers()[PRODUCING]
        for _ in range(12):
            os.kill(worker, signal.SIGSTOP)
            await asyncio.sleep(HELD_S)  # the slowness itself
            os.kill(worker, signal.SIGCONT)
            await asyncio.sleep(HELD_S)
        result = await rig.result()

    assert result.verdict is not None
    assert result.verdict.status == "INVALID"
    (message,) = (each.message for each in result.verdict.reasons if each.rule == "scheduleLag")
    assert "messages were sent late by this machine, not by the server" in message


@pytest.mark.alone
async def test_a_server_throttled_on_purpose_makes_the_run_overloaded(tmp_path: Path, valkey_url: str) -> None:
    """A proxy lets a quarter of the rate through: the system could not, and the generator is not blamed."""
    async with (
        ThrottlingProxy(valkey_url, per_second=500) as proxy,
        running(tmp_path, valkey_url, proxy.url, drainTimeout="500ms") as rig,
    ):
        result = await rig.result()

    told = reasons(result)
    assert set(told.values()) == {"OVERLOADED"}
    assert "achieved" in told
    assert result.mean_rate("publishRate") < 1000


@pytest.fixture
def contested_core() -> Iterator[int]:
    """The number of a processor on which others are busy."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        pytest.skip("takes two processors, and a system that keeps a process on one")
    core = min(os.sched_getaffinity(0))
    program = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile os.getppid() == {os.getpid()}: pass"
    # A session of its own each: where the scheduler shares out by session, they count as much as the run does.
    busy = [subprocess.Popen([sys.executable, "-c", program], start_new_session=True) for _ in range(NEIGHBOURS)]
    yield core
    for each in busy:
        each.kill()
        each.wait()


def messages(result: Result, *rules: str) -> list[str]:
    """What these rules say; the result is INVALID."""
    assert result.verdict is not None
    assert result.verdict.status == "INVALID"
    return [each.message for each in result.verdict.reasons if each.rule in rules]


@pytest.mark.alone  # it needs a core that is idle, and takes the other one from whoever is on it
@pytest.mark.parametrize(("setup", "rate"), [("memory", 200_000), (None, 20_000)])
async def test_a_producer_without_its_core_makes_the_run_invalid(
    tmp_path: Path, valkey_url: str, contested_core: int, setup: str | None, rate: int
) -> None:
    """Whatever it could not publish is no fault of the system: on the memory driver, and on a server.

    What took its core is told by what others took, and advised to be ended.
    """
    load = {"producerRate": rate, "warmupDuration": "500ms", "drainTimeout": "3s", "testDuration": "3s"}
    async with running(tmp_path, valkey_url, setup=setup and Setup.load(setup), **load) as rig:

        async def started() -> bool:
            return bool(rig.workers())

        await rig.until(started)
        psutil.Process(rig.workers()[PRODUCING]).cpu_affinity([contested_core])
        result = await rig.result()

    assert any(message.startswith("worker 0") for message in messages(result, "runDelay", "starved"))
    assert result.verdict is not None
    assert "worker 0" in result.verdict.measured
    assert any(each.kind == "endOthers" for each in result.verdict.advice)


@pytest.mark.parametrize(("held_s", "every_s"), [(0.010, 0.65), (0.020, 0.4), (0.020, 0.1), (0.035, 0.1)])
async def test_a_consumer_that_is_held_up_makes_the_run_invalid(
    tmp_path: Path, valkey_url: str, held_s: float, every_s: float
) -> None:
    """For 1.5, 5, 20 and 35 % of the time: latencies of delivery are its own then, however good publishing was."""
    async with running(tmp_path, valkey_url, testDuration="3s") as rig:
        await rig.measuring(100)
        consumer = rig.workers()[CONSUMING]
        with contextlib.suppress(ProcessLookupError):
            while not rig.finished.done():
                os.kill(consumer, signal.SIGSTOP)
                await asyncio.sleep(held_s)  # the stall itself
                os.kill(consumer, signal.SIGCONT)
                await asyncio.sleep(every_s - held_s)
        result = await rig.result()

    assert any("(consume)" in message for message in messages(result, "stalls"))
