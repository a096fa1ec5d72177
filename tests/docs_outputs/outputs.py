"""Every output that README and docs show: by which commands it is made, in what surroundings, and where it stands.

Those that can't vary are held by `tests/unit/cli/test_docs_console.py` as well.
"""

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import redis

from ombdriver.testing import LocalServer, private_server
from tests.docs_outputs.blocks import Block, Part

Surroundings = Callable[[Path], contextlib.AbstractContextManager[Mapping[str, str]]]
"""Makes what commands need in their folder, and gives what stands in the commands in place of what the page says."""


@contextlib.contextmanager
def nothing(_folder: Path) -> Iterator[Mapping[str, str]]:
    """No more than a folder."""
    yield {}


@dataclass(frozen=True, slots=True)
class Output:
    """What some commands print, one after the other.

    Attributes:
        name: as in the marks of pages.
        commands: as the page shows them, for a shell.
        blocks: where it stands.
        seconds: how long it takes, about; for who waits.
        codes: with which exit codes the last command may end; 3 is a verdict that is not VALID.
        progress: whether standard error is shown too; a run tells its progress there.
        surroundings: what the commands need.
        in_checkout: whether they run at the top of the repository, and not in a folder of their own.
        picture: a section of the page of the results of which a picture is taken, into docs.
        is_constant: whether it is the same wherever and whenever it is made.
    """

    name: str
    commands: Sequence[str]
    blocks: Sequence[Block]
    seconds: int = 1
    codes: frozenset[int] = frozenset({0})
    progress: bool = False
    surroundings: Surroundings = nothing
    in_checkout: bool = False
    picture: str = ""
    is_constant: bool = field(default=False, kw_only=True)


# -- surroundings ------------------------------------------------------------------------------------------------------

ALIVE_S = 60
"""`ombdriver clean` leaves a run alone that was alive less long ago."""


def _run_on(url: str, duration: str = "1s") -> Sequence[str]:
    """A short run, or a long one, on a server."""
    options = ["--url", url, "--duration", duration, "--warmup", "0s", "--quiet"]
    return [sys.executable, "-m", "ombdriver", "run", "1kb-low-rate", *options]


@contextlib.contextmanager
def other_setting(folder: Path) -> Iterator[Mapping[str, str]]:
    """A result of a server, one of whose settings has changed since."""
    with private_server() as server:
        server.ask("CONFIG", "SET", "requirepass", "PASSWORD")
        url = f"redis://:PASSWORD@127.0.0.1:{server.port}/0"
        subprocess.run(_run_on(url), cwd=folder, check=False, capture_output=True)
        (result,) = (folder / "results").glob("*.json")
        with redis.Redis.from_url(url) as client:
            client.config_set("hz", 50)
        yield {"RESULT": f"results/{result.name}", "URL": url}


@contextlib.contextmanager
def killed_run(folder: Path) -> Iterator[Mapping[str, str]]:
    """A server on which a run was killed outright, a minute ago."""
    with private_server() as server:
        with subprocess.Popen(_run_on(f"{server.url}/0", "10m"), cwd=folder, stderr=subprocess.DEVNULL) as run:
            while not _streams(server):
                if run.poll() is not None:
                    raise RuntimeError(f"the run that was to be killed ended by itself, with code {run.returncode}")
                time.sleep(0.1)
            run.send_signal(signal.SIGKILL)
        time.sleep(ALIVE_S + 1)
        yield {"redis://localhost:6379/0": f"{server.url}/0"}


def _streams(server: LocalServer) -> object:
    """The streams that have messages."""
    keys = server.ask("KEYS", "{*}")
    return [key for key in keys if server.ask("XLEN", str(key))] if isinstance(keys, list) else []


@contextlib.contextmanager
def closed_server(folder: Path) -> Iterator[Mapping[str, str]]:
    """A workload, and a setup with a server that is not there."""
    (folder / "w.yaml").write_text(
        "name: w\ntopics: 1\npartitionsPerTopic: 1\nmessageSize: 1KiB\nsubscriptionsPerTopic: 1\nproducersPerTopic: 1\n"
        "consumerPerSubscription: 1\nproducerRate: 500\ntestDuration: 5s\nwarmupDuration: 1s\n"
    )
    (folder / "closed.yaml").write_text("name: closed\ndriver: redis-streams\nserver: {url: redis://127.0.0.1:1}\n")
    yield {}


@contextlib.contextmanager
def files_of_the_page(folder: Path) -> Iterator[Mapping[str, str]]:
    """The YAML blocks of docs/reference/workload.md that have a name, as files."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "workload.md").read_text(encoding="utf-8")
    for name, text in re.findall(r"^```yaml\nname: (\w+)\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        (folder / f"{name}.yaml").write_text(f"name: {name}\n{text}", encoding="utf-8")
    yield {}


# -- the outputs -------------------------------------------------------------------------------------------------------

SIDE_BY_SIDE = (
    *("embedded", "redis-local", "valkey-unix", "redis-tls"),
    *("valkey-no-persistence", "valkey-aof-everysec", "valkey-aof-always"),
    *("valkey-replicated-wait", "valkey-sentinel", "valkey-cluster-3"),
    *("ack-each", "noack", "plain-read", "redis-py-client"),
)
SHORT = "--duration 15s --warmup 3s"

OUTPUTS: Sequence[Output] = (
    Output(
        "first-run",
        ["make run 2>&1 | cat"],
        [
            Block(
                "docs/tutorials/first-run.md",
                [Part("^ready", "^warm-up +2 of"), Part("^clean cut", "^measure +2 of"), Part("^measure +30 of")],
            ),
            Block(
                "README.md",
                [
                    Part("^VALID$", "^$|^ "),
                    Part("^Latency$", "^  group-1"),
                    Part("^Rates and messages", "^publish errors"),
                    Part("^Delivery of", "^group-2"),
                ],
                shows_command=False,
            ),
        ],
        seconds=60,
        in_checkout=True,
    ),
    Output(
        "compare",
        ["make demo"],
        [
            Block(
                "docs/tutorials/compare.md",
                [
                    Part("^1kb-3groups: valkey-aof-everysec against", "^$"),
                    Part("^1kb-3groups: valkey-aof-always", "^$"),
                ],
                shows_command=False,
            ),
            Block("README.md", [Part("^1kb-3groups: valkey-aof-always against", "^$")], shows_command=False),
        ],
        seconds=700,
        codes=frozenset({0, 2}),  # make's own, where a run was not VALID: it is left out of the comparison
        in_checkout=True,
        picture="comparison",
    ),
    Output(
        "profile",
        ["ombdriver run 1kb-spike"],
        [Block("docs/how-to/changing-load.md", [Part("^Stretches of the profile", "^$")])],
        seconds=60,
    ),
    Output(
        "backlog",
        ["ombdriver run 1kb-backlog --set workload.consumerBacklogSizeGB=0.2"],
        [Block("docs/how-to/backlog.md", [Part("^Backlog, drained", "^$")])],
        seconds=60,
    ),
    Output(
        "highest-rate",
        ["ombdriver run 1kb-max --warmup 2s --duration 10s"],
        [Block("docs/how-to/highest-rate.md", [Part("^Highest sustained rate", "^$")])],
        seconds=200,
        picture="load",
    ),
    Output("calibrate", ["ombdriver calibrate"], [Block("docs/how-to/calibrate.md")], seconds=100),
    Output(
        "rerun",
        ["ombdriver rerun RESULT --url URL --quiet"],
        [Block("docs/how-to/rerun.md", [Part("not as it was", "^(?!.*not as it was)")])],
        seconds=10,
        codes=frozenset({0, 3}),
        progress=True,
        surroundings=other_setting,
    ),
    Output(
        "several-runs",
        ["ombdriver run w.yaml --setup memory --setup closed.yaml --repeats 2 --quiet"],
        [Block("docs/how-to/several-runs.md", [Part("^Series")])],
        seconds=20,
        codes=frozenset({1}),
        surroundings=closed_server,
    ),
    Output(
        "clean",
        [
            "ombdriver clean --url redis://localhost:6379/0 --dry-run",
            "ombdriver clean --url redis://localhost:6379/0",
        ],
        [Block("docs/how-to/your-server.md")],
        seconds=70,
        surroundings=killed_run,
    ),
    Output(
        "side-by-side",
        [
            " ".join(["ombdriver run 1kb-3groups", *(f"--setup {name}" for name in SIDE_BY_SIDE), SHORT]),
            "ombdriver report results --format markdown",
        ],
        [Block("docs/setups.md", [Part(r"^\| run \| verdict", "^$")], shows_command=False, fence="")],
        seconds=400,
    ),
    Output(
        "telemetry",
        ["python -m tests.benchmarks.telemetry"],
        [Block("docs/explanation/telemetry.md", shows_command=False, fence="")],
        seconds=5,
        in_checkout=True,
    ),
    Output(
        "coordinator",
        ["python -m tests.benchmarks.coordinator"],
        [Block("docs/cluster.md", shows_command=False, fence="")],
        seconds=60,
        in_checkout=True,
    ),
    Output(
        "workload",
        ["ombdriver workloads show 1kb-3groups"],
        [Block("docs/how-to/own-workload.md")],
        is_constant=True,
    ),
    Output("plan", ["ombdriver plan 1kb-3groups"], [Block("docs/how-to/own-workload.md")], is_constant=True),
    Output(
        "bad-workload",
        ["ombdriver run bad.yaml", "echo $?"],
        [Block("docs/reference/workload.md")],
        progress=True,
        surroundings=files_of_the_page,
        is_constant=True,
    ),
)
"""All of them, in the order in which they are made."""
