"""Runs in a cluster and behind Sentinels whose primaries die, fail over, or give their slots away.

The runs are shared: each has several faults, and several runs go on at the same time.
"""

from collections.abc import Mapping

import pytest
from faulty_runs import ENGINES, LOAD, THREE_PARTITIONS, FaultyRun, Told, all_told

pytestmark = [pytest.mark.timeout(240), pytest.mark.faults]

CLUSTER = "topology: cluster, replicas: 1"
BALANCED = "{placement: balanced}"

# -- whoever has a partition -----------------------------------------------------------------------------------------

OF_PARTITIONS = {
    **{f"kill {n}": f"{{at: {2 + 4 * n}s, kill: primary of {n}, restartAfter: 1s}}" for n in range(3)},
    **{f"failover {n}": f"{{at: {14 + 4 * n}s, failover: ordered, on: primary of {n}}}" for n in range(3)},
}


@pytest.fixture(scope="module")
def of_partitions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """Clusters of which each primary is killed, and then each fails over."""
    runs = {
        engine: FaultyRun(OF_PARTITIONS, "26s", f"engine: {engine}, {CLUSTER}", streams=BALANCED, load=THREE_PARTITIONS)
        for engine in ENGINES
    }
    return all_told(tmp_path_factory.mktemp("partitions"), runs)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("what", ["kill", "failover"])
def test_a_fault_finds_who_has_a_partition(of_partitions: Mapping[str, Told], engine: str, what: str) -> None:
    """The primary of each partition is another one; by the name of who was hit, all three are met one by one.

    What the ledger proves lost is of the partitions that were hit; the others went on.
    """
    told = of_partitions[engine]

    hit = [told[f"{what} {number}"]["hit"] for number in range(3)]
    assert {each[0] for each in hit} == {"primary-1", "primary-2", "primary-3"}
    if what == "failover":
        assert all(new == f"replica-{old.partition('-')[2]}-1" for old, new in hit)
    assert told.delivery["lost"] == told.result["faults"]["totals"]["lost"]
    assert told.result["totals"]["published"] > 8_000
    assert "lost" not in told.rules


# -- somebody takes over ---------------------------------------------------------------------------------------------

ORDERED = {
    "failover": "{at: 3s, failover: ordered}",
    "sentinel": "{at: 8s, kill: sentinel 1, restartAfter: 1s}",
}
EVERY_SECOND = "config: {appendonly: yes}"
ALL = {"all": "{at: 2s, kill: servers, restartAfter: 1s}"}
KILLED = {"kill": "{at: 3s, kill: node 1, restartAfter: 8s}"}


@pytest.fixture(scope="module")
def takeovers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """Behind Sentinels, in order and after a crash; a crash in the shipped cluster, and one of all servers."""
    runs = {engine: FaultyRun(ORDERED, "11s", f"engine: {engine}, topology: sentinel") for engine in ENGINES}
    waits = "{waitReplicas: 1, waitTimeoutMs: 500}"
    killed = FaultyRun(KILLED, "15s", f"engine: valkey, topology: sentinel, {EVERY_SECOND}", streams=waits)
    shipped = FaultyRun(KILLED, "15s", load=THREE_PARTITIONS, given=("--setup", "valkey-cluster-3x2"))
    disk = "config: {appendonly: yes, appendfsync: always}"
    every = FaultyRun(ALL, "9s", f"engine: valkey, {CLUSTER}, {disk}", streams=BALANCED, load=THREE_PARTITIONS)
    each = {**runs, "killed": killed, "shipped": shipped, "all": every}
    return all_told(tmp_path_factory.mktemp("takeovers"), each)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_replica_takes_over_in_order(takeovers: Mapping[str, Told], engine: str) -> None:
    """Those that were asked are named, and the run goes on."""
    told = takeovers[engine]

    one = told.tried("failover")
    if one["error"]:  # this machine has stalled, and Sentinels do nothing for a while (tilt)
        assert one["error"].endswith("nobody took over within 15 s")
        assert "faultFailed" in told.rules
        return
    assert one["hit"] == ["primary-1", "replica-1-1"]
    assert told.delivery["trimmed"] == 0
    assert told.result["totals"]["published"] > 3_000
    assert "lost" not in told.rules


@pytest.mark.parametrize("setup", ["killed", "shipped"])
def test_a_replica_takes_over_from_a_primary_that_is_killed(takeovers: Mapping[str, Told], setup: str) -> None:
    """And the old primary comes back behind it; what is lost is what the ledger proves."""
    told = takeovers[setup]

    one = told["kill"]
    assert one["hit"] == ["primary-1"]
    assert one["hadEffect"]
    assert told.delivery["lost"] == one["groups"][0]["lost"]
    assert told.delivery["trimmed"] == 0
    assert told.result["totals"]["published"] > 2_000
    assert "lost" not in told.rules


def test_what_waited_for_a_replica_outlives_its_primary(takeovers: Mapping[str, Told]) -> None:
    """Behind Sentinels, by WAIT: what was acknowledged is on the server that takes over."""
    told = takeovers["killed"]

    assert told["kill"]["promisesNoLoss"]
    assert told.delivery["lost"] == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_sentinel_that_is_killed_is_missed_by_nobody(takeovers: Mapping[str, Told], engine: str) -> None:
    """Clients ask Sentinels where the primary is, and not for anything else."""
    one = takeovers[engine]["sentinel"]

    assert one["hit"] == ["sentinel-1"]
    assert (one["failed"], one["groups"][0]["lost"]) == (0, 0)


def test_a_cluster_that_starts_again_as_a_whole_has_what_waited_for_its_disks(takeovers: Mapping[str, Told]) -> None:
    """All of its servers die, and it is one again afterwards, to its clients too."""
    told = takeovers["all"]

    one = told["all"]
    assert len(one["hit"]) == 6
    assert one["promisesNoLoss"]
    assert one["outageSeconds"] > 0.9
    assert (told.delivery["lost"], told.delivery["undelivered"]) == (0, 0)


# -- slots that move -------------------------------------------------------------------------------------------------

BY_KEYS = {
    "one": "{at: 2s, migrateSlots: primary of 0}",
    "all": "{at: 4s, migrateSlots: primary 2, to: primary 3}",
    "back": "{at: 6s, migrateSlots: primary 3}",
}
MOVED_BY_KEYS = {"all": ["primary-2", "primary-3"], "back": ["primary-3", "primary-1"]}
AT_ONCE = {
    "one at once": "{at: 9s, migrateSlots: primary of 0, atomic: true}",
    "all at once": "{at: 11s, migrateSlots: primary 1, to: primary 3, atomic: true}",
    "back at once": "{at: 13s, migrateSlots: primary 3, atomic: true}",
}
MOVED_AT_ONCE = {"all at once": ["primary-1", "primary-3"], "back at once": ["primary-3", "primary-1"]}
UNKNOWN = {"unknown": "{at: 9s, migrateSlots: primary of 0, atomic: true}"}


@pytest.fixture(scope="module")
def migrations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """Partitions that move key by key, then at once where the server can; read by the driver, and by the library."""

    def run(faults: Mapping[str, str], duration: str, engine: str, client: str = "{}") -> FaultyRun:
        six = LOAD.replace("partitionsPerTopic: 1", "partitionsPerTopic: 6")
        return FaultyRun(faults, duration, f"engine: {engine}, topology: cluster", client, BALANCED, load=six)

    runs = {
        "valkey": run(BY_KEYS | AT_ONCE, "16s", "valkey"),
        "redis": run(BY_KEYS | UNKNOWN, "11s", "redis"),
        "runner": run(BY_KEYS, "9s", "valkey", "{consumer: runner}"),
    }
    return all_told(tmp_path_factory.mktemp("migrations"), runs)


@pytest.mark.parametrize(
    ("run", "moved"),
    [("valkey", MOVED_BY_KEYS | MOVED_AT_ONCE), ("redis", MOVED_BY_KEYS), ("runner", MOVED_BY_KEYS)],
)
def test_partitions_move_to_other_primaries_under_load(
    migrations: Mapping[str, Told], run: str, moved: Mapping[str, list[str]]
) -> None:
    """One after the other, and all that a primary has by then: no message is lost, none comes twice as another."""
    told = migrations[run]

    assert {name: told[name]["hit"] for name in moved} == moved
    assert all(told[name]["promisesNoLoss"] for name in moved)
    delivery = told.delivery
    assert (delivery["lost"], delivery["trimmed"], delivery["undelivered"], delivery["duplicated"]) == (0, 0, 0, 0)
    assert told.result["totals"]["published"] > 4_000


def test_a_migration_that_a_server_does_not_know_is_told(migrations: Mapping[str, Told]) -> None:
    """With the server's own words; the run goes on, and is PARTIAL."""
    told = migrations["redis"]

    assert "could not be moved to primary-" in told.tried("unknown")["error"]
    assert told.result["verdict"]["status"] == "PARTIAL"
