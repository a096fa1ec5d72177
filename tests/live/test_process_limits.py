"""A process that may have no more of something says of what, in one line with the way out; so does a full TMPDIR."""

import os
import resource
import subprocess
import sys
import tempfile
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import COMMAND, Place, sound

NOBODY = 65534
LIMITED = """
import os, resource, sys
name, most, *command = sys.argv[1:]
resource.setrlimit(getattr(resource, name), (int(most), int(most)))
os.execv(command[0], command)
"""


def limited(place: Place, name: str, most: int, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`ombdriver` under a limit."""
    return subprocess.run(
        [sys.executable, "-c", LIMITED, name, str(most), *COMMAND, *arguments],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def one_line(finished: "subprocess.CompletedProcess[str]") -> str:
    """The only line that a failed command has said."""
    assert finished.returncode == 1, finished.stderr
    assert len(finished.stderr.splitlines()) == 1, finished.stderr
    line = finished.stderr
    assert line.startswith("ombdriver: ")
    return line.rstrip()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "most", "setup", "said"),
    [
        ("RLIMIT_NOFILE", 12, "embedded", "raise that limit (ulimit -n"),  # told by the run, or by its server
        ("RLIMIT_NOFILE", 20, "embedded", "needs more open files than it may have; raise that limit (ulimit -n"),
        (
            "RLIMIT_NOFILE",
            12,
            "memory",
            "no more files and connections (the limit is 12); raise that limit (ulimit -n)",
        ),
    ],
)
def test_a_limit_is_told_with_the_way_to_raise_it(name: str, most: int, setup: str, said: str, place: Place) -> None:
    """No traceback, and nobody has interrupted anything."""
    assert said in one_line(limited(place, name, most, "run", "w.yaml", "--setup", setup, "--quiet"))


@pytest.mark.timeout(120)
def test_the_first_limit_on_memory_that_is_too_low_is_told(place: Place) -> None:
    """Found by halving, to 40 MiB: how much it takes depends on the machine and its Python."""

    def given(most: int) -> "subprocess.CompletedProcess[str]":
        command = ("run", "w.yaml", "--setup", "embedded", "--duration", "200ms", "--quiet")
        return limited(place, "RLIMIT_AS", most << 20, *command)

    enough = given(400)
    assert sound(enough.returncode), enough.stderr
    sizes, finished = range(80, 400, 40), enough

    def is_enough(most: int) -> bool:
        nonlocal finished
        tried = given(most)
        if not sound(tried.returncode):
            finished = tried
        return sound(tried.returncode)

    too_low = sizes[bisect_left(sizes, True, key=is_enough) - 1]

    assert f"no more memory for this process (the limit is {too_low} MiB)" in one_line(finished)


@pytest.mark.skipif(os.getuid() != 0, reason="a limit on processes is one of a user: root makes one who has none")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("most", [2, 5])
def test_a_user_who_may_have_no_more_processes_is_told_so(most: int, place: Place) -> None:
    """By the run itself, or by the server that needs threads."""
    for folder in (place.folder, place.temporary):
        folder.chmod(0o777)
    try:
        finished = subprocess.run(
            [*COMMAND, "run", "w.yaml", "--quiet"],
            cwd=place.folder,
            env=place.environment,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=as_nobody(most),
        )
    except PermissionError:
        pytest.skip("the Python of these tests is not for every user")

    assert "raise that limit (ulimit -u)" in one_line(finished)


def as_nobody(most: int) -> Callable[[], None]:
    """What makes a process one of a user who may have so many of them."""

    def become() -> None:
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    return become


@pytest.mark.timeout(120)
@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small file system takes root")
@pytest.mark.parametrize("command", [("run", "w.yaml", "--quiet"), ("calibrate",)])
def test_a_full_folder_for_temporary_files_is_told_by_its_name(command: tuple[str, ...], place: Place) -> None:
    """And not as a fault of the output; where Python knows no other folder, which it looks for first."""
    full = Path(tempfile.mkdtemp())  # with a short name: another folder is taken where that is too long for a socket
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", full], check=False).returncode:
        full.rmdir()
        pytest.skip("this container may not mount anything")
    try:
        (full / "fill").write_bytes(b"x" * (16 << 10))
        start = f"import sys, tempfile; tempfile.tempdir = {str(full)!r}; sys.argv[0] = 'ombdriver'"
        finished = subprocess.run(
            [sys.executable, "-c", f"{start}\nfrom ombdriver.cli import main\nmain()", *command],
            cwd=place.folder,
            env=place.environment | {"TMPDIR": str(full)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        subprocess.run(["umount", full], check=True)
        full.rmdir()

    assert finished.returncode == 1, finished
    last = finished.stderr.splitlines()[-1]
    assert f"the folder for temporary files, {full}, can't be written to (No space left on device)" in last
    assert last.endswith("set TMPDIR to another one")
    assert "Traceback" not in finished.stderr
