"""`Backlog`: what it makes of what was acknowledged, and how long it lets a drain take; the phases are given."""

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.run.backlog import AHEAD_NS, STEP_NS, Backlog
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.units import MS, format_duration
from ombdriver.errors import RunError

SECOND = 10**9


def planned(test_ns: int = 10 * SECOND, drain_timeout_ns: int = 30 * SECOND) -> Plan:
    """A run with a backlog of 10,486 messages."""
    fields: dict[str, Any] = {
        "topics": 1,
        "partitionsPerTopic": 1,
        "messageSize": 1024,
        "subscriptionsPerTopic": 1,
        "producersPerTopic": 1,
        "consumerPerSubscription": 1,
        "producerRate": 1000,
        "consumerBacklogSizeGB": 0.01,
        "sampleInterval": "100ms",
        "testDuration": format_duration(test_ns),
        "drainTimeout": format_duration(drain_timeout_ns),
    }
    workload = Workload.parse("\n".join(f"{name}: {value}" for name, value in fields.items()), "small.yaml")
    return make_plan(workload, Setup.load("embedded"), "RUNID", workers=None, cores=2)


class GivenPhases:
    """Phases after which so many messages are acknowledged; it tells in which order they were asked for."""

    shortage: str | None = None

    def __init__(self, built: int, interrupted_after: str = "") -> None:
        self.built, self._last = built, interrupted_after
        self.order: list[str] = []

    @property
    def interrupted(self) -> bool:
        """Whether somebody has asked to stop by now."""
        return self._last in self.order

    async def pause_consumers(self) -> None:
        """See `Phases`; so with the others."""
        self.order.append("pause")

    def begin(self, name: str, duration_ns: int, rate: int) -> Phase:
        """A phase at a time that is long ago."""
        self.order.append("begin")
        return Phase(0, name, 0, duration_ns, rate)

    async def run(self, *_: object) -> bool:
        """Runs to its end."""
        self.order.append("run")
        return False

    async def settle(self, _: object, *, received: bool) -> None:
        """Nothing is received meanwhile."""
        assert not received
        self.order.append("settle")


def backlog(phases: GivenPhases, errors: dict[str, int] | None = None, plan: Plan | None = None) -> Backlog:
    """A backlog on such phases; some messages have met an error."""
    measurement = SimpleNamespace(
        begin_backlog=lambda: phases.order.append("mark"),
        backlog=lambda: {"group-1": phases.built},
        collector=SimpleNamespace(errors=lambda: Counter(errors or {}), interval_ns=100 * MS),
    )
    return Backlog(plan or planned(), cast("Any", phases), cast("Any", measurement))


async def test_it_is_sent_between_two_marks_while_consumers_pause() -> None:
    """And it is waited for until all of it is acknowledged; a handful less is still the same backlog."""
    phases = GivenPhases(10_400)
    made = backlog(phases)
    await made.build()

    assert phases.order == ["pause", "mark", "begin", "run", "settle"]
    assert made.built is not None
    assert (made.built.rate, made.built.duration_ns) == (1000, 10_486 * MS)


@pytest.mark.parametrize(
    ("errors", "why"),
    [({}, "the server did not take more in time"), ({"OOM command not allowed": 7}, "met the error: OOM command not")],
)
async def test_a_backlog_that_is_too_small_ends_the_run(errors: dict[str, int], why: str) -> None:
    """It would be another experiment."""
    with pytest.raises(RunError, match=f"not built: 10,000 of 10,486 messages were acknowledged, .*{why}.*; lower the"):
        await backlog(GivenPhases(10_000), errors).build()


@pytest.mark.parametrize("stage", ["pause", "run", "settle"])
async def test_somebody_who_asks_to_stop_is_told_of_no_error(stage: str) -> None:
    """However little there is by then."""
    phases = GivenPhases(0, interrupted_after=stage)
    await backlog(phases).build()

    assert phases.order[-1] == stage


@given(st.integers(1, 60_000), st.integers(1, 600_000))
def test_a_drain_has_the_test_and_the_time_out_and_no_more(test_tenths: int, timeout_tenths: int) -> None:
    """Prolonged as often as it takes, each time before it ends, the phase is that long to the nanosecond."""
    test_ns, timeout_ns = test_tenths * 100 * MS, timeout_tenths * 100 * MS
    plan = planned(test_ns, timeout_ns)
    made = backlog(GivenPhases(0), plan=plan)
    soon_ns = AHEAD_NS + STEP_NS
    phase = Phase(0, "measure", 0, test_ns + max(0, timeout_ns - 5 * SECOND), 1000)
    times = 0
    while more_ns := made.more_ns(phase, phase.duration_ns - soon_ns):
        assert made.more_ns(phase, phase.duration_ns - soon_ns - 1) == 0
        phase = Phase(0, "measure", 0, phase.duration_ns + more_ns, 1000)
        times += 1

    assert phase.duration_ns == test_ns + timeout_ns
    assert times <= 6
