"""Runs with faults, on real servers: what was done is in the result to the message, and nothing of it is left."""

import signal
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from processes import Place, sound

from ombdriver.bench.servers.own_clock import faketime_library
from tests.missing import missing

LOAD = """
topics: 1
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 1
producersPerTopic: 1
producerRate: 500
warmupDuration: 1s
sampleInterval: 200ms
drainTimeout: 20s
"""
ONE_CONSUMER = "consumerPerSubscription: 1\n"
WORK = "consumerPerSubscription: 2\nconsumerWork: 1ms\n"
ENGINES = ("valkey", "redis")
pytestmark = pytest.mark.timeout(180)


def faults(
    place: Place,
    entries: str,
    duration: str = "7s",
    server: str = "engine: valkey",
    streams: str = "{}",
    more: str = ONE_CONSUMER,
    client: str = "{}",
    load: str = LOAD,
) -> dict[str, Any]:
    """The result of a run with these faults."""
    place.write(f"{load}{more}testDuration: {duration}\nfaults: {entries}\n")
    place.write(
        f"name: s\ndriver: redis-streams\nserver: {{{server}}}\nclient: {client}\nstreams: {streams}\n", "s.yaml"
    )
    finished = place.run("run", "w.yaml", "--setup", "s.yaml", "--plain")
    assert sound(finished.returncode), finished.stderr
    (result,) = place.results()
    for path in (place.folder / "results").iterdir():
        path.unlink()
    return result


def only(result: dict[str, Any]) -> dict[str, Any]:
    """Its only injection, which went well."""
    (one,) = result["faults"]["injections"]
    assert one["error"] is None
    assert accounts_add_up(result)
    return dict(one)


def accounts_add_up(result: dict[str, Any]) -> bool:
    """Whether every message of each group has become something."""
    return all(
        each["acknowledged"] + each["recovered"]
        == each["received"] + each["lost"] + each["trimmed"] + each["undelivered"]
        for each in result["delivery"]
    )


def rules(result: dict[str, Any]) -> set[str]:
    """The rules that say something of a run, but those of this machine."""
    return {each["rule"] for each in result["verdict"]["reasons"] if each["status"] != "INVALID"}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("config", "data", "lost_allowed"),
    [
        ("{}", "kept", True),
        ("{appendonly: yes, appendfsync: always}", "kept", False),
        ("{appendonly: yes, appendfsync: always}", "lost", True),
    ],
)
def test_a_server_that_is_killed_comes_back(
    place: Place, engine: str, config: str, data: str, lost_allowed: bool
) -> None:
    """With what it had on its disk; the outage is as long as it was down, and what was synced is not lost."""
    entry = f"{{at: 2s, kill: primary, restartAfter: 3s, data: {data}}}"  # longer than a busy machine stalls

    result = faults(place, f"[{entry}]", "9s", server=f"engine: {engine}, config: {config}")

    one = only(result)
    assert one["hit"] == ["primary-1"]
    assert one["dataLost"] is (config == "{}" or data == "lost")
    assert one["healedSeconds"] - one["injectedSeconds"] > 2.99  # each is told to the ms
    assert one["outageSeconds"] > 2.5
    assert one["hadEffect"]
    assert result["delivery"][0]["trimmed"] == 0
    if not lost_allowed:
        assert one["promisesNoLoss"]
        assert result["delivery"][0]["lost"] == 0
    assert not rules(result) & {"lost", "achieved", "errors", "rateTrend", "latencyTrend"}
    assert result["delivery"][0]["lost"] == sum(group["lost"] for group in one["groups"])


def test_what_waited_for_the_disk_survives_a_crash_between_two_fsyncs(place: Place) -> None:
    """With `appendfsync: everysec`, by WAITAOF: a message is acknowledged when it is on disk, and is not lost then."""
    result = faults(
        place,
        "[{at: 2s, for: 3s, pause: consumers}, {at: 4s, kill: primary, restartAfter: 500ms}]",
        "9s",
        server="engine: valkey, config: {appendonly: yes}",
        streams="{waitAof: primary}",
    )

    assert [one["error"] for one in result["faults"]["injections"]] == [None, None]
    assert [one["promisesNoLoss"] for one in result["faults"]["injections"]] == [True, True]
    assert result["delivery"][0]["lost"] == 0
    assert accounts_add_up(result)
    assert (result["faults"]["durability"], result["faults"]["replicas"]) == ("fsync", 0)


def test_messages_that_nobody_had_read_are_lost_with_the_memory_of_a_server(place: Place) -> None:
    """To the message: consumers stand still while the server dies and comes back empty."""
    entries = "[{at: 2s, for: 3s, pause: consumers}, {at: 3s, kill: primary, restartAfter: 200ms}]"

    result = faults(place, entries, "8s")

    (delivery,) = result["delivery"]
    assert delivery["lost"] > 100
    assert delivery["trimmed"] == 0
    assert accounts_add_up(result)
    assert delivery["lost"] == result["faults"]["totals"]["lost"]
    assert {each["kind"] for each in result["caveats"]} >= {"faultLoss"}
    assert "lost" not in rules(result)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pause_is_an_outage_of_its_length_and_loses_nothing(place: Place, engine: str) -> None:
    """The server hangs, and answers all when it goes on."""
    result = faults(place, "[{at: 2s, for: 1500ms, pause: primary}]", server=f"engine: {engine}")

    one = only(result)
    assert one["outageSeconds"] == pytest.approx(1.5, abs=0.6)
    assert one["groups"][0]["outageSeconds"] == pytest.approx(1.5, abs=0.6)
    assert (one["failed"], one["indeterminate"], one["groups"][0]["lost"]) == (0, 0, 0)
    assert one["promisesNoLoss"]


def test_consumers_that_are_paused_catch_up(place: Place) -> None:
    """Publishing goes on, delivery does not."""
    result = faults(place, "[{at: 2s, for: 1500ms, pause: consumers of group-1}]")

    one = only(result)
    assert [name.split(" ")[2] for name in one["hit"]] == ["(consume)"]
    assert one["groups"][0]["outageSeconds"] == pytest.approx(1.5, abs=0.6)
    assert one["outageSeconds"] < one["groups"][0]["outageSeconds"]
    assert result["delivery"][0]["lost"] == 0


@pytest.mark.parametrize(
    ("streams", "engine"), [("{reclaimAfterMs: 500}", "valkey"), ("{reclaimAfterMs: 500}", "redis"), ("{}", "valkey")]
)
def test_what_a_consumer_had_when_it_was_killed_is_delivered_by_others_or_when_it_is_back(
    place: Place, streams: str, engine: str
) -> None:
    """A backlog has given it a batch that takes a while; nothing is lost, and what had been delivered comes twice."""
    entries = "[{at: 2s, for: 1s, pause: consumers}, {at: 3100ms, kill: consumer 1 of group-1, restartAfter: 2s}]"

    result = faults(place, entries, "8s", server=f"engine: {engine}", streams=streams, more=WORK)

    pause, kill = result["faults"]["injections"]
    assert (pause["error"], kill["error"], kill["hit"]) == (None, None, ["consumer 1 of group-1"])
    assert kill["promisesNoLoss"]
    assert kill["healedSeconds"] - kill["injectedSeconds"] > 1.99
    (delivery,) = result["delivery"]
    assert (delivery["lost"], delivery["undelivered"]) == (0, 0)
    assert accounts_add_up(result)
    assert ("claimed" in result["counters"]) is (streams != "{}")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("who", ["producers", "consumers of group-1", "clients"])
@pytest.mark.parametrize("client", ["{}", "{consumer: runner}"])
def test_workers_that_are_killed_come_back_to_their_work(place: Place, engine: str, who: str, client: str) -> None:
    """What they had done is known to the message; what was in flight is unknown, what was acknowledged is not lost.

    Every message that was due is accounted for, though those of the time without producers are sent late.
    """
    entry = f"{{at: 2s, kill: {who}, restartAfter: 1s}}"

    result = faults(place, f"[{entry}]", "9s", server=f"engine: {engine}", client=client)

    one = only(result)
    assert all(name.startswith("worker ") for name in one["hit"])
    assert len(one["hit"]) == (2 if who == "clients" else 1)
    assert one["hadEffect"]
    assert one["promisesNoLoss"]
    (delivery,) = result["delivery"]
    assert (delivery["lost"], delivery["undelivered"]) == (0, 0)
    totals = result["totals"]
    assert totals["published"] + totals["publishErrors"] == 9 * 500
    assert (totals["unsent"], totals["unanswered"]) == (0, 0)
    if who != "consumers of group-1":
        assert one["outageSeconds"] > 0.9
    if who != "producers":
        assert one["groups"][0]["outageSeconds"] > 0.9


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "entry",
    [
        "{at: 2s, for: 1s, clientPause: write}",
        "{at: 2s, for: 1s, clientPause: all}",
        "{at: 2s, for: 1s, maxmemory: reached}",
        "{at: 2s, bgsave: primary}",
        "{at: 2s, bgrewriteaof: node 1}",
    ],
)
def test_what_commands_of_the_server_do_is_undone(place: Place, engine: str, entry: str) -> None:
    """Messages are held up or refused meanwhile; none that was acknowledged is lost."""
    result = faults(place, f"[{entry}]", server=f"engine: {engine}, config: {{appendonly: yes}}")

    one = only(result)
    assert result["delivery"][0]["lost"] == 0
    assert one["promisesNoLoss"]
    if "clientPause" in entry:
        assert one["outageSeconds"] > 0.5
    if "maxmemory" in entry:
        assert one["failed"] > 100
    assert "lost" not in rules(result)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("topology", ["sentinel", "cluster, replicas: 1"])
def test_a_replica_takes_over_in_order(place: Place, engine: str, topology: str) -> None:
    """Those that were asked are named, and the run goes on."""
    result = faults(place, "[{at: 3s, failover: ordered}]", "12s", server=f"engine: {engine}, topology: {topology}")

    (one,) = result["faults"]["injections"]
    if topology == "sentinel" and one["error"]:  # this machine has stalled, and Sentinels do nothing for a while (tilt)
        assert one["error"].endswith("nobody took over within 15 s")
        assert "faultFailed" in rules(result)
        return
    assert one["error"] is None
    assert accounts_add_up(result)
    old, new = one["hit"]
    assert old.startswith("primary-")
    assert new == f"replica-{old.partition('-')[2]}-1"
    assert result["totals"]["published"] > 3000
    assert "lost" not in rules(result)


@pytest.mark.parametrize("topology", ["sentinel", "cluster, replicas: 1"])
def test_a_replica_takes_over_from_a_primary_that_is_killed(place: Place, topology: str) -> None:
    """And the old primary comes back behind it."""
    result = faults(
        place, "[{at: 3s, kill: primary, restartAfter: 8s}]", "16s", server=f"engine: valkey, topology: {topology}"
    )

    one = only(result)
    assert one["hit"][0].startswith("primary-")
    assert result["totals"]["published"] > 3000
    assert result["delivery"][0]["trimmed"] == 0


CLUSTER_LOAD = LOAD.replace("partitionsPerTopic: 1", "partitionsPerTopic: 3")
"""A partition for each primary of a cluster, where they are balanced."""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("what", ["kill", "failover"])
def test_a_fault_finds_who_has_a_partition(place: Place, engine: str, what: str) -> None:
    """The primary of each partition is another one; by the name of who was hit, all three are met one by one.

    What the ledger proves lost is of the partitions that were hit; the others went on.
    """
    entry = {"kill": "kill: primary of {}, restartAfter: 1s", "failover": "failover: ordered, on: primary of {}"}[what]
    entries = ", ".join(f"{{at: {2 + 4 * n}s, {entry.format(n)}}}" for n in range(3))

    result = faults(
        place,
        f"[{entries}]",
        "14s",
        server=f"engine: {engine}, topology: cluster, replicas: 1",
        streams="{placement: balanced}",
        load=CLUSTER_LOAD,
    )

    injections = result["faults"]["injections"]
    assert [one["error"] for one in injections] == [None] * 3
    assert {one["hit"][0] for one in injections} == {"primary-1", "primary-2", "primary-3"}
    assert accounts_add_up(result)
    assert result["delivery"][0]["lost"] == result["faults"]["totals"]["lost"]
    assert result["totals"]["published"] > 4000
    assert "lost" not in rules(result)


def test_the_shipped_cluster_loses_what_its_ledger_proves_when_a_primary_dies(place: Place) -> None:
    """A replica takes over after the time-out of the nodes; a third of the messages waits meanwhile."""
    place.write(
        f"{CLUSTER_LOAD}{ONE_CONSUMER}testDuration: 16s\nfaults: [{{at: 3s, kill: node 1, restartAfter: 8s}}]\n"
    )
    finished = place.run("run", "w.yaml", "--setup", "valkey-cluster-3x2", "--plain")
    assert sound(finished.returncode), finished.stderr
    (result,) = place.results()

    one = only(result)
    assert one["hit"] == ["primary-1"]
    assert one["hadEffect"]
    assert result["delivery"][0]["lost"] == one["groups"][0]["lost"]
    assert result["delivery"][0]["trimmed"] == 0
    assert result["totals"]["published"] > 5000
    assert "lost" not in rules(result)


@pytest.mark.parametrize(
    ("engine", "atomic", "client"),
    [
        ("valkey", "", "{}"),
        ("redis", "", "{}"),
        ("valkey", ", atomic: true", "{}"),
        ("valkey", "", "{consumer: runner}"),
    ],
)
def test_partitions_move_to_other_primaries_under_load(place: Place, engine: str, atomic: str, client: str) -> None:
    """One after the other, and all that a primary has by then: no message is lost, none comes twice as another."""
    entries = [
        f"{{at: 2s, migrateSlots: primary of 0{atomic}}}",
        f"{{at: 4s, migrateSlots: primary 2, to: primary 3{atomic}}}",
        f"{{at: 6s, migrateSlots: primary 3{atomic}}}",
    ]

    result = faults(
        place,
        f"[{', '.join(entries)}]",
        "10s",
        server=f"engine: {engine}, topology: cluster",
        streams="{placement: balanced}",
        load=LOAD.replace("partitionsPerTopic: 1", "partitionsPerTopic: 6"),
        client=client,
    )

    injections = result["faults"]["injections"]
    assert [one["error"] for one in injections] == [None] * 3
    assert injections[1]["hit"] == ["primary-2", "primary-3"]
    assert injections[2]["hit"] == ["primary-3", "primary-1"]
    assert all(one["promisesNoLoss"] for one in injections)
    (delivery,) = result["delivery"]
    assert (delivery["lost"], delivery["trimmed"], delivery["undelivered"], delivery["duplicated"]) == (0, 0, 0, 0)
    assert accounts_add_up(result)
    assert result["totals"]["published"] > 4_500


def test_a_migration_that_a_server_does_not_know_is_told(place: Place) -> None:
    """With the server's own words; the run goes on, and is PARTIAL."""
    result = faults(
        place,
        "[{at: 1s, migrateSlots: primary, atomic: true}]",
        "4s",
        server="engine: redis, topology: cluster",
    )

    (one,) = result["faults"]["injections"]
    assert "could not be moved to primary-" in one["error"]
    assert result["verdict"]["status"] == "PARTIAL"
    assert result["delivery"][0]["lost"] == 0


RUNNER_WORK = "consumerPerSubscription: 2\n"
SYNCED = "config: {appendonly: yes, appendfsync: always}"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "entry",
    [
        "{at: 2s, kill: primary, restartAfter: 1s}",
        "{at: 2s, for: 1500ms, pause: primary}",
        "{at: 2s, for: 1500ms, link: {between: [clients, primary], down: true}}",
        "{at: 2s, for: 1500ms, link: {between: [clients, primary], swallow: true}}",
        "{at: 2s, for: 1500ms, pause: consumers}",
        "{at: 2s, kill: consumer 1 of group-1, restartAfter: 1s}",
    ],
)
def test_runners_of_the_library_lose_nothing(place: Place, engine: str, entry: str) -> None:
    """A run that consumes through them: all that was acknowledged arrives, whatever is between."""
    result = faults(
        place, f"[{entry}]", "9s", f"engine: {engine}, {SYNCED}", more=RUNNER_WORK, client="{consumer: runner}"
    )

    one = only(result)
    (delivery,) = result["delivery"]
    assert one["promisesNoLoss"]
    assert (delivery["lost"], delivery["undelivered"], delivery["trimmed"]) == (0, 0, 0)
    assert result["setup"]["client"] == {"consumer": "runner"}
    assert "lost" not in rules(result)


def test_what_a_runner_had_when_it_was_killed_is_taken_over_by_the_others(place: Place) -> None:
    """After the time that the setup says, by their leases; nothing is lost."""
    entries = "[{at: 2s, for: 1s, pause: consumers}, {at: 3100ms, kill: consumer 1 of group-1}]"

    result = faults(place, entries, "9s", streams="{reclaimAfterMs: 500}", more=WORK, client="{consumer: runner}")

    assert [one["error"] for one in result["faults"]["injections"]] == [None, None]
    (delivery,) = result["delivery"]
    assert (delivery["lost"], delivery["undelivered"]) == (0, 0)
    assert accounts_add_up(result)
    assert result["counters"]["claimed"] > 0


AOF = "config: {appendonly: yes, appendfsync: FSYNC}"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("shape", "fsync", "outage_s", "fails"),
    [
        ("{fsyncDelay: 1h}", "always", 1.5, False),
        ("{fsyncDelay: 0s}", "always", None, False),
        ("{fsyncError: EIO}", "always", 1.5, None),
        ("{full: true}", "always", 1.5, None),
        ("{full: true}", "everysec", 1.0, True),
        ("{fsyncError: ENOSPC}", "everysec", None, True),
    ],
)
def test_a_disk_that_is_slow_full_or_broken_is_an_outage_and_loses_nothing(
    place: Place, engine: str, shape: str, fsync: str, outage_s: float | None, fails: bool | None
) -> None:
    """At least while it lasts; a server that ends for it is started again, and one that waits or refuses goes on."""
    server = f"engine: {engine}, {AOF.replace('FSYNC', fsync)}"

    result = faults(place, f"[{{at: 2s, for: 1500ms, disk: {shape}}}]", "9s", server=server)

    one = only(result)
    assert one["hit"] == ["primary-1"]
    assert result["delivery"][0]["lost"] == 0
    assert not one["dataLost"]
    if outage_s is not None:
        assert one["outageSeconds"] > outage_s - 0.1
    if fails is not None:
        assert bool(one["failed"]) is fails
    assert one["promisesNoLoss"] is (fsync == "always")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fsync", ["always", "no"])
def test_a_loss_of_power_takes_what_was_acknowledged_and_not_on_the_disk(place: Place, engine: str, fsync: str) -> None:
    """Nothing with `appendfsync: always`; consumers stand still meanwhile, so that what is gone was not read before."""
    entries = "[{at: 2s, for: 4s, pause: consumers}, {at: 4s, powerLoss: primary, restartAfter: 500ms}]"

    result = faults(place, entries, "9s", server=f"engine: {engine}, {AOF.replace('FSYNC', fsync)}")

    assert [one["error"] for one in result["faults"]["injections"]] == [None, None]
    assert accounts_add_up(result)
    (delivery,) = result["delivery"]
    assert (delivery["lost"] > 0) is (fsync == "no")
    assert delivery["trimmed"] == 0
    assert delivery["lost"] == result["faults"]["totals"]["lost"]
    assert result["faults"]["injections"][1]["promisesNoLoss"] is (fsync == "always")
    assert "lost" not in rules(result)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_loss_of_power_takes_what_a_slow_disk_had_not_synced_yet(place: Place, engine: str) -> None:
    """With `appendfsync: everysec`: what was acknowledged since the last fsync, and the account says so."""
    entries = (
        "[{at: 2s, for: 5s, pause: consumers}, {at: 3s, for: 3s, disk: {fsyncDelay: 1h}},"
        " {at: 4500ms, powerLoss: primary, restartAfter: 500ms}]"
    )

    result = faults(place, entries, "10s", server=f"engine: {engine}, config: {{appendonly: yes}}")

    assert [one["error"] for one in result["faults"]["injections"]] == [None, None, None]
    assert accounts_add_up(result)
    (delivery,) = result["delivery"]
    assert delivery["lost"] > 100
    assert delivery["trimmed"] == 0
    assert not result["faults"]["injections"][2]["promisesNoLoss"]
    assert not result["faults"]["injections"][2]["dataLost"]


def test_a_clock_that_jumps_lets_others_take_what_is_pending(place: Place) -> None:
    """Ahead by an hour, and a consumer that has just died looks idle for so long; without that nobody would claim."""
    if faketime_library() is None:
        missing("no libfaketime; install it (Debian's package faketime)")
    entries = (
        "[{at: 2s, for: 1s, pause: consumers}, {at: 3100ms, kill: consumer 1 of group-1, restartAfter: 9s},"
        " {at: 4s, for: 6s, clock: {step: 1h}}]"
    )

    result = faults(place, entries, "13s", streams="{reclaimAfterMs: 12000}", more=WORK)

    assert [one["error"] for one in result["faults"]["injections"]] == [None, None, None]
    assert result["faults"]["injections"][2]["hit"] == ["primary-1"]
    assert (result["delivery"][0]["lost"], result["delivery"][0]["undelivered"]) == (0, 0)
    assert result["counters"]["claimed"] > 0
    assert accounts_add_up(result)


def test_a_server_that_can_not_have_a_clock_of_its_own_is_refused(place: Place) -> None:
    """Before anything starts: what does not go with libfaketime is found out by a try."""
    place.write("#!/bin/sh\necho no >&2\nexit 3\n", "server.sh").chmod(0o755)
    place.write(f"{LOAD}{ONE_CONSUMER}testDuration: 4s\nfaults: [{{at: 1s, clock: {{step: -5s}}}}]\n")
    place.write(f"name: s\ndriver: redis-streams\nserver: {{engine: {place.folder}/server.sh}}\n", "s.yaml")

    finished = place.run("run", "w.yaml", "--setup", "s.yaml", "--plain")

    assert finished.returncode == 2
    said = " ".join(finished.stderr.split())
    assert "server.sh does not start with libfaketime" in said or "install it (Debian's package faketime)" in said


def test_a_replica_that_is_paused_is_told_as_no_effect(place: Place) -> None:
    """Nobody waits for it."""
    server = "engine: valkey, topology: replicated"
    result = faults(place, "[{at: 3s, for: 500ms, pause: replica 1}]", server=server)

    one = only(result)
    if result["verdict"]["status"] != "INVALID":  # else this machine's own pauses may look like an effect
        assert not one["hadEffect"]
        assert "faultNoEffect" in {each["kind"] for each in result["caveats"]}


def test_a_hook_that_fails_is_told_and_the_run_is_partial(place: Place) -> None:
    """What was asked for was not done; what it said is in the message."""
    script = place.write("#!/bin/sh\necho no such bridge >&2\nexit 7\n", "break.sh")
    script.chmod(0o755)

    result = faults(place, "[{at: 1s, hook: ./break.sh}]", "3s")

    (one,) = result["faults"]["injections"]
    assert one["error"] == "./break.sh ended with exit code 7: no such bridge"
    assert result["verdict"]["status"] == "PARTIAL"
    assert "faultFailed" in rules(result)


def test_a_hook_breaks_and_mends_on_a_server_of_the_users(place: Place, valkey_url: str) -> None:
    """There a run breaks nothing itself."""
    place.write(
        f"{LOAD}{ONE_CONSUMER}testDuration: 4s\nfaults: [{{at: 1s, for: 1s, hook: touch broken, heal: touch mended}}]\n"
        "expect: [faults.injected >= 1, outage < 60s]\n"
    )

    finished = place.run("run", "w.yaml", "--url", valkey_url, "--plain")

    assert sound(finished.returncode), finished.stderr
    assert (place.folder / "broken").exists()
    assert (place.folder / "mended").exists()
    (result,) = place.results()
    assert [check["passed"] for check in result["thresholds"]] == [True, True]


def test_a_fault_that_a_users_server_can_not_have_is_refused(place: Place, valkey_url: str) -> None:
    """Before anything starts, with the way out."""
    place.write(f"{LOAD}{ONE_CONSUMER}testDuration: 4s\nfaults: [{{at: 1s, kill: primary}}]\n")

    finished = place.run("run", "w.yaml", "--url", valkey_url, "--plain")

    assert finished.returncode == 2
    assert "a server of yours is not broken by a run" in finished.stderr
    assert "write hook: COMMAND" in finished.stderr


@pytest.mark.parametrize(
    "entry",
    [
        "{at: 0s, for: 20s, pause: clients}",
        "{at: 0s, for: 500s, pause: primary}",
        "{at: 0s, kill: primary}",
        "{at: 0s, kill: consumers}",
        "{at: 0s, for: 500s, link: {between: [clients, primary], swallow: true}}",
        "{at: 0s, for: 500s, disk: {fsyncDelay: 1h}}",
        "{at: 0s, for: 500s, disk: {full: true}}",
        "{at: 0s, powerLoss: primary}",
    ],
)
def test_nothing_is_left_when_the_parent_is_killed_in_mid_fault(place: Place, entry: str) -> None:
    """Stopped workers go on and end; a server that is stopped, down or waits is taken away by its reaper."""
    place.write(f"{LOAD}{ONE_CONSUMER}testDuration: 10m\nfaults: [{entry}]\n")
    with place.start("-v", "run", "w.yaml", "--setup", "valkey-aof-always", "--plain") as run:
        run.until_said("fault 1,")
        family: list[psutil.Process] = run.family()
        assert len(family) >= 3
        run.send(signal.SIGKILL)

        assert run.end()[0] == -signal.SIGKILL
        assert run.alone()


def test_an_interrupt_heals_what_is_broken_and_keeps_the_result(place: Place) -> None:
    """The server that is down is started again, so that what is missing can be looked for."""
    place.write(f"{LOAD}{ONE_CONSUMER}testDuration: 10m\nfaults: [{{at: 1s, kill: primary, restartAfter: 9m}}]\n")
    with place.start("-v", "run", "w.yaml", "--plain") as run:
        run.until_said("fault 1,")
        run.send(signal.SIGINT)

        code, _, said = run.end()

        assert code == 130, said
        assert "Traceback" not in said
        assert run.alone()
    (result,) = place.results()
    assert result["faults"]["injections"][0]["healedSeconds"] is not None


def test_chaos_tells_what_each_setup_loses_by_each_fault(place: Place) -> None:
    """One row for each; what a setup can't have is told with its reason, and Markdown has the same figures."""
    place.write(f"{LOAD}{ONE_CONSUMER}testDuration: 6s\n")
    command = ("chaos", "w.yaml", "--setup", "embedded", "--setup", "valkey-aof-always", "--plain")

    finished = place.run(*command, "--fault", "restart", "--fault", "failover", "--markdown", "table.md")

    assert sound(finished.returncode), finished.stderr
    rows = [line.split() for line in finished.stdout.splitlines() if line.split()[1:2] == ["restart"]]
    assert [(row[0], row[2]) for row in rows] == [("embedded", "1"), ("valkey-aof-always", "1")]
    assert rows[1][3] == "0"
    assert rows[1][-1] == "kept"
    assert "failover on embedded: not injected, " in finished.stdout
    written = (place.folder / "table.md").read_text()
    assert f"| `embedded` | {' | '.join(rows[0][1:])} |" in written
    assert "- failover on embedded: not injected, " in written
    assert {result["tags"]["chaos"] for result in place.results()} == {"restart"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fault", "kil"), "did you mean kill?"),
        (("--url", "redis://127.0.0.1:1"), "a server of yours is not broken by a run"),
        (("--sweep", "workload.messageSize=1,2"), "the faults are what changes here"),
        (("--duration", "5s"), "needs 15s of measured time; write --duration 15s or more"),
    ],
)
def test_chaos_refuses_what_it_can_not_do(place: Place, words: tuple[str, ...], said: str) -> None:
    """Before anything starts, with the way out."""
    place.write(f"{LOAD}{ONE_CONSUMER}testDuration: 30s\n")

    finished = place.run("chaos", "w.yaml", *words)

    assert finished.returncode == 2
    assert said in " ".join(finished.stderr.split())


def test_a_plan_prints_the_timeline(place: Place) -> None:
    """Each injection with its heal."""
    entries = "[{every: 20s, for: 1s, pause: primary}]"
    place.write(f"{LOAD}{ONE_CONSUMER}testDuration: 1m\nfaults: {entries}\nexpect: [outage < 2s]\n")

    said = place.run("plan", "w.yaml").stdout

    assert "faults         2 injections, at times of the measured window; all is healed when it ends\n" in said
    assert "               20s: pause: primary, healed at 21s\n" in said
    assert "               outage < 2s\n" in said


def test_the_command_line_puts_faults_into_a_workload(place: Place) -> None:
    """In place of those of the file; and a value that is wrong names the option."""
    assert "5s: kill: primary" in place.run("plan", "w.yaml", "--set", "workload.testDuration=9s", "--set", SET).stdout
    wrong = place.run("plan", "w.yaml", "--set", "workload.faults=[{at: 5s, kil: primary}]")
    assert wrong.returncode == 2
    assert "--set workload.faults" in wrong.stderr
    assert "did you mean kill?" in wrong.stderr


SET = "workload.faults=[{at: 5s, kill: primary}]"
