"""The command line as a user meets it: its verbs, and what becomes of wrong input."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import COMMAND, Place

from ombdriver import __version__
from ombdriver.cli import main

Call = Callable[..., tuple[int, str, str]]
Faults = Callable[..., list[str]]


@pytest.fixture
def call(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command that ends soon within this process: exit code, standard output, standard error."""
    monkeypatch.chdir(place.folder)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert isinstance(ended.value.code, int)
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def faults(place: Place, call: Call) -> Faults:
    """What is told of bad input: exit code 2, nothing on standard output, and no result."""

    def told(*arguments: str) -> list[str]:
        code, stdout, stderr = call(*arguments)
        assert (code, stdout) == (2, ""), stderr
        assert not (place.folder / "results").exists()
        return stderr.splitlines()

    return told


# -- verbs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [COMMAND, (str(Path(sys.executable).with_name("ombdriver")),)])
def test_the_module_and_the_script_are_one_program(place: Place, command: tuple[str, ...]) -> None:
    """Each tells its version under the same name, and the commit where there is one."""
    told = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True, cwd=place.folder)

    assert re.fullmatch(rf"ombdriver, version {re.escape(__version__)}(, commit [0-9a-f]{{12}})?\n", told.stdout)


@pytest.mark.parametrize(
    "verb",
    [
        (),
        ("run",),
        ("plan",),
        ("workloads",),
        ("workloads", "show"),
        ("setups",),
        ("setups", "show"),
        ("schema",),
        ("clean",),
    ],
)
def test_every_verb_has_help_within_80_columns(call: Call, verb: tuple[str, ...]) -> None:
    """In both forms of the option, and with nothing but text."""
    for option in ("-h", "--help"):
        code, stdout, stderr = call(*verb, option)
        assert (code, stderr) == (0, "")
        assert stdout.startswith(f"Usage: {' '.join(('ombdriver', *verb))} [OPTIONS]")
        assert max(map(len, stdout.splitlines())) <= 80


def test_shipped_workloads_are_listed_and_printed(place: Place, call: Call) -> None:
    """What is listed can be shown, and what is shown is a workload file."""
    names = [line.split()[0] for line in call("workloads")[1].splitlines()]
    _, shown, _ = call("workloads", "show", names[0])
    place.write(shown, "copy.yaml")

    assert {"1kb-3groups", "100b-1group", "1kb-16partitions", "1kb-keyed", "64kb-1group"} <= set(names)
    assert shown.startswith("#")
    assert call("plan", "copy.yaml")[0] == 0


def test_the_schema_is_json(call: Call) -> None:
    """Of every field of a workload."""
    schema = json.loads(call("schema", "workload")[1])

    assert {"messageSize", "producerRate", "testDuration"} <= schema["properties"].keys()


def test_a_plan_is_printed_without_connecting(place: Place, call: Call, unused_tcp_port: int) -> None:
    """There is no server at that address; each workload gets its plan, and nothing is written."""
    url = f"redis://u:s3cret@127.0.0.1:{unused_tcp_port}"

    code, stdout, stderr = call("plan", "w.yaml", "1kb-16partitions", "--url", url, "--rate", "12345")

    assert (code, stderr) == (0, "")
    assert "12,345" in stdout
    assert "1kb-16partitions" in stdout
    assert "s3cret" not in stdout
    assert not (place.folder / "results").exists()


# -- bad input -------------------------------------------------------------------------------------------------------


def test_faults_of_files_and_options_are_told_at_once(place: Place, faults: Faults) -> None:
    """A name, a missing file, a file with two faults, a setup, each with its way out."""
    bad = (place.folder / "w.yaml").read_text().replace("messageSize: 100", "mesageSize: 100")
    place.write(bad.replace("producerRate: 500", "producerRate: -5"), "bad.yaml")

    told = faults("run", "nosuch", "gone.yaml", "bad.yaml", "--setup", "embeded")

    assert all(line.startswith("ombdriver: ") for line in told)
    text = "\n".join(told)
    assert "there is no setup 'embeded'; did you mean embedded?" in text
    assert "there is no workload 'nosuch'" in text
    assert "gone.yaml: there is no such file" in text
    assert "did you mean messageSize?" in text
    assert "-5" in text
    assert sum("bad.yaml" in line for line in told) >= 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["run"], "Missing argument"),
        (["run", "w.yaml", "--duration", "5"], "10s, 5m or 1h"),
        (["run", "w.yaml", "--duration", "-5s"], "--duration"),
        (["run", "w.yaml", "--warmup", "soon"], "is not a duration"),
        (["run", "w.yaml", "--rate", "fast"], "'fast' is no rate; write messages per second as a whole number"),
        (["run", "w.yaml", "--rate", "-1"], "--rate: -1"),
        (["run", "w.yaml", "--workers", "1"], "--workers: 1 is out of range"),
        (["run", "w.yaml", "--workers", "9999"], "--workers: 9999 is out of range"),
        (["run", "w.yaml", "--workers", "2", "--setup", "memory"], "--workers: 2 is too many"),
        (["run", "w.yaml", "--url", "redis://h", "--setup", "memory"], "leave --url out"),
        (["run", "w.yaml", "--url", "http://u:s3cret@h"], "redis://HOST:PORT"),
        (["run", "w.yaml", "--url", "redis://:s3cret@h:port"], "--url"),
        (["run", "w.yaml", "--tag", "novalue"], "is not KEY=VALUE"),
        (["run", "w.yaml", "--threshold", "publish.p99 < 5"], "has no unit; write 5ms"),
        (["run", "w.yaml", "--threshold", "endToEnd[group-3].p99 < 5ms"], "--threshold: there is no group 'group-3'"),
        (["plan", "w.yaml", "--threshold", "weather > 5"], "there is no figure 'weather'"),
        (["run", "."], "."),
        (["clean"], "--url"),
        (["clean", "--url", "nowhere:s3cret@x"], "--url"),
        (["workloads", "show", "nosuch"], "nosuch"),
        (["schema", "setups"], "setups"),
        (["setups", "show", "nosuch"], "nosuch"),
        (["run", "w.yaml", "--repeats", "1001"], "--repeats: 1001 is out of range"),
        (["plan", "w.yaml", "--set", "setup.x"], "is not PATH=VALUE"),
        (["nosuch"], "No such command"),
        (["run", "w.yaml", "--no-such-option"], "No such option"),
    ],
)
def test_bad_input_is_exit_code_2_with_a_word_on_it(faults: Faults, arguments: list[str], word: str) -> None:
    """Whatever could be known from the files and the command line alone; and no password is repeated."""
    told = "\n".join(faults(*arguments))

    assert word in told
    assert "s3cret" not in told


def test_wrong_usage_is_told_as_other_faults_are_with_a_hint(faults: Faults) -> None:
    """The message first, under our name; then where to read on."""
    told, hint = faults("run", "w.yaml", "--no-such-option")

    assert told.startswith("ombdriver: No such option")
    assert hint == "Try 'ombdriver run --help' for help."


def test_a_setup_whose_driver_nobody_registers_is_bad_input(place: Place, faults: Faults) -> None:
    """Known before anything starts, also to `plan`."""
    place.write("name: odd\ndriver: nosuch\n", "odd.yaml")

    for verb in ("run", "plan"):
        (line,) = faults(verb, "w.yaml", "--setup", "odd.yaml")
        assert line.startswith(
            "ombdriver: odd.yaml: driver: there is no driver 'nosuch'; installed are: memory, redis-py, redis-streams"
        )


@pytest.mark.parametrize(
    "text", ["", "just text", "- a\n- list\n", "topics: [1\n", "\x00\x01", "topics: 1\ntopics: 2\n"]
)
def test_a_malformed_file_is_told_by_its_name(place: Place, faults: Faults, text: str) -> None:
    """No traceback of a parser."""
    place.write(text, "odd.yaml")

    assert any("odd.yaml" in line for line in faults("run", "odd.yaml"))
