"""Which schedulers and layouts are taken, and what is said of those that are not."""

from pathlib import Path

import pytest

from ombdriver.bench.hosts.cluster import OWN_LOGINS, Cluster, find_scheduler, unfit_for_a_host, unreachable
from ombdriver.bench.plan.host_layout import HostLayout
from ombdriver.bench.servers.topology import TOPOLOGIES, ServerPlan
from ombdriver.cli import main
from ombdriver.errors import InputError

LAYOUT = HostLayout(3, 2, "mixed")


@pytest.mark.parametrize(
    ("scheduler", "insecure", "refused"),
    [
        ("tls://10.0.0.1:8786", False, False),
        ("wss://example.org/dask", False, False),
        ("tcp://127.0.0.1:8786", False, False),
        ("tcp://localhost:8786", False, False),
        ("tcp://[::1]:8786", False, False),
        ("tcp://10.0.0.1:8786", False, True),
        ("ws://example.org:8786", False, True),
        ("tcp://10.0.0.1:8786", True, False),
    ],
)
def test_a_scheduler_elsewhere_is_encrypted_or_said_to_be_insecure(
    scheduler: str, insecure: bool, refused: bool
) -> None:
    """Whoever reaches one in the clear runs code on every host."""
    found = Cluster(scheduler, LAYOUT, insecure).errors()

    assert [("is not encrypted" in each) for each in found] == [True] * refused


def test_an_address_without_a_host_is_refused() -> None:
    """With what to write."""
    (error,) = Cluster("tls://", LAYOUT).errors()

    assert error == "--scheduler: 'tls://' names no host; write tls://HOST:8786, or a scheduler file"


@pytest.mark.parametrize(
    ("layout", "option"),
    [
        (HostLayout(0, 2, "mixed"), "--hosts"),
        (HostLayout(2000, 2, "mixed"), "--hosts"),
        (HostLayout(2, 0, "split"), "--workers-per-host"),
        (HostLayout(2, 1, "mixed"), "--workers-per-host"),
        (HostLayout(1, 2, "split"), "--hosts"),
    ],
)
def test_a_layout_that_can_not_be_is_refused_by_its_option(layout: HostLayout, option: str) -> None:
    """Before anything is connected."""
    (error,) = layout.errors()

    assert error.startswith(f"{option}: ")


def test_the_scheduler_is_given_named_by_a_file_or_by_the_environment(tmp_path: Path) -> None:
    """In that order."""
    file = tmp_path / "scheduler.json"
    file.write_text('{"type": "Scheduler", "address": "tls://10.0.0.1:8786"}')
    environment = {"DASK_SCHEDULER_ADDRESS": "tls://10.0.0.2:8786"}

    assert find_scheduler("tls://10.0.0.3:8786", environment) == "tls://10.0.0.3:8786"
    assert find_scheduler("10.0.0.3:8786", environment) == "tcp://10.0.0.3:8786"
    assert find_scheduler(str(file), environment) == "tls://10.0.0.1:8786"
    assert find_scheduler(None, environment) == "tls://10.0.0.2:8786"


def test_a_plan_needs_no_scheduler(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It connects to nothing, and shows who is on which host; what else speaks against it is told all the same."""
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    there = ["1kb-10groups", "--url", "redis://127.0.0.1", "--hosts", "3"]

    def told(*arguments: str) -> str:
        with pytest.raises(SystemExit):
            main(list(arguments))
        said = capsys.readouterr()
        return said.out + said.err

    assert "consume, 4 readers, on host 1" in told("plan", *there)
    assert "--workers-per-host: 1 is too few" in told("plan", *there, "--workers-per-host", "1")
    assert "--hosts: no scheduler is named" in told("run", *there)


def test_without_a_scheduler_nothing_is_guessed(tmp_path: Path) -> None:
    """One line that names both ways."""
    with pytest.raises(InputError, match=r"^--hosts: no scheduler is named; give --scheduler, or set DASK_SCHEDULER"):
        find_scheduler(None, {})
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(InputError, match=r"is no scheduler file of Dask"):
        find_scheduler(str(tmp_path / "other.json"), {})
    with pytest.raises(InputError, match=r"missing.json is no file that is there, and no address with a port; write"):
        find_scheduler(str(tmp_path / "missing.json"), {})


@pytest.mark.parametrize(
    "option",
    [
        ("--scheduler", "10.0.0.1:8786"),
        ("--workers-per-host", "4"),
        ("--placement", "split"),
        ("--server-host", "first"),
        ("--insecure",),
    ],
)
def test_an_option_of_several_hosts_is_never_left_unread(
    option: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --hosts the run would be on this machine, whatever was asked for."""
    with pytest.raises(SystemExit) as ended:
        main(["plan", "1kb-3groups", *option])

    assert ended.value.code == 2
    told = f"ombdriver: {option[0]}: is for several hosts; say how many by --hosts, or leave it out\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("url", "is_unreachable"),
    [
        ("redis://127.0.0.1:6379", True),
        ("redis://localhost", True),
        ("redis://user:secret@[::1]:6379/0", True),
        ("unix:///run/redis.sock", True),
        ("redis://10.0.0.1:6379", False),
        ("rediss://example.org", False),
    ],
)
def test_addresses_that_mean_another_machine_on_each_host(url: str, is_unreachable: bool) -> None:
    """A server there is not the server that was meant."""
    assert unreachable([url]) == [url] * is_unreachable


def test_faults_that_break_servers_are_not_for_other_hosts(capsys: pytest.CaptureFixture[str]) -> None:
    """A server that a run starts can't be reached from there, and one that can is a user's, which no run breaks."""
    with pytest.raises(SystemExit) as ended:
        main(["chaos", "1kb-low-rate", "--hosts", "2", "--scheduler", "tls://10.0.0.1:8786"])

    assert ended.value.code == 2
    told = "ombdriver: --hosts: servers that a run starts are of this machine; leave it out"
    assert capsys.readouterr().err.startswith(told)


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        *((ServerPlan(topology=each), "Sentinels" if each == "sentinel" else "") for each in TOPOLOGIES),
        (ServerPlan(unix_socket=True), "a unix socket leads to no other host; leave unixSocket out"),
        (ServerPlan(tls=True), ""),
        (ServerPlan(config={"appendonly": "yes"}), ""),
        *((ServerPlan(config={each.upper(): "x"}), f"leave {each} out of its config") for each in OWN_LOGINS),
    ],
)
def test_a_setup_that_can_not_be_on_another_host_is_refused_with_the_reason(plan: ServerPlan, told: str) -> None:
    """Whoever reaches the address of a host must know the password that the run has made."""
    found = unfit_for_a_host(plan)

    assert (found is None) == (told == "")
    assert told in (found or "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--setup", "valkey-sentinel"), "--server-host: valkey-sentinel: Sentinels ask for no password"),
        (("--url", "redis://10.0.0.5"), "--server-host: url names a server that runs already; leave one of the two"),
        (("--setup", "memory"), "its driver lives in one process"),
    ],
)
def test_a_server_host_is_for_servers_that_the_run_starts(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, before anything is connected; a plan of what can be is shown."""
    there = ("plan", "1kb-3groups", "--hosts", "2", "--server-host", "first")
    with pytest.raises(SystemExit) as ended:
        main([*there, *arguments])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err

    with pytest.raises(SystemExit) as ended:
        main(list(there))
    assert ended.value.code == 0
    assert "on host 1" in capsys.readouterr().out
