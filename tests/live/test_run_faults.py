"""Runs that can't start, fail midway, or are ended by somebody: one message, an exit code, and nothing left behind."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from processes import WORKLOAD, Place

from ombdriver.bench.run.signals import BY_HAND, name_of
from ombdriver.bench.servers.private_server import PrivateServer


def refused(place: Place, *arguments: str, code: int = 1) -> str:
    """What a run that fails says; one message, no traceback, no result."""
    finished = place.run("run", *arguments, "--plain")

    assert finished.returncode == code, finished.stderr
    assert finished.stdout == ""
    assert "Traceback" not in finished.stderr
    assert place.results() == []
    said = [line for line in finished.stderr.splitlines() if line.startswith("ombdriver: ")]
    assert len(said) == 1
    return finished.stderr


# -- what can't start ------------------------------------------------------------------------------------------------


def test_an_unreachable_server_is_told(place: Place, unused_tcp_port: int) -> None:
    """Exit code 1, since it could not be known from the files; the URL is in the message."""
    url = f"redis://127.0.0.1:{unused_tcp_port}"

    said = refused(place, "w.yaml", "--url", url)

    assert url in said
    assert "is the server up, and the URL right?" in said


def test_a_wrong_password_is_told_and_not_repeated(place: Place, server_url: str) -> None:
    """The way out is in the message, the password is not."""
    said = refused(place, "w.yaml", "--url", server_url.replace("redis://", "redis://nobody:s3cret@"))

    assert "check user and password in the URL" in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"maxmemory": "20mb"}, "maxmemory is 20 MiB"),
        ({"maxmemory": "16gb", "maxmemory-policy": "allkeys-lru"}, "set maxmemory-policy noeviction"),
    ],
)
def test_a_server_that_can_not_take_the_run_is_left_alone(
    place: Place, valkey: PrivateServer, valkey_url: str, settings: dict[str, str], word: str
) -> None:
    """Too little memory, or one that evicts: nothing is created there."""
    with redis.Redis.from_url(valkey_url) as client:
        before = {name: str(client.config_get(name)[name]) for name in ("maxmemory", "maxmemory-policy")}
        for name, value in settings.items():
            client.config_set(name, value)
        try:
            said = refused(place, "w.yaml", "--url", valkey_url, "--rate", "50000", "--duration", "10s")
            assert client.dbsize() == 0
        finally:
            for name, value in before.items():
                client.config_set(name, value)

    assert "this server can't take the run" in said
    assert word in said


@pytest.mark.parametrize("folder", ["w.yaml", "w.yaml/inside", "/dev/full"])
def test_a_folder_that_can_not_be_written_is_told_before_the_run(place: Place, folder: str) -> None:
    """A run does not find out at its end."""
    said = refused(place, "w.yaml", "--output", folder)

    assert f"results can't be written to {folder}" in said
    assert "name another folder with --output" in said


# -- what fails midway -----------------------------------------------------------------------------------------------


def test_a_folder_that_vanishes_during_the_run_is_told(place: Place) -> None:
    """A file takes its place: exit code 1, and everything is taken down all the same."""
    with place.start("run", "w.yaml", "--plain") as run:
        run.until("measure")
        (place.folder / "results").rmdir()
        place.write("in the way", "results")

        code, _, said = run.end()

        assert code == 1
        assert "ombdriver: results can't be written to results" in said
        assert "Traceback" not in said
        assert run.alone()


def test_a_worker_that_dies_ends_the_run_with_a_partial_result(place: Place) -> None:
    """Of what was measured until then; the message names it, and server, directory and the other workers are gone."""
    with place.start("run", "w.yaml", "--duration", "1m", "--plain") as run:
        run.until("measure")
        worker = run.worker()
        worker.kill()

        code, stdout, said = run.end()

        assert code == 1
        assert stdout.startswith("PARTIAL\n  workerDied: worker ")
        assert f"pid {worker.pid}, died with exit code -9" in said
        assert "ombdriver: worker " in said
        assert "Traceback" not in said
        assert run.alone()
    (result,) = place.results()
    assert (result["partial"], result["verdict"]["status"]) == (True, "PARTIAL")
    assert f"pid {worker.pid}, died with exit code -9" in result["partialReason"]
    assert result["totals"]["published"] > 0
    assert len(result["publishRate"]) <= 3


def test_a_worker_that_dies_before_the_measurement_leaves_no_result(place: Place) -> None:
    """There is nothing to keep."""
    with place.start("run", "w.yaml", "--warmup", "1m", "--plain") as run:
        run.until("warm-up")
        run.worker().kill()

        code, stdout, said = run.end()

        assert (code, stdout) == (1, "")
        assert "died with exit code -9" in said
        assert run.alone()
    assert place.results() == []


def test_a_worker_that_dies_leaves_nothing_on_a_users_server(place: Place, valkey_url: str) -> None:
    """What was created is deleted."""
    with place.start("run", "w.yaml", "--duration", "1m", "--plain", "--url", valkey_url) as run:
        run.until("measure")
        run.worker().kill()

        assert run.end()[0] == 1
        assert run.alone()
    with redis.Redis.from_url(valkey_url) as client:
        assert client.dbsize() == 0


def test_a_server_that_dies_ends_the_run_with_a_partial_result(place: Place) -> None:
    """The message says that it was the server, and does not wait for the end of the measurement."""
    with place.start("run", "w.yaml", "--duration", "10m", "--plain") as run:
        run.until("measure")
        run.server().kill()

        code, stdout, said = run.end()

        assert code == 1
        assert stdout.startswith("PARTIAL\n  runFailed: ")
        assert "has ended by itself (exit code 137); run again" in said
        assert "Traceback" not in said
        assert run.alone()
    (result,) = place.results()
    assert "has ended by itself (exit code 137)" in result["partialReason"]
    assert result["totals"]["published"] > 0


def test_a_signal_before_the_first_message_is_due_leaves_no_result(place: Place) -> None:
    """Between the order to begin and the beginning there is nothing to measure, and no figure is made up."""
    with place.start("-v", "run", "w.yaml", "--plain") as run:
        run.until_said(": measure: 500 messages/s")
        run.send(signal.SIGINT)

        code, stdout, said = run.end()

        assert (code, stdout) == (130, "")
        assert "ombdriver: interrupted before anything was measured; there is no result" in said
        assert run.alone()
    assert place.results() == []


def test_nothing_is_left_when_the_parent_is_killed(place: Place) -> None:
    """No process and no directory of ours survives kill -9."""
    with place.start("run", "w.yaml", "--duration", "10m", "--plain") as run:
        run.until("measure")
        assert len(run.family()) >= 4  # reaper, server, two workers
        run.send(signal.SIGKILL)

        assert run.end()[0] == -signal.SIGKILL
        assert run.alone()


# -- what somebody ends ----------------------------------------------------------------------------------------------


OF_SYSTEMS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM)


@pytest.mark.parametrize("number", [*BY_HAND, *OF_SYSTEMS, signal.SIGXCPU, signal.SIGUSR2, signal.SIGRTMIN + 3])
def test_a_signal_in_the_window_gives_a_partial_result(place: Place, number: int) -> None:
    """Written and marked so, with the time that was measured; exit code 130, and everything is gone."""
    with place.start("run", "w.yaml", "--duration", "10m", "--plain") as run:
        run.until("measure")
        run.send(number)

        code, stdout, said = run.end()

        assert code == 130
        assert stdout.startswith(f"PARTIAL\n  interrupted: interrupted by {name_of(number)} after")
        assert "Traceback" not in said
        assert run.alone()
    (result,) = place.results()
    assert result["partial"]
    assert result["partialReason"].startswith(f"interrupted by {name_of(number)} after")
    assert result["totals"]["published"] + result["totals"]["unsent"] >= 500
    assert result["totals"]["received"] == 2 * result["totals"]["published"]
    assert result["latency"]["publish"]["count"] == result["totals"]["published"]


@pytest.mark.parametrize("number", [*BY_HAND, *OF_SYSTEMS])
def test_a_signal_to_the_whole_group_is_the_parents(place: Place, number: int) -> None:
    """As by a terminal or a service manager: workers wait for what the parent orders, and the result is written."""
    with place.start("run", "w.yaml", "--duration", "10m", "--plain") as run:
        run.until("measure")
        run.send_to_group(number)

        code, _, said = run.end()

        assert code == 130, said
        assert run.alone()
    assert place.results()[0]["partial"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_a_signal_on_a_users_server_cleans_up_there(place: Place, valkey_url: str, number: int) -> None:
    """The created keys are gone, those of others stay."""
    with redis.Redis.from_url(valkey_url) as client:
        client.set("mine", "1")
        with place.start("run", "w.yaml", "--duration", "10m", "--plain", "--url", valkey_url) as run:
            run.until("measure")
            assert client.dbsize() == 4
            run.send(number)

            assert run.end()[0] == 130
            assert run.alone()
        assert client.keys() == [b"mine"]
    assert len(place.results()) == 1


def test_a_signal_during_the_warm_up_ends_in_order(place: Place) -> None:
    """There is hardly anything to keep, but nothing is left."""
    with place.start("run", "w.yaml", "--warmup", "10m", "--plain") as run:
        run.until("warm-up")
        run.send(signal.SIGINT)

        code, _, said = run.end()

        assert code == 130
        assert "Traceback" not in said
        assert run.alone()


def test_a_signal_while_building_up_leaves_nothing(place: Place) -> None:
    """As soon as the private server is there; workers may be starting, or may not have been thought of."""
    with place.start("-v", "run", "w.yaml", "--plain") as run:
        while not any(process.name().endswith("server") for process in run.family()):
            continue
        run.send(signal.SIGINT)

        code, stdout, said = run.end()

        assert (code, stdout) == (130, "")
        assert "ombdriver: interrupted before anything was measured; there is no result" in said
        assert "Traceback" not in said
        assert run.alone()
    assert place.results() == []


def test_two_signals_end_at_once(place: Place) -> None:
    """No result, no farewell; workers, server and directory go by themselves."""
    with place.start("run", "w.yaml", "--duration", "10m", "--plain") as run:
        run.until("measure")
        for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):  # both before it can act
            run.send(number)

        code, stdout, said = run.end()

        assert (code, stdout) == (130, "")
        assert "Traceback" not in said
        assert run.alone()
    assert place.results() == []


def test_interrupting_the_first_of_several_workloads_ends_all(place: Place) -> None:
    """The ones after it are not begun."""
    place.write((place.folder / "w.yaml").read_text(), "v.yaml")
    with place.start("run", "w.yaml", "v.yaml", "--duration", "10m", "--plain", "--setup", "memory") as run:
        run.until("measure")
        run.send(signal.SIGINT)

        assert run.end()[0] == 130
        assert run.alone()
    assert [result["workload"] for result in place.results()] == ["w"]


@pytest.fixture
def frozen() -> Iterator[PrivateServer]:
    """A server that a test may stop with SIGSTOP; it goes on before it is ended."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        server = runner.run(PrivateServer.start())
        yield server
        os.kill(server.pid, signal.SIGCONT)
        runner.run(server.stop())


def stored(place: Place) -> dict[str, Any]:
    """The result, as soon as there is one."""
    deadline = time.monotonic() + 50
    while not list((place.folder / "results").glob("2*.json")):
        assert time.monotonic() < deadline, "no result"
        time.sleep(0.02)
    (result,) = place.results()
    return result


def test_what_a_frozen_server_leaves_unanswered_is_told(place: Place, frozen: PrivateServer) -> None:
    """Every message that was due is published, failed, unsent or unanswered; the table comes before tearing down."""
    place.write(WORKLOAD + "drainTimeout: 1s\n")
    with place.start("run", "w.yaml", "--duration", "3s", "--plain", "--url", frozen.url) as run:
        run.until("measure")
        os.kill(frozen.pid, signal.SIGSTOP)
        result = stored(place)
        os.kill(frozen.pid, signal.SIGCONT)
        code, stdout, _ = run.end()

    assert code == 3
    assert "Result:" in stdout
    assert "achieved" in {reason["rule"] for reason in result["verdict"]["reasons"]}
    totals = result["totals"]
    assert totals["unanswered"] > 0
    assert sum(totals[name] for name in ("published", "publishErrors", "unsent", "unanswered")) == 3 * 500
    assert result["latency"]["publishResponse"]["count"] == 3 * 500
    assert result["latency"]["publishResponse"]["max"] > 1_000
    assert "unanswered" in {caveat["kind"] for caveat in result["caveats"]}


def test_a_signal_in_the_drain_ends_it(place: Place, frozen: PrivateServer) -> None:
    """It waits for no more than a few seconds, and the result is marked partial."""
    with place.start("run", "w.yaml", "w.yaml", "--duration", "3s", "--plain", "--url", frozen.url) as run:
        run.until("measure")
        os.kill(frozen.pid, signal.SIGSTOP)
        run.until("drain")
        run.send(signal.SIGINT)
        result = stored(place)
        os.kill(frozen.pid, signal.SIGCONT)

        assert run.end()[0] == 130
    assert result["partial"]
    assert len(place.results()) == 1
