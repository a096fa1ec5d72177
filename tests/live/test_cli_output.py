"""What the command line prints, and where: pipes, terminals, closed and full outputs."""

import json
import os
import pty
import re
import signal
import subprocess

import pytest
from processes import COMMAND, Place, sound

from ombdriver.cli import main

FAST = ("--setup", "memory", "--duration", "1s", "--warmup", "0s")
ESCAPE = "\x1b"


def test_quiet_prints_the_table_alone_and_plain_a_line_per_interval(place: Place) -> None:
    """Progress is on standard error, so that the table can be kept; both are plain text of 80 columns."""
    quiet = place.run("run", "w.yaml", *FAST, "--quiet")
    plain = place.run("run", "w.yaml", *FAST, "--plain", FORCE_COLOR="")

    assert quiet.stderr == ""
    phases = [line.split()[0] for line in plain.stderr.splitlines()]
    assert (phases[0], phases[-1], phases.count("measure")) == ("ready", "drain", 1)
    for finished in (quiet, plain):
        assert sound(finished.returncode)
        assert ESCAPE not in finished.stdout + finished.stderr
        tables, _, result = finished.stdout.rpartition("Result: ")
        assert max(map(len, tables.splitlines())) <= 80
        assert (place.folder / result.strip()).is_file()


def test_off_a_terminal_plain_is_the_default(place: Place) -> None:
    """A pipe or a log gets lines, not a display."""
    finished = place.run("run", "w.yaml", *FAST)

    assert finished.stderr.startswith("ready ")
    assert ESCAPE not in finished.stdout + finished.stderr


@pytest.mark.parametrize("colourless", [False, True])
def test_on_a_terminal_there_is_a_display_that_is_gone_at_the_end(place: Place, colourless: bool) -> None:
    """Drawn in place, the cursor given back; with NO_COLOR no colour is in it."""
    environment = place.environment | {"TERM": "xterm-256color", "LANG": "C.UTF-8"}
    environment.pop("NO_COLOR", None)
    if colourless:
        environment["NO_COLOR"] = "1"
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "run", "w.yaml", *FAST], cwd=place.folder, env=environment, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        drawn = b""
        while True:
            try:
                drawn += (chunk := os.read(ours, 65536))
            except OSError:  # the other side has been closed
                break
            if not chunk:
                break
    os.close(ours)

    text = drawn.decode()
    assert sound(process.returncode)
    assert "measure" in text
    assert "\x1b[?25l" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert "Result: results/" in text
    coloured = re.search(r"\x1b\[[0-9;]*(3[0-7]|38;[0-9;]+|9[0-7])m", text) is not None
    assert coloured is not colourless


def test_verbose_logs_what_is_done(place: Place) -> None:
    """On standard error, once for the steps, twice for more."""
    once, twice = (place.run(log, "run", "w.yaml", *FAST, "--quiet") for log in ("-v", "-vv"))

    assert " INFO ombdriver." in once.stderr
    assert " DEBUG " not in once.stderr
    assert " DEBUG ombdriver." in twice.stderr
    assert sound(once.returncode)
    assert sound(twice.returncode)


@pytest.mark.parametrize(
    "arguments",
    [
        ["workloads"],
        ["workloads", "show", "1kb-keyed"],
        ["setups"],
        ["schema", "workload"],
        ["plan", "w.yaml"],
        ["--help"],
    ],
)
def test_a_reader_that_has_had_enough_is_no_fault_to_be_told(place: Place, arguments: list[str]) -> None:
    """As with `| head -1`: no word, no traceback."""
    reading, writing = os.pipe()
    os.close(reading)

    finished = subprocess.run(
        [*COMMAND, *arguments], cwd=place.folder, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)

    assert finished.stderr == ""


def test_a_run_whose_output_nobody_reads_still_writes_its_result(place: Place) -> None:
    """Progress goes silent, the table too; the result is on disk."""
    reading, writing = os.pipe()
    os.close(reading)

    subprocess.run(
        [*COMMAND, "run", "w.yaml", *FAST, "--plain"], cwd=place.folder, stdout=writing, stderr=writing, check=False
    )
    os.close(writing)

    assert [result["totals"]["published"] for result in place.results()] == [500]


@pytest.mark.parametrize("closed", [1, 2])
def test_a_stream_that_is_closed_from_the_start_is_as_good_as_one_nobody_reads(place: Place, closed: int) -> None:
    """As with `>&-` and `2>&-`: the run goes on, and its result is on disk."""
    finished = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}>&-', "sh", *COMMAND, "run", "w.yaml", *FAST],
        cwd=place.folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert sound(finished.returncode)
    assert "Traceback" not in finished.stderr
    assert [result["totals"]["published"] for result in place.results()] == [500]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_outside_a_run_ends_the_command_in_order(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While files are read, say: exit code 130, one message, and the handlers that were there before."""
    found = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is born deaf to it
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setattr("ombdriver.bench.catalogue.names", lambda: signal.raise_signal(number))

    try:
        with pytest.raises(SystemExit) as ended:
            main(["workloads"])

        assert ended.value.code == 130
        assert capsys.readouterr().err.strip() == "ombdriver: interrupted"
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
    finally:
        signal.signal(signal.SIGINT, found)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [["workloads"], ["run", "w.yaml", *FAST, "--quiet"]])
def test_output_that_can_not_be_written_is_told(place: Place, arguments: list[str]) -> None:
    """A full disk behind a redirection: exit code 1, one message."""
    with open("/dev/full", "w") as full:
        finished = subprocess.run(
            [*COMMAND, *arguments], cwd=place.folder, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert finished.returncode == 1
    assert finished.stderr == ("ombdriver: the output can't be written (No space left on device); send it elsewhere\n")


def test_tags_and_options_stand_in_the_result(place: Place) -> None:
    """What the command line gives instead of the file's is in the resolved workload."""
    arguments = (
        "--tag",
        "host=lab",
        "--tag",
        "empty=",
        "--tag",
        "a=b=c",
        "--rate",
        "321",
        "--output",
        "elsewhere/deep",
    )

    finished = place.run("run", "w.yaml", *FAST, *arguments, "--quiet")

    assert sound(finished.returncode), finished.stderr
    (path,) = (place.folder / "elsewhere" / "deep").iterdir()
    result = json.loads(path.read_text())
    assert result["tags"] == {"host": "lab", "empty": "", "a": "b=c"}
    assert (result["workloadSpec"]["producerRate"], result["workloadSpec"]["testDuration"]) == (321, "1s")
    assert result["totals"]["published"] == 321
