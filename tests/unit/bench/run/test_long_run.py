"""A run with more sample intervals than are kept is shown, exposed and judged to its end."""

import io
from functools import partial

import pytest
from simulated_system import System, simulate

from ombdriver.bench.metrics.collector import Collector
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.report.live import PlainView
from ombdriver.bench.report.progress import Progress
from ombdriver.bench.report.prometheus import Labels, metrics
from ombdriver.bench.run import measurement
from ombdriver.bench.run.events import Subscriber
from ombdriver.bench.run.measurement import Measurement
from ombdriver.bench.run.progress import ProgressReporter

RATE = 100
SECONDS = 300


class Watching(PlainView):
    """Plain lines, and what each update told."""

    def __init__(self) -> None:
        self.lines = io.StringIO()
        super().__init__(self.lines)
        self.told: list[Progress] = []
        self.exposed: list[float] = []

    def update(self, progress: Progress) -> None:
        """Keeps it, and scrapes it."""
        super().update(progress)
        if progress.phase == "measure":
            self.told.append(progress)
            families = {each.name: each for each in metrics(Labels("w", "s", 1), progress)}
            self.exposed.append(families["ombdriver_messages_published"].samples[0].value)


async def test_everything_live_goes_on_when_intervals_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    """In coarser steps: 300 s of which at most 16 intervals are kept; from 150 s on the system is too slow."""
    monkeypatch.setattr(measurement, "Collector", partial(Collector, most_intervals=16))
    view = Watching()

    def watch(plan: Plan, of: Measurement) -> Subscriber:
        return ProgressReporter(view, plan, of, lambda: None).on_event

    system = System(1000, changes=[(150, 0.5 * RATE)])
    told = await simulate(monkeypatch, system, watch, producerRate=RATE, testDuration=f"{SECONDS}s")

    lines = [line for line in view.lines.getvalue().splitlines() if line.startswith("measure")]
    assert len(lines) == len(view.told) >= 16
    steps = [after.elapsed_s - before.elapsed_s for before, after in zip(view.told, view.told[1:], strict=False)]
    assert max(steps) <= told.metrics.interval_ns / 10**9 == 32
    assert view.told[-1].elapsed_s >= SECONDS - 32
    assert view.exposed == sorted(set(view.exposed))
    assert view.exposed[-1] == pytest.approx(RATE * 150 + 0.5 * RATE * (view.told[-1].elapsed_s - 150), rel=0.02)
    verdicts = [progress.verdict.status for progress in view.told if progress.verdict is not None]
    assert (verdicts[0], verdicts[-1], told.verdict.status) == ("VALID", "OVERLOADED", "OVERLOADED")
