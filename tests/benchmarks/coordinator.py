"""What bounds a run on many hosts: the coordinator, with hosts that are simulated.

python -m tests.benchmarks.coordinator

Bytes are made as agents send them, and given to the coordinator's connections; of what it says only questions for the
time and for reports are answered. So figures are of all that it does but the network's part and TLS. Each host has two
workers: one that sends 1,000 messages a second to a topic of its own, and one that reads these for three groups.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

import numpy as np
import uvloop

from ombdriver.bench.hosts.agent_protocol import Answer, Ask, Forward, Hello, Said, Unpacker, pack
from ombdriver.bench.hosts.connection import Connection
from ombdriver.bench.hosts.coordinator import Coordinator
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.recorder import Metrics
from ombdriver.bench.metrics.report import ReceivedReport, Report, SentReport
from ombdriver.bench.plan.host_layout import HostLayout
from ombdriver.bench.plan.plan import Plan, WorkerPlan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.run.measurement import Measurement
from ombdriver.bench.run.workers import Workers
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.units import SECOND
from ombdriver.bench.worker import protocol, wire_format

HOSTS = (10, 100, 1000)
RATE = 1_000
SENDING = ("publish", "publishDelay", "publishResponse", "scheduleLag", "blocked", "messagesPerWrite")
READING = ("endToEnd", "endToEndResponse")
SECONDS = 5
WORKLOAD = """
topics: {hosts}
partitionsPerTopic: 1
messageSize: 1000
subscriptionsPerTopic: 3
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: {rate}
testDuration: 60s
"""


class Agent(asyncio.Transport):
    """Answers, as a host that is 3 days ahead, when it is asked for the time; drops all else that is written.

    Attributes:
        reports: by the number of a worker, what it says when it is asked the next time.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection
        self.reports: dict[int, bytes] = {}
        self._unpacker = Unpacker(self._on_message)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See `asyncio.Transport`."""
        if len(data) < 100:
            self._unpacker.feed(bytes(data))

    def _on_message(self, message: object) -> None:
        if isinstance(message, Ask):
            there_ns = time.monotonic_ns() + 3 * 86400 * SECOND
            answer = pack(Answer(message.sent_ns, there_ns, there_ns))
            asyncio.get_running_loop().call_soon(self._connection.data_received, answer)
        elif isinstance(message, Forward) and isinstance(wire_format.decode(message.frame), protocol.Poll):
            said = self.reports.pop(message.worker)
            asyncio.get_running_loop().call_soon(self._connection.data_received, said)

    def close(self) -> None:
        """See `asyncio.Transport`."""

    def abort(self) -> None:
        """See `asyncio.Transport`."""


def plan_for(hosts: int) -> Plan:
    """What they do."""
    workload = Workload.parse(WORKLOAD.format(hosts=hosts, rate=RATE * hosts), "simulated.yaml")
    setup = Setup.load("embedded").with_url("redis://10.0.0.5")
    return make_plan(workload, setup, "simulated", workers=None, cores=2, layout=HostLayout(hosts, 2, "mixed"))


class Samples:
    """Histograms that differ from worker to worker, of one second and of what is in the next interval already."""

    def __init__(self) -> None:
        random = np.random.default_rng(1)
        self._made = [
            [Histogram.of(random.lognormal(13, 0.5, count).astype(np.int64)) for count in (RATE - 10, 10)]
            for _ in range(64)
        ]
        self._next = 0

    def add_to(self, metrics: Metrics, family: str, group: str | None, interval: int) -> None:
        """One second of a family."""
        self._next += 1
        for away, histogram in enumerate(self._made[self._next % len(self._made)]):
            metrics.add_histogram((0, family, group, interval + away), histogram)


def report(plan: Plan, worker: WorkerPlan, second: int, samples: Samples) -> Report:
    """What a worker says of a second."""
    metrics, sent, received = Metrics(), RATE * (second + 1), []
    if worker.producers:
        for family in SENDING:
            samples.add_to(metrics, family, None, second)
        metrics.add_count((0, "published", None, second), RATE)
    for each in worker.consumers:
        for family in READING:
            samples.add_to(metrics, family, each.subscription, second)
        metrics.add_count((0, "received", each.subscription, second), RATE)
        flows = [plan.topics.index(topic) for topic in each.topics]
        ranges = np.array([(flow, RATE * second, RATE) for flow in flows], np.int64)
        received.append((each.subscription, ReceivedReport(ranges)))
    flows = [each.index for each in worker.producers]
    return Report(
        metrics=metrics,
        sent=sent * len(flows),
        acknowledged=sent * len(flows),
        failed=0,
        unsent=0,
        received={each.subscription: sent for each in worker.consumers},
        probed=frozenset(),
        foreign=0,
        errors={},
        driver={"reconnects": 0},
        sent_report=SentReport(np.array([(flow, sent, sent) for flow in flows], np.int64).reshape(-1, 3)),
        received_reports=received,
    )


async def simulate(hosts: int) -> dict[str, float]:
    """Seconds to start; of processor time, for each second of a run and for the bounds at its end; bytes a second."""
    begun_s = time.monotonic()
    plan = plan_for(hosts)
    async with Coordinator([f"host-{number}" for number in range(hosts)], "127.0.0.1") as coordinator:
        return await _simulate(plan, coordinator, begun_s)


async def _simulate(plan: Plan, coordinator: Coordinator, begun_s: float) -> dict[str, float]:
    connections: list[Connection] = []
    agents: list[Agent] = []
    for host in coordinator.hosts:
        connection = coordinator._accept()
        agents.append(Agent(connection))
        connection.connection_made(agents[-1])
        connection.data_received(pack(Hello(host.number, coordinator._token)))
        connections.append(connection)
    await coordinator.connected()
    workers = Workers(plan, "redis-streams", {"url": "redis://10.0.0.5"}, coordinator)
    starting = asyncio.create_task(workers.__aenter__())
    await asyncio.sleep(0)
    for worker in plan.workers:
        for frame in (wire_format.greeting(), wire_format.encode(protocol.Connected())):
            connections[worker.host].data_received(pack(Said(worker.index, frame)))
    await starting
    measurement = Measurement(plan, None)
    phase = Phase(0, "measure", time.monotonic_ns() + SECOND, 60 * SECOND, plan.rate)
    workers.send(protocol.BeginPhase(phase))
    start_s = time.monotonic() - begun_s
    samples, took, size = Samples(), [], 0
    for second in range(SECONDS):
        size = 0
        for worker in plan.workers:
            said = pack(Said(worker.index, wire_format.encode(report(plan, worker, second, samples))))
            agents[worker.host].reports[worker.index] = said
            size += len(said)
        begun = time.process_time()
        measurement.add(await workers.poll())
        measurement.look(phase, (second + 1) * SECOND)
        took.append(time.process_time() - begun)
    assert measurement.collector.acknowledged == RATE * plan.producers * SECONDS
    assert not any(measurement.backlog().values())
    begun = time.process_time()
    coordinator.clock_error_ns()
    clocks_s = time.process_time() - begun
    return {"start": start_s, "second": sorted(took)[SECONDS // 2], "clocks": clocks_s, "bytes": size}


def table(found: Sequence[tuple[int, dict[str, float]]]) -> str:
    """As docs/cluster.md has it."""
    lines = [
        "| hosts | to start, s | processor time a second, s | MB a second | clock bounds, s |",
        "|---|---|---|---|---|",
        *(
            f"| {hosts:,} | {each['start']:.2f} | {each['second']:.3f} | {each['bytes'] / 1e6:.1f}"
            f" | {each['clocks']:.2f} |"
            for hosts, each in found
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="+", default=HOSTS)
    options = parser.parse_args()
    sys.stdout.write(table([(hosts, uvloop.run(simulate(hosts))) for hosts in options.hosts]))


if __name__ == "__main__":
    main()
