"""Runs whose servers have a disk that is slow, full or broken, or lose their power.

The runs are shared: each has several faults, and both engines are met at the same time.
"""

from collections.abc import Mapping

import pytest
from faulty_runs import ENGINES, FaultyRun, Told, all_told

pytestmark = [pytest.mark.timeout(240), pytest.mark.faults]

ALWAYS = {
    "waits": "{at: 2s, for: 1500ms, disk: {fsyncDelay: 1h}}",
    "control": "{at: 7s, for: 1s, disk: {fsyncDelay: 0s}}",
    "broken": "{at: 10s, for: 1500ms, disk: {fsyncError: EIO}}",
    "full": "{at: 15s, for: 1500ms, disk: {full: true}}",
    "consumers": "{at: 20s, for: 4s, pause: consumers}",
    "power": "{at: 22s, powerLoss: primary, restartAfter: 500ms}",
}
EVERY_SECOND = {
    "full": "{at: 2s, for: 1500ms, disk: {full: true}}",
    "no room": "{at: 7s, for: 1500ms, disk: {fsyncError: ENOSPC}}",
    "consumers": "{at: 12s, for: 5s, pause: consumers}",
    "waits": "{at: 13s, for: 3s, disk: {fsyncDelay: 1h}}",
    "power": "{at: 14500ms, powerLoss: primary, restartAfter: 500ms}",
}
NEVER = {
    "consumers": "{at: 2s, for: 4s, pause: consumers}",
    "power": "{at: 4s, powerLoss: primary, restartAfter: 500ms}",
}


def runs(faults: Mapping[str, str], duration: str, fsync: str) -> Mapping[str, FaultyRun]:
    """One on each engine."""
    config = f"config: {{appendonly: yes, appendfsync: {fsync}}}"
    return {f"{engine} {fsync}": FaultyRun(faults, duration, f"engine: {engine}, {config}") for engine in ENGINES}


@pytest.fixture(scope="module")
def always(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """Servers that promise the disk with each reply."""
    return all_told(tmp_path_factory.mktemp("always"), runs(ALWAYS, "27s", "always"))


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """Servers that do not."""
    each = {**runs(EVERY_SECOND, "20s", "everysec"), **runs(NEVER, "9s", "no")}
    return all_told(tmp_path_factory.mktemp("later"), each)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("name", "outage_s", "fails"),
    [("waits", 1.5, False), ("control", None, False), ("broken", 1.5, None), ("full", 1.5, None)],
)
def test_a_disk_that_is_slow_full_or_broken_is_an_outage_of_a_server_that_promises_it(
    always: Mapping[str, Told], engine: str, name: str, outage_s: float | None, fails: bool | None
) -> None:
    """At least while it lasts, and nothing is lost; a server that ends for it is started again."""
    one = always[f"{engine} always"][name]

    assert one["promisesNoLoss"]
    check(one, outage_s, fails)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "outage_s"), [("full", 1.0), ("no room", None)])
def test_a_server_that_syncs_later_refuses_messages_until_its_disk_is_well(
    later: Mapping[str, Told], engine: str, name: str, outage_s: float | None
) -> None:
    """Nothing that it took is lost, though nobody promises that."""
    one = later[f"{engine} everysec"][name]

    assert not one["promisesNoLoss"]
    check(one, outage_s, fails=True)


def check(one: Mapping[str, object], outage_s: float | None, fails: bool | None) -> None:
    """What a fault of a disk did, and that it lost nothing."""
    (group,) = one["groups"]  # type: ignore[misc]  # a list
    assert (one["hit"], group["lost"], one["dataLost"]) == (["primary-1"], 0, False)
    if outage_s is not None:
        assert one["outageSeconds"] > outage_s - 0.1  # type: ignore[operator]  # a number
    if fails is not None:
        assert bool(one["failed"]) is fails


@pytest.mark.parametrize("engine", ENGINES)
def test_what_the_faults_of_a_disk_cost_each_fsync_is_told(always: Mapping[str, Told], engine: str) -> None:
    """All through the run, and as it is on this machine."""
    assert "fsyncGate" in always[f"{engine} always"].caveats


@pytest.mark.parametrize("engine", ENGINES)
def test_a_loss_of_power_takes_nothing_that_waited_for_the_disk(always: Mapping[str, Told], engine: str) -> None:
    """Consumers stand still meanwhile, so that what is gone would not have been read before."""
    told = always[f"{engine} always"]

    assert told["consumers"]["hadEffect"]
    assert told["power"]["promisesNoLoss"]
    assert (told.delivery["lost"], told.delivery["trimmed"]) == (0, 0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fsync", ["everysec", "no"])
def test_a_loss_of_power_takes_what_was_acknowledged_and_not_on_the_disk(
    later: Mapping[str, Told], engine: str, fsync: str
) -> None:
    """All since the last fsync, which a slow disk had put off; the account says which, and that nobody promised it."""
    told = later[f"{engine} {fsync}"]

    assert told["consumers"]["hadEffect"]
    power = told["power"]
    assert (power["promisesNoLoss"], power["dataLost"]) == (False, False)
    assert told.delivery["lost"] > (100 if fsync == "everysec" else 0)
    assert told.delivery["lost"] == told.result["faults"]["totals"]["lost"]
    assert told.delivery["trimmed"] == 0
    assert "lost" not in told.rules
