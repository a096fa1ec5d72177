"""`make instructions`: instructions of the library's client per message, of two revisions, counted by Valgrind.

On a machine that is shared, times of one program differ by a factor of two from one minute to the next; counts differ
by a part in a hundred. So this is what a change is held against where `make bench` is too noisy. A count is no time: it
knows nothing of caches, waits and the server, and a program that is slowed down thirtyfold reads larger replies.
"""

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis

from ombdriver.bench.servers.private_server import PrivateServer
from tests.benchmarks import library

FEW, MANY = 4_000, 16_000
"""Messages of the two runs of a row: what both do alike, starting up above all, is in the difference no more."""
ROWS = {
    "send_message, 500 callers": ("library.ours(url, count, 500)", ""),
    "Producer.send_and_wait, 500 callers": ("library.topic(url, count, 500)", ""),
    "Producer.send, one caller": ("library.topic_unwaited(url, count)", ""),
    "GroupConsumer, read 500 and ack": ("library.consume_ours(url)", "p"),
    "Consumer, each handed out and acked": ("library.consume_topic(url)", "value"),
    "Runner, each handled and acked": ("library.run_topic(url)", "value"),
    "driver, read 500 and ack": ("library.consume_driver(url)", "p"),
}
"""What is counted, by what calls it in a revision's own `tests.benchmarks.library`, and the field of the messages that
are to be in the stream before; none where nothing is read.
"""
PROGRAM = """
import gc, sys
import uvloop
from redis.asyncio import Redis
from tests.benchmarks import library

async def filled(url, field="p"):
    return Redis.from_url(url)

url, count = sys.argv[1], int(sys.argv[2])
library.FILLED, library.filled = count, filled
gc.disable()
uvloop.run({call})
"""


def fill(url: str, field: str, count: int) -> None:
    """Makes the stream that readers read, outside of what is counted."""
    with redis.Redis.from_url(url) as client:
        client.delete("filled")
        pipeline = client.pipeline(transaction=False)
        for _ in range(count):
            pipeline.xadd("filled", {field: library.PAYLOAD})
        pipeline.execute()


def counted(tree: Path, url: str, call: str, count: int) -> int:
    """Instructions of a process of the revision in `tree` that carries out `call`.

    Raises:
        SystemExit: if it fails; most often the revision has no such figure.
    """
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", sys.executable]
    program = PROGRAM.replace("{call}", call)
    environment = {"PYTHONPATH": str(tree), "PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [*command, "-c", program, url, str(count)],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if done.returncode or found is None:
        sys.exit(f"{call} of {tree.name} failed:\n{done.stderr[-2000:]}")
    return int(found[1].replace(",", ""))


def per_message(tree: Path, url: str, name: str) -> float:
    """Instructions for one more message of a row."""
    call, field = ROWS[name]
    found = []
    for count in (FEW, MANY):
        if field:
            fill(url, field, count)
        found.append(counted(tree, url, call, count))
    return (found[1] - found[0]) / (MANY - FEW)


def row(name: str, before: float, now: float) -> str:
    """A line of the table; the ratio is one of speeds, as in `make bench`: below 1 the new revision does more."""
    return f"{name:<40}{before:>12,.0f}{now:>12,.0f}{before / now:>9.3f}"


def tell(line: str) -> None:
    """Prints a line, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """A folder with that revision of this repository."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "before"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, revision], check=True)
        try:
            # Else the first count of a row would be one of compiling, too.
            subprocess.run([sys.executable, "-m", "compileall", "-q", tree / "ombdriver", tree / "tests"], check=True)
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], check=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table, line by line: a row takes a minute."""
    parser = argparse.ArgumentParser(prog="make instructions", description=__doc__)
    parser.add_argument("against", metavar="REVISION", help="what is compared with: a commit or branch")
    parser.add_argument("--row", action="append", choices=ROWS, metavar="NAME", help="only this row; all without it")
    options = parser.parse_args(arguments)
    if shutil.which("valgrind") is None:
        parser.error("valgrind is missing; install it (Debian's package valgrind)")
    names = options.row or list(ROWS)
    now_tree = Path(__file__).parents[2]
    with checked_out(options.against) as before_tree, asyncio.Runner() as runner:
        server = runner.run(PrivateServer.start())
        try:
            tell(f"{'instructions per message':<40}{'before':>12}{'now':>12}{'ratio':>9}")
            for name in names:
                before, now = (per_message(tree, server.url, name) for tree in (before_tree, now_tree))
                tell(row(name, before, now))
        finally:
            runner.run(server.stop())


if __name__ == "__main__":
    main()
