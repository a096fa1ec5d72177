"""`ombdriver run` on hosts of a real scheduler of Dask: loopback addresses of this machine stand for hosts."""

import contextlib
import json
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from dask_processes import cluster, scheduler_command, started, wait_for, wait_for_workers, worker_command
from processes import Place, sound

from ombdriver.bench.hosts import agent_protocol
from ombdriver.bench.run import build_up

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'ombdriver[cluster]'")
pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 as loopback"),
]

WORKLOAD = """
topics: 1
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 2
consumerPerSubscription: 1
producersPerTopic: 2
producerRate: 500
warmupDuration: 1s
testDuration: 2s
"""


def lines_of_error(stderr: str) -> list[str]:
    """Without those that tell what is waited for."""
    return [line for line in stderr.splitlines() if not line.startswith(build_up.PHASE)]


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file of a scheduler with workers on two hosts."""
    with cluster(tmp_path_factory.mktemp("dask"), ("127.0.0.2", "127.0.0.3")) as file:
        yield file


def test_a_run_on_two_hosts_is_a_run(place: Place, valkey_url: str, scheduler: Path) -> None:
    """Its ledger is exact, and it tells of its hosts, their clocks, and what can't be resolved with these."""
    place.write(WORKLOAD)

    finished = place.run("run", "w.yaml", "--url", valkey_url, "--scheduler", str(scheduler), "--hosts", "2", "--plain")

    assert sound(finished.returncode), finished.stderr
    (result,) = place.results()
    assert result["totals"]["published"] == 1000
    assert [(each["received"], each["lost"]) for each in result["delivery"]] == [(1000, 0)] * 2
    told = result["environment"]["hosts"]
    assert [each["name"] for each in told] == ["127.0.0.2", "127.0.0.3"]
    assert [each["host"] for each in result["environment"]["workers"]] == ["127.0.0.2", "127.0.0.3"] * 2
    errors = sorted(each["clock"]["errorMs"] for each in told)
    assert result["clockErrorMs"] == pytest.approx(sum(errors[-2:]))
    assert 0 < result["clockErrorMs"] < 1000
    assert "clocksOfHosts" in [each["kind"] for each in result["caveats"]]
    assert "clocks may be wrong by" in " ".join(finished.stdout.split())
    assert {"cpu", "versions", "memoryBytes", "platform", "clock"} <= told[0].keys()
    for usage in result["telemetry"]["hosts"]:
        assert usage["cpu"]["mean"] > 0
        assert 0 < usage["leastAvailableBytes"] < usage["memoryBytes"]
        assert usage["engineCpu"]["mean"] is not None
    assert result["telemetry"]["schedulerCpu"]["mean"] is not None
    assert "Hosts in the measured window" in finished.stdout


def test_in_a_swarm_latencies_are_of_what_a_host_has_sent_to_itself(
    place: Place, valkey_url: str, scheduler: Path
) -> None:
    """No clock matters then; what came from another host is counted, and in the ledger."""
    place.write(WORKLOAD)
    there = ("--url", valkey_url, "--scheduler", str(scheduler), "--hosts", "2", "--placement", "swarm", "--plain")

    finished = place.run("run", "w.yaml", *there)

    assert sound(finished.returncode), finished.stderr
    (result,) = place.results()
    assert [(each["received"], each["lost"]) for each in result["delivery"]] == [(1000, 0)] * 2
    assert [each["received"] for each in result["subscriptions"]] == [1000, 1000]
    assert [each["receivedFromOtherHosts"] for each in result["subscriptions"]] == [500, 500]
    assert [each["endToEnd"]["count"] for each in result["subscriptions"]] == [500, 500]
    assert result["totals"]["receivedFromOtherHosts"] == 1000
    assert result["clockErrorMs"] == 0
    kinds = [each["kind"] for each in result["caveats"]]
    assert "withinHosts" in kinds
    assert "clocksOfHosts" not in kinds
    assert "from other hosts" in finished.stdout


@pytest.mark.parametrize(("hosts", "setup", "shared"), [(2, "embedded", True), (1, "valkey-cluster-3", False)])
def test_a_server_is_started_on_one_of_the_hosts(
    place: Place, scheduler: Path, hosts: int, setup: str, shared: bool
) -> None:
    """On one of its own where the scheduler has one more than there are to be workers on; what it takes is told."""
    place.write(WORKLOAD)
    there = ("--setup", setup, "--scheduler", str(scheduler), "--hosts", str(hosts), "--server-host", "first")

    finished = place.run("run", "w.yaml", *there, "--plain")

    assert sound(finished.returncode), finished.stderr
    (result,) = place.results()
    assert [(each["received"], each["lost"]) for each in result["delivery"]] == [(1000, 0)] * 2
    told = {each["name"]: each.get("hasWorkers") for each in result["environment"]["hosts"] if each.get("hasServer")}
    assert told == {"127.0.0.2": shared}
    with_workers = {"127.0.0.2", "127.0.0.3"} if shared else {"127.0.0.3"}
    assert {each["host"] for each in result["environment"]["workers"]} == with_workers
    assert result["telemetry"]["summary"]["serverProcessCpu"]["mean"] > 0
    assert any(result["telemetry"]["processes"]["server"]["rssBytes"])
    assert [each["name"] for each in result["telemetry"]["hosts"] if "serversCpu" in each] == ["127.0.0.2"]
    assert "127.0.0.2 (server)" in finished.stdout
    assert (result["clockErrorMs"] > 0) == shared  # a host has no other clock to be compared with
    assert "requirepass" not in json.dumps(result["setup"])
    assert place.left() == []


@pytest.mark.parametrize("is_own", [False, True])
def test_nothing_of_a_run_is_in_the_engines_tasks(place: Place, valkey_url: str, scheduler: Path, is_own: bool) -> None:
    """What it keeps of tasks everybody sees who reaches its dashboard: no secret of the run, no URL, no password."""
    from distributed import Client

    where = ("--server-host", "127.0.0.3") if is_own else ("--url", valkey_url)

    place.write(WORKLOAD)
    there = (*where, "--scheduler", str(scheduler), "--hosts", "2", "--plain")
    with (
        place.start("run", "w.yaml", *there) as running,
        Client(scheduler_file=str(scheduler), set_as_default=False) as client,
    ):
        running.until("measure")
        told = client.run_on_scheduler(
            lambda dask_scheduler: (
                repr([each.run_spec for each in dask_scheduler.tasks.values()])
                + repr(list(dask_scheduler.transition_log))
            )
        )
        running.end()

    assert "AgentProcess" in told
    for secret in ("token", "authority", "requirepass", "redis://", valkey_url):
        assert secret not in told


def test_a_run_goes_on_when_its_scheduler_is_gone(place: Place, valkey_url: str, tmp_path: Path) -> None:
    """Dask has placed the agents, and has no part in the run after that; nor does it say anything."""
    place.write(WORKLOAD.replace("testDuration: 2s", "testDuration: 6s"))
    file = tmp_path / "scheduler.json"
    with started([scheduler_command("127.0.0.1", file)], tmp_path) as (its_scheduler,):
        wait_for(file)
        with started([worker_command("127.0.0.2", file, tmp_path)], tmp_path):
            wait_for_workers(file, 1)
            there = ("--url", valkey_url, "--scheduler", str(file), "--hosts", "1", "--plain")
            with place.start("run", "w.yaml", *there) as running:
                running.until("measure")
                its_scheduler.kill()
                code, _, told = running.end()

    assert sound(code), told
    assert "Traceback" not in told
    (result,) = place.results()
    assert not result["partial"]
    assert [(each["received"], each["lost"]) for each in result["delivery"]] == [(3000, 0)] * 2


def test_a_run_that_is_killed_leaves_no_process_on_its_hosts(place: Place, scheduler: Path) -> None:
    """Its agents' connections end with it, and so does the server that it has started on one of them."""
    there = ("--server-host", "first", "--scheduler", str(scheduler), "--hosts", "2", "--plain")
    place.write(WORKLOAD.replace("testDuration: 2s", "testDuration: 60s"))
    with place.start("run", "w.yaml", *there) as running:
        running.until("measure")
        agents = [each for each in psutil.Process().children(recursive=True) if is_agent(each)]
        family = [each for agent in agents for each in (agent, *agent.children(recursive=True))]
        names = [each.name() for each in family]
        running.send(signal.SIGKILL)
        running.end()

    assert len(family) > 2 * 2
    assert any("server" in name for name in names)
    assert [each for each in psutil.wait_procs(family, timeout=15)[1] if runs(each)] == []


def runs(process: psutil.Process) -> bool:
    """Whether it has not ended; one that nobody has waited for yet has."""
    with contextlib.suppress(psutil.Error):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def is_agent(process: psutil.Process) -> bool:
    """Whether it is the agent of a host."""
    with contextlib.suppress(psutil.Error):
        return "ombdriver.bench.hosts.agent" in process.cmdline()
    return False


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--hosts", "3"), 1, "--hosts: 3 asked for, and the scheduler has workers on 2 (127.0.0.2, 127.0.0.3)"),
        (("--hosts", "2", "--workers", "2"), 2, "--workers: is of one machine; with --scheduler, say"),
        ((), 2, "--scheduler: is for several hosts; say how many by --hosts, or leave it out"),
    ],
)
def test_what_can_not_be_is_refused_in_one_line(
    place: Place, valkey_url: str, scheduler: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    """Before anything is started anywhere."""
    place.write(WORKLOAD.replace("producersPerTopic: 2", "producersPerTopic: 3"))
    finished = place.run("run", "w.yaml", "--url", valkey_url, "--scheduler", str(scheduler), *arguments)

    assert finished.returncode == code, finished.stderr
    assert told in finished.stderr
    assert len(lines_of_error(finished.stderr)) == 1
    assert place.results() == []


def test_a_host_of_another_version_is_refused_by_name(place: Place, valkey_url: str, tmp_path: Path) -> None:
    """Both versions are told, and nothing is started on any host."""
    place.write(WORKLOAD)
    file, older = tmp_path / "scheduler.json", tmp_path / "older"
    older.mkdir()
    (older / "sitecustomize.py").write_text("import ombdriver\nombdriver.__version__ = '0.0.1'\n")
    with started([scheduler_command("127.0.0.1", file)], tmp_path):
        wait_for(file)
        workers = [worker_command(host, file, tmp_path) for host in ("127.0.0.2", "127.0.0.3")]
        with started([workers[0], ["env", f"PYTHONPATH={older}", *workers[1]]], tmp_path):
            wait_for_workers(file, 2)
            there = ("--url", valkey_url, "--scheduler", str(file), "--hosts", "2")
            finished = place.run("run", "w.yaml", *there)

    assert finished.returncode == 1, finished.stderr
    assert re.fullmatch(
        r"ombdriver: host 127\.0\.0\.3 has ombdriver 0\.0\.1 \(form \w+\), and this machine"
        rf" {re.escape(str(agent_protocol.OWN))}; install one version on all hosts\n",
        finished.stderr,
    )
    assert place.results() == []


def test_a_server_of_this_machine_is_refused_for_other_hosts(place: Place) -> None:
    """One that the setup starts, and one whose address means another machine there."""
    there = ("--scheduler", "tls://10.0.0.1:8786", "--hosts", "2")
    started = place.run("run", "w.yaml", *there)
    loopback = place.run("run", "w.yaml", "--url", "redis://127.0.0.1:6379", *there)

    assert (started.returncode, loopback.returncode) == (2, 2)
    assert "embedded: starts a server of this machine's own, which other hosts can't reach; give --server-host" in (
        started.stderr
    )
    assert "redis://127.0.0.1:6379: it means another machine on each host" in loopback.stderr


def test_without_a_scheduler_there_is_one_line(place: Place, valkey_url: str, unused_tcp_port: int) -> None:
    """And no trace of Dask's own words."""
    address = f"tcp://127.0.0.1:{unused_tcp_port}"
    finished = place.run("run", "w.yaml", "--url", valkey_url, "--scheduler", address, "--hosts", "1")

    assert finished.returncode == 1
    assert f"ombdriver: no scheduler of Dask answers at {address}" in finished.stderr
    assert len(lines_of_error(finished.stderr)) == 1


def test_a_scheduler_in_the_clear_elsewhere_is_refused(place: Place) -> None:
    """Without --insecure; nothing is connected."""
    finished = place.run("run", "w.yaml", "--url", "redis://10.0.0.9", "--scheduler", "10.0.0.1:8786", "--hosts", "1")

    assert finished.returncode == 2
    assert "--scheduler: tcp://10.0.0.1:8786 is not encrypted" in finished.stderr
