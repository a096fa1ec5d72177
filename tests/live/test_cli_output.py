"""What the command line prints, and where: pipes, terminals, closed and full outputs."""

import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
import urllib.request
from collections.abc import Callable
from typing import Self

import pyte  # type: ignore[import-untyped]
import pytest
from processes import COMMAND, WORKLOAD, Place, sound

from ombdriver.cli import main

FAST = ("--setup", "memory", "--duration", "1s", "--warmup", "0s")
ESCAPE = "\x1b"


def test_quiet_prints_the_table_alone_and_plain_a_line_per_interval(place: Place) -> None:
    """Progress is on standard error, so that the table can be kept; both are plain text of 80 columns."""
    quiet = place.run("run", "w.yaml", *FAST, "--quiet")
    plain = place.run("run", "w.yaml", *FAST, "--plain", FORCE_COLOR="")

    assert quiet.stderr == ""
    phases = [line.split()[0] for line in plain.stderr.splitlines() if not line.startswith("create ")]  # a slow machine
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

    assert "\nready " in "\n" + finished.stderr
    assert ESCAPE not in finished.stdout + finished.stderr


def test_what_a_run_waits_for_before_it_begins_is_told(place: Place) -> None:
    """A server that takes connections and says nothing, within seconds and long before it is given up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        with place.start("run", "w.yaml", "--url", url, "--plain") as started:
            line = started.until("create ")
            started.send(signal.SIGINT)
            code, _, told = started.end()

    assert line.split(maxsplit=3)[3].strip() == "until the server has answered"
    assert told.startswith(line)
    assert code == 130


class Terminal:
    """A terminal of 80 columns with `ombdriver` in it, and what has been drawn.

    Attributes:
        drawn: everything that was written, escape sequences too.
        screen: what it looks like now.
    """

    def __init__(self, place: Place, *arguments: str, **environment: str) -> None:
        self._ours, self._theirs = pty.openpty()
        self.screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self.screen)
        self.resize(80, 24)
        inherited = {name: value for name, value in place.environment.items() if name not in ("NO_COLOR", "COLUMNS")}
        self._process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=place.folder,
            env=inherited | {"TERM": "xterm-256color", "LANG": "C.UTF-8"} | environment,
            stdout=self._theirs,
            stderr=self._theirs,
        )
        os.close(self._theirs)
        self.drawn = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def resize(self, columns: int, lines: int) -> None:
        """As if its window was."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def until(self, met: Callable[[Self], bool]) -> None:
        """Reads until something is on the screen, or the program has ended."""
        while not met(self):
            try:
                chunk = os.read(self._ours, 65536)
            except OSError:  # the other side has been closed
                return
            if not chunk:
                return
            self.drawn += chunk
            self._stream.feed(chunk)

    def lines(self, beginning: str) -> list[str]:
        """Lines on the screen that begin so."""
        return [line.rstrip() for line in self.screen.display if line.startswith(beginning)]

    def end(self) -> int:
        """Reads to the end; the exit code."""
        self.until(lambda _: False)
        return self._process.wait()


@pytest.mark.parametrize("colourless", [False, True])
def test_on_a_terminal_there_is_a_display_that_is_gone_at_the_end(place: Place, colourless: bool) -> None:
    """Drawn in place, the cursor given back; with NO_COLOR no colour is in it."""
    with Terminal(place, "run", "w.yaml", *FAST, **({"NO_COLOR": "1"} if colourless else {})) as terminal:
        code = terminal.end()

    text = terminal.drawn.decode()
    assert sound(code)
    assert "measure" in text
    assert "\x1b[?25l" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert "Result: results/" in text
    assert terminal.lines("measure") == []
    coloured = re.search(r"\x1b\[[0-9;]*(3[0-7]|38;[0-9;]+|9[0-7])m", text) is not None
    assert coloured is not colourless


@pytest.mark.parametrize(("columns", "lines"), [(130, 40), (60, 24), (80, 7)])
def test_the_display_survives_a_resize(place: Place, columns: int, lines: int) -> None:
    """It is drawn for the new size from the next interval on, in one piece; what is too low loses its end."""
    place.write(WORKLOAD.replace("testDuration: 1s", "testDuration: 3s\nsampleInterval: 200ms"))
    with Terminal(place, "run", "w.yaml", "--setup", "memory") as terminal:
        terminal.until(lambda now: bool(now.lines("measure")))
        terminal.resize(columns, lines)
        seen = terminal.lines("measure")
        terminal.until(lambda now: bool(now.lines("measure")) and now.lines("measure") != seen)
        (first,) = terminal.lines("measure")
        terminal.until(lambda now: bool(now.lines("measure")) and now.lines("measure") != [first])

        assert len(terminal.lines("measure")) == len(terminal.lines("published")) == 1
        assert sound(terminal.end())
    assert b"Traceback" not in terminal.drawn


def test_live_figures_are_served_as_long_as_runs_run(place: Place) -> None:
    """The address is told; what a scraper gets grows, and is gone with the command."""
    with place.start("run", "w.yaml", "--setup", "memory", "--duration", "10m", "--prometheus", "0", "--plain") as run:
        address = run.until("ombdriver: live figures at ").split()[-1]
        run.until("measure")
        with urllib.request.urlopen(address) as answer:
            text = answer.read().decode()
        run.send(signal.SIGINT)
        run.end()

    published = re.search(r'^ombdriver_messages_published_total\{phase="measure"\} ([0-9.e+]+)$', text, re.MULTILINE)
    assert published is not None
    assert float(published[1]) > 0
    assert 'ombdriver_end_to_end_response_seconds_bucket{group="group-2",le="+Inf",phase="measure"}' in text
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address)


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
    monkeypatch.setattr("ombdriver.bench.spec.catalog.workload_names", lambda: signal.raise_signal(number))

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
