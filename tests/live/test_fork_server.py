"""The process that forks workers: what it shares with them, and how all of them end."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from processes import all_ended, workers_of

from ombdriver.bench.hosts.local import LocalLauncher, WorkerProcess
from ombdriver.bench.run.workers import PARENTS_SIGNALS
from ombdriver.bench.worker import wire_format

PARENT = """
import asyncio
from ombdriver.bench.hosts.local import LocalLauncher
from ombdriver.bench.worker import wire_format

async def main():
    greeted = [asyncio.Event() for _ in range(3)]
    with LocalLauncher() as launcher:
        for number, event in enumerate(greeted):
            launcher.start(number, [wire_format.greeting()], lambda _, event=event: event.set(), lambda: None)
        for event in greeted:
            await event.wait()
        print("there", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


class Greeted:
    """A worker that waits to be told what it is for, once it has greeted."""

    def __init__(self, launcher: LocalLauncher, number: int) -> None:
        self.greeting, self.gone = asyncio.Event(), asyncio.Event()
        self.process: WorkerProcess = launcher.start(
            number, [wire_format.greeting()], lambda _: self.greeting.set(), self.gone.set
        )


@contextlib.asynccontextmanager
async def greeted(count: int) -> AsyncIterator[list[Greeted]]:
    """So many workers, which are ended afterwards; nothing is left of them or of what forked them."""
    with LocalLauncher(PARENTS_SIGNALS) as launcher:
        workers = [Greeted(launcher, number) for number in range(count)]
        for each in workers:
            await each.greeting.wait()
        yield workers
        for each in workers:
            await each.process.end(0)
    assert workers_of(psutil.Process()) == []


def fork_server() -> psutil.Process:
    """That of this process."""
    (found,) = {each.parent() for each in workers_of(psutil.Process())}
    return found


async def test_workers_are_forked_and_told_by_their_own_exit_codes() -> None:
    """Each has a name that `top` shows, and its pipe ends with it though others were forked after it."""
    async with greeted(3) as workers:
        assert [each.process.pid for each in workers] == [each.pid for each in workers_of(psutil.Process())]
        if sys.platform == "linux":
            assert [each.name() for each in workers_of(psutil.Process())] == [f"ombdriver-w{n}" for n in range(3)]
        for each, number in zip(workers, (signal.SIGKILL, signal.SIGSEGV), strict=False):
            each.process.signal(number)
            await each.gone.wait()
            assert each.process.fate() == f"died with exit code -{int(number)}"
        assert not workers[2].gone.is_set()


async def test_what_reaches_all_of_the_group_ends_no_worker_and_not_what_forks_them() -> None:
    """Neither Ctrl-C nor a closed terminal: that is for the parent to act on."""
    async with greeted(2) as workers:
        for process in (fork_server(), *workers_of(psutil.Process())):
            for number in PARENTS_SIGNALS:
                process.send_signal(number)
        workers[0].process.signal(signal.SIGKILL)
        await workers[0].gone.wait()

        assert workers[0].process.fate() == "died with exit code -9"
        assert not workers[1].gone.is_set()


async def test_without_what_forks_them_workers_are_lost_and_new_ones_have_another() -> None:
    """The worker itself may live; it is ended all the same."""
    with LocalLauncher() as launcher:
        lost = Greeted(launcher, 0)
        await lost.greeting.wait()
        pid = lost.process.pid
        server = fork_server()
        server.kill()
        assert lost.process.fate() == "was lost with the process that had forked it"
        assert not lost.gone.is_set()
        while server.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)

        another = Greeted(launcher, 1)
        await another.greeting.wait()
        for each in (lost, another):
            await each.process.end(0)

    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_a_parent_that_is_gone(number: signal.Signals, tmp_path: Path) -> None:
    """Not even a worker that is stopped, which sees the end of its pipe only when it goes on."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "there\n"
        workers = workers_of(psutil.Process(parent.pid))
        family = [*workers, workers[0].parent()]
        workers[1].suspend()
        parent.send_signal(number)

    assert len(workers) == 3
    assert all_ended(family)


async def test_a_worker_is_of_the_package_that_started_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though another comes first in the environment; and modules of Python's names take the place of none."""
    other, here = tmp_path / "other", tmp_path / "here"
    (other / "ombdriver").mkdir(parents=True)
    (other / "ombdriver" / "__init__.py").write_text("raise SystemExit(99)\n")
    here.mkdir()
    for name in ("select", "socket", "struct", "uvloop", "numpy"):
        (here / f"{name}.py").write_text("raise SystemExit(98)\n")
    monkeypatch.setenv("PYTHONPATH", str(other))
    monkeypatch.setattr(sys, "path", ["", str(here), *sys.path])
    monkeypatch.chdir(here)

    async with greeted(1) as (worker,):
        assert not worker.gone.is_set()
