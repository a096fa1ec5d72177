"""Several workloads on several setups: their order, what one that fails means for the others, and how it all ends."""

import re
import signal
from pathlib import Path
from typing import Any

import pytest
from processes import WORKLOAD, Place, sound

FAST = ("--duration", "200ms", "--warmup", "0s", "--rate", "200")
ESCAPE = "\x1b"


@pytest.fixture
def setups(place: Place, unused_tcp_port: int) -> Place:
    """A place with two more workloads, a setup `closed` whose server is not there, and `other`, without a server."""
    place.write(WORKLOAD, "v.yaml")
    place.write(
        f"name: closed\ndriver: redis-streams\nserver: {{url: 'redis://127.0.0.1:{unused_tcp_port}'}}\n", "c.yaml"
    )
    place.write("name: other\ndriver: memory\n", "o.yaml")
    return place


def began(stderr: str) -> list[str]:
    """The lines that say which run begins, without the time that is left, which depends on the machine."""
    return [re.sub(r" \(about .* left\):", ":", line) for line in stderr.splitlines() if line.startswith("run ")]


def errors(stderr: str) -> list[str]:
    """The errors that were told."""
    return [line.removeprefix("ombdriver: ") for line in stderr.splitlines() if line.startswith("ombdriver: ")]


def table(stdout: str) -> list[list[str]]:
    """The table at the end: the words of each run's line."""
    _, _, told = stdout.rpartition("\nSeries ")
    assert max(map(len, told.splitlines())) <= 80
    told, _, _ = told.partition("\n\n")  # a comparison comes after it
    return [line.split() for line in told.splitlines() if line.split()[0].isdigit()]


def in_order(place: Place) -> list[dict[str, Any]]:
    """The results in the order of their runs."""
    return sorted(place.results(), key=lambda result: result["standing"]["run"])


def test_every_workload_runs_on_every_setup_and_setups_take_turns(setups: Place) -> None:
    """Each run is announced, has a result that says where it stands, and a line at the end."""
    finished = setups.run("run", "w.yaml", "v.yaml", "--setup", "memory", "--setup", "o.yaml", "--repeats", "2", *FAST)

    assert sound(finished.returncode), finished.stderr
    assert began(finished.stderr) == [
        "run 1 of 8: w x memory, repeat 1",
        "run 2 of 8: w x other, repeat 1",
        "run 3 of 8: w x other, repeat 2",
        "run 4 of 8: w x memory, repeat 2",
        "run 5 of 8: v x memory, repeat 1",
        "run 6 of 8: v x other, repeat 1",
        "run 7 of 8: v x other, repeat 2",
        "run 8 of 8: v x memory, repeat 2",
    ]
    results = in_order(setups)
    assert [f"{each['workload']} x {each['setup']['name']}" for each in results] == [
        line.partition(": ")[2].partition(",")[0] for line in began(finished.stderr)
    ]
    assert [result["beginTime"] for result in results] == sorted(result["beginTime"] for result in results)
    (series,) = {result["standing"]["series"] for result in results}
    assert [result["standing"] for result in results[2:4]] == [
        {"series": series, "run": run, "runs": 8, "block": 2, "position": position, "repeats": 2}
        | {"order": "balanced", "attempt": 1}
        for run, position in ((3, 1), (4, 2))
    ]
    assert f"\nSeries {series}: 8 runs, 8 results in results/\n" in finished.stdout
    assert ESCAPE not in finished.stdout
    assert finished.stdout.count("\nResult: ") == 8
    assert "Where the time went" not in finished.stdout  # of so many runs, each is told in brief
    for number, (line, result) in enumerate(zip(table(finished.stdout), results, strict=True), start=1):
        assert line[:4] == [str(number), result["workload"], result["setup"]["name"], str(result["standing"]["block"])]
        assert line[4] == result["verdict"]["status"]
        assert [path.name for path in (setups.folder / "results").glob(line[5])] == [
            f"{result['beginTime'][:19].replace('-', '').replace(':', '')}Z-{result['workload']}"
            f"-{result['setup']['name']}-{result['runId']}.json"
        ]


def test_each_run_has_a_server_of_its_own(setups: Place) -> None:
    """A fresh one, taken down before the next is started."""
    arguments = ("w.yaml", "--setup", "embedded", "--setup", "memory", "--repeats", "2", "--quiet")
    finished = setups.run("run", *arguments, *FAST)

    assert sound(finished.returncode), finished.stderr
    assert finished.stderr == ""
    results = in_order(setups)
    assert [each["setup"]["name"] for each in results] == ["embedded", "memory", "memory", "embedded"]
    assert [each["totals"]["published"] for each in results] == [40] * 4
    assert len(table(finished.stdout)) == 4


def test_a_single_run_has_neither_announcement_nor_table(place: Place) -> None:
    """But its result stands in a series of one."""
    finished = place.run("run", "w.yaml", "--setup", "memory", *FAST)

    assert sound(finished.returncode), finished.stderr
    assert began(finished.stderr) == []
    assert "Series" not in finished.stdout
    (result,) = place.results()
    standing = result["standing"]
    assert (standing["run"], standing["runs"], standing["block"], standing["repeats"]) == (1, 1, 1, 1)


def test_a_run_that_fails_does_not_keep_the_others_from_being_run(setups: Place) -> None:
    """Its error says which one it was; the exit code is that of the failure, whatever the others found."""
    arguments = ("w.yaml", "--setup", "memory", "--setup", "c.yaml", "--setup", "o.yaml", "--repeats", "2")
    finished = setups.run("run", *arguments, *FAST)

    assert finished.returncode == 1
    assert len(began(finished.stderr)) == 6
    first, second = errors(finished.stderr)
    assert first.startswith("w x closed, repeat 1: redis://127.0.0.1:")
    assert second.startswith("w x closed, repeat 2: redis://127.0.0.1:")
    assert [each["setup"]["name"] for each in in_order(setups)] == ["memory", "other", "other", "memory"]
    lines = table(finished.stdout)
    assert [line[2] for line in lines if line[4] == "FAILED"] == ["closed", "closed"]
    assert "runs 2, 6: redis://127.0.0.1:" in finished.stdout
    assert "Traceback" not in finished.stderr


def test_with_until_valid_a_run_that_fails_is_repeated_in_its_block(setups: Place) -> None:
    """So often at most; each attempt is announced and has a line, and how often it was is told."""
    arguments = ("w.yaml", "--setup", "c.yaml", "--until-valid", "--extra-runs", "2")
    finished = setups.run("run", *arguments, *FAST)

    assert finished.returncode == 1
    assert began(finished.stderr) == [
        "run 1 of 1: w x closed",
        "run 1 of 1: w x closed, attempt 2",
        "run 1 of 1: w x closed, attempt 3",
    ]
    assert [line[4:7] for line in table(finished.stdout)[1:3]] == [
        ["FAILED,", "attempt", "2"],
        ["FAILED,", "attempt", "3"],
    ]
    assert "Repeated since not VALID: 2 times, at most 2; 1 of 1 runs are still not VALID." in finished.stdout


def test_with_fail_fast_the_first_that_fails_is_the_last(setups: Place) -> None:
    """What was run before it has its result; the others are told as not run."""
    arguments = ("w.yaml", "--setup", "memory", "--setup", "c.yaml", "--repeats", "2", "--fail-fast", "--workers", "1")
    refused = setups.run("run", *arguments, *FAST)
    assert refused.returncode == 2  # a server needs two, which is known before anything runs

    finished = setups.run("run", *arguments[:-2], *FAST)

    assert finished.returncode == 1 or "NVALID" in finished.stdout
    if finished.returncode == 1:  # else this machine was too busy for the first run's verdict
        assert len(began(finished.stderr)) == 2
        assert [line[4:6] for line in table(finished.stdout)][1:] == [["FAILED", "-"], ["not", "run"], ["not", "run"]]
    assert len(setups.results()) == 1


def test_with_fail_fast_a_threshold_that_is_missed_ends_the_series(setups: Place) -> None:
    """As any exit code but 0 does."""
    arguments = ("w.yaml", "v.yaml", "--setup", "memory", "--fail-fast", "--threshold", "publishRate < 1")
    finished = setups.run("run", *arguments, *FAST)

    assert finished.returncode in (3, 4), finished.stderr
    assert [result["workload"] for result in setups.results()] == ["w"]
    assert [line[4:6] for line in table(finished.stdout)][1] == ["not", "run"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_whole_series(setups: Place, number: signal.Signals) -> None:
    """What was measured is kept, no other run begins, nothing is left running; the code is 130."""
    arguments = ("w.yaml", "--setup", "embedded", "--setup", "memory", "--repeats", "3", "--duration", "10m", "--plain")
    with setups.start("run", *arguments, "--warmup", "0s") as run:
        run.until("measure")
        run.send(number)
        code, stdout, stderr = run.end()

        assert code == 130, stderr
        assert run.alone()
    assert began(stderr) == ["run 1 of 6: w x embedded, repeat 1"]
    (said,) = errors(stderr)
    assert said.startswith("w x embedded, repeat 1: interrupted")
    (result,) = setups.results()
    assert result["partial"]
    assert [line[4:6] for line in table(stdout)][1:] == [["not", "run"]] * 5


def test_a_run_that_failed_does_not_hide_a_signal_after_it(setups: Place) -> None:
    """The code is that of the signal."""
    arguments = ("w.yaml", "--setup", "c.yaml", "--setup", "memory", "--repeats", "2", "--duration", "10m", "--plain")
    with setups.start("run", *arguments, "--warmup", "0s") as run:
        run.until("measure")
        run.send(signal.SIGINT)
        code, _, stderr = run.end()

        assert code == 130
    assert len(began(stderr)) == 2
    assert len(errors(stderr)) == 2


def test_values_are_set_for_workloads_and_setups(setups: Place) -> None:
    """The resolved specs have them, their hashes are of them, and the result tells what was set."""
    values = ("--set", "workload.messageSize=4KiB", "--set", "setup.streams.retention=none")
    changed = setups.run("run", "w.yaml", "--setup", "memory", "--setup", "embedded", *values, *FAST, "--quiet")
    plain = setups.run("run", "w.yaml", "--setup", "memory", *FAST, "--output", "plain", "--quiet")

    assert sound(changed.returncode), changed.stderr
    assert sound(plain.returncode), plain.stderr
    results = in_order(setups)
    for result in results:
        assert result["workloadSpec"]["messageSize"] == result["messageSize"] == 4096
        assert result["setup"]["streams"]["retention"] == "none"
        assert result["overrides"] == [values[1], values[3]]
        assert result["workload"] == "w"
    assert [result["setup"]["name"] for result in results] == ["memory", "embedded"]
    assert len({result["workloadSha256"] for result in results}) == 1
    (before,) = (setups.folder / "plain").iterdir()
    assert results[0]["workloadSha256"] not in before.read_text()


def test_a_rerun_has_what_was_set(place: Place) -> None:
    """It stands in the specs of the result; the run is of a series of its own."""
    ran = place.run("run", "w.yaml", "--setup", "memory", "--set", "workload.messageSize=300", *FAST, "--quiet")
    assert sound(ran.returncode), ran.stderr
    (path,) = (place.folder / "results").iterdir()

    again = place.run("rerun", str(Path("results") / path.name), "--quiet")

    assert sound(again.returncode), again.stderr
    first, second = place.results()
    assert first["messageSize"] == second["messageSize"] == 300
    assert first["overrides"] == second["overrides"] == ["workload.messageSize=300"]
    assert first["standing"]["series"] != second["standing"]["series"]


def test_faults_of_all_options_and_files_are_told_before_anything_runs(setups: Place) -> None:
    """In one error with exit code 2, each once; no password is repeated."""
    arguments = ("--set", "workload.mesageSize=1", "--set", "setup.server.url=http://u:s3cret@h", "--set", "oops")
    for verb in ("run", "plan"):
        first = setups.run(verb, "w.yaml", "v.yaml", "--setup", "embedded", "--repeats", "0", "--set", "oops")
        second = setups.run(verb, "w.yaml", "v.yaml", "--setup", "embedded", "--setup", "c.yaml", *arguments[:4])

        assert (first.returncode, second.returncode) == (2, 2)
        assert (first.stdout, second.stdout) == ("", "")
        assert errors(first.stderr) == [
            "--set: 'oops' is not PATH=VALUE; write it as workload.messageSize=4KiB, or setup.streams.retention=none",
            "--repeats: 0 is out of range; write 1 to 1000",
        ]
        told = errors(second.stderr)
        assert told[-1] == "--set workload.mesageSize: unknown key; did you mean messageSize?"
        assert told[0].startswith("--set setup.server.url: 'http://u:***@h' does not begin with redis://")
        assert "s3cret" not in second.stderr
    assert not (setups.folder / "results").exists()


def test_a_plan_is_of_every_combination_once(setups: Place) -> None:
    """And tells their order."""
    values = ("--set", "workload.producerRate=4321", "--repeats", "3")
    finished = setups.run("plan", "w.yaml", "v.yaml", "--setup", "memory", "--setup", "c.yaml", *values)

    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.count("4,321 messages/s in all") == 4
    assert finished.stdout.splitlines()[-4:-1] == [
        "runs           12, one after the other",
        "order          w: memory, closed; closed, memory; and so on, 3 blocks in all",
        "order          v: memory, closed; closed, memory; and so on, 3 blocks in all",
    ]


def test_shipped_setups_are_listed_and_printed(place: Place) -> None:
    """What is listed can be shown, and what is shown is a setup file; the schema is of its keys."""
    listed = place.run("setups").stdout.splitlines()
    names = [line.split()[0] for line in listed]
    assert {"embedded", "memory"} <= set(names)
    place.write(place.run("setups", "show", "memory").stdout, "copy.yaml")

    assert place.run("plan", "w.yaml", "--setup", "copy.yaml").returncode == 0
    assert '"retention"' in place.run("schema", "setup").stdout
    unknown = place.run("setups", "show", "memroy")
    assert (unknown.returncode, errors(unknown.stderr)) == (2, ["there is no setup 'memroy'; did you mean memory?"])


def test_a_sweep_that_was_ended_is_resumed(place: Place) -> None:
    """The runs that have a result are left out; the others join their series, and then there is nothing to do."""
    arguments = ("w.yaml", "--setup", "memory", "--sweep", "workload.messageSize=100,1KiB,2KiB", *FAST)
    first = place.run("run", *arguments, "--quiet")
    assert sound(first.returncode), first.stderr
    (lost,) = (place.folder / "results").glob("*-1KiB-*.json")
    lost.unlink()

    again = place.run("run", *arguments, "--quiet", "--resume")
    assert sound(again.returncode), again.stderr
    assert "ombdriver: 2 of 3 runs have a result already" in again.stderr
    results = sorted(place.results(), key=lambda result: result["standing"]["run"])
    assert [result["sweep"] for result in results] == [
        {"workload.messageSize": 100},
        {"workload.messageSize": "1KiB"},
        {"workload.messageSize": "2KiB"},
    ]
    assert len({result["standing"]["series"] for result in results}) == 1

    nothing = place.run("run", *arguments, "--quiet", "--resume")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "3 of 3 runs have a result already" in nothing.stderr
