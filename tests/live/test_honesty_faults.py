"""The harness tells the truth about outages: each is as long as the fault that made it, to within a sample interval.

Twenty faults of lengths and times by a seed, in one window; in between is time to recover. A server hangs, or waits for
an fsync that does not come before the fault is healed.
"""

import random
from contextlib import ExitStack
from typing import Any

import pytest
from processes import Place, Started, place_in, sound

SEED, FAULTS, EVERY_S = 20261130, 20, 2.5
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
testDuration: {EVERY_S * FAULTS + 2:g}s
sampleInterval: {INTERVAL_S:g}s
drainTimeout: 20s
"""
pytestmark = [pytest.mark.timeout(300), pytest.mark.alone]


def timeline() -> list[tuple[float, float]]:
    """(when, for how long) of each fault, in seconds."""
    chance = random.Random(SEED)
    return [
        (round(1.5 + EVERY_S * at + chance.uniform(0, 0.5), 3), round(chance.uniform(0.3, 1.0), 3))
        for at in range(FAULTS)
    ]


BROKEN = {
    "hangs": ("pause: primary", "valkey-no-persistence"),
    "waits-for-the-disk": ("disk: {fsyncDelay: 1h}", "valkey-aof-always"),
}
"""The fault, and the setup that meets it."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What a run with each of them tells of its faults; both at once, since they wait most of the time."""
    with ExitStack() as stack:
        started: dict[str, tuple[Place, Started]] = {}
        for name, (fault, setup) in BROKEN.items():
            place = stack.enter_context(place_in(tmp_path_factory.mktemp(name)))
            entries = ", ".join(f"{{at: {at}s, for: {length}s, {fault}}}" for at, length in timeline())
            place.write(f"{LOAD}faults: [{entries}]\n")
            started[name] = place, stack.enter_context(place.start("run", "w.yaml", "--setup", setup, "--plain"))
        return {name: injections(*each) for name, each in started.items()}


@pytest.fixture(params=BROKEN)
def told(request: pytest.FixtureRequest, runs: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What one of them tells."""
    return runs[request.param]


def injections(place: Place, run: Started) -> list[dict[str, Any]]:
    """Of a run that goes on in that place."""
    code, _, said = run.end()
    assert sound(code), said
    (result,) = place.results()
    found: list[dict[str, Any]] = result["faults"]["injections"]
    return found


def test_an_outage_is_as_long_as_what_was_injected(told: list[dict[str, Any]]) -> None:
    """In 20 of 20: from the injection until it was healed, as the clock had it, to within one interval."""
    off = [each["outageSeconds"] - (each["healedSeconds"] - each["injectedSeconds"]) for each in told]

    assert len(off) == FAULTS
    assert all(abs(each) <= INTERVAL_S for each in off), off
    assert all(each["hadEffect"] for each in told)


def test_what_a_group_waits_for_is_as_long(told: list[dict[str, Any]]) -> None:
    """A server that waits for anything delivers nothing."""
    off = [each["groups"][0]["outageSeconds"] - (each["healedSeconds"] - each["injectedSeconds"]) for each in told]

    assert all(abs(each) <= INTERVAL_S for each in off), off


def test_they_lose_nothing(told: list[dict[str, Any]]) -> None:
    """Of what was acknowledged, in any of them."""
    assert [each["groups"][0]["lost"] for each in told] == [0] * FAULTS
