"""A run on three hosts: network namespaces behind one switch, each with a monotonic clock of its own, days ahead.

`make cluster-test`, as root on Linux. The coordinator, the server and the scheduler are in a namespace of their own, so
nothing here listens where anybody else can reach it.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from ombdriver.bench.servers.private_server import find_binary

HUB, HUB_ADDRESS = f"omb-hub-{os.getpid()}", "10.213.0.1"
AHEAD_S = (0, 90_000, 260_000)
"""How far the monotonic clock of each host is ahead of the hub's."""
HOSTS = [f"10.213.0.{number + 11}" for number in range(len(AHEAD_S))]
NAMES = [f"omb-host{number}-{os.getpid()}" for number in range(len(AHEAD_S))]
"""Of this run of the tests alone: another one at the same time has its own."""
LIMIT_S = 120.0
WORKLOAD = "1kb-3groups"


def may_make_namespaces() -> str | None:
    """Why not; None if so."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "as root on Linux only"
    if missing := [tool for tool in ("ip", "unshare") if shutil.which(tool) is None]:
        return f"{', '.join(missing)} is not there"
    for command in (["ip", "netns", "add", HUB], ["unshare", "--time", "true"]):
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
        if tried.returncode:
            return f"`{' '.join(command)}`: {tried.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", HUB], check=True)
    return None


pytestmark = pytest.mark.timeout(400)


def ip(*arguments: str) -> None:
    """`ip ARGUMENTS`."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@dataclass
class Network:
    """The hub and the hosts, and what was started in them."""

    folder: Path
    processes: list["subprocess.Popen[bytes]"]

    def command(self, namespace: str, ahead_s: int, *words: str) -> list[str]:
        """A command within a namespace, on a clock that is ahead."""
        clock = ["unshare", "--time", "--monotonic", str(ahead_s), "--fork", "--kill-child", "--"] if ahead_s else []
        return ["ip", "netns", "exec", namespace, *clock, *words]

    def start(self, namespace: str, *words: str, ahead_s: int = 0) -> "subprocess.Popen[bytes]":
        """Starts a command there; what it says goes to a file."""
        with (self.folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                self.command(namespace, ahead_s, *words), cwd=self.folder, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def start_run(self, output: str, *words: str) -> "subprocess.Popen[str]":
        """`ombdriver run` in the hub."""
        server = () if "--server-host" in words else ("--url", f"redis://{HUB_ADDRESS}:6379")
        given = (*server, "--scheduler", str(self.folder / "scheduler.json"))
        options = ("--hosts", "3", "--insecure", "--plain", "--output", output, "--warmup", "2s")
        command = self.command(HUB, 0, sys.executable, "-m", "ombdriver", "run", WORKLOAD, *given, *options, *words)
        return subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def result(self, output: str) -> dict[str, Any]:
        """The one result in a folder."""
        (path,) = (self.folder / output).glob("*.json")
        found: dict[str, Any] = json.loads(path.read_text())
        return found


def agents() -> list[psutil.Process]:
    """The agents of all hosts: process ids are those of this machine."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
            is_agent = "ombdriver.bench.hosts.agent" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
            if is_agent and any(on_host(process, number) for number in range(len(NAMES))):
                found.append(process)
    return found


def on_host(process: psutil.Process, number: int) -> bool:
    """Whether a process is in the network of that host."""
    return Path(f"/proc/{process.pid}/ns/net").stat().st_ino == Path(f"/run/netns/{NAMES[number]}").stat().st_ino


def until(what: str, met: Any) -> None:
    """Waits until `met()`."""
    limit = time.monotonic() + LIMIT_S
    while not met():
        assert time.monotonic() < limit, f"no {what} within {LIMIT_S:g} s"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Three hosts with a worker of Dask each, and a hub with the scheduler and an empty server."""
    if (why_not := may_make_namespaces()) is not None:
        pytest.skip(f"no namespaces: {why_not}")
    made = Network(tmp_path_factory.mktemp("cluster"), [])
    try:
        ip("netns", "add", HUB)
        ip("-n", HUB, "link", "set", "lo", "up")
        ip("-n", HUB, "link", "add", "switch", "type", "bridge")
        ip("-n", HUB, "addr", "add", f"{HUB_ADDRESS}/24", "dev", "switch")
        ip("-n", HUB, "link", "set", "switch", "up")
        for number, (name, address) in enumerate(zip(NAMES, HOSTS, strict=True)):
            ip("netns", "add", name)
            ip("-n", HUB, "link", "add", f"port{number}", "type", "veth", "peer", "name", "net0", "netns", name)
            ip("-n", HUB, "link", "set", f"port{number}", "master", "switch", "up")
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "net0")
            ip("-n", name, "link", "set", "net0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        server = (str(find_binary("valkey")), "--bind", HUB_ADDRESS, "--protected-mode", "no", "--save", "")
        made.start(HUB, *server, "--dir", str(made.folder))
        start_dask(made)
        yield made
    finally:
        for process in reversed(made.processes):
            process.terminate()
        for process in made.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
            process.wait()
        for name in (*NAMES, HUB):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def start_dask(network: Network) -> None:
    """The scheduler, and a worker on each host."""
    from distributed import Client  # noqa: F401 - said at once if it is not installed

    file = network.folder / "scheduler.json"
    dask = (sys.executable, "-m", "dask")
    scheduler = ("scheduler", "--host", f"tcp://{HUB_ADDRESS}:8786", "--no-dashboard", "--scheduler-file", str(file))
    network.start(HUB, *dask, *scheduler)
    until("scheduler", file.exists)
    for name, address, ahead_s in zip(NAMES, HOSTS, AHEAD_S, strict=True):
        worker = ("worker", f"tcp://{HUB_ADDRESS}:8786", "--host", f"tcp://{address}", "--no-dashboard")
        where = ("--nthreads", "1", "--local-directory", str(network.folder / name))
        network.start(name, *dask, *worker, *where, ahead_s=ahead_s)
    count = f"from distributed import Client; Client('tcp://{HUB_ADDRESS}:8786').wait_for_workers(3, timeout=60)"
    subprocess.run(network.command(HUB, 0, sys.executable, "-c", count), check=True, capture_output=True)


def exact(result: dict[str, Any]) -> list[tuple[int, int, int]]:
    """Of each group: messages received, lost, and received twice."""
    return [(each["received"], each["lost"], each["duplicated"]) for each in result["delivery"]]


def test_in_a_swarm_each_latency_is_of_one_clock(network: Network) -> None:
    """The ledger is exact over all hosts; of the messages of two hosts each group counts that they came."""
    more = ("--set", "workload.producersPerTopic=3", "--duration", "10s")
    running = network.start_run("swarm", "--placement", "swarm", *more)
    stdout, stderr = running.communicate(timeout=LIMIT_S * 2)

    assert running.returncode in (0, 3), stderr + stdout
    result = network.result("swarm")
    assert exact(result) == [(20_000, 0, 0)] * 3
    assert result["totals"]["received"] == 60_000
    assert result["clockErrorMs"] == 0
    for group in result["subscriptions"]:
        assert group["endToEnd"]["count"] + group["receivedFromOtherHosts"] == 20_000
        assert group["endToEnd"]["count"] in (6_666, 6_667)
        assert 0 < group["endToEnd"]["p50"] < 1000
    assert {"mostNegativeNs", "negativeSamples"}.isdisjoint(result["counters"])
    until("end of the agents", lambda: agents() == [])


@pytest.mark.parametrize("placement", ["mixed", "split"])
def test_a_run_on_three_hosts_has_an_exact_ledger_and_latencies_of_milliseconds(
    network: Network, placement: str
) -> None:
    """Though their clocks differ by days; nothing is left on any host."""
    running = network.start_run(placement, "--placement", placement, "--duration", "10s")
    stdout, stderr = running.communicate(timeout=LIMIT_S * 2)

    assert running.returncode in (0, 3), stderr + stdout
    result = network.result(placement)
    assert exact(result) == [(20_000, 0, 0)] * 3
    for ahead_s, host in zip(AHEAD_S, result["environment"]["hosts"], strict=True):
        clock = host["clock"]  # what a namespace is ahead is known to the nanosecond
        assert abs(clock["aheadMs"] - 1000 * ahead_s) <= clock["errorMs"] + 0.01
        assert "serverTime" in {each["witness"] for each in clock["witnesses"]}
        for each in clock["witnesses"]:
            assert abs(each["aheadMs"] - 1000 * ahead_s) <= each["errorMs"] + 0.01
            assert each["beyondMs"] == 0
    assert 0 < result["clockErrorMs"] < 20
    for group in result["subscriptions"]:
        assert group["endToEnd"]["p50"] < 1000
    assert "clock" not in {each["rule"] for each in result["verdict"]["reasons"]}
    until("end of the agents", lambda: agents() == [])


@pytest.mark.parametrize(("hosts", "shared"), [("3", True), ("2", False)])
def test_a_server_on_one_of_the_hosts_is_reached_by_all_of_them(network: Network, hosts: str, shared: bool) -> None:
    """At the address of that host; what it takes there is told, and nothing of it is left."""
    options = ("--server-host", HOSTS[1], "--hosts", hosts, "--duration", "10s")
    running = network.start_run(f"server-{hosts}", *options)
    stdout, stderr = running.communicate(timeout=LIMIT_S * 2)

    assert running.returncode in (0, 3), stderr + stdout
    result = network.result(f"server-{hosts}")
    assert exact(result) == [(20_000, 0, 0)] * 3
    told = {each["name"]: each["hasWorkers"] for each in result["environment"]["hosts"] if each.get("hasServer")}
    assert told == {HOSTS[1]: shared}
    assert result["telemetry"]["summary"]["serverProcessCpu"]["mean"] > 0
    assert "clock" not in {each["rule"] for each in result["verdict"]["reasons"]}
    until("end of the agents and servers", lambda: agents() == [] and servers_on_hosts() == [])


def servers_on_hosts() -> list[psutil.Process]:
    """Servers that run in the network of a host, as the one of the hub does not."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
            is_server = "server" in process.name() and process.status() != psutil.STATUS_ZOMBIE
            if is_server and any(on_host(process, number) for number in range(len(NAMES))):
                found.append(process)
    return found


@contextlib.contextmanager
def without_a_core(network: Network, number: int) -> Iterator[None]:
    """All that host runs on one processor, where others are busy, and everything else here on the others."""
    every = sorted(os.sched_getaffinity(0))
    if len(every) < 2:
        pytest.skip("takes two processors")
    program = f"import os; os.sched_setaffinity(0, {{{every[0]}}})\nwhile os.getppid() == {os.getpid()}: pass"
    ours = [each for root in network.processes for each in (psutil.Process(root.pid), *descendants(root.pid))]
    busy = [subprocess.Popen([sys.executable, "-c", program], start_new_session=True) for _ in range(3)]
    try:
        for process in ours:
            keep_on(process, every[:1] if on_host(process, number) else every[1:])
        yield
    finally:
        for neighbour in busy:
            neighbour.kill()
            neighbour.wait()
        for process in ours:
            keep_on(process, every)


def keep_on(process: psutil.Process, processors: list[int]) -> None:
    """All threads of a process run there, and what they start."""
    for thread in process.threads():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(thread.id, processors)


def descendants(pid: int) -> list[psutil.Process]:
    """What a process has started."""
    return list(psutil.Process(pid).children(recursive=True))


def test_a_host_that_starves_makes_the_run_invalid_and_is_named(network: Network) -> None:
    """It sends, on a core that three others are busy on; what it took and lacked is told of each host."""
    load = ("--rate", "10000", "--duration", "10s")
    with without_a_core(network, 0):
        running = network.start_run("starved", "--placement", "split", *load)
        stdout, stderr = running.communicate(timeout=LIMIT_S * 2)

    assert running.returncode == 3, stderr + stdout
    result = network.result("starved")
    assert result["verdict"]["status"] == "INVALID"
    named = [each["message"] for each in result["verdict"]["reasons"] if each["rule"] in ("runDelay", "starved")]
    assert any(f"worker 0 (produce) on host {HOSTS[0]}" in message for message in named)
    taken = result["telemetry"]["hosts"][0]
    assert taken["name"] == HOSTS[0]
    assert taken["cores"] == 1
    assert taken["cpu"]["mean"] > 0.9
    assert re.search(rf"^ *{re.escape(HOSTS[0])} +1 ", stdout, re.MULTILINE)


def interrupted(network: Network, output: str, number: int, harm: Any, *words: str) -> tuple[dict[str, Any], str]:
    """The result and the error of a run in whose measurement `harm()` is done to a host."""
    running = network.start_run(output, "--duration", "60s", *words)
    assert running.stderr is not None
    told = ""
    for line in running.stderr:
        told += line
        if "measure" in line:
            break
    harm()
    begun = time.monotonic()
    _, rest = running.communicate(timeout=LIMIT_S * 2)

    assert running.returncode == 1, told + rest
    assert time.monotonic() - begun < 50  # of the 60 s that it was to measure
    assert list((network.folder / output).glob("*.json")), told + rest
    result = network.result(output)
    assert result["partial"]
    assert f"host {HOSTS[number]}, which is gone" in result["partialReason"]
    return result, rest


def test_a_killed_agent_leaves_a_partial_result_that_names_its_host(network: Network) -> None:
    """And no process anywhere."""
    victims: list[psutil.Process] = []

    def kill() -> None:
        (agent,) = [each for each in agents() if on_host(each, 1)]
        victims.extend(agent.children(recursive=True))
        agent.send_signal(signal.SIGKILL)

    interrupted(network, "killed", 1, kill)

    assert psutil.wait_procs(victims, timeout=10)[1] == []
    until("end of the agents", lambda: agents() == [])


def test_a_stopped_host_leaves_a_partial_result(network: Network) -> None:
    """It ends its processes when it goes on."""
    stopped: list[psutil.Process] = []

    def stop() -> None:
        stopped.extend(each for each in agents() if on_host(each, 0))
        for process in list(stopped):
            stopped.extend(process.children(recursive=True))
        for process in stopped:
            process.suspend()

    try:
        interrupted(network, "stopped", 0, stop)
    finally:
        for process in stopped:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
    until("end of the agents", lambda: agents() == [])


def test_a_cut_link_leaves_a_partial_result_and_no_process_behind_it(network: Network) -> None:
    """Nobody can tell that host to end its processes: it does so by itself after 10 s of silence."""
    try:
        interrupted(network, "cut", 2, lambda: ip("-n", HUB, "link", "set", "port2", "down"))
        until("end of the agents", lambda: agents() == [])
    finally:
        ip("-n", HUB, "link", "set", "port2", "up")


@pytest.mark.own_network  # a worker of Dask that was cut off may end, so no second link of a network is cut
def test_a_cut_link_to_the_host_of_the_server_leaves_no_server_behind_it(network: Network) -> None:
    """It had that host for itself; the run ends with what there was, and the host is named."""
    options = ("--server-host", HOSTS[2], "--hosts", "2")
    try:
        interrupted(network, "server-cut", 2, lambda: ip("-n", HUB, "link", "set", "port2", "down"), *options)
        until("end of the servers", lambda: agents() == [] and servers_on_hosts() == [])
    finally:
        ip("-n", HUB, "link", "set", "port2", "up")


def test_more_hosts_than_there_are_are_refused(network: Network) -> None:
    """In one line."""
    running = network.start_run("refused", "--hosts", "4", "--placement", "split")
    _, stderr = running.communicate(timeout=LIMIT_S)

    assert running.returncode != 0
    assert len(stderr.splitlines()) == 1
