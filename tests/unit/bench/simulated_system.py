"""Runs on simulated time, against a system whose capacity is known exactly; the judging is the real one.

The clock, the worker processes and the messaging system are simulated; phases, rate search, measurement, ledger, rules
and verdict are those of a run. So a search takes a second, and no busy machine moves it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.histogram import Int64s
from ombdriver.bench.metrics.recorder import Metrics, Recorder
from ombdriver.bench.metrics.report import ReceivedReport, Report, SentReport
from ombdriver.bench.metrics.summary import RunMetrics
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.run import controller, phases
from ombdriver.bench.run.abort import AbortOnFail
from ombdriver.bench.run.controller import Controller
from ombdriver.bench.run.events import RunEvents, Subscriber
from ombdriver.bench.run.measurement import Measurement
from ombdriver.bench.run.phases import Phases
from ombdriver.bench.run.rate_search import RateSearch
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.verdict.assess import run_facts
from ombdriver.bench.verdict.facts import Facts
from ombdriver.bench.verdict.model import Verdict
from ombdriver.bench.verdict.probe import SearchResult
from ombdriver.bench.verdict.rules import judge
from ombdriver.bench.worker import protocol
from ombdriver.errors import OmbdriverError, RunError, WorkerError

Floats = NDArray[np.float64]
SECOND = 10**9
STILL = 1e-9
"""The capacity of a system that stands still, in messages per second."""
FAR_S = 1e6
GROUP = "group-1"
FIELDS = {
    "topics": 1,
    "partitionsPerTopic": 1,
    "messageSize": 100,
    "subscriptionsPerTopic": 1,
    "producersPerTopic": 1,
    "consumerPerSubscription": 1,
    "testDuration": "10s",
    "warmupDuration": "0s",
    "drainTimeout": "30s",
}


class Course:
    """A capacity over the time of a phase: its work is what it can have done until then, in messages.

    Args:
        capacity: messages per second.
        changes: (from when on, in seconds of the phase, messages per second), rising.
    """

    def __init__(self, capacity: float, changes: Sequence[tuple[float, float]] = ()) -> None:
        begins = [-FAR_S, *(begin for begin, _ in changes), FAR_S]
        rates = np.maximum([capacity, *(rate for _, rate in changes)], STILL)
        self._times = np.array(begins)
        self._work = np.concatenate(([0.0], np.cumsum(np.diff(begins) * rates)))
        self._last = float("-inf")

    def serve(self, arrivals_s: Floats) -> Floats:
        """When each of these messages is done, one after the other; each takes 1 of the work."""
        places = np.arange(len(arrivals_s))
        ready = np.interp(arrivals_s, self._times, self._work) - places
        begun = np.maximum.accumulate(np.concatenate(([self._last], ready)))[1:] + places
        if len(begun):
            self._last = float(begun[-1]) + 1
        return np.interp(begun + 1, self._work, self._times)


@dataclass
class System:
    """A messaging system of a known capacity.

    Attributes:
        capacity: messages per second that it takes.
        consuming: messages per second that its group reads.
        latency_s: what each answer takes besides, and each delivery.
        jitter_s: and up to so much more, at random.
        room: messages that are taken without an answer; what is due beyond stays unsent.
        changes: of the capacity in the measured window; see `Course`.
        consuming_changes: the same of the group's.
        stalls: how much of the phases called so a worker is held up: (from, until), in seconds of the phase.
        seed: of the jitter.
        ends: what ends the run in the measured window, and after how many seconds of it: `interrupted`, `serverDied` or
            `workerDied`; None for nothing.
        memory_short: at rates above this one memory is short, after so many seconds of a phase; None for never.
    """

    capacity: float
    consuming: float = 1e6
    latency_s: float = 0.0002
    jitter_s: float = 0.0002
    room: int = 10_000
    changes: Sequence[tuple[float, float]] = ()
    consuming_changes: Sequence[tuple[float, float]] = ()
    stalls: Callable[[str], Sequence[tuple[float, float]]] = lambda _phase: ()
    seed: int = 0
    ends: tuple[str, float] | None = None
    memory_short: tuple[float, float] | None = None


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now_ns = 1000 * SECOND

    def monotonic_ns(self) -> int:
        """Nanoseconds."""
        return self.now_ns

    def advance(self, seconds: float) -> None:
        """Time passes, if it is more than none."""
        self.now_ns += max(0, round(seconds * SECOND))


@dataclass
class SimulatedInterrupt:
    """Asks to stop if the system says so; waiting takes the clock's time."""

    clock: Clock
    workers: "SimulatedWorkers"
    name: str = "SIGINT"

    @property
    def asked(self) -> bool:
        """Whether it does."""
        return self.workers.has_ended("interrupted")

    async def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.advance(seconds)


@dataclass
class _Flight:
    """The messages of the phase under way, in order."""

    intended: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))
    answered: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))
    received: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))


class SimulatedWorkers:
    """What `Workers` is for `Phases`: takes commands, and reports what the system has done until now."""

    def __init__(self, plan: Plan, system: System, clock: Clock) -> None:
        self._plan, self._system, self._clock = plan, system, clock
        self._recorder = Recorder(plan.sample_interval_ns)
        self._random = np.random.default_rng(system.seed)
        self._sequence = self._answered = self._received = 0
        self._probed: frozenset[tuple[str, int, int]] = frozenset()
        self._phase: Phase | None = None
        self._stalled_since_ns = 0
        self._flight, self._drawn = _Flight(), 0
        self.due = 0
        """Messages of the phase under way that were due when workers were last asked, or told to stop."""

    def send(self, command: protocol.Command) -> None:
        """As a worker's `on_command`."""
        match command:
            case protocol.SendProbes():
                self._probed = frozenset({(GROUP, 0, 0)})
            case protocol.BeginPhase(phase):
                self._begin(phase)
            case protocol.Settled():
                self._stalled_since_ns = self._clock.now_ns
            case protocol.StopSending():
                self._stop_sending()

    def has_ended(self, by: str) -> bool:
        """Whether the run is to have ended by that."""
        ends, phase = self._system.ends, self._phase
        if ends is None or phase is None or phase.name != "measure" or ends[0] != by:
            return False
        return self._clock.now_ns >= phase.start_ns + ends[1] * SECOND

    @property
    def shortage(self) -> str | None:
        """As of a `MemoryMonitor`: what memory is short in this phase."""
        short, phase = self._system.memory_short, self._phase
        if short is None or phase is None or phase.rate <= short[0]:
            return None
        return "the server is full" if self._clock.now_ns >= phase.start_ns + short[1] * SECOND else None

    async def wait(self) -> None:
        """As of a `MemoryMonitor`: nothing wakes who waits for the clock, which jumps."""
        await asyncio.get_running_loop().create_future()

    def check(self) -> None:
        """Whether the server is still there."""
        if self.has_ended("serverDied"):
            raise RunError("the server died")

    async def watch(self, seconds: float) -> None:
        """Time passes."""
        self._clock.advance(seconds)

    async def poll(self, command: protocol.Finish | None = None) -> Sequence[Report]:
        """One report of all that is done; nothing takes time."""
        if self.has_ended("workerDied"):
            raise WorkerError("worker 0 died")
        if isinstance(command, protocol.Finish):
            self._finish()
        now_ns, flight = self._clock.now_ns, self._flight
        self._draw(now_ns)
        answered = int(np.searchsorted(flight.answered, now_ns, side="right"))
        received = int(np.searchsorted(flight.received, now_ns, side="right"))
        self._record(answered, received)
        report = Report(
            metrics=self._recorder.take(),
            sent=self._answered + self._in_flight,
            acknowledged=self._answered,
            failed=0,
            unsent=self._unsent,
            overdue=len(flight.intended) - answered - self._in_flight,
            received={GROUP: self._received},
            probed=self._probed,
            foreign=0,
            errors={},
            driver={},
            sent_report=SentReport(np.array([[0, self._answered + self._in_flight, self._answered]], np.int64)),
            received_reports=[(GROUP, self._ranges)],
            process=self._process(now_ns),
        )
        self._probed = frozenset()
        quiet = Report(Metrics(), 0, 0, 0, 0, {}, frozenset(), 0, {}, {})
        return [report, *(quiet for _ in self._plan.workers[1:])]

    # -- the system ------------------------------------------------------------------------------------------------

    def _begin(self, phase: Phase) -> None:
        system, measured = self._system, phase.name == "measure"
        self._phase, self._flight, self._drawn, self.due = phase, _Flight(), 0, 0
        self._done = self._arrived = 0
        self._recorder.begin_phase(phase)
        self._stripe = phase.stripe(1, [0])
        self._sending = Course(system.capacity, system.changes if measured else ())
        self._reading = Course(system.consuming, system.consuming_changes if measured else ())
        self._stalled_since_ns = self._clock.now_ns

    def _draw(self, now_ns: int) -> None:
        """What has become due, with the times at which it will be answered and received."""
        if self._phase is None:
            return
        due = self._stripe.due(min(now_ns, self._phase.end_ns))
        if due <= self._drawn:
            return
        ((_, intended_ns),) = self._stripe.by_producer(self._drawn, due)
        self._drawn = self.due = due
        intended = np.array(intended_ns, np.int64)
        start_ns, system, flight = self._phase.start_ns, self._system, self._flight
        taken_s = self._sending.serve((intended - start_ns) / SECOND)
        read_s = self._reading.serve(taken_s)
        waits = system.latency_s + system.jitter_s * self._random.random((2, len(intended)))
        flight.intended = np.concatenate((flight.intended, intended))
        flight.answered = _in_order(flight.answered, start_ns, taken_s + waits[0])
        flight.received = _in_order(flight.received, start_ns, read_s + waits[0] + waits[1])

    @property
    def _in_flight(self) -> int:
        return min(len(self._flight.intended) - self._done, self._system.room)

    @property
    def _unsent(self) -> int:
        if self._phase is None:
            return 0
        return self._stripe.remaining(self._drawn) + len(self._flight.intended) - self._done - self._in_flight

    def _record(self, answered: int, received: int) -> None:
        flight = self._flight
        new, arrived = slice(self._done, answered), slice(self._arrived, received)
        if answered > self._done:
            intended, waited = flight.intended[new], flight.answered[new] - flight.intended[new]
            none = np.zeros_like(waited)
            families = {"publish": waited, "publishDelay": none, "publishResponse": waited, "scheduleLag": none}
            self._recorder.record(None, intended, families)
            self._recorder.count("published", None, flight.answered[new], np.ones(answered - self._done, np.int64))
        if received > self._arrived:
            intended, waited = flight.intended[arrived], flight.received[arrived] - flight.intended[arrived]
            self._recorder.record(GROUP, intended, {"endToEnd": waited, "endToEndResponse": waited})
            self._recorder.count("received", GROUP, flight.received[arrived], np.ones(len(intended), np.int64))
        self._ranges = ReceivedReport(np.array([[0, self._received, received - self._arrived]], np.int64))
        self._answered += answered - self._done
        self._received += received - self._arrived
        self._done, self._arrived = answered, received

    _done = _arrived = 0

    def _stop_sending(self) -> None:
        """What is not sent never will be."""
        if self._phase is None:
            return
        now_ns, flight = self._clock.now_ns, self._flight
        self._draw(now_ns)
        self._recorder.end_phase(now_ns)
        sent = int(np.searchsorted(flight.answered, now_ns, side="right")) + self._system.room
        if (unsent := flight.intended[sent:]).size:
            self._recorder.record(None, unsent, {"unsent": now_ns - unsent})
        flight.intended, flight.answered, flight.received = (
            each[:sent] for each in (flight.intended, flight.answered, flight.received)
        )
        self._stripe = replace(self._phase, duration_ns=0).stripe(1, [0])
        self._drawn = 0

    def _finish(self) -> None:
        """What has no reply gets none any more."""
        self._stop_sending()
        now_ns, flight = self._clock.now_ns, self._flight
        self._record(*(int(np.searchsorted(each, now_ns, "right")) for each in (flight.answered, flight.received)))
        if (unanswered := flight.intended[self._done :]).size:
            self._recorder.record(None, unanswered, {"unanswered": now_ns - unanswered})

    def _process(self, now_ns: int) -> Any:
        phase = self._phase
        if phase is None:
            return _IDLE
        spans = [(phase.start_ns + a * SECOND, phase.start_ns + b * SECOND) for a, b in self._system.stalls(phase.name)]
        held = [round(until - since) for since, until in spans if since >= self._stalled_since_ns and until <= now_ns]
        return replace(_IDLE, stalls=len(held), stalled_ns=sum(held), longest_stall_ns=max(held, default=0))


_IDLE = Report(Metrics(), 0, 0, 0, 0, {}, frozenset(), 0, {}, {}).process


def _in_order(before: Int64s, start_ns: int, times_s: Floats) -> Int64s:
    """Answers come in order: none before the one that goes before it."""
    times = np.concatenate((before[-1:], start_ns + np.round(times_s * SECOND).astype(np.int64)))
    ordered: Int64s = np.maximum.accumulate(times)[len(before[-1:]) :]
    return np.concatenate((before, ordered))


@dataclass(frozen=True)
class Simulated:
    """What came of a simulated run."""

    verdict: Verdict
    facts: Facts
    metrics: RunMetrics
    found: SearchResult | None
    probed_s: float
    due: int


def planned(**fields: object) -> Plan:
    """The plan of one producer and one group."""
    text = "\n".join(f"{name}: {value}" for name, value in (FIELDS | fields).items())
    workload = Workload.parse(text, "small.yaml")
    return make_plan(workload, Setup.load("memory"), "RUNID", workers=None, cores=2)


async def simulate(
    monkeypatch: pytest.MonkeyPatch,
    system: System,
    watch: Callable[[Plan, Measurement], Subscriber] | None = None,
    **fields: object,
) -> Simulated:
    """A whole run.

    Args:
        monkeypatch: puts the simulated clock in the place of the real one.
        system: what is measured.
        watch: makes a subscriber of the run's events.
        fields: of the workload.
    """
    clock, plan = Clock(), planned(**fields)
    for module in (phases, controller):
        monkeypatch.setattr(module, "time", clock)
    workers: Any = SimulatedWorkers(plan, system, clock)
    stop: Any = SimulatedInterrupt(clock, workers)
    measurement = Measurement(plan, None)
    events = RunEvents()
    if watch is not None:
        events.subscribe(watch(plan, measurement))
    carried = Phases(plan, workers, cast("Any", None), stop, measurement, events, workers.check, workers)
    search = None if plan.search is None else RateSearch(plan, carried, measurement, lambda: None)
    run = Controller(plan, carried, measurement, stop, AbortOnFail(()), search)
    began_ns = clock.now_ns
    try:
        await run.run()
    except OmbdriverError:
        if run.ending is None:
            raise
    metrics = measurement.metrics()
    facts = run_facts(metrics, plan, replace(measurement.facts, ending=run.ending))
    return Simulated(judge(facts), facts, metrics, run.found, (clock.now_ns - began_ns) / SECOND, workers.due)
