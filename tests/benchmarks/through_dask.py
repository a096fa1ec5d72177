"""Is a run through Dask on one machine the same measurement as a local one? Interleaved repeats, and a test of that.

    python -m tests.benchmarks.through_dask --repeats 10

Each block is a local run and one on a worker of Dask of this machine, in turn one or the other first, on one private
server. What is tested is equivalence, and not the absence of a difference: a figure is equivalent when the whole 95 %
interval of its ratio (within blocks, by signed ranks, as `ombdriver compare` has it) lies within a margin. Linux only.
"""

import argparse
import contextlib
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ombdriver.bench.results.compare.statistics import FEWEST, paired
from ombdriver.testing import private_server
from tests.live.dask_processes import cluster

HOST = "127.0.0.2"
MARGINS = {
    "publishResponse.p50": 1.10,
    "publishResponse.p99": 1.25,
    "endToEndResponse.p50": 1.10,
    "endToEndResponse.p99": 1.25,
}
"""The figures, and the ratio that each may have at most; or at least, turned over."""
MOST_OF_ENGINE = 0.05
"""Of a core, in the window."""


@dataclass(frozen=True, slots=True)
class Equivalence:
    """One figure of the runs through Dask over that of local ones.

    Attributes:
        ratio: the estimate.
        low, high: the ends of its 95 % interval.
        margin: see `MARGINS`.
    """

    ratio: float
    low: float
    high: float
    margin: float

    @classmethod
    def of(cls, local: Sequence[float], through: Sequence[float], margin: float) -> "Equivalence":
        """Of two figures of each block, `FEWEST` blocks at least."""
        shift = paired(np.log(np.array(through)) - np.log(np.array(local)))
        assert shift.low is not None
        assert shift.high is not None
        return cls(math.exp(shift.estimate), math.exp(shift.low), math.exp(shift.high), margin)

    @property
    def is_shown(self) -> bool:
        """Whether every ratio that the runs leave possible is within the margin."""
        return 1 / self.margin <= self.low and self.high <= self.margin


def engine_shares(result: Mapping[str, Any]) -> list[float]:
    """What Dask took of a core in the window of a run: on its host, and its scheduler; as far as it is known."""
    telemetry = result["telemetry"]
    told = [telemetry["hosts"][0]["engineCpu"]["mean"], telemetry["schedulerCpu"]["mean"]]
    return [each for each in told if each is not None]


def table(local: Sequence[Mapping[str, Any]], through: Sequence[Mapping[str, Any]]) -> tuple[str, bool]:
    """The findings as Markdown, and whether all is as it is to be. One result of each kind a block, in order."""
    lines = ["| figure | through Dask / local | 95 % | margin | equivalent |", "|---|---|---|---|---|"]
    fine = True
    for name, margin in MARGINS.items():
        family, statistic = name.split(".")
        values = [[each["latency"][family][statistic] for each in some] for some in (local, through)]
        found = Equivalence.of(*values, margin)
        fine &= found.is_shown
        interval = f"{found.low:.3f} to {found.high:.3f}"
        lines.append(f"| {name} | {found.ratio:.3f} | {interval} | {margin} | {'yes' if found.is_shown else 'NO'} |")
    shares = [engine_shares(each) for each in through]
    most = max((sum(some) for some in shares if some), default=0.0)
    fine &= all(len(some) == 2 for some in shares) and most < MOST_OF_ENGINE
    lines += ["", f"Dask's processes took {most:.1%} of a core at most, of {MOST_OF_ENGINE:.0%} that it may."]
    for name, some in (("local", local), ("through Dask", through)):
        statuses = [each["verdict"]["status"] for each in some]
        lines.append(f"{name}: {', '.join(f'{statuses.count(each)} {each}' for each in dict.fromkeys(statuses))}")
    return "\n".join(lines), fine


def main() -> int:
    """Runs and tells; 1 if equivalence was not shown, or Dask took too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10, help=f"blocks, {FEWEST} at least")
    parser.add_argument("--rate", default="2000")
    parser.add_argument("--duration", default="14s")
    parser.add_argument("--warmup", default="3s")
    arguments = parser.parse_args()
    if arguments.repeats < FEWEST:
        parser.error(f"--repeats: {FEWEST} blocks at least")
    if sys.platform != "linux":
        sys.stdout.write(f"runs through Dask: only Linux has {HOST} as a second host of one machine\n")
        return 0
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ombdriver-")))
        server = stack.enter_context(private_server())
        scheduler = stack.enter_context(cluster(folder, (HOST,)))
        common = ("--url", server.url, "--rate", arguments.rate, "--duration", arguments.duration, "--plain")
        common += ("--warmup", arguments.warmup)
        ways = {
            "local": ("--workers", "2"),
            "through": ("--scheduler", str(scheduler), "--hosts", "1", "--workers-per-host", "2"),
        }
        results: dict[str, list[Mapping[str, Any]]] = {name: [] for name in ways}
        for block in range(arguments.repeats):
            for name in list(ways)[:: 1 if block % 2 == 0 else -1]:
                results[name].append(_run(folder / f"{name}-{block}", *common, *ways[name]))
                sys.stderr.write(f"block {block + 1} of {arguments.repeats}: {name}\n")
    text, fine = table(results["local"], results["through"])
    sys.stdout.write(f"{text}\n")
    return 0 if fine else 1


def _run(output: Path, *options: str) -> Mapping[str, Any]:
    command = [sys.executable, "-m", "ombdriver", "run", "1kb-3groups", "--output", str(output), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):  # VALID, or judged otherwise
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    (path,) = output.glob("*.json")
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    sys.exit(main())
