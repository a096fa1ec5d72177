"""The highest rate that is sustained, of a system whose knee is known by arithmetic: consumers of known slowness."""

import signal

import pytest
from processes import Place, sound

KNEE = 2000
WORKLOAD = """
topics: 1
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: max
consumerWork: 500us
probeDuration: 2s
warmupDuration: 0s
testDuration: 2s
"""


@pytest.mark.timeout(400)
def test_a_knee_that_is_known_by_arithmetic_is_found(place: Place) -> None:
    """One consumer at 500 us a message: 2,000 messages/s, within 5 %, by the consumers; or this machine is the limit.

    That is told too, and the rate that is found is never above the knee.
    """
    place.write(WORKLOAD)
    finished = place.run("run", "w.yaml", "--quiet")

    assert sound(finished.returncode), finished.stderr
    (result,) = place.results()
    search = result["search"]
    assert search["sustainedRate"] == result["targetPublishRate"] <= 1.05 * KNEE
    assert search["failingRate"] <= 1.05 * search["sustainedRate"]
    assert search["limit"] in ("consumers", "generator")
    if not any(probe["limit"] == "generator" for probe in search["probes"]):  # else this machine was too busy
        assert search["sustainedRate"] >= 0.95 * KNEE
    for probe in search["probes"]:
        assert probe["held"] == (probe["limit"] is None) == (not probe["reasons"])
        assert not probe["held"] or probe["achieved"]["published"] >= 0.99 * probe["rate"]
    assert result["totals"]["published"] == pytest.approx(2 * search["sustainedRate"], abs=1)
    assert result["delivery"][0]["lost"] == result["delivery"][0]["undelivered"] == 0
    assert f"Highest sustained rate: {search['sustainedRate']:,}/s" in finished.stdout


def test_a_rate_that_misses_its_slo_is_not_sustained(place: Place) -> None:
    """No rate meets one that nothing can meet: the run fails, and says why."""
    place.write(WORKLOAD + "slo: endToEndResponse.p50 < 1ns\n")
    finished = place.run("run", "w.yaml", "--setup", "memory", "--quiet")

    assert finished.returncode == 1
    assert "no rate is sustained, not even 1 msg/s: endToEndResponse.p50 < 1ns is not met: " in finished.stderr
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


def test_a_curve_tries_the_given_rates_up_to_the_first_that_fails(place: Place) -> None:
    """8,000 does not hold for consumers of 2,000/s, so 9,000 is not tried; the highest that holds is measured."""
    place.write(WORKLOAD)
    finished = place.run("curve", "w.yaml", "--rates", "200,400,8k,9k", "--quiet")
    if "no rate is sustained, not even 200 msg/s: worker" in finished.stderr:
        return  # this machine had no core for the workers, which is told

    assert sound(finished.returncode), finished.stderr
    (result,) = place.results()
    search = result["search"]
    assert search["probes"][-1]["rate"] in (400, 8000)  # a busy machine may fail sooner
    assert not search["probes"][-1]["held"]
    assert search["failingRate"] == search["probes"][-1]["rate"]
    assert result["targetPublishRate"] == search["sustainedRate"] == search["probes"][-2]["rate"]
