"""`Workers` over a launcher in memory: what the parent makes of what its workers say, and of their silence."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from in_memory_launcher import InMemoryLauncher

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.recorder import Metrics
from ombdriver.bench.metrics.report import Report, SentReport
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.run import workers as of_run
from ombdriver.bench.run.workers import Workers
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.worker import protocol
from ombdriver.bench.worker.worker import Link
from ombdriver.errors import WorkerError

WORKLOAD = """
topics: 2
partitionsPerTopic: 2
messageSize: 64
subscriptionsPerTopic: 2
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 1000
testDuration: 1s
"""


def planned(workers: int = 1) -> Plan:
    """A run on the memory driver; of several workers, each has the part of the first."""
    plan = make_plan(Workload.parse(WORKLOAD, "w.yaml"), Setup.load("memory"), "RUNID", workers=None, cores=2)
    return replace(plan, workers=tuple(replace(plan.workers[0], index=index) for index in range(workers)))


def workers_of(launcher: InMemoryLauncher, count: int = 1) -> Workers:
    """Workers of such a run."""
    return Workers(planned(count), "memory", {}, launcher)


async def silent(_job: protocol.Job, link: Link) -> None:
    """A worker that connects, and says no more."""
    link.send(protocol.Connected())
    await asyncio.Event().wait()


async def test_workers_of_any_launcher_send_receive_and_leave() -> None:
    """The schedule to the message, by orders and reports that crossed as bytes; in the end nothing of it runs."""
    launcher = InMemoryLauncher()
    async with workers_of(launcher) as workers:
        assert workers.pids == [1000]
        workers.send(protocol.SendProbes())
        workers.send(protocol.BeginPhase(Phase(0, "measure", time.monotonic_ns(), 100_000_000, 1000)))
        received: dict[str, int] = {}
        while set(received.values()) != {100 + 4}:
            (report,) = await workers.poll()
            received = dict(report.received)
        (report,) = await workers.poll(protocol.Finish())

    assert received == {"group-1": 104, "group-2": 104}
    assert (report.sent, report.acknowledged, report.failed) == (104, 104, 0)
    assert [each.task.done() for each in launcher.endpoints] == [True]


async def test_a_worker_that_is_gone_ends_every_wait_with_its_name_and_its_fate() -> None:
    """A sleep under way, and what comes later; whatever kind of worker it was."""
    launcher = InMemoryLauncher(silent)
    async with workers_of(launcher, 3) as workers:
        watching = asyncio.ensure_future(workers.watch(3600))
        launcher.endpoints[1].task.cancel()

        for waiting in (watching, workers.poll(), workers.watch(0)):
            with pytest.raises(WorkerError, match=r"^worker 1 \(both\), pid 1001, was cancelled$"):
                await waiting

    assert all(each.task.done() for each in launcher.endpoints)


async def test_workers_that_do_not_answer_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, and no other; and at the end they are ended by force."""
    monkeypatch.setattr(of_run, "POLL_TIMEOUT_S", 0.05)
    monkeypatch.setattr(of_run, "EXIT_TIMEOUT_S", 0.05)
    launcher = InMemoryLauncher(silent)
    async with workers_of(launcher, 2) as workers:
        with pytest.raises(WorkerError, match=r"^worker 0 \(both\), worker 1 \(both\) did not report within 0.05 s"):
            await workers.poll()

    assert [each.fate() for each in launcher.endpoints] == ["was cancelled", "was cancelled"]


@pytest.mark.parametrize(
    ("failed", "told"),
    [
        (protocol.Failed("no server; start one", known=True), "worker 0 (both): no server; start one"),
        (protocol.Failed("Traceback …", known=False), "worker 0 (both): an unexpected fault:\nTraceback …"),
    ],
)
async def test_a_worker_that_can_not_begin_is_told_in_its_words(failed: protocol.Failed, told: str) -> None:
    """An error of ours as it is; any other as a fault of the program."""

    async def failing(_job: protocol.Job, link: Link) -> None:
        link.send(failed)

    with pytest.raises(WorkerError) as raised:
        await workers_of(InMemoryLauncher(failing)).__aenter__()

    assert str(raised.value) == told


class Mortal:
    """Workers that have sent ten messages more of flow 3 at each report, one of them since it; and die when told to.

    Attributes:
        jobs: of all that were started.
        heard: all commands.
    """

    def __init__(self) -> None:
        self.jobs: list[protocol.Job] = []
        self.heard: list[protocol.Command] = []

    async def __call__(self, job: protocol.Job, link: Link) -> None:
        """One worker."""
        self.jobs.append(job)
        ended = asyncio.Event()
        sent, began = 0, job.resume.flows[0][1] if job.resume else 0

        def report() -> Report:
            nonlocal sent
            sent += 10
            flows = np.array([[3, began + sent, began + sent]])
            news = np.array([[3, began + sent - 1, 1]])
            return Report(Metrics(), sent, sent, 0, 0, {}, frozenset(), 0, {}, {}, SentReport(flows, news))

        def on_command(command: protocol.Command) -> None:
            self.heard.append(command)
            match command:
                case protocol.Poll():
                    link.send(report())
                case protocol.Die():
                    link.send(protocol.Dying(report()))
                    ended.set()
                case protocol.Exit():
                    ended.set()

        link.listen(on_command, lambda _: None)
        link.send(protocol.Connected())
        await ended.wait()


def told(reports: Sequence[Report]) -> tuple[list[int], list[list[int]]]:
    """What was sent in all, and which messages of flow 3 are new, by worker."""
    news = [each.sent_report.failed[:, 1].tolist() for each in reports]
    return [each.sent for each in reports], news


async def test_a_worker_that_is_killed_has_reported_all_that_it_did_and_another_goes_on() -> None:
    """Each report has a part for each worker, and each message is told once, whoever was there when."""
    mortal = Mortal()
    launcher = InMemoryLauncher(mortal)
    phase = Phase(0, "measure", time.monotonic_ns(), 100_000_000, 1000)
    async with workers_of(launcher, 2) as workers:
        assert told(await workers.poll()) == ([10, 10], [[9], [9]])

        await workers.kill(1)
        await workers.kill(1)
        assert launcher.endpoints[1].task.done()
        assert told(await workers.poll()) == ([20, 20], [[19], [19]])
        assert told(await workers.poll()) == ([30, 20], [[29], []])
        workers.send(protocol.HoldTrimming(True))

        assert await workers.restart(1, phase, lambda flow: flow) == 1001
        assert await workers.restart(1, phase, lambda flow: flow) is None
        assert told(await workers.poll()) == ([40, 30], [[39], [29]])

        await workers.kill(1)
        await workers.restart(1, phase, lambda flow: flow)
        assert told(await workers.poll()) == ([50, 50], [[49], [39, 49]])

    assert [job.resume and job.resume.flows for job in mortal.jobs] == [None, None, ((3, 20, 17),), ((3, 40, 37),)]
    assert [job.options for job in mortal.jobs[1:3]] == [{}, {"returns": True}]
    assert mortal.heard.count(protocol.BeginPhase(phase)) == 2
    assert mortal.heard.count(protocol.HoldTrimming(True)) == 1 + 2


async def test_a_worker_that_does_not_die_when_told_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that is stopped, and hears nothing."""
    monkeypatch.setattr(of_run, "KILL_TIMEOUT_S", 0.05)
    monkeypatch.setattr(of_run, "EXIT_TIMEOUT_S", 0.05)
    async with workers_of(InMemoryLauncher(silent)) as workers:
        with pytest.raises(WorkerError, match=r"^worker 0 \(both\) did not end within 0.05 s; is it paused\?$"):
            await workers.kill(0)
