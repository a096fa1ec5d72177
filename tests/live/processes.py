"""`ombdriver` in a process of its own: to its end, or up to a line that it prints."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import psutil  # type: ignore[import-untyped]
from forked_commands import ForkedCommand
from rig import workers_of

from ombdriver.cli.exit_codes import EXIT_VALID, EXIT_VERDICT

COMMAND = (sys.executable, "-m", "ombdriver")
WORKLOAD = """
topics: 1
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 2
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 500
warmupDuration: 0s
testDuration: 1s
"""


def sound(code: int) -> bool:
    """Whether a run went through: this machine may be too busy for its verdict to be VALID (exit code 3)."""
    return code in (EXIT_VALID, EXIT_VERDICT)


class Place:
    """A folder to run in: with a workload file `w.yaml`, `results`, and a folder for temporary files of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Short, since sockets in it have short paths.
        self.temporary = Path(tempfile.mkdtemp(prefix="o"))
        self.write(WORKLOAD)

    def write(self, text: str, name: str = "w.yaml") -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.write_text(text)
        return path

    @property
    def environment(self) -> dict[str, str]:
        """That of the process."""
        return os.environ | {"TMPDIR": str(self.temporary), "COLUMNS": "80"}

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Runs `ombdriver` to its end."""
        process = ForkedCommand(arguments, self.folder, self.environment | environment)
        stdout, stderr = process.communicate()
        assert process.returncode is not None
        return subprocess.CompletedProcess([*COMMAND, *arguments], process.returncode, stdout, stderr)

    def start(self, *arguments: str) -> "Started":
        """Starts `ombdriver`."""
        return Started(self, arguments)

    def results(self) -> list[dict[str, Any]]:
        """The results written so far, in the order of their names; there is nothing else in the folder."""
        paths = sorted((self.folder / "results").iterdir()) if (self.folder / "results").exists() else []
        return [json.loads(path.read_text()) for path in paths]

    def left(self) -> list[str]:
        """What is left in the folder for temporary files, but for the logs of servers whose run has failed."""
        return sorted(path.name for path in self.temporary.iterdir() if path.suffix != ".log")


class Started:
    """A process that runs, with what it starts; leaving the context ends all that is left of it.

    Attributes:
        told: the lines on standard error so far.
    """

    def __init__(self, place: Place, arguments: tuple[str, ...]) -> None:
        self._process = ForkedCommand(arguments, place.folder, place.environment, session=True)
        self._family: dict[int, psutil.Process] = {}
        self.told: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.kill()
        self._process.communicate()

    def until(self, beginning: str) -> str:
        """The next line on standard error that begins so."""
        return self._until(lambda line: line.startswith(beginning), beginning)

    def until_said(self, part: str) -> str:
        """The next line on standard error with `part` in it."""
        return self._until(lambda line: part in line, part)

    def _until(self, met: Callable[[str], bool], what: str) -> str:
        for line in self._process.stderr:
            self.told.append(line)
            if met(line):
                self.family()
                return line
        raise AssertionError(f"ended without a line {what!r}: {''.join(self.told)}")

    def family(self) -> list[psutil.Process]:
        """All processes that it has started, as far as they have been seen; by calling this they are."""
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self._process.pid).children(recursive=True)
            self._family |= {child.pid: child for child in children}
        return list(self._family.values())

    def worker(self) -> psutil.Process:
        """One of the workers."""
        self.family()
        return workers_of(psutil.Process(self._process.pid))[0]

    def server(self) -> psutil.Process:
        """The private server."""
        return next(each for each in self.family() if "server" in each.name())

    def send(self, number: int) -> None:
        """A signal to the process itself."""
        self._process.send_signal(number)

    def send_to_group(self, number: int) -> None:
        """A signal to the process and to all that are in its group, as a terminal's Ctrl-C is."""
        os.killpg(self._process.pid, number)

    def end(self) -> tuple[int, str, str]:
        """Waits for the end: exit code, standard output, and all of standard error."""
        stdout, stderr = self._process.communicate()
        self.told.append(stderr)
        assert self._process.returncode is not None
        return self._process.returncode, stdout, "".join(self.told)

    def alone(self) -> bool:
        """Waits until all that it started has ended; whether it has, within 20 s."""
        return all_ended(self.family())


def all_ended(processes: Sequence[psutil.Process]) -> bool:
    """Waits until all of them have ended, 20 s at most; an orphan that nobody has buried yet (a zombie) has."""
    alive = list(processes)
    for _ in range(400):
        _, alive = psutil.wait_procs(alive, timeout=0.05)
        alive = [each for each in alive if not _is_zombie(each)]
        if not alive:
            return True
    return False


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@contextlib.contextmanager
def place_in(folder: Path) -> Iterator[Place]:
    """A place whose folder for temporary files has to be empty at the end."""
    place = Place(folder)
    try:
        yield place
        assert place.left() == []
    finally:
        for path in sorted(place.temporary.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        place.temporary.rmdir()
