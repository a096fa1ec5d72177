"""The harness tells the truth about outages: each is as long as the fault that made it, to within a sample interval.

Twenty pauses of lengths and times by a seed, in one window; in between is time to recover.
"""

import random
from typing import Any

import pytest
from processes import Place, place_in, sound

SEED, PAUSES, EVERY_S = 20261130, 20, 4.0
INTERVAL_S = 0.5
LOAD = f"""
topics: 1
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 500
warmupDuration: 1s
testDuration: {EVERY_S * PAUSES + 2:g}s
sampleInterval: {INTERVAL_S:g}s
drainTimeout: 20s
"""
pytestmark = pytest.mark.timeout(300)


def timeline() -> list[tuple[float, float]]:
    """(when, for how long) of each pause, in seconds."""
    chance = random.Random(SEED)
    return [
        (round(1.5 + EVERY_S * at + chance.uniform(0, 0.5), 3), round(chance.uniform(0.3, 1.5), 3))
        for at in range(PAUSES)
    ]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What a run tells of them."""
    with place_in(tmp_path_factory.mktemp("honesty")) as place:
        return injections(place)


def injections(place: Place) -> list[dict[str, Any]]:
    """Of a run in that place."""
    entries = ", ".join(f"{{at: {at}s, for: {length}s, pause: primary}}" for at, length in timeline())
    place.write(f"{LOAD}faults: [{entries}]\n")
    finished = place.run("run", "w.yaml", "--setup", "valkey-no-persistence", "--plain")
    assert sound(finished.returncode), finished.stderr
    (result,) = place.results()
    found: list[dict[str, Any]] = result["faults"]["injections"]
    return found


def test_an_outage_is_as_long_as_what_was_injected(told: list[dict[str, Any]]) -> None:
    """In 20 of 20: from the injection until it was healed, as the clock had it, to within one interval."""
    off = [each["outageSeconds"] - (each["healedSeconds"] - each["injectedSeconds"]) for each in told]

    assert len(off) == PAUSES
    assert all(abs(each) <= INTERVAL_S for each in off), off
    assert all(each["hadEffect"] for each in told)


def test_what_a_group_waits_for_is_as_long(told: list[dict[str, Any]]) -> None:
    """A server that hangs delivers nothing."""
    off = [each["groups"][0]["outageSeconds"] - (each["healedSeconds"] - each["injectedSeconds"]) for each in told]

    assert all(abs(each) <= INTERVAL_S for each in off), off


def test_pauses_lose_nothing(told: list[dict[str, Any]]) -> None:
    """Of what was acknowledged, in any of them."""
    assert [each["groups"][0]["lost"] for each in told] == [0] * PAUSES
