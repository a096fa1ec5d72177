"""`RunningVerdict`: what the verdict would be by what there is so far."""

import numpy as np

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.collector import Collector
from ombdriver.bench.metrics.phase_view import PhaseView
from ombdriver.bench.metrics.recorder import Metrics, Recorder
from ombdriver.bench.metrics.report import ProcessUsage, Report
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.verdict.debt import Debts
from ombdriver.bench.verdict.live import RunningVerdict

SECOND = 10**9
RATE = 1000
PHASE = Phase(1, "measure", 100 * SECOND, 60 * SECOND, RATE)


class Running:
    """A run of one group whose figures come in second by second."""

    def __init__(self) -> None:
        self.plan = planned()
        self.collector = Collector(self.plan.subscriptions, SECOND)
        self.debts = Debts()
        self.verdict = RunningVerdict(self.plan, self.collector.processes, lambda: self.debts.usual_growth())
        self._recorder = Recorder(SECOND)
        self._recorder.begin_phase(PHASE)
        self._cpu_ns = self._behind = 0
        self._report()
        self.verdict.begin()

    def second(self, at: int, published: int = RATE, lag_ns: int = 1000, failed: int = 0, cpu: float = 0.3) -> str:
        """Adds the second from `at` on, and gives the verdict after it: its status, or `-` when it is too soon."""
        times = np.full(published, PHASE.start_ns + at * SECOND, np.int64)
        for kind, group, families in (
            ("published", None, ("publish", "publishResponse")),
            ("received", self.plan.subscriptions[0], ("endToEnd", "endToEndResponse")),
        ):
            self._recorder.count(kind, group, times, np.ones(published, np.int64))
            self._recorder.record(group, times, {family: np.full(published, 1000, np.int64) for family in families})
        self._recorder.record(None, times, {"scheduleLag": np.full(published, lag_ns, np.int64)})
        if failed:
            self._recorder.record(None, times[:failed], {"failed": np.ones(failed, np.int64)})
        self._cpu_ns += int(cpu * SECOND)
        self._behind += RATE - published
        self.debts.look(at + 1, dict.fromkeys(("published", *self.plan.subscriptions), self._behind))
        self._report()
        verdict = self.verdict.update(PhaseView(self.collector, PHASE, (at + 1) * SECOND))
        return "-" if verdict is None else verdict.status

    def _report(self) -> None:
        first = Report(
            self._recorder.take(), 0, 0, 0, 0, {}, frozenset(), 0, {}, {}, process=ProcessUsage(self._cpu_ns)
        )
        rest = [Report(Metrics(), 0, 0, 0, 0, {}, frozenset(), 0, {}, {}) for _ in self.plan.workers[1:]]
        self.collector.add([first, *rest])


def planned() -> Plan:
    """One group, two workers at most."""
    fields = {
        "topics": 1,
        "partitionsPerTopic": 1,
        "messageSize": 100,
        "subscriptionsPerTopic": 1,
        "producersPerTopic": 1,
        "consumerPerSubscription": 1,
        "producerRate": RATE,
        "testDurationMinutes": 1,
    }
    workload = Workload.parse("\n".join(f"{name}: {value}" for name, value in fields.items()), "small.yaml")
    return make_plan(workload, Setup.load("memory"), "RUNID", workers=None, cores=2)


def test_nothing_is_said_before_the_sixth_second() -> None:
    """A rate of a second or two says little."""
    run = Running()

    assert [run.second(at) for at in range(6)] == ["-", "-", "-", "-", "VALID", "VALID"]


def test_a_system_that_does_not_keep_up_is_told_as_soon_as_it_is() -> None:
    """By what was published so far, against what was due."""
    run = Running()

    assert [run.second(at, published=RATE * 9 // 10) for at in range(6)] == ["-"] * 4 + ["OVERLOADED"] * 2


def test_a_system_that_stands_still_is_told_when_that_is_no_pause_any_more() -> None:
    """A second or two of ten may yet be made up for; five are told."""
    run = Running()

    assert [run.second(at, published=RATE if at < 8 else 0) for at in range(13)][8:10] == ["VALID"] * 2
    assert run.verdict.latest is not None
    assert run.verdict.latest.status == "OVERLOADED"


def test_a_generator_that_is_late_or_busy_makes_a_run_invalid() -> None:
    """The same rules as at the end."""
    late, busy = Running(), Running()

    assert [late.second(at, lag_ns=5_000_000) for at in range(5)][-1] == "INVALID"
    assert [busy.second(at, cpu=0.95) for at in range(5)][-1] == "INVALID"


def test_errors_are_counted_against_what_was_due() -> None:
    """Above a thousandth."""
    run = Running()
    assert [run.second(at, failed=1) for at in range(5)][-1] == "VALID"

    assert run.second(5, failed=100) == "OVERLOADED"


def test_what_is_known_at_the_end_only_is_not_judged() -> None:
    """Loss and trends; so a message that is on its way is none that is lost."""
    run = Running()
    for at in range(5):
        run.second(at)

    assert run.verdict.latest is not None
    assert {each.rule for each in run.verdict.latest.not_judged} >= {"lost", "trimmed", "rateTrend", "backlogTrend"}


def test_what_workers_took_before_the_measurement_is_not_of_it() -> None:
    """A warm-up that kept a core busy is over."""
    run = Running()
    run._cpu_ns += 60 * SECOND
    run._report()
    run.verdict.begin()

    assert [run.second(at) for at in range(5)][-1] == "VALID"
