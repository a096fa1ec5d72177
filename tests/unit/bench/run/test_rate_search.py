"""`RateSearch`: which rates a run tries, and what it makes of them; the probes themselves are given."""

from typing import Any, cast

import pytest
from sample_result import figures

from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.run.rate_search import RateSearch
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.verdict.probe import Limit, Probe
from ombdriver.errors import RunError

KNEE = 37_000


def planned(**fields: Any) -> Plan:
    """A run that looks for the highest rate."""
    every = {
        "topics": 1,
        "partitionsPerTopic": 1,
        "messageSize": 100,
        "subscriptionsPerTopic": 1,
        "producersPerTopic": 1,
        "consumerPerSubscription": 1,
        "producerRate": "max",
        "testDuration": "10s",
    } | fields
    workload = Workload.parse("\n".join(f"{name}: {value}" for name, value in every.items()), "small.yaml")
    return make_plan(workload, Setup.load("memory"), "RUNID", workers=None, cores=2)


class Given(RateSearch):
    """A search whose probes hold up to the knee; after `most` of them somebody asks to stop."""

    def __init__(self, plan: Plan, knee: int = KNEE, most: int = 1000) -> None:
        super().__init__(plan, cast("Any", None), cast("Any", None), lambda: None)
        self._knee, self._most = knee, most

    async def _probe(self, rate: int) -> Probe | None:
        if len(self.probes) >= self._most:
            return None
        held = rate <= self._knee
        reasons, limit = ((), None) if held else (("too much",), Limit.CONSUMERS)
        return Probe(rate, 5.0, {}, {}, figures(1000), figures(1000), None, held, reasons, limit)


async def test_the_highest_rate_is_searched_for() -> None:
    """And all probes are told."""
    found = await Given(planned()).find()

    assert found is not None
    assert 0.97 * KNEE <= found.sustained <= KNEE < (found.failing or 0)
    assert len(found.probes) >= 10


async def test_given_rates_are_tried_up_to_the_first_that_is_not_sustained() -> None:
    """In place of a search."""
    found = await Given(planned(probeRates="[1000, 20000, 40000, 80000]")).find()

    assert found is not None
    assert [probe.rate for probe in found.probes] == [1000, 20_000, 40_000]
    assert (found.sustained, found.failing) == (20_000, 40_000)


async def test_of_given_rates_that_all_hold_the_highest_is_taken() -> None:
    """Nothing is known to fail."""
    found = await Given(planned(probeRates="[1000, 20000]")).find()

    assert found is not None
    assert (found.sustained, found.failing) == (20_000, None)


async def test_steps_up_to_the_highest_are_tried_after_the_search() -> None:
    """Those that the search has not tried itself."""
    found = await Given(planned(probeSteps=4)).find()

    assert found is not None
    assert [probe.rate for probe in found.probes][-3:] == [found.sustained * step // 4 for step in (1, 2, 3)]


async def test_a_system_that_sustains_nothing_ends_the_run() -> None:
    """With why."""
    with pytest.raises(RunError, match="no rate is sustained, not even 1 msg/s: too much"):
        await Given(planned(), knee=0).find()
    with pytest.raises(RunError, match="not even 500 msg/s"):
        await Given(planned(probeRates="[500, 600]"), knee=0).find()


@pytest.mark.parametrize("fields", [{}, {"probeRates": "[1, 2, 3, 4]"}, {"probeSteps": 9}])
async def test_somebody_who_asks_to_stop_ends_a_search(fields: dict[str, Any]) -> None:
    """Wherever it is."""
    assert await Given(planned(**fields), most=3).find() is None
