"""Runs whose worker processes and consumers are killed, on real servers: every message is accounted for all the same.

The runs are shared: each has several faults, and both engines are met at the same time.
"""

from collections.abc import Mapping

import pytest
from faulty_runs import ENGINES, TWO_CONSUMERS, WORK, FaultyRun, Told, all_told

pytestmark = [pytest.mark.timeout(240), pytest.mark.faults]

KILLED = {
    "producers": "{at: 2s, kill: producers, restartAfter: 1s}",
    "consumers of group-1": "{at: 7s, kill: consumers of group-1, restartAfter: 1s}",
    "clients": "{at: 12s, kill: clients, restartAfter: 1s}",
    "consumer 1 of group-1": "{at: 17s, kill: consumer 1 of group-1, restartAfter: 1s}",
}


@pytest.fixture(scope="module", params=["{}", "{consumer: runner}"])
def killed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """A run on each engine that loses each kind of client in turn; with the driver's consumers, and the library's."""
    runs = {
        engine: FaultyRun(KILLED, "21s", f"engine: {engine}", request.param, readers=TWO_CONSUMERS)
        for engine in ENGINES
    }
    return all_told(tmp_path_factory.mktemp("killed"), runs)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("who", KILLED)
def test_clients_that_are_killed_come_back_to_their_work(killed: Mapping[str, Told], engine: str, who: str) -> None:
    """What was acknowledged before is not lost; others see nothing of a single consumer that is away."""
    one = killed[engine][who]

    assert one["promisesNoLoss"]
    assert (one["groups"][0]["lost"], one["groups"][0]["undelivered"]) == (0, 0)
    assert one["healedSeconds"] - one["injectedSeconds"] > 0.99
    if who == "consumer 1 of group-1":
        assert one["hit"] == [who]
        return
    kinds = {name.split(" ")[2] for name in one["hit"]}
    assert kinds == {"producers": {"(produce)"}, "clients": {"(produce)", "(consume)"}}.get(who, {"(consume)"})
    assert one["hadEffect"]
    if who != "consumers of group-1":
        assert one["outageSeconds"] > 0.9
    if who != "producers":
        assert one["groups"][0]["outageSeconds"] > 0.9


@pytest.mark.parametrize("engine", ENGINES)
def test_every_message_that_was_due_is_published_or_an_error_whoever_is_killed(
    killed: Mapping[str, Told], engine: str
) -> None:
    """What a dead process had done is known to the message, and what became due meanwhile is sent late."""
    check_account(killed[engine], 21 * 500)


PENDING = {
    "pause": "{at: 2s, for: 1s, pause: consumers}",
    "kill": "{at: 3100ms, kill: consumer 1 of group-1, restartAfter: 2s}",
}


@pytest.fixture(scope="module")
def pending(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """Runs of which a consumer dies with a batch that takes a while, as it has a backlog; others claim it, or not."""
    claims = {
        engine: FaultyRun(PENDING, "8s", f"engine: {engine}", streams="{reclaimAfterMs: 500}", readers=WORK)
        for engine in ENGINES
    }
    waits = FaultyRun(PENDING, "8s", readers=WORK)
    return all_told(tmp_path_factory.mktemp("pending"), {**claims, "waits": waits})


@pytest.mark.parametrize("run", [*ENGINES, "waits"])
def test_what_a_consumer_had_when_it_was_killed_is_delivered_by_others_or_when_it_is_back(
    pending: Mapping[str, Told], run: str
) -> None:
    """Nothing is lost, and what had been delivered comes twice."""
    told = pending[run]

    assert told["pause"]["hadEffect"]
    kill = told["kill"]
    assert kill["hit"] == ["consumer 1 of group-1"]
    assert kill["promisesNoLoss"]
    assert kill["healedSeconds"] - kill["injectedSeconds"] > 1.99
    assert ("claimed" in told.result["counters"]) is (run != "waits")
    check_account(told, 8 * 500)


def check_account(told: Told, due: int) -> None:
    """Of all that was due: published or an error, and what was published is delivered."""
    totals = told.result["totals"]
    assert totals["published"] + totals["publishErrors"] == due
    assert (totals["unsent"], totals["unanswered"]) == (0, 0)
    assert (told.delivery["lost"], told.delivery["undelivered"]) == (0, 0)
