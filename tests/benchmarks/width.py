"""`make width`: the widest shapes on one server: how long set-up, readiness and removal take, and what a worker needs.

On a private server that is given by URL, so that what a run made is really removed. Fails where a figure is above what
is aimed at; verdicts are told, and do not count, since they depend on what else the machine does.
"""

import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.report.progress import Progress
from ombdriver.bench.run import runner
from ombdriver.bench.run.events import Finished, RunEvent
from ombdriver.bench.run.phases import LEAD_NS
from ombdriver.bench.run.request import Request, plan_of
from ombdriver.bench.run.signals import Interrupt
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.telemetry import installation

MIB = 1 << 20
OTHERS = 12
"""Connections besides those that consumers read from: sending, acknowledging, and the parent's."""
AIMS = {"set-up s": 10.0, "ready s": 10.0, "removal s": 5.0, "worker MiB": 300.0}
"""The most that is aimed at; connections are to be no more than the plan's readers and `OTHERS`."""

SHAPES = {
    "10,000 topics": "topics: 10000, partitionsPerTopic: 1",
    "10,000 topics, 3 groups": "topics: 10000, partitionsPerTopic: 1, subscriptionsPerTopic: 3",
    "10,000 topics, 4 producers and 4 consumers": (
        "topics: 10000, partitionsPerTopic: 1, producersPerTopic: 4, consumerPerSubscription: 4"
    ),
    "10,000 partitions": "topics: 1, partitionsPerTopic: 10000",
    "10,000 partitions, 4 producers and 4 consumers": (
        "topics: 1, partitionsPerTopic: 10000, producersPerTopic: 4, consumerPerSubscription: 4"
    ),
    "100 consumers": "topics: 1, partitionsPerTopic: 1, consumerPerSubscription: 100",
    "100 consumers of 16 partitions": "topics: 1, partitionsPerTopic: 16, consumerPerSubscription: 100",
}
USUAL = {"subscriptionsPerTopic": 1, "producersPerTopic": 1, "consumerPerSubscription": 1}
REST = "messageSize: 1024, producerRate: 5000, warmupDuration: 2s, testDuration: 5s"


@dataclass
class Times:
    """Notes when each phase began, by what is first shown of it (`report.live.LiveView`)."""

    first: dict[str, float] = field(default_factory=dict)

    def update(self, progress: Progress) -> None:
        """See `LiveView`."""
        self.first.setdefault(progress.phase, time.monotonic() - progress.elapsed_s)

    def end(self) -> None:
        """There is nothing to give back."""

    def __enter__(self) -> "Times":
        return self

    def __exit__(self, *_: object) -> None:
        """See `end`."""


async def measured(url: str, shape: str) -> tuple[dict[str, float], str, Plan]:
    """What one shape takes, its verdict and its plan."""
    text = f"{shape}, {REST}" + "".join(f", {name}: {count}" for name, count in USUAL.items() if name not in shape)
    view, stored = Times(), time.monotonic()

    def note(event: RunEvent) -> None:
        nonlocal stored
        if isinstance(event, Finished):
            stored = time.monotonic()

    with tempfile.TemporaryDirectory(prefix="ombdriver-") as folder, Interrupt() as stop:
        workload, setup = Workload.parse(f"{{{text}}}", "width"), Setup.load("embedded").with_url(url)
        request = Request(workload, setup, Path(folder), None, installation.usable_cores())
        begun = time.monotonic()
        finished = await runner.run(request, view, stop, note)
        ended = time.monotonic()
    assert finished is not None
    result = finished.result
    assert result.verdict is not None
    assert result.telemetry is not None
    workers = result.environment["workers"]
    figures = {
        "set-up s": view.first["ready"] - begun,
        "ready s": view.first["warm-up"] - LEAD_NS / 1e9 - view.first["ready"],
        "removal s": ended - stored,
        "worker MiB": max(each["peakRssBytes"] for each in workers) / MIB,
        "connections": float(max(result.telemetry["server"]["clients"])),
    }
    return figures, result.verdict.status, plan_of(request, "width")


async def main() -> int:
    """Measures all shapes; the exit code tells whether all were within what is aimed at."""
    say = sys.stdout.write
    say(f"{'':48}" + "".join(f"{name:>13}" for name in (*AIMS, "connections")) + "  verdict\n")
    server, failed = await PrivateServer.start(), False
    try:
        for name, shape in SHAPES.items():
            figures, verdict, plan = await measured(server.url, shape)
            aims = AIMS | {"connections": plan.readers + OTHERS}
            failed |= (above := {each for each in aims if figures[each] > aims[each]}) != set()
            told = "".join(f"{figures[each]:>12,.1f}{'!' if each in above else ' '}" for each in aims)
            say(f"{name:48}{told}  {verdict}\n")
            sys.stdout.flush()
    finally:
        await server.stop()
    return int(failed)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
