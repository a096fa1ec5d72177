"""`RateSearch`: which rates a run tries, and what it makes of them; the probes themselves are given."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from sample_result import figures

from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.run.rate_search import MOST_SPOILT, MOST_TRIES, RateSearch
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
    """A search whose probes hold up to the knee; after `most` of them somebody asks to stop.

    This machine is the cause in those of which `spoils` says so, by their rate and by how many there were at it before;
    unless `is_spoilt`, it will be so the next time.
    """

    def __init__(
        self,
        plan: Plan,
        knee: int = KNEE,
        most: int = 1000,
        spoils: Callable[[int, int], bool] = lambda _rate, _before: False,
        *,
        is_spoilt: bool = True,
    ) -> None:
        super().__init__(plan, cast("Any", None), cast("Any", None), lambda: None)
        self._is_spoilt = is_spoilt
        self._knee, self._most, self._spoils = knee, most, spoils

    async def _probe(self, rate: int) -> Probe | None:
        if len(self.probes) >= self._most:
            return None
        if self._spoils(rate, self.tried(rate)):
            late, limit = ("worker 0 waited for a core",), Limit.GENERATOR
            probe = Probe(rate, 5.0, {}, {}, figures(1000), figures(1000), None, False, late, limit)
            return replace(probe, is_spoilt=self._is_spoilt, kept_up=rate <= self._knee)
        held = rate <= self._knee
        reasons, limit = ((), None) if held else (("too much",), Limit.CONSUMERS)
        return Probe(rate, 5.0, {}, {}, figures(1000), figures(1000), None, held, reasons, limit, kept_up=held)

    def tried(self, rate: int) -> int:
        """How many probes there were at a rate."""
        return sum(probe.rate == rate for probe in self.probes)


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
    with pytest.raises(RunError, match="no rate is sustained, not even 1 messages/s: too much"):
        await Given(planned(), knee=0).find()
    with pytest.raises(RunError, match="not even 500 messages/s"):
        await Given(planned(probeRates="[500, 600]"), knee=0).find()


async def test_a_probe_that_this_machine_spoils_is_made_again() -> None:
    """The first at each rate, and the rate that is found is the same."""
    search = Given(planned(), spoils=lambda _rate, before: before == 0)
    found = await search.find()

    assert found is not None
    assert 0.97 * KNEE <= found.sustained <= KNEE < (found.failing or 0)
    assert sum(probe.is_spoilt for probe in found.probes) == len({probe.rate for probe in found.probes})


async def test_rates_that_this_machine_keeps_from_being_judged_bound_what_is_found() -> None:
    """Each is tried three times, as long as so many may be made again."""
    search = Given(planned(), knee=10**6, spoils=lambda rate, _before: rate > 5000)
    found = await search.find()

    assert found is not None
    assert found.sustained <= 5000 < (found.failing or 0) <= 1.02 * found.sustained + 1
    assert search.tried(8000) == MOST_TRIES
    assert sum(probe.is_spoilt for probe in found.probes) <= MOST_SPOILT + len({each.rate for each in found.probes})


async def test_a_machine_that_spoils_every_probe_ends_the_search_as_the_cause() -> None:
    """Long before 1 message a second; what is known all the same is told, and measured."""
    search = Given(planned(), spoils=lambda _rate, _before: True)
    found = await search.find()

    assert found is not None
    assert (found.sustained, found.failing, found.measured, len(found.probes)) == (None, 10, 1000, 9)
    assert [(rate, search.tried(rate)) for rate in (1000, 100, 10, 1)] == [(1000, 3), (100, 3), (10, 3), (1, 0)]
    assert found.unknown == (
        "this machine, not the system, was the cause in 9 of 9 probes, so no rate is known to be sustained: 10, 100,"
        " 1,000 messages/s could not be judged; at 1,000 messages/s the system kept up all the same; at"
        " 10 messages/s: worker 0 waited for a core"
    )


async def test_what_a_system_did_not_sustain_is_told_beside_what_could_not_be_judged() -> None:
    """Both are known of it then."""
    search = Given(planned(probeRates="[500, 600, 700]"), knee=0, spoils=lambda rate, _before: rate == 500)
    found = await search.find()

    assert found is not None
    assert ": 500 messages/s could not be judged; 600 messages/s is not sustained; at 500 messages/s: " in (
        found.unknown or ""
    )
    assert (found.sustained, found.failing, found.measured) == (None, 500, 500)


@pytest.mark.parametrize(
    ("rates", "is_spoilt", "tried", "measured"),
    [
        ("[1000]", True, 3 * [1000], 1000),
        ("[500, 600, 700, 800]", True, [*3 * [500], *3 * [600], *3 * [700]], 700),
        ("[40000, 50000]", True, [*3 * [40_000], *3 * [50_000]], 40_000),
        ("[500, 600]", False, [500], 500),
    ],
)
async def test_a_curve_on_a_machine_that_is_busy_throughout_keeps_what_was_measured(
    rates: str, is_spoilt: bool, tried: list[int], measured: int
) -> None:
    """Be it by others, or by the harness itself; the highest rate at which the system kept up is measured."""
    search = Given(planned(probeRates=rates), spoils=lambda _rate, _before: True, is_spoilt=is_spoilt)
    found = await search.find()

    assert found is not None
    assert [probe.rate for probe in found.probes] == tried
    assert (found.sustained, found.failing, found.measured) == (None, tried[0], measured)
    assert found.unknown is not None


async def test_given_rates_go_on_past_one_that_can_t_be_judged() -> None:
    """Up to three of them in a row; it does not bound what is found, if a higher rate holds."""
    rates = "[1000, 2000, 3000, 40000, 50000]"
    past = await Given(planned(probeRates=rates), spoils=lambda rate, _before: rate == 2000).find()
    assert past is not None
    assert [probe.rate for probe in past.probes] == [1000, 2000, 2000, 2000, 3000, 40_000]
    assert (past.sustained, past.failing) == (3000, 40_000)

    up_to = await Given(planned(probeRates=rates), 10**6, spoils=lambda rate, _before: rate > 1000).find()
    assert up_to is not None
    assert {probe.rate for probe in up_to.probes} == {1000, 2000, 3000, 40_000}
    assert (up_to.sustained, up_to.failing) == (1000, 2000)


@pytest.mark.parametrize("fields", [{}, {"probeRates": "[1, 2, 3, 4]"}, {"probeSteps": 9}])
async def test_somebody_who_asks_to_stop_ends_a_search(fields: dict[str, Any]) -> None:
    """Wherever it is."""
    assert await Given(planned(**fields), most=3).find() is None
