"""Runs with faults, on real servers: what was done is in the result to the message, and nothing of it is left.

Those of links, disks, clients, failovers and Runners have files of their own. Most runs are shared: each has several
faults, and several go on at the same time.
"""

import signal
from collections.abc import Mapping
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from faulty_runs import ENGINES, LOAD, ONE_CONSUMER, WORK, FaultyRun, Told, all_told, as_long
from processes import Place, sound

from ombdriver.bench.servers.own_clock import faketime_library
from tests.missing import missing

pytestmark = [pytest.mark.timeout(240), pytest.mark.faults]

SYNCED = "config: {appendonly: yes, appendfsync: always}"

# -- one server that has a disk --------------------------------------------------------------------------------------

OF_A_SERVER = {
    "pause": "{at: 2s, for: 1500ms, pause: primary}",
    "writes wait": "{at: 6s, for: 1s, clientPause: write}",
    "all wait": "{at: 9s, for: 1s, clientPause: all}",
    "memory": "{at: 12s, for: 1s, maxmemory: reached}",
    "snapshot": "{at: 15s, bgsave: primary}",
    "rewrite": "{at: 17s, bgrewriteaof: node 1}",
    "consumers": "{at: 19s, for: 1500ms, pause: consumers of group-1}",
    "kept": "{at: 23s, kill: primary, restartAfter: 3s}",  # longer than a busy machine stalls
    "lost": "{at: 30s, kill: primary, restartAfter: 3s, data: lost}",
}
HARMLESS = [name for name in OF_A_SERVER if name != "lost"]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """A server of each engine that is met by one fault after the other, and then loses its data."""
    runs = {engine: FaultyRun(OF_A_SERVER, "37s", f"engine: {engine}, {SYNCED}") for engine in ENGINES}
    return all_told(tmp_path_factory.mktemp("servers"), runs)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", HARMLESS)
def test_what_waited_for_the_disk_outlives_what_happens_to_its_server(
    servers: Mapping[str, Told], engine: str, name: str
) -> None:
    """Whatever it was: none that was acknowledged is lost, as was promised."""
    one = servers[engine][name]

    assert one["promisesNoLoss"]
    assert (one["groups"][0]["lost"], one["groups"][0]["undelivered"], one["dataLost"]) == (0, 0, False)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["pause", "writes wait", "all wait", "kept", "lost"])
def test_an_outage_is_as_long_as_its_fault(servers: Mapping[str, Told], engine: str, name: str) -> None:
    """The server hangs, holds messages up, or is down."""
    one = servers[engine][name]

    assert one["hadEffect"]
    assert as_long(one["outageSeconds"], one)
    if name == "pause":
        assert as_long(one["groups"][0]["outageSeconds"], one)
        assert (one["failed"], one["indeterminate"]) == (0, 0)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_server_that_may_take_no_more_memory_refuses_messages(servers: Mapping[str, Told], engine: str) -> None:
    """Until it may again; the run goes on to its end, as it would not where the load had filled the server."""
    told = servers[engine]

    assert told["memory"]["failed"] > 100
    assert not told.result["partial"]
    assert "serverMemory" not in told.rules


@pytest.mark.parametrize("engine", ENGINES)
def test_consumers_that_are_paused_catch_up(servers: Mapping[str, Told], engine: str) -> None:
    """Publishing goes on, delivery does not."""
    one = servers[engine]["consumers"]

    assert [name.split(" ")[2] for name in one["hit"]] == ["(consume)"]
    assert as_long(one["groups"][0]["outageSeconds"], one)
    assert one["outageSeconds"] < one["groups"][0]["outageSeconds"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_server_that_is_killed_comes_back(servers: Mapping[str, Told], engine: str) -> None:
    """With what it had on its disk, or without; what is lost then is the whole of what the run has lost."""
    told = servers[engine]

    assert [told[name]["hit"] for name in ("kept", "lost")] == [["primary-1"], ["primary-1"]]
    assert [told[name]["dataLost"] for name in ("kept", "lost")] == [False, True]
    assert not told["lost"]["promisesNoLoss"]
    assert told.delivery["trimmed"] == 0
    assert told.delivery["lost"] == told["lost"]["groups"][0]["lost"]
    assert not told.rules & {"lost", "achieved", "errors", "rateTrend", "latencyTrend"}


# -- what nobody had read --------------------------------------------------------------------------------------------

UNREAD = {
    "consumers": "{at: 2s, for: 5s, pause: consumers}",
    "kill": "{at: 3s, kill: primary, restartAfter: 3s}",
}
BETWEEN_FSYNCS = {
    "consumers": "{at: 2s, for: 3s, pause: consumers}",
    "kill": "{at: 4s, kill: primary, restartAfter: 500ms}",
}


@pytest.fixture(scope="module")
def unread(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """Servers that die while consumers stand still: those of memory alone, and one whose messages wait for its disk."""
    memory = {engine: FaultyRun(UNREAD, "10s", f"engine: {engine}") for engine in ENGINES}
    waits = FaultyRun(BETWEEN_FSYNCS, "9s", "engine: valkey, config: {appendonly: yes}", streams="{waitAof: primary}")
    return all_told(tmp_path_factory.mktemp("unread"), {**memory, "waits": waits})


@pytest.mark.parametrize("engine", ENGINES)
def test_messages_that_nobody_had_read_are_lost_with_the_memory_of_a_server(
    unread: Mapping[str, Told], engine: str
) -> None:
    """To the message: consumers stand still while the server dies and comes back empty."""
    told = unread[engine]

    assert told["consumers"]["hadEffect"]
    assert told["kill"]["dataLost"]
    assert told.delivery["lost"] > 100
    assert told.delivery["trimmed"] == 0
    assert told.delivery["lost"] == told.result["faults"]["totals"]["lost"]
    assert told.caveats >= {"faultLoss"}
    assert "lost" not in told.rules


def test_what_waited_for_the_disk_survives_a_crash_between_two_fsyncs(unread: Mapping[str, Told]) -> None:
    """With `appendfsync: everysec`, by WAITAOF: a message is acknowledged when it is on disk, and is not lost then."""
    told = unread["waits"]

    assert [told[name]["promisesNoLoss"] for name in BETWEEN_FSYNCS] == [True, True]
    assert told.delivery["lost"] == 0
    assert (told.result["faults"]["durability"], told.result["faults"]["replicas"]) == ("fsync", 0)


# -- clocks ----------------------------------------------------------------------------------------------------------


def test_a_clock_that_jumps_lets_others_take_what_is_pending(tmp_path: Path) -> None:
    """Ahead by an hour, and a consumer that has just died looks idle for so long; without that nobody would claim."""
    if faketime_library() is None:
        missing("libfaketime; install it (apt-get install faketime)")
    entries = {
        "pause": "{at: 2s, for: 1s, pause: consumers}",
        "kill": "{at: 3100ms, kill: consumer 1 of group-1, restartAfter: 7s}",
        "clock": "{at: 4s, for: 5s, clock: {step: 1h}}",
    }
    run = FaultyRun(entries, "11s", streams="{reclaimAfterMs: 12000}", readers=WORK)

    told = all_told(tmp_path, {"run": run})["run"]

    assert [told[name]["hit"] for name in ("kill", "clock")] == [["consumer 1 of group-1"], ["primary-1"]]
    assert (told.delivery["lost"], told.delivery["undelivered"]) == (0, 0)
    assert told.result["counters"]["claimed"] > 0


def test_a_server_that_can_not_have_a_clock_of_its_own_is_refused(place: Place) -> None:
    """Before anything starts: what does not go with libfaketime is found out by a try."""
    place.write("#!/bin/sh\necho no >&2\nexit 3\n", "server.sh").chmod(0o755)
    place.write(f"{LOAD}{ONE_CONSUMER}testDuration: 4s\nfaults: [{{at: 1s, clock: {{step: -5s}}}}]\n")
    place.write(f"name: s\ndriver: redis-streams\nserver: {{engine: {place.folder}/server.sh}}\n", "s.yaml")

    finished = place.run("run", "w.yaml", "--setup", "s.yaml", "--plain")

    assert finished.returncode == 2
    said = " ".join(finished.stderr.split())
    assert "server.sh does not start with libfaketime" in said or "install it (Debian's package faketime)" in said


# -- what is not felt, or not done -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """Faults that nobody feels, and one that fails."""
    folder = tmp_path_factory.mktemp("odd")
    script = folder / "break.sh"
    script.write_text("#!/bin/sh\necho no such bridge >&2\nexit 7\n")
    script.chmod(0o755)
    of_a_replica = {
        "pause": "{at: 3s, for: 500ms, pause: replica 1}",
        "kill": "{at: 5s, kill: replica 1, restartAfter: 500ms}",
    }
    idle = FaultyRun(of_a_replica, "8s", "engine: valkey, topology: replicated")
    hook = FaultyRun({"hook": f"{{at: 1s, hook: {script}}}"}, "3s")
    return all_told(folder, {"idle": idle, "hook": hook})


def test_a_replica_that_is_paused_is_told_as_no_effect(odd: Mapping[str, Told]) -> None:
    """Nobody waits for it."""
    told = odd["idle"]

    one = told["pause"]
    if told.result["verdict"]["status"] != "INVALID":  # else this machine's own pauses may look like an effect
        assert not one["hadEffect"]
        assert "faultNoEffect" in told.caveats


def test_a_replica_that_is_killed_is_missed_by_nobody(odd: Mapping[str, Told]) -> None:
    """Nobody waits for it, and it comes back behind its primary."""
    one = odd["idle"]["kill"]

    assert (one["hit"], one["failed"], one["groups"][0]["lost"]) == (["replica-1-1"], 0, 0)


def test_a_hook_that_fails_is_told_and_the_run_is_partial(odd: Mapping[str, Told]) -> None:
    """What was asked for was not done; what it said is in the message."""
    told = odd["hook"]

    assert told.tried("hook")["error"].endswith("break.sh ended with exit code 7: no such bridge")
    assert told.result["verdict"]["status"] == "PARTIAL"
    assert "faultFailed" in told.rules


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
        "{at: 0s, for: 500s, link: {between: [primary, replica 1], down: true}}",
    ],
)
def test_nothing_is_left_when_the_parent_is_killed_in_mid_fault(place: Place, entry: str) -> None:
    """Stopped workers go on and end; a server that is stopped, down or waits is taken away by its reaper."""
    place.write(f"{LOAD}{ONE_CONSUMER}testDuration: 10m\nfaults: [{entry}]\n")
    setup = "valkey-replicated-wait" if "replica" in entry else "valkey-aof-always"
    with place.start("-v", "run", "w.yaml", "--setup", setup, "--plain") as run:
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
