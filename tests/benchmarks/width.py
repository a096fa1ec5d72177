"""`make width`: the widest shapes on one server: how long set-up, readiness and removal take, and what a worker needs.

On a private server that is given by URL, so that what a run made is really removed. Fails where a figure is above what
is aimed at; verdicts are told, and do not count, since they depend on what else the machine does.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
from tests.marked import around, put_into
from tests.studies.page import machine

COMMAND = "width"
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


@dataclass(frozen=True, slots=True)
class Shape:
    """What one shape took.

    Attributes:
        figures: by the names of `AIMS`, and `connections`.
        aims: the most of each that is aimed at.
        verdict: of the run.
        server: name and version.
    """

    figures: Mapping[str, float]
    aims: Mapping[str, float]
    verdict: str
    server: str

    @property
    def above(self) -> set[str]:
        """The figures that are above what is aimed at."""
        return {name for name, aim in self.aims.items() if self.figures[name] > aim}


def table(shapes: Mapping[str, Shape]) -> str:
    """All shapes, and on what and when they were measured; as Markdown."""
    heads = [*AIMS, "connections"]
    lines = [f"| shape | {' | '.join(heads)} | verdict |", f"|---|{'--:|' * len(heads)}---|"]
    for name, each in shapes.items():
        cells = [f"{each.figures[head]:,.{0 if head == 'connections' else 1}f}" for head in heads]
        lines.append(f"| {name} | {' | '.join(cells)} | `{each.verdict}` |")
    aims = ", ".join(f"{name} {aim:,g}" for name, aim in AIMS.items())
    lines += [
        "",
        f"{machine(' or '.join(sorted({each.server for each in shapes.values()})))} At most is aimed at: {aims}.",
    ]
    return "\n".join(lines) + "\n"


async def measured(url: str, shape: str) -> Shape:
    """What one shape takes."""
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
    about = result.environment["server"]
    aims = AIMS | {"connections": plan_of(request, "width").readers + OTHERS}
    return Shape(figures, aims, result.verdict.status, f"{about['engine'].capitalize()} {about['version']}")


async def measure() -> dict[str, Shape]:
    """All shapes, each told when it is known."""
    say = sys.stdout.write
    say(f"{'':48}" + "".join(f"{name:>13}" for name in (*AIMS, "connections")) + "  verdict\n")
    found: dict[str, Shape] = {}
    server = await PrivateServer.start()
    try:
        for name, shape in SHAPES.items():
            each = found[name] = await measured(server.url, shape)
            told = "".join(f"{each.figures[aim]:>12,.1f}{'!' if aim in each.above else ' '}" for aim in each.aims)
            say(f"{name:48}{told}  {each.verdict}\n")
            sys.stdout.flush()
    finally:
        await server.stop()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures all shapes; the exit code tells whether all were within what is aimed at."""
    parser = argparse.ArgumentParser(prog="make width", description=__doc__, allow_abbrev=False)
    parser.add_argument("--page", type=Path, metavar="PAGE", help="a page to put the table into")
    options = parser.parse_args(arguments)
    if options.page is not None:
        around(options.page, COMMAND)  # rather than after all runs
    shapes = asyncio.run(measure())
    if options.page is not None:
        put_into(options.page, COMMAND, table(shapes))
    return int(any(each.above for each in shapes.values()))


if __name__ == "__main__":
    sys.exit(main())
