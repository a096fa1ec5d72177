"""`ForkedProcess`: what is known of a worker by the status that its fork server has written."""

import errno
import os
import subprocess
from collections.abc import Iterator

import pytest

from ombdriver.bench.hosts.fork_server import ForkedProcess


class Gone(subprocess.Popen[bytes]):
    """A fork server that is not there."""

    def __init__(self) -> None:
        self.killed = 0

    def kill(self) -> None:
        """Counts."""
        self.killed += 1

    def __del__(self) -> None:
        """Nothing was started."""


@pytest.fixture
def status() -> Iterator[tuple[ForkedProcess, int, Gone]]:
    """A worker, where its status is written, and its fork server."""
    ours, theirs = os.pipe()
    server = Gone()
    process = ForkedProcess(ours, server)
    yield process, theirs, server
    process.close()


@pytest.mark.parametrize(
    ("told", "pid", "has_ended", "fate"),
    [
        (b"", 0, False, "is not there yet"),
        (b"12", 0, False, "is not there yet"),
        (b"123\n", 123, False, "runs"),
        (b"123\n0\n|", 123, True, "died with exit code 0"),
        (b"123\n-9\n|", 123, True, "died with exit code -9"),
        (b"123\n|", 123, True, "was lost with the process that had forked it"),
        (b"|", 0, True, "could not be started: the process that forks workers has ended"),
        (f"!{errno.EAGAIN}\n|".encode(), 0, True, "could not be started: this user may have no more processes"),
        (f"!{errno.ENOMEM}\n|".encode(), 0, True, "could not be started: there is no more memory for this process"),
    ],
)
def test_what_is_known_is_what_was_told(
    told: bytes, pid: int, has_ended: bool, fate: str, status: tuple[ForkedProcess, int, Gone]
) -> None:
    """Whatever part of it has come (`|` is its end); a limit is told with the way out."""
    process, end, _ = status
    os.write(end, told.removesuffix(b"|"))
    if told.endswith(b"|"):
        os.close(end)

    assert process.wait(0) == has_ended
    assert (process.pid, process.has_ended) == (pid, has_ended)
    assert process.fate().startswith(fate)
    if not told.endswith(b"|"):
        os.close(end)


def test_one_that_is_not_there_yet_is_ended_with_what_would_fork_it(status: tuple[ForkedProcess, int, Gone]) -> None:
    """And one that has ended is not looked for: its number may be another's by now."""
    process, end, server = status
    process.kill()
    assert server.killed == 1
    os.write(end, b"%d\n0\n" % os.getpid())
    os.close(end)

    process.kill()

    assert server.killed == 1
