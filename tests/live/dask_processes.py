"""A scheduler of Dask and workers of it, as processes: each worker at a loopback address of its own, so a host."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

LIMIT_S = 40.0
SETTINGS = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
}
"""As docs/cluster.md advises for a host that measures: an idle worker with its nanny and scheduler took 1.8 % of a core
with them, and 6.8 % without."""


def command(what: str, *arguments: str) -> list[str]:
    """`dask WHAT` with this Python."""
    return [sys.executable, "-m", "dask", what, *arguments]


def scheduler_command(host: str, file: Path) -> list[str]:
    """A scheduler at a free port of `host`, which writes its address to `file`."""
    address = f"tcp://{host}:0"
    return command("scheduler", "--host", address, "--no-dashboard", "--scheduler-file", str(file))


def worker_command(host: str, file: Path, folder: Path) -> list[str]:
    """A worker at `host`."""
    where = ("--host", f"tcp://{host}", "--local-directory", str(folder), "--nthreads", "1", "--no-dashboard")
    return command("worker", "--scheduler-file", str(file), *where)


@contextlib.contextmanager
def started(commands: Sequence[Sequence[str]], folder: Path) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Processes that are ended at the end; what they say goes to a file in `folder`."""
    processes = []
    environment = {**os.environ, **SETTINGS}
    with (folder / "dask.log").open("ab") as log:
        try:
            for each in commands:
                processes.append(subprocess.Popen(each, cwd=folder, stdout=log, stderr=log, env=environment))  # noqa: PERF401
            yield processes
        finally:
            for process in reversed(processes):
                process.terminate()
            for process in processes:
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def wait_for(file: Path) -> None:
    """Until a scheduler has written its file."""
    limit = time.monotonic() + LIMIT_S
    while not file.exists() or not file.read_text():
        assert time.monotonic() < limit, "the scheduler did not start"
        time.sleep(0.05)


@contextlib.contextmanager
def cluster(folder: Path, hosts: Sequence[str]) -> Iterator[Path]:
    """A scheduler on 127.0.0.1 with a worker at each of `hosts`; its scheduler file."""
    file = folder / "scheduler.json"
    with started([scheduler_command("127.0.0.1", file)], folder):
        wait_for(file)
        with started([worker_command(host, file, folder) for host in hosts], folder):
            wait_for_workers(file, len(hosts))
            yield file


def wait_for_workers(file: Path, count: int) -> None:
    """Until the scheduler has so many workers."""
    from distributed import Client

    with Client(scheduler_file=str(file), set_as_default=False) as client:
        client.wait_for_workers(count, timeout=LIMIT_S)
