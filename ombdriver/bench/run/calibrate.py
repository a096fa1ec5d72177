"""What this machine's harness can do, with no real server in the way: its ceiling, its floor, and what recording costs.

Every figure comes from a short run through the same code as any other run, against the loopback driver or against the
null server; only the pacer and the recorder are looked at by themselves. A result is read with these beside it: a
latency near the floor says little about the server, and a rate near the ceiling less.
"""

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ombdriver import __version__
from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.latency import HEADLINE, STATISTICS
from ombdriver.bench.report.live import QuietView
from ombdriver.bench.results.result import Result
from ombdriver.bench.run import runner
from ombdriver.bench.run.request import Request
from ombdriver.bench.run.signals import Interrupt
from ombdriver.bench.servers.reaper import FolderError
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.telemetry import installation
from ombdriver.bench.worker.pacer import make_pacer
from ombdriver.errors import RunError

KIND = "calibration"
FORMAT_VERSION = 1
MESSAGE_SIZE = 1024
FLAT_OUT = 10_000_000
"""Messages per second that no worker reaches: it sends as fast as replies come."""
FLOOR_RATES = (1_000, 10_000)
TRIAL_MS = 3000
CORES_TO_SPIN = 2
"""From so many cores on the floor is also that of a null server that never sleeps: what it takes to wake up is a
server's own. On a machine that does other things too, one that sleeps may have the lower p99."""
ROUNDS = 3
"""How often each floor is measured: it is the least of them, since what else runs here only ever adds."""
WARM_UP_MS = 500
WAKE_UPS = 500
WAKE_INTERVAL_NS = 1_000_000
SAMPLES = 1_000_000
BLOCK = 4096


async def calibrate(
    stop: Interrupt, say: Callable[[str], None], trial_ms: int = TRIAL_MS, rounds: int = ROUNDS
) -> dict[str, Any]:
    """The figures of this machine, ready for JSON.

    Args:
        stop: ends it early.
        say: is called with what is being measured.
        trial_ms: the length of each short run, after its warm-up.
        rounds: how often each floor is measured.

    Raises:
        RunError: if one of the short runs fails.
    """
    say("ticker and recorder")
    figures: dict[str, Any] = {"tickerLatenessUs": await pacer_lateness(), "recordNsPerSample": record_cost()}
    with _temporary_folder() as folder:
        trials = _Trials(Path(folder), stop, say, trial_ms)
        memory = Setup.load("memory")
        both = await trials.run(memory, FLAT_OUT, groups=1)
        async with null_server() as url, null_server(spins=True) as spinning_url:
            null, spinning = (Setup.load("embedded").with_url(each) for each in (url, spinning_url))
            sent = await trials.run(null, FLAT_OUT, groups=0)
            received = await trials.run(null, 100, groups=1)
            floors = [("nullServer", null), ("memory", memory)]
            if installation.usable_cores() >= CORES_TO_SPIN:
                floors.insert(1, ("nullServer", spinning))
            where = [(name, setup, rate) for name, setup in floors for rate in FLOOR_RATES]
            measured: dict[str, dict[str, list[Latencies]]] = {"nullServer": {}, "memory": {}}
            # Rounds rather than repeats: what lasts some seconds is in one of each.
            for name, setup, rate in where * rounds:
                result = await trials.run(setup, rate, groups=1 if setup is memory else 0)
                measured[name].setdefault(str(rate), []).append(_latencies(result))
    figures["sendPerSecond"] = {
        "memory": round(both.mean_rate("publishRate")),
        "nullServer": round(sent.mean_rate("publishRate")),
    }
    figures["receivePerSecond"] = {
        "memory": round(both.mean_rate("consumeRate")),
        "nullServer": round(received.mean_rate("consumeRate")),
    }
    figures["floorMs"] = {
        name: {rate: least(each) for rate, each in by_rate.items()} for name, by_rate in measured.items()
    }
    return {
        "kind": KIND,
        "formatVersion": FORMAT_VERSION,
        "version": __version__,
        "time": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "host": installation.host(),
        "messageSize": MESSAGE_SIZE,
        "figures": figures,
    }


@contextmanager
def _temporary_folder() -> Iterator[str]:
    """A folder for the results of the trials.

    Raises:
        RunError: if there is no room for it.
    """
    try:
        folder = tempfile.mkdtemp(prefix="ombdriver-")
    except OSError as error:
        raise _no_room(error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _no_room(error: OSError) -> RunError:
    return RunError(str(FolderError(os.environ.get("TMPDIR", "/tmp"), error.strerror or str(error))))


class _Trials:
    """Short runs whose results are looked at and thrown away."""

    def __init__(self, folder: Path, stop: Interrupt, say: Callable[[str], None], trial_ms: int) -> None:
        self._folder, self._stop, self._say, self._trial_ms = folder, stop, say, trial_ms

    async def run(self, setup: Setup, rate: int, *, groups: int) -> Result:
        what = "flat out" if rate == FLAT_OUT else f"{rate:,} messages/s"
        where = "the memory driver" if setup.loopback else "the null server"
        self._say(f"{what} against {where}, {'with' if groups else 'without'} a consumer")
        warm_up_ms = min(WARM_UP_MS, self._trial_ms // 2)
        # As runs have it by default. Ten reports a second hold one message in a hundred up, of 1,000/s: the p99 of the
        # memory driver was 0.21 to 0.60 ms, and 0.07 to 0.14 ms with one report a second.
        interval_ms = min(1000, self._trial_ms)
        text = f"""
            {{topics: 1, partitionsPerTopic: 1, messageSize: {MESSAGE_SIZE}, subscriptionsPerTopic: {groups},
            producersPerTopic: 1, consumerPerSubscription: {groups}, producerRate: {rate},
            warmupDuration: {warm_up_ms}ms, testDuration: {self._trial_ms}ms,
            sampleInterval: {interval_ms}ms, drainTimeout: 100ms}}"""
        workload = Workload.parse(text, "calibrate")
        request = Request(workload, setup, self._folder, None, installation.usable_cores())
        try:
            finished = await runner.run(request, QuietView(), self._stop)
        except RunError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            raise _no_room(error.__cause__) from error  # where results go is not the user's choice here
        if finished is None or finished.result.partial:
            raise asyncio.CancelledError
        return finished.result


Latencies = Mapping[str, Mapping[str, float | None]]
"""In ms, by family and statistic; None where there were too few samples."""


def _latencies(result: Result) -> Latencies:
    """p50, p99 and p99.9 of what was measured."""
    return {
        family: {name: each.ms(name) if each.count >= STATISTICS[name].least_count else None for name in HEADLINE}
        for family, each in result.latency.items()
        if each.count
    }


def least(runs: Sequence[Latencies]) -> dict[str, dict[str, float | None]]:
    """The least of several runs, by family and statistic; None where no run tells one."""
    return {
        family: {
            name: min((ms for each in runs if (ms := each.get(family, {}).get(name)) is not None), default=None)
            for name in HEADLINE
        }
        for family in dict.fromkeys(family for each in runs for family in each)
    }


@asynccontextmanager
async def null_server(*, spins: bool = False) -> AsyncIterator[str]:
    """The URL of a null server that runs while this is open, in a process of its own.

    Args:
        spins: it never sleeps while it is asked things, and takes a core for that.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # nothing from the working directory
        "-m",
        "ombdriver.bench.drivers.null_server",
        *(["--spin"] if spins else []),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        port = int(await process.stdout.readline())
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def pacer_lateness() -> dict[str, float]:
    """How late wake-ups a millisecond apart come, in µs: mean, p50, p99."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    late: list[int] = []
    due = time.monotonic_ns() + WAKE_INTERVAL_NS

    def on_wake() -> None:
        nonlocal due
        now = time.monotonic_ns()
        late.append(now - due)
        due = now + WAKE_INTERVAL_NS
        if len(late) < WAKE_UPS:
            pacer.arm(due)
        else:
            done.set_result(None)

    pacer = make_pacer(on_wake)
    pacer.arm(due)
    await done
    pacer.close()
    p50, p99 = Histogram.of(np.array(late, np.int64)).percentiles([50, 99])
    return {"mean": round(float(np.mean(late)) / 1e3, 1), "p50": round(p50 / 1e3, 1), "p99": round(p99 / 1e3, 1)}


def record_cost() -> float:
    """Nanoseconds to bring one sample into a histogram, in blocks as large as a worker's."""
    values = np.random.default_rng(1).lognormal(12, 1, BLOCK).astype(np.int64)
    start = time.perf_counter_ns()
    for _ in range(SAMPLES // BLOCK):
        Histogram.of(values)
    return round((time.perf_counter_ns() - start) / (SAMPLES // BLOCK * BLOCK), 1)
