"""Agents as processes, and the coordinator that they dial in to: workers on hosts, and hosts that go away."""

import asyncio
import contextlib
import signal
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import psutil  # type: ignore[import-untyped]
import pytest

from ombdriver.bench.drivers.redis_streams.driver import RedisStreamsDriver, open_driver
from ombdriver.bench.hosts import agent_protocol
from ombdriver.bench.hosts.agent import SERVER_NAME
from ombdriver.bench.hosts.agent_process import AgentProcess
from ombdriver.bench.hosts.coordinator import Coordinator, OwnClock
from ombdriver.bench.hosts.host_servers import PASSWORD, HostServers
from ombdriver.bench.hosts.kernel_clock import read_wall
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.recorder import Metrics
from ombdriver.bench.plan.host_layout import HostLayout
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.run.phases import LEAD_NS
from ombdriver.bench.run.workers import Workers
from ombdriver.bench.servers.topology import ServerPlan
from ombdriver.bench.spec.credentials import started_url
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.telemetry.hosts import HostSample
from ombdriver.bench.worker import protocol
from ombdriver.bench.worker.server_time import ask_server_times
from ombdriver.errors import RunError, ServerError, WorkerError

RUN_ID = "hosts"
WORKLOAD = """
topics: 2
partitionsPerTopic: 1
messageSize: 64
subscriptionsPerTopic: 2
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 1000
testDuration: 1s
"""


def plan_for(url: str) -> Plan:
    """A run on two hosts, each of which sends and reads."""
    setup = Setup.load("embedded").with_url(url)
    layout = HostLayout(2, 2, "mixed")
    return make_plan(Workload.parse(WORKLOAD, "w.yaml"), setup, RUN_ID, workers=None, cores=2, layout=layout)


def options(url: str) -> Mapping[str, object]:
    """What the driver is given."""
    return {"url": url, "run_id": RUN_ID, "block_ms": 50}


@pytest.fixture
async def driver(valkey_url: str) -> AsyncIterator[RedisStreamsDriver]:
    """The parent's driver, with the topics made."""
    made = await open_driver(options(valkey_url))
    plan = plan_for(valkey_url)
    await made.create_topics(plan.topics, plan.subscriptions)
    yield made
    await made.delete_created()
    await made.aclose()


@contextlib.asynccontextmanager
async def hosts(*names: str) -> AsyncIterator[tuple[Coordinator, list[psutil.Process]]]:
    """A coordinator with an agent for each host, and the agents; none of them, and nothing of theirs, is left."""
    agents: list[AgentProcess] = []
    family: list[psutil.Process] = []
    try:
        async with Coordinator(names, "127.0.0.1") as coordinator:
            agents += [AgentProcess() for _ in coordinator.hosts]
            started = zip(agents, coordinator.hosts, strict=True)
            processes = [psutil.Process(agent.start(coordinator.orders(host))) for agent, host in started]
            await coordinator.connected()
            yield coordinator, processes
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    family += process.children(recursive=True)
                    process.resume()
    finally:
        for agent in agents:
            await asyncio.to_thread(agent.end, 15.0)
    _, left = await asyncio.to_thread(psutil.wait_procs, family, 15.0)
    assert left == []


async def test_workers_on_hosts_probe_send_receive_and_leave(valkey_url: str, driver: RedisStreamsDriver) -> None:
    """To the message, as on one machine; latencies between hosts are not below what their clocks may be wrong by."""
    plan, found = plan_for(valkey_url), Metrics()
    async with (
        hosts("alpha", "beta") as (coordinator, agents),
        Workers(plan, "redis-streams", options(valkey_url), coordinator) as workers,
    ):
        assert sorted({worker.host for worker in plan.workers}) == [0, 1]
        grandchildren = {child.pid for agent in agents for child in agent.children(recursive=True)}
        assert set(workers.pids) <= grandchildren
        workers.send(protocol.BeginPhase(Phase(0, "measure", time.monotonic_ns() + LEAD_NS, 500_000_000, plan.rate)))
        while True:
            reports = await workers.poll()
            for report in reports:
                found += report.metrics
            if sum(report.received.get(name, 0) for report in reports for name in plan.subscriptions) == 2 * 500:
                break
        error_ns = coordinator.clock_error_ns()
        own = OwnClock(read_wall(), await ask_server_times(driver))
        told = [host.clock_to_json(own) for host in coordinator.hosts]
        contradicted = [host.contradictions(own) for host in coordinator.hosts]

    assert 0 < error_ns < 10**9
    assert [abs(each["aheadMs"]) <= each["errorMs"] + 1 for each in told] == [True, True]
    witnesses = [each for host in told for each in host["witnesses"] if each["witness"] == "serverTime"]
    assert [abs(each["aheadMs"]) <= each["errorMs"] for each in witnesses] == [True, True]
    assert contradicted == [{}, {}]
    of_groups = [each for (_, name, group, _), each in found.histograms.items() if name == "endToEnd" and group]
    latencies = Histogram.total(of_groups)
    assert latencies.count == 2 * 500
    assert latencies.max_ns < 60 * 10**9


async def test_an_agent_that_is_killed_ends_every_wait_with_the_name_of_its_host(
    valkey_url: str, driver: RedisStreamsDriver
) -> None:
    """Its workers end with it, and those of the other host with the run."""
    async with hosts("alpha", "beta") as (coordinator, agents):
        async with Workers(plan_for(valkey_url), "redis-streams", options(valkey_url), coordinator) as workers:
            killed = agents[1].children(recursive=True)
            agents[1].kill()
            with pytest.raises(WorkerError, match=r"worker \d \(\w+\), pid \d+, was on host beta, which is gone: "):
                await workers.watch(30.0)
        _, left = await asyncio.to_thread(psutil.wait_procs, killed, 10.0)
        assert left == []


async def test_a_worker_that_is_killed_on_a_host_is_told_with_it(valkey_url: str, driver: RedisStreamsDriver) -> None:
    """As on one machine, and where it was."""
    async with (
        hosts("alpha", "beta") as (coordinator, _),
        Workers(plan_for(valkey_url), "redis-streams", options(valkey_url), coordinator) as workers,
    ):
        workers.signal(0, signal.SIGKILL)
        with pytest.raises(WorkerError, match=r"worker 0 \(produce\), pid \d+, died with exit code -9 on host alpha"):
            await workers.watch(30.0)


async def test_a_host_that_is_silent_is_gone(
    valkey_url: str, driver: RedisStreamsDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that is cut, or a host that hangs, says nothing: it is noticed by that."""
    monkeypatch.setattr(agent_protocol, "SILENCE_S", 1.0)
    async with (
        hosts("alpha", "beta") as (coordinator, agents),
        Workers(plan_for(valkey_url), "redis-streams", options(valkey_url), coordinator) as workers,
    ):
        agents[0].suspend()
        with pytest.raises(WorkerError, match="was on host alpha, which is gone: nothing was heard of it for 1 s"):
            await workers.watch(30.0)


async def test_an_agent_whose_coordinator_is_silent_ends_its_processes(
    valkey_url: str, driver: RedisStreamsDriver
) -> None:
    """By itself, after 10 s: nobody may be there to end them."""
    async with (
        hosts("alpha") as (coordinator, (agent,)),
        Workers(one_host(valkey_url), "redis-streams", options(valkey_url), coordinator),
    ):
        family = [agent, *agent.children(recursive=True)]
        assert coordinator._asking is not None
        coordinator._asking.cancel()
        _, left = await asyncio.to_thread(psutil.wait_procs, family, agent_protocol.SILENCE_S + 15.0)
        assert left == []


def one_host(url: str) -> Plan:
    """The same run with all workers on the first host."""
    plan = plan_for(url)
    return replace(plan, workers=tuple(replace(each, host=0) for each in plan.workers))


async def test_an_agent_that_can_not_reach_its_coordinator_says_so(unused_tcp_port: int) -> None:
    """In one line, as its last word."""
    async with Coordinator(["alpha"], "127.0.0.1") as coordinator:
        agent = AgentProcess()
        agent.start({**coordinator.orders(coordinator.hosts[0]), "port": unused_tcp_port})
        fate = await asyncio.to_thread(agent.end, 20.0)

    assert f"exit code 1: the coordinator can't be reached at 127.0.0.1:{unused_tcp_port} (" in fate


async def test_an_agent_that_nobody_asks_for_any_more_is_no_zombie() -> None:
    """As after its coordinator was killed, and the engine has forgotten it."""
    async with Coordinator(["alpha"], "127.0.0.1") as coordinator:
        agent = AgentProcess()
        process = psutil.Process(agent.start(coordinator.orders(coordinator.hosts[0])))
        await coordinator.connected()

    _, left = await asyncio.to_thread(psutil.wait_procs, [process], 15.0)
    assert left == []
    assert not psutil.pid_exists(process.pid)
    assert agent.end(0.0) == "its agent ended with exit code 0"


async def test_an_agent_tells_what_its_host_takes_by_the_clock_of_the_run(
    valkey_url: str, driver: RedisStreamsDriver
) -> None:
    """Once a second, with the processor time of the engine that has started it: here of this process."""
    plan, samples = plan_for(valkey_url), asyncio.Queue[HostSample]()
    async with (
        hosts("alpha", "beta") as (coordinator, _),
        Workers(plan, "redis-streams", options(valkey_url), coordinator),
    ):
        coordinator.hosts[0].on_sample = samples.put_nowait
        first, second = await samples.get(), await samples.get()
        now_ns = time.monotonic_ns()

    assert first.at_ns < second.at_ns <= now_ns
    assert now_ns - second.at_ns < 5 * 10**9
    assert first.agent_cpu_ns <= second.agent_cpu_ns
    assert (second.engine_cpu_ns or 0) > 0


async def test_a_stranger_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not say the run's secret first is no host, whatever it says."""
    monkeypatch.setattr("ombdriver.bench.hosts.coordinator.CONNECT_TIMEOUT_S", 0.5)
    async with Coordinator(["alpha"], "127.0.0.1") as coordinator:
        orders = coordinator.orders(coordinator.hosts[0])
        context = ssl.create_default_context(cadata=orders["authority"])
        for said in (agent_protocol.Hello(0, "guessed"), agent_protocol.Hello(0, "ü"), agent_protocol.Answer(1, 2, 3)):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", orders["port"], ssl=context, server_hostname=SERVER_NAME
            )
            writer.write(agent_protocol.pack(said))
            assert await reader.read() == b""
            writer.close()

        with pytest.raises(RunError, match=r"host alpha did not connect to 127\.0\.0\.1 within 0\.5 s"):
            await coordinator.connected()


# -- servers of a run on one of its hosts ------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [ServerPlan(), ServerPlan(topology="replicated"), ServerPlan(topology="cluster")])
async def test_servers_on_a_host_take_those_alone_who_know_their_password(plan: ServerPlan) -> None:
    """They are what their plan says, tell what they take, have a limit of memory, and end with the run."""
    samples = asyncio.Queue[HostSample]()
    async with hosts("alpha") as (coordinator, _):
        coordinator.hosts[0].on_sample = samples.put_nowait
        servers = await HostServers.start(coordinator.hosts[0], plan)
        processes = [psutil.Process(each.pid) for each in servers.servers]
        description = await described(started_url(servers.url, servers.plan.config))
        with pytest.raises(RunError, match=r"NOAUTH|password"):
            await described(servers.url)
        while (sample := await samples.get()).servers is None:
            pass
        servers.check()
        await servers.stop()
        assert [each for each in processes if each.is_running()] == []

    assert servers.has_limit
    assert description["maxMemoryBytes"]
    assert str(servers.plan.config[PASSWORD]) not in repr(description)
    assert sample.servers is not None
    assert sample.servers.rss_bytes > 0
    assert servers.ended() == []


async def described(url: str) -> Mapping[str, object]:
    """What the servers at `url` say of themselves."""
    made = await open_driver(options(url))
    try:
        return await made.describe()
    finally:
        await made.aclose()


async def test_a_server_on_a_host_that_dies_is_told_with_its_log() -> None:
    """As on one machine, and on which host it was."""
    async with hosts("alpha") as (coordinator, _):
        servers = await HostServers.start(coordinator.hosts[0], ServerPlan())
        logs = await servers.keep_logs()
        assert logs is not None
        assert "primary-1, port" in logs.read_text()
        logs.unlink()
        psutil.Process(servers.servers[0].pid).kill()
        async with asyncio.timeout(30.0):
            while not servers.ended():  # noqa: ASYNC110 - what is waited for is a message of the agent
                await asyncio.sleep(0.01)
        with pytest.raises(ServerError, match=r"server primary-1 on host alpha has ended by itself \(exit code"):
            servers.check()
        await servers.stop()


async def test_a_server_that_can_not_be_started_on_a_host_says_why() -> None:
    """With the name of the host, on which the way out is to be looked for."""
    async with hosts("alpha") as (coordinator, _):
        with pytest.raises(ServerError, match=r"^host alpha: .*/no/such/server"):
            await HostServers.start(coordinator.hosts[0], ServerPlan(engine="/no/such/server"))


@pytest.mark.parametrize("end", ["killed agent", "silent coordinator", "while it starts"])
async def test_a_server_on_a_host_ends_whatever_becomes_of_its_agent_and_of_the_run(end: str) -> None:
    """Its reaper sees the end of the agent, and the agent that of the run; a start that is under way is given up."""
    async with hosts("alpha") as (coordinator, (agent,)):
        starting = asyncio.create_task(HostServers.start(coordinator.hosts[0], ServerPlan(topology="cluster")))
        if end == "while it starts":
            while not (family := agent.children(recursive=True)):  # noqa: ASYNC110 - another process's doing
                await asyncio.sleep(0.005)
            coordinator.hosts[0].lose("the run is over")
            with pytest.raises(ServerError, match="host alpha: the run is over"):
                await starting
        else:
            await starting
            family = agent.children(recursive=True)
            assert len(family) >= 3
            if end == "killed agent":
                agent.kill()
            else:
                assert coordinator._asking is not None
                coordinator._asking.cancel()
        _, left = await asyncio.to_thread(psutil.wait_procs, family, agent_protocol.SILENCE_S + 20.0)
        assert left == []
