"""The search for the highest rate, as a whole run on simulated time: of systems whose capacity is known exactly.

20 searches each were made by hand; see docs/decisions/0070-rates-by-debts.md.
"""

import pytest
from simulated_system import System, simulate

from ombdriver.bench.verdict.probe import Limit

pytestmark = pytest.mark.timeout(300)  # seconds of processor time, which a busy machine may not give


@pytest.mark.parametrize("arrivals", ["uniform", "poisson"])
@pytest.mark.parametrize("capacity", [517.0, 3100.0])
async def test_the_rate_that_is_found_is_the_capacity_and_is_measured_as_valid(
    capacity: float, arrivals: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within -3 % and +0.5 %; what is on its way when a probe begins or ends adds nothing."""
    told = await simulate(monkeypatch, System(capacity), producerRate="max", arrivals=arrivals)

    assert told.found is not None
    assert told.found.failing is not None
    assert 0.97 * capacity <= told.found.sustained <= 1.005 * capacity
    assert told.found.failing <= 1.02 * told.found.sustained + 1
    assert told.verdict.status == "VALID"


async def test_a_capacity_of_consumers_is_found_as_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publishing goes on, and what is not received grows."""
    told = await simulate(monkeypatch, System(50_000, consuming=2000), producerRate="max")

    assert told.found is not None
    assert 0.97 * 2000 <= told.found.sustained <= 1.005 * 2000
    assert {probe.limit for probe in told.found.probes if not probe.held} == {Limit.CONSUMERS}
    assert told.verdict.status == "VALID"


async def test_a_latency_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer takes 300 to 400 ms at any rate; what was due within that of the end of a probe is not missing."""
    told = await simulate(monkeypatch, System(3000, latency_s=0.3, jitter_s=0.1), producerRate="max")

    assert told.found is not None
    assert 0.97 * 3000 <= told.found.sustained <= 1.005 * 3000
    assert told.verdict.status == "VALID"


@pytest.mark.parametrize("rate", [2 * 3000, 20 * 3000])
async def test_a_probe_that_is_given_up_has_the_latencies_of_what_was_due_in_it(
    rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that was due after it had settled was answered by then; of what was never sent the wait is known."""
    told = await simulate(monkeypatch, System(3000), producerRate="max", probeRates=f"[1000, {rate}]")

    assert told.found is not None
    given_up = told.found.probes[-1]
    assert not given_up.held
    assert given_up.publish.count > 0
    assert (given_up.publish.ms("p50") or 0) > 100
    assert (given_up.end_to_end.ms("p50") or 0) > 100


@pytest.mark.parametrize(("at_s", "held"), [(1.1, True), (3.1, False)])
async def test_what_holds_a_worker_up_before_a_probe_has_settled_is_not_of_it(
    at_s: float, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """120 ms in the first two seconds; in the five that are looked at they are 2.4 %."""
    system = System(50_000, stalls=lambda phase: [(at_s, at_s + 0.12)] if phase == "probe 2" else [])
    told = await simulate(monkeypatch, system, producerRate="max", probeRates="[500, 1000]")

    assert told.found is not None
    assert [probe.held for probe in told.found.probes] == ([True, True] if held else [True, False, True])
    assert told.found.probes[1].limit is (None if held else Limit.GENERATOR)


async def test_a_rate_that_fills_the_server_fails_and_the_search_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe is ended early, and told so; what is measured in the end is a rate that fits."""
    system = System(50_000, memory_short=(1000, 1.5))
    told = await simulate(monkeypatch, system, producerRate="max", probeRates="[500, 2000]", warmupDuration="5s")

    assert told.found is not None
    assert [(probe.rate, probe.held, probe.limit) for probe in told.found.probes] == [
        (500, True, None),
        (2000, False, Limit.SERVER_MEMORY),
    ]
    assert "the server is full" in told.found.probes[1].reasons
    assert told.found.probes[1].seconds < 3
    assert told.verdict.status == "VALID"
    assert told.facts.ending is None


@pytest.mark.parametrize(("warm_up", "phase"), [("0s", "measurement"), ("20s", "warm-up")])
async def test_a_run_that_fills_the_server_ends_in_order(
    warm_up: str, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whatever phase: nothing is lost or left, and the result is of that phase."""
    system = System(50_000, memory_short=(1000, 3.0))
    told = await simulate(monkeypatch, system, producerRate=2000, warmupDuration=warm_up, testDuration="30s")

    (reason,) = told.verdict.reasons
    (delivery,) = told.metrics.delivery
    assert (told.verdict.status, reason.rule) == ("OVERLOADED", "serverMemory")
    assert f"of the {phase}; more came in than was read and trimmed" in reason.message
    assert 3 * 2000 <= told.metrics.totals.published <= 4.1 * 2000
    assert delivery.received == delivery.acknowledged == told.metrics.totals.published


async def test_a_search_whose_warm_up_fills_the_server_begins_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first rate is one that nobody has chosen by what the server holds."""
    system = System(50_000, memory_short=(5000, 0.5))
    told = await simulate(monkeypatch, system, producerRate="max", warmupDuration="10s")

    assert told.found is not None
    assert 0.97 * 5000 <= told.found.sustained <= 5000
    assert {probe.limit for probe in told.found.probes if not probe.held} == {Limit.SERVER_MEMORY}
