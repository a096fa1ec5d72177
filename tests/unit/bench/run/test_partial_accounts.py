"""Whatever ends a run, and whenever: each message that was due by then stands in one row of the account."""

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import replace

import pytest
from in_memory_launcher import InMemoryLauncher
from simulated_system import STILL, System, planned, simulate

from ombdriver.bench.drivers.memory import MemoryDriver
from ombdriver.bench.ledger.ledger import Ledger
from ombdriver.bench.ledger.spans import below
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.plan.plan import Plan, WorkerPlan
from ombdriver.bench.run.measurement import Measurement
from ombdriver.bench.run.workers import Workers
from ombdriver.bench.worker import protocol
from ombdriver.bench.worker import worker as of_worker
from ombdriver.errors import WorkerError

RATE = 500
GROUPS = 2
WORKERS = 2 + GROUPS
FAST = {"producerRate": 20_000, "producersPerTopic": 2, "subscriptionsPerTopic": GROUPS, "sampleInterval": "100ms"}


@pytest.mark.parametrize("by", ["interrupted", "serverDied", "workerDied"])
@pytest.mark.parametrize("seed", range(25))
async def test_the_account_of_a_partial_result_adds_up(seed: int, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Published, failed, never sent and never answered; and what never came counts in the response times."""
    chance = random.Random(seed)
    at_s = chance.uniform(0.05, 14)
    paused_s = chance.uniform(0, 10)
    system = System(
        chance.choice([20, 300, 490, 5000]),
        consuming=chance.choice([100, 5000]),
        latency_s=chance.choice([0.001, 0.3]),
        room=chance.choice([1, 50, 10_000]),
        changes=[(paused_s, STILL), (paused_s + chance.uniform(0.1, 30), 5000)] if chance.random() < 0.5 else [],
        ends=(by, at_s),
    )
    fields = {"arrivals": chance.choice(["uniform", "poisson"]), "drainTimeout": "2s", "sampleInterval": "500ms"}
    told = await simulate(monkeypatch, system, producerRate=RATE, **fields)

    totals, metrics = told.metrics.totals, told.metrics
    assert told.verdict.status == "PARTIAL" or at_s > 10
    accounted = totals.published + totals.publish_errors + totals.unsent + totals.unanswered
    assert accounted == told.due
    assert all(group.received <= accounted - totals.unsent for group in metrics.subscriptions)
    assert metrics.families["publishResponse"].total.count == accounted
    for each in metrics.delivery:
        gone = each.lost + each.trimmed + each.undelivered
        assert each.acknowledged + each.recovered == each.received + gone


def of_several_workers() -> Plan:
    """A run of two producing workers and one for each group, in an order that says nothing of what each does."""
    plan = planned(**FAST)
    (whole,) = plan.workers
    parts = [WorkerPlan(0, "consume", (), (each,)) for each in whole.consumers]
    parts += [WorkerPlan(0, "produce", (each,)) for each in whole.producers]
    workers = (replace(parts[at], index=index) for index, at in enumerate((2, 0, 3, 1)))
    return replace(plan, workers=tuple(workers))


@pytest.mark.parametrize("seed", range(12))
async def test_no_group_has_what_nobody_has_sent_when_a_worker_dies(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real workers report while messages go on, and one dies in the midst of a poll: metrics, counts and ledger of all
    that is kept agree to the message, and each that was received stands in a row of the account.
    """
    chance = random.Random(seed)
    driver = MemoryDriver()  # which all of them share, as they are in one process

    async def open_shared(_options: Mapping[str, object]) -> MemoryDriver:
        return driver

    monkeypatch.setattr(of_worker, "load_driver", lambda _name: open_shared)
    launcher, plan = InMemoryLauncher(), of_several_workers()
    measurement = Measurement(plan, None)
    ledger = Ledger(plan.flows.count, plan.subscriptions, exclusive=False)
    await driver.create_topics(plan.topics, plan.subscriptions)
    async with Workers(plan, "memory", {}, launcher) as workers:
        phase = Phase(0, "measure", time.monotonic_ns(), plan.test_ns, plan.rate)
        measurement.add(await workers.poll())
        measurement.begin_window()
        workers.send(protocol.BeginPhase(phase))
        polls, dies = 0, chance.randrange(1, 40)
        polled_ns, died = phase.start_ns, False
        while not died:
            polling = asyncio.ensure_future(workers.poll())
            if (polls := polls + 1) == dies:
                for _ in range(chance.randrange(12)):
                    await asyncio.sleep(0)
                launcher.endpoints[chance.randrange(WORKERS)].task.cancel()
            asked_ns = time.monotonic_ns()
            try:
                reports = await polling
            except WorkerError:
                died = True
            else:
                polled_ns = asked_ns
                measurement.add(reports, asked_ns)
                received = [one for each in reports for one in each.received_reports]
                ledger.add((each.sent_report for each in reports), received)
                for name, count in measurement.collector.received().items():
                    spans = ledger.received[name].spans
                    assert count == measurement.collector.histogram(phase, "endToEnd", name).count == len(spans)
                    assert not spans - below(ledger.sent.sent)
    measurement.break_off(phase, max(1, polled_ns - phase.start_ns), polled_ns)

    metrics = measurement.metrics()
    totals = metrics.totals
    sent = totals.published + totals.publish_errors + totals.unanswered
    assert [group.received <= sent for group in metrics.subscriptions] == [True] * GROUPS
    assert totals.received == sum(group.received for group in metrics.subscriptions)
    assert metrics.families["publishResponse"].total.count == sent + totals.unsent
