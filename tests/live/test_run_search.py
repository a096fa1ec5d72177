"""The highest rate that is sustained, on real servers; `test_simulated_search` has how exactly it is found."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis
import unspoilt
from processes import Place, sound
from proxy import CapacityProxy
from rig import running

from ombdriver.bench.load.poisson import PoissonArrivals, PoissonStripe
from ombdriver.bench.load.profile import constant
from ombdriver.bench.units import SECOND

CAPACITY = 400
pytestmark = pytest.mark.timeout(180)
WORKLOAD = """
topics: 1
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: max
probeDuration: 2s
warmupDuration: 0s
testDuration: 2s
"""


def sought(place: Place, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs `ombdriver` without what else this machine does meanwhile."""
    return subprocess.run(
        [sys.executable, unspoilt.__file__, *arguments],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(600)
async def test_a_capacity_that_is_known_is_found(
    tmp_path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy lets 400 messages/s through, far below what any machine does: a bit less is found, and measured.

    What else this machine does meanwhile is left out of the judgement of a probe; it may still spoil one below.
    """
    unspoilt.leave_out_the_machine(monkeypatch.setattr)
    fields = {"producerRate": "max", "probeDuration": "2s", "drainTimeout": "20s"}
    async with (
        CapacityProxy(valkey_url, CAPACITY) as proxy,
        running(tmp_path, valkey_url, proxy.url, **fields) as rig,
    ):
        result = await rig.result()
        (delivery,) = await rig.deliveries()

    search = result.search
    assert search is not None
    assert search["sustainedRate"] < search["failingRate"]
    assert search["sustainedRate"] <= 1.02 * CAPACITY
    spoilt = [each for each in search["probes"] if not each["held"] and each["rate"] <= 0.9 * CAPACITY]
    assert spoilt or (search["sustainedRate"] >= 0.9 * CAPACITY and search["limit"] == "publishing")
    for each in search["probes"]:
        assert each["rate"] < 1.1 * CAPACITY or not each["held"]
        assert each["held"] == (each["limit"] is None) == (not each["reasons"])
    assert search["sustainedRate"] == result.target_publish_rate
    assert 0 < delivery.acknowledged == delivery.received


def test_a_rate_that_misses_its_slo_is_not_sustained(place: Place) -> None:
    """No rate meets one that nothing can meet: the run fails, and says why."""
    place.write(WORKLOAD + "slo: endToEndResponse.p50 < 1ns\n")
    finished = sought(place, "run", "w.yaml", "--setup", "memory", "--quiet")

    assert finished.returncode == 1
    assert "no rate is sustained, not even 1 messages/s: " in finished.stderr
    assert "endToEndResponse.p50 < 1ns is not met: " in finished.stderr
    assert place.results() == []


def test_a_signal_ends_a_search(place: Place) -> None:
    """There is no measurement yet, so there is no result; nothing is left running."""
    place.write(WORKLOAD)
    with place.start("run", "w.yaml", "--plain") as run:
        run.until("search")
        run.send(signal.SIGINT)
        code, _, stderr = run.end()

        assert code == 130
        assert run.alone()
    assert "interrupted before anything was measured; there is no result" in stderr


@pytest.mark.parametrize("verb", [("run",), ("curve", "--rates", "200,400,800")], ids=["run", "curve"])
def test_a_worker_that_dies_in_a_search_ends_it(verb: tuple[str, ...], place: Place, valkey_url: str) -> None:
    """The message names it; there is no result, and nothing is left, neither here nor on the server."""
    place.write(WORKLOAD)
    name, *options = verb
    with place.start(name, "w.yaml", *options, "--plain", "--url", valkey_url) as run:
        run.until("search")
        worker = run.worker()
        worker.kill()
        code, stdout, stderr = run.end()

        assert (code, stdout) == (1, "")
        assert f"pid {worker.pid}, died with exit code -9" in stderr
        assert "Traceback" not in stderr
        assert run.alone()
    assert place.results() == []
    with redis.Redis.from_url(valkey_url) as client:
        assert client.dbsize() == 0


def test_a_curve_tries_the_given_rates_up_to_the_first_that_fails(place: Place) -> None:
    """8,000 does not hold for consumers of 2,000/s, so 9,000 is not tried; the highest that holds is measured."""
    place.write(WORKLOAD + "consumerWork: 500us\n")
    finished = sought(place, "curve", "w.yaml", "--rates", "200,400,8k,9k", "--quiet")

    assert sound(finished.returncode), finished.stderr
    (result,) = place.results()
    search = result["search"]
    assert search["probes"][-1]["rate"] in (400, 8000)  # a busy machine may fail sooner
    assert not search["probes"][-1]["held"]
    assert search["failingRate"] == search["probes"][-1]["rate"]
    assert result["targetPublishRate"] == search["sustainedRate"] == search["probes"][-2]["rate"]


def test_rates_are_tried_with_random_arrivals_too(place: Place) -> None:
    """The highest that is sustained is measured then, and its target is what was due."""
    of_three = WORKLOAD.replace("producersPerTopic: 1", "producersPerTopic: 3\narrivals: poisson")
    place.write(of_three.replace("testDuration: 2s", "testDuration: 1s"))
    finished = sought(place, "curve", "w.yaml", "--rates", "200,400", "--setup", "memory", "--quiet")

    assert sound(finished.returncode), finished.stderr
    (result,) = place.results()
    rate = result["search"]["sustainedRate"]
    stripe = PoissonStripe(0, constant(rate, SECOND), PoissonArrivals(0, 3), range(3), "measure")
    assert result["targetRates"] == [result["targetPublishRate"]] == [stripe.due(SECOND - 1)]
    assert result["totals"]["published"] == stripe.due(SECOND - 1) != rate
