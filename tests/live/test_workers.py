"""`Workers`: real worker processes, what they report, and what happens when one of them does not."""

import asyncio
import contextlib
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from processes import workers_of

from ombdriver.bench.drivers.redis_streams.driver import RedisStreamsDriver, open_driver
from ombdriver.bench.hosts.launcher import Endpoint, OnGone, OnMessage
from ombdriver.bench.hosts.local import LocalLauncher
from ombdriver.bench.load.host_clock import HostClock
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.recorder import Metrics
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.run.calibrate import null_server
from ombdriver.bench.run.phases import LEAD_NS
from ombdriver.bench.run.workers import Workers
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.worker import protocol, wire_format
from ombdriver.errors import WorkerError

RUN_ID = "ensemble"
WORKLOAD = """
topics: 2
partitionsPerTopic: 2
messageSize: 64
subscriptionsPerTopic: 2
consumerPerSubscription: 1
producersPerTopic: 2
producerRate: 1000
testDuration: 1s
"""


def plan_for(url: str, workers: int = 3) -> Plan:
    """A run of some producers and consumers in so many processes."""
    setup = Setup.load("embedded").with_url(url)
    return make_plan(Workload.parse(WORKLOAD, "w.yaml"), setup, RUN_ID, workers=workers, cores=2)


def options(url: str) -> Mapping[str, object]:
    """What the driver is given."""
    return {"url": url, "run_id": RUN_ID, "block_ms": 50}


def pids() -> set[int]:
    """The worker processes that run."""
    return {each.pid for each in workers_of(psutil.Process())}


@pytest.fixture
async def driver(valkey_url: str) -> AsyncIterator[RedisStreamsDriver]:
    """The parent's driver, with the topics made."""
    made = await open_driver(options(valkey_url))
    plan = plan_for(valkey_url)
    await made.create_topics(plan.topics, plan.subscriptions)
    yield made
    await made.delete_created()
    await made.aclose()


async def polled(workers: Workers) -> AsyncIterator[list[protocol.Report]]:
    """Reports, again and again."""
    while True:
        yield list(await workers.poll())


async def test_workers_probe_send_receive_and_leave(valkey_url: str, driver: RedisStreamsDriver) -> None:
    """Every group gets a probe of each partition, then the schedule to the message; then the processes are gone."""
    plan = plan_for(valkey_url)
    received: dict[str, int] = {}
    async with Workers(plan, "redis-streams", options(valkey_url)) as workers:
        assert len(workers.pids) == 3
        assert set(workers.pids) == pids()
        assert re.fullmatch(r"<Workers \['worker 0 \(produce\)', .*'worker 2 \(consume\)'\]>", repr(workers))
        workers.send(protocol.SendProbes())
        probed: set[tuple[str, int, int]] = set()
        async for reports in polled(workers):
            assert [bool(report.sent) for report in reports] == [True, False, False]
            probed |= frozenset().union(*(report.probed for report in reports))  # each tells of what is new
            if len(probed) == 2 * 8:
                break
        workers.send(protocol.BeginPhase(Phase(0, "measure", time.monotonic_ns() + LEAD_NS, 500_000_000, plan.rate)))
        async for reports in polled(workers):
            for name in plan.subscriptions:
                received[name] = sum(report.received.get(name, 0) for report in reports)
            acknowledged = sum(report.acknowledged for report in reports)
            # A group may have a message before its producer has read the reply, so both are waited for.
            if min(received.values()) >= 500 + 8 and acknowledged >= 500 + 8:
                break
        assert acknowledged == 500 + 8
        assert received == {"group-1": 508, "group-2": 508}
        assert all(report.process.cpu_ns > 0 and report.process.rss_bytes > 2**20 for report in reports)

    assert pids() == set()
    assert all([await driver.backlog(plan.topics, name) == 0 for name in plan.subscriptions])


class DaysAheadLauncher:
    """Starts workers on the clocks of other hosts: in time namespaces, where the monotonic clock is days ahead.

    Args:
        folder: for what is started in place of Python.
    """

    AHEAD_S = (260_000, 90_000, 0)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        resource_tracker.ensure_running()  # on the clock of this host

    def launch(self, job: protocol.Job, on_message: OnMessage, on_gone: OnGone) -> Endpoint:
        """See `launcher.Launcher.launch`."""
        ahead_s = self.AHEAD_S[job.worker.index]
        python = self._folder / f"python-{job.worker.index}"
        unshare = f"unshare --time --monotonic {ahead_s} --fork --kill-child -- "
        python.write_text(f'#!/bin/sh\nexec {unshare if ahead_s else ""}{sys.executable} "$@"\n')
        python.chmod(0o755)
        multiprocessing.set_executable(str(python))
        try:
            job = replace(job, host_clock=HostClock(-ahead_s * 10**9))
            return LocalLauncher().launch(job, on_message, on_gone)
        finally:
            multiprocessing.set_executable(sys.executable)


def has_time_namespaces() -> bool:
    """Whether this user may make them."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--time", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not has_time_namespaces(), reason="this system has no time namespaces, or not for this user")
async def test_workers_whose_clocks_are_days_apart_measure_as_on_one_host(
    valkey_url: str, driver: RedisStreamsDriver, tmp_path: Path
) -> None:
    """The schedule is kept, and end-to-end latencies are of milliseconds and not of days, and none is negative."""
    plan = plan_for(valkey_url)
    found = Metrics()
    launcher = DaysAheadLauncher(tmp_path)
    async with Workers(plan, "redis-streams", options(valkey_url), launcher) as workers:
        workers.send(protocol.BeginPhase(Phase(0, "measure", time.monotonic_ns() + LEAD_NS, 500_000_000, plan.rate)))
        async for reports in polled(workers):
            for report in reports:
                found += report.metrics
            if sum(report.received.get(name, 0) for report in reports for name in plan.subscriptions) == 2 * 500:
                break

    for group in plan.subscriptions:
        of_group = [each for (_, name, at, _), each in found.histograms.items() if (name, at) == ("endToEnd", group)]
        latencies = Histogram.total(of_group)
        assert (latencies.count, latencies.negative, latencies.over_range) == (500, 0, 0)
        assert latencies.max_ns < 60 * 10**9
    assert {phase for phase, *_ in found.histograms} == {0}


async def test_children_import_nothing_from_the_working_directory(
    valkey_url: str, driver: RedisStreamsDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's `signal.py` or `types.py` beside the workload is no part of a worker or of the null server."""
    for name in ("enum", "pickle", "select", "selectors", "signal", "socket", "struct", "threading", "types"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(99)\n")
    monkeypatch.chdir(tmp_path)
    async with Workers(plan_for(valkey_url), "redis-streams", options(valkey_url)) as workers:
        assert len(workers.pids) == 3
    async with null_server() as url:
        assert url.startswith("redis://127.0.0.1:")
    assert os.environ.get("PYTHONSAFEPATH") is None


async def test_no_pipe_is_closed_under_its_reader(
    valkey_url: str, driver: RedisStreamsDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that is late to read what a worker said last reads it, whatever ended the worker."""
    of_connection = Connection._recv_bytes  # type: ignore[attr-defined]

    def late(self: Connection, *arguments: object) -> object:  # type: ignore[type-arg]
        time.sleep(0.5)
        return of_connection(self, *arguments)

    monkeypatch.setattr(Connection, "_recv_bytes", late)
    async with Workers(plan_for(valkey_url), "redis-streams", options(valkey_url)) as workers:
        psutil.Process(next(iter(pids()))).kill()
        with pytest.raises(WorkerError, match="died with exit code -9"):
            await workers.poll()
    for reader in [each for each in threading.enumerate() if each.name == "pipe"]:
        reader.join(10)  # it tells of its end in its last step
    assert [each for each in threading.enumerate() if each.name == "pipe"] == []


async def test_a_worker_that_is_killed_ends_every_wait_with_its_name(
    valkey_url: str, driver: RedisStreamsDriver
) -> None:
    """A poll under way, a sleep, and all that come later; the others are ended."""
    workers = Workers(plan_for(valkey_url), "redis-streams", options(valkey_url))
    async with workers:
        (victim, *_) = pids()
        watching = asyncio.create_task(workers.watch(3600))
        psutil.Process(victim).kill()

        with pytest.raises(WorkerError, match=rf"worker \d \(\w+\), pid {victim}, died with exit code -9"):
            await watching
        for _ in range(2):
            with pytest.raises(WorkerError, match=f"pid {victim}"):
                await workers.poll()

    assert pids() == set()


async def test_a_worker_that_can_not_connect_says_why(unused_tcp_port: int) -> None:
    """Its own error, under its name, without a traceback; nothing is left of the others."""
    url = f"redis://127.0.0.1:{unused_tcp_port}"

    with pytest.raises(
        WorkerError, match=r"^worker \d \(\w+\): redis://127\.0\.0\.1:\d+: .*is the server up"
    ) as raised:
        await Workers(plan_for(url), "redis-streams", options(url)).__aenter__()

    assert "Traceback" not in str(raised.value)
    assert pids() == set()


async def test_a_worker_that_meets_an_unexpected_fault_shows_it(valkey_url: str) -> None:
    """With its traceback, since it is a fault of the program."""
    plan = plan_for(valkey_url)
    async with contextlib.AsyncExitStack() as stack:
        driver = await open_driver(options(valkey_url))
        stack.push_async_callback(driver.aclose)
        await driver.create_topics(plan.topics, plan.subscriptions)
        stack.push_async_callback(driver.delete_created)
        workers = await stack.enter_async_context(Workers(plan, "redis-streams", options(valkey_url)))
        workers.send(protocol.ExtendPhase(Phase(0, "measure", time.monotonic_ns() + LEAD_NS, 500_000_000, plan.rate)))

        with pytest.raises(WorkerError, match=r"(?s)worker \d .*an unexpected fault:.*Traceback.*extend_phase"):
            await workers.poll()


async def test_a_worker_of_another_version_is_refused_by_name(
    valkey_url: str, driver: RedisStreamsDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the program was upgraded while a series of runs goes on; both versions are told, and nothing is left."""
    own = wire_format.OWN
    monkeypatch.setattr(wire_format, "OWN", replace(own, program="0.0.1"))

    with pytest.raises(WorkerError) as raised:
        await Workers(plan_for(valkey_url), "redis-streams", options(valkey_url)).__aenter__()

    assert re.fullmatch(
        rf"worker \d \(\w+\): is of ombdriver {re.escape(own.program)} \(form {own.form}\), and what started it of"
        rf" ombdriver 0\.0\.1 \(form {own.form}\); install one version on both sides, and start again",
        str(raised.value),
    )
    assert pids() == set()


async def test_a_subscription_that_can_no_longer_be_read_ends_the_run(
    valkey_url: str, driver: RedisStreamsDriver
) -> None:
    """Somebody deletes the streams: the worker says so."""
    async with Workers(plan_for(valkey_url), "redis-streams", options(valkey_url)) as workers:
        await driver.delete_created()

        with pytest.raises(WorkerError, match=r"worker \d \(consume\): group group-\d can't be read: NOGROUP"):
            await workers.watch(3600)


async def test_signals_meant_for_the_parent_do_not_end_a_worker(valkey_url: str, driver: RedisStreamsDriver) -> None:
    """Ctrl-C in a terminal reaches all of the group; workers go on until the parent says so."""
    async with Workers(plan_for(valkey_url), "redis-streams", options(valkey_url)) as workers:
        for pid in pids():
            for number in (signal.SIGINT, signal.SIGTERM):
                psutil.Process(pid).send_signal(number)

        assert len(await workers.poll()) == 3


async def test_a_cancelled_start_ends_the_workers(valkey_url: str, driver: RedisStreamsDriver) -> None:
    """Whatever they were at."""
    starting = asyncio.create_task(Workers(plan_for(valkey_url), "redis-streams", options(valkey_url)).__aenter__())
    while not pids():  # noqa: ASYNC110 - processes tell nobody
        await asyncio.sleep(0)

    starting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await starting
    assert pids() == set()
