"""Sampling a server once in a while: one sample at a time, whatever the server does."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from ombdriver.bench.drivers.sample import GroupSample, ServerSample, StreamSample, TopicPartition
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.report import ProcessUsage
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.telemetry import sampler
from ombdriver.bench.telemetry.sampler import Telemetry, next_tick, ticks_between
from ombdriver.errors import DriverError

EVERY_NS = 5_000_000
WORKLOAD = """
topics: 2
partitionsPerTopic: 50
messageSize: 100
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 500
testDuration: 1s
"""


class Server:
    """A driver that counts its samples, and does at each what a test says."""

    def __init__(self) -> None:
        self.asked: list[Sequence[TopicPartition]] = []
        self.under_way = self.most_under_way = 0
        self.act: Callable[[], Awaitable[None]] | None = None
        self._more = asyncio.Event()

    async def observe(self, streams: Sequence[TopicPartition]) -> ServerSample | None:
        """`api.Driver.observe`."""
        self.asked.append(streams)
        self._more.set()
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.act is not None:
                await self.act()
        finally:
            self.under_way -= 1
        seen = {stream: StreamSample(2, {"group-1": GroupSample(1, 1)}) for stream in streams}
        return ServerSample({"usedMemoryBytes": 100.0 * len(self.asked)}, streams=seen, commands_sent=129)

    async def until(self, count: int) -> None:
        """Returns when so many samples were asked for."""
        while len(self.asked) < count:
            self._more.clear()
            await self._more.wait()


def plan() -> Plan:
    """A run of a hundred streams, on two workers."""
    return make_plan(Workload.parse(WORKLOAD, "w.yaml"), Setup.load("embedded"), "telemetry", workers=2, cores=2)


def phase(length_s: float = 60.0) -> Phase:
    """One that begins now."""
    return Phase(0, "measure", time.monotonic_ns(), round(length_s * 1e9), 500)


def watching(driver: Any, **changed: Any) -> Telemetry:
    """On this process in the place of every worker."""
    reports = [ProcessUsage(cpu_ns=1, stalls=2, since_ns=1)] * 2
    return Telemetry(plan(), driver, lambda: reports, [os.getpid()] * 2, **{"every_ns": EVERY_NS} | changed)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server; after the test nothing looks at it any more."""
    made = Server()
    yield made
    assert made.under_way == 0


async def test_samples_are_taken_until_the_end_and_told(server: Server) -> None:
    """With streams in turn, the processes beside, and what all of it cost."""
    watch = watching(server)
    watch.begin_phase(phase())
    await server.until(5)
    watch.end_phase()
    await watch.stop()

    told = watch.to_json()
    count = len(server.asked)
    assert told["cost"]["looks"] == count >= 6
    assert told["cost"]["commands"] == 129 * count
    assert 0 <= told["cost"]["meanMs"] <= told["cost"]["longestMs"]
    assert [len(streams) for streams in server.asked] == [64] * count
    assert told["server"]["usedMemoryBytes"] == [100 * at for at in range(1, count + 1)]
    streams = told["server"]["streams"]
    assert (streams["count"], streams["perLook"]) == (100, 64)
    assert streams["seen"][:3] == [64, 100, 100]
    assert streams["length"][:2] == [128, 200]
    assert streams["groups"]["group-1"]["lag"][:2] == [64, 100]
    processes = told["processes"]
    assert [each["role"] for each in processes["workers"]] == ["produce", "consume"]
    assert min(processes["workers"][0]["rssBytes"] + processes["parent"]["rssBytes"]) > 2**20
    assert processes["server"] is None
    assert {len(values) for values in processes["machine"].values()} == {len(processes["t"])}
    assert repr(watch).startswith(f"<Telemetry <ServerSeries {count} samples")


async def test_a_driver_without_a_server_leaves_the_processes() -> None:
    """Be it that it says so, or that it knows no samples at all."""

    class Loopback:
        async def observe(self, _streams: Sequence[TopicPartition]) -> None:
            pass

    for driver in (Loopback(), object()):
        watch = watching(driver)
        watch.begin_phase(phase())
        await watch.stop()

        told = watch.to_json()
        assert told["server"] is None
        assert (told["cost"]["looks"], told["cost"]["meanMs"]) == (0, None)
        assert len(told["processes"]["t"]) >= 1


async def test_a_server_that_stalls_is_asked_once(server: Server) -> None:
    """No second sample while one is under way; the ticks that passed are counted, and the processes go on."""
    gate = asyncio.Event()

    async def stall() -> None:
        if len(server.asked) == 2:
            await gate.wait()

    server.act = stall
    watch = watching(server)
    watch.begin_phase(phase())
    await server.until(2)
    began_ns = time.monotonic_ns()
    while time.monotonic_ns() < began_ns + 8 * EVERY_NS:  # noqa: ASYNC110 - time itself is what passes
        await asyncio.sleep(0.001)
    asked_meanwhile = len(server.asked)
    gate.set()
    await server.until(3)
    await watch.stop()

    told = watch.to_json()
    assert (asked_meanwhile, server.most_under_way) == (2, 1)
    assert told["cost"]["missed"] >= 6
    assert told["cost"]["late"] >= 1
    assert "lookLate" in {each["kind"] for each in told["server"]["events"]}
    assert len(told["processes"]["t"]) > told["cost"]["looks"]


async def test_a_server_that_never_answers_does_not_hold_up_the_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sample is given up and counted."""
    monkeypatch.setattr(sampler, "LAST_SAMPLE_S", 0.02)
    server.act = asyncio.Event().wait  # type: ignore[assignment]
    watch = watching(server)
    watch.begin_phase(phase())
    await server.until(1)
    await watch.stop()

    assert (watch.to_json()["cost"]["unanswered"], watch.to_json()["cost"]["looks"]) == (1, 0)


@pytest.mark.parametrize("error", [DriverError("no connection"), KeyError("name")])
async def test_samples_that_fail_are_told_and_harm_nothing(server: Server, error: Exception) -> None:
    """Also when the driver is at fault."""

    async def fail() -> None:
        raise error

    server.act = fail
    watch = watching(server)
    watch.begin_phase(phase())
    await server.until(3)
    await watch.stop()

    told = watch.to_json()
    assert told["cost"]["failed"] == len(server.asked)
    (event,) = told["server"]["events"]
    assert event["kind"] == "lookFailed"
    assert str(error) in event["text"]


async def test_a_new_phase_moves_the_ticks(server: Server) -> None:
    """The sample that was due in an hour comes when the new phase begins; and one falls on its end."""
    watch = watching(server, every_ns=3600 * 10**9)
    watch.begin_phase(phase(7200.0))
    await server.until(1)
    measured = Phase(1, "measure", time.monotonic_ns() + 500_000_000, 500_000_000, 500)
    watch.begin_phase(measured)
    await server.until(3)
    await watch.aclose()

    before, start, *_ = watch.to_json()["server"]["t"]
    assert before < 0 <= start


async def test_closing_ends_it_at_once(server: Server) -> None:
    """Also when it never began, and twice."""
    server.act = asyncio.Event().wait  # type: ignore[assignment]
    watch = watching(server)
    await watch.aclose()
    watch.begin_phase(phase())
    await server.until(1)
    await watch.aclose()
    await watch.aclose()

    assert watch.to_json()["cost"]["looks"] == 0


def test_ticks_are_whole_steps_from_the_start_and_the_end() -> None:
    """Before the start too; the next one is always in the future."""
    assert [next_tick(now, 100, 125, 10) for now in (79, 80, 99, 100, 119, 120, 124, 125, 130)] == [
        *(80, 90, 100),
        *(110, 120, 125),
        *(125, 130, 140),
    ]


def test_ticks_that_passed_during_a_sample_are_counted() -> None:
    """One that was answered before the next tick missed none."""
    assert ticks_between(100, 109, 100, 10) == 0
    assert ticks_between(101, 131, 100, 10) == 3
