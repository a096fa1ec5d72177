"""How a coordinator waits for its hosts: who is asked meanwhile, and who is named when one does not come."""

import asyncio
import time
from typing import Any, cast

import pytest

from ombdriver.bench.hosts import agent_protocol
from ombdriver.bench.hosts.clock_witness import WallReading
from ombdriver.bench.hosts.connection import Connection
from ombdriver.bench.hosts.coordinator import Coordinator, Host, RemoteWorker
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.telemetry.hosts import HostSample
from ombdriver.bench.units import SECOND
from ombdriver.bench.worker import protocol, wire_format
from ombdriver.errors import RunError

MS = 10**6


class QuietAgent:
    """The connection of an agent that has dialled in, and answers nothing.

    Attributes:
        asked: set once it is asked for the time.
        offsets_ns: what its workers were told of their clock.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.offsets_ns: list[int] = []

    def send(self, message: Any) -> None:
        """Takes what it is told."""
        if isinstance(message, agent_protocol.Ask):
            self.asked.set()
        elif isinstance(message, agent_protocol.Forward):
            command = wire_format.decode(message.frame)
            if isinstance(command, protocol.SetClock):
                self.offsets_ns.append(command.host_clock.offset_ns)

    async def watch(self, every_s: float) -> None:
        """It is never silent for too long."""

    def close(self) -> None:
        """The run is over."""


async def test_an_agent_is_asked_while_those_of_other_hosts_are_waited_for() -> None:
    """Else it would take the silence for the end of the coordinator, and be gone before the last has dialled in."""
    async with Coordinator(["alpha", "beta"], "127.0.0.1") as coordinator:
        agent = QuietAgent()
        coordinator.hosts[0].attach(cast(Connection, agent))

        await agent.asked.wait()
        assert not coordinator.hosts[1].connected.done()


@pytest.mark.parametrize("gone", [0, 1])
async def test_a_host_that_is_gone_before_it_has_dialled_in_is_the_one_that_is_named(gone: int) -> None:
    """And not the others, which there was time left for."""
    async with Coordinator(["alpha", "beta"], "127.0.0.1") as coordinator:
        name = coordinator.hosts[gone].name
        coordinator.hosts[gone].lose("its agent ended with exit code 1")

        with pytest.raises(RunError, match=f"^host {name}: its agent ended with exit code 1$"):
            await coordinator.connected()


async def test_what_is_sent_while_consumers_pause_and_read_later_is_of_one_clock() -> None:
    """A backlog would else have latencies that are wrong by what was learnt of the clock meanwhile; and the bound is of
    both phases then.
    """
    async with Coordinator(["alpha"], "127.0.0.1") as coordinator:
        host, agent = coordinator.hosts[0], QuietAgent()
        host.attach(cast(Connection, agent))
        worker = RemoteWorker(host, 0, lambda _: None, lambda: None)
        begun_ns = time.monotonic_ns() - 100 * SECOND

        def drift(until_s: int) -> None:
            for at in range(host.exchanges, until_s):  # one a second, with a clock that gains 10 us each time
                sent, there = begun_ns + at * SECOND, at * SECOND + at * 10_000
                host.on_message(agent_protocol.Answer(sent, there, there), sent + MS)

        def begin(index: int, start_s: int) -> None:
            drift(start_s)
            phase = Phase(index, "phase", begun_ns + start_s * SECOND, 10 * SECOND, 1)
            worker.send(protocol.BeginPhase(phase))

        begin(0, 10)
        worker.send(protocol.PauseConsumers())
        begin(1, 30)
        begin(2, 50)
        drift(60)
        error_ns = host.clock_error_ns()
        worker.send(protocol.ResumeConsumers(begun_ns + 50 * SECOND))
        begin(3, 70)
        drift(80)

        warm_up, build, measure, after = agent.offsets_ns
        assert warm_up != build == measure != after
        assert error_ns > host.clock_error_ns() + 150_000  # of what it gained in the 20 s from one phase to the other


async def test_samples_of_a_host_that_has_servers_alone_are_by_the_runs_clock() -> None:
    """However far ahead its own clock is; no phase tells it one."""
    host, taken = Host(0, "10.0.0.1"), list[HostSample]()
    host.on_sample = taken.append
    ahead_ns, now_ns = 3 * 86_400 * 10**9, time.monotonic_ns()
    host.on_message(agent_protocol.Answer(now_ns, now_ns + ahead_ns + 1000, now_ns + ahead_ns + 1000), now_ns + 2000)

    host.on_message(agent_protocol.Sampled(HostSample(now_ns + ahead_ns), WallReading(0, 0, 0)), now_ns)

    assert abs(taken[0].at_ns - now_ns) <= 1_000_000
