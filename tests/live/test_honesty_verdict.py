"""The harness tells the truth about itself: who was the bottleneck when somebody was made to be it on purpose."""

import asyncio
import os
import signal
from pathlib import Path

from proxy import ThrottlingProxy
from rig import reasons, running

PRODUCING = 0
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
