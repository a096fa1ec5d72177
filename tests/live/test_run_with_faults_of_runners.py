"""Runs that consume through the library's Runner, under faults of all kinds: nothing that was acknowledged is lost.

The runs are shared: each has several faults, and several runs go on at the same time.
"""

from collections.abc import Mapping

import pytest
from faulty_runs import ENGINES, TWO_CONSUMERS, WORK, FaultyRun, Told, all_told

pytestmark = [pytest.mark.timeout(240), pytest.mark.faults]

RUNNER = "{consumer: runner}"
SYNCED = "config: {appendonly: yes, appendfsync: always}"
FAULTS = {
    "server dies": "{at: 2s, kill: primary, restartAfter: 1s}",
    "server hangs": "{at: 7s, for: 1500ms, pause: primary}",
    "runners hang": "{at: 12s, for: 1500ms, pause: consumers}",
    "runner dies": "{at: 16s, kill: consumer 1 of group-1, restartAfter: 1s}",
    "cut": "{at: 19s, for: 1500ms, link: {between: [clients, primary], down: true}}",
    "swallowed": "{at: 24s, for: 1500ms, link: {between: [clients, primary], swallow: true}}",
}
TAKEN_OVER = {
    "pause": "{at: 2s, for: 1s, pause: consumers}",
    "kill": "{at: 3100ms, kill: consumer 1 of group-1}",
}


@pytest.fixture(scope="module")
def runners(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """On each engine, under one fault after the other; and a Runner whose work others take over."""
    runs = {
        engine: FaultyRun(FAULTS, "29s", f"engine: {engine}, {SYNCED}", RUNNER, readers=TWO_CONSUMERS)
        for engine in ENGINES
    }
    taken = FaultyRun(TAKEN_OVER, "9s", client=RUNNER, streams="{reclaimAfterMs: 500}", readers=WORK)
    return all_told(tmp_path_factory.mktemp("runners"), {**runs, "taken over": taken})


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", FAULTS)
def test_runners_of_the_library_lose_nothing(runners: Mapping[str, Told], engine: str, name: str) -> None:
    """All that was acknowledged arrives, whatever is between."""
    told = runners[engine]

    one = told[name]
    assert one["promisesNoLoss"]
    assert (one["groups"][0]["lost"], one["groups"][0]["undelivered"]) == (0, 0)
    assert (told.delivery["lost"], told.delivery["undelivered"], told.delivery["trimmed"]) == (0, 0, 0)
    assert told.result["setup"]["client"] == {"consumer": "runner"}
    assert "lost" not in told.rules


def test_what_a_runner_had_when_it_was_killed_is_taken_over_by_the_others(runners: Mapping[str, Told]) -> None:
    """After the time that the setup says, by their leases; nothing is lost."""
    told = runners["taken over"]

    assert told["pause"]["hadEffect"]
    assert told["kill"]["hit"] == ["consumer 1 of group-1"]
    assert (told.delivery["lost"], told.delivery["undelivered"]) == (0, 0)
    assert told.result["counters"]["claimed"] > 0
