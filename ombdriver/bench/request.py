"""What the user asks for: one run, and its plan."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ombdriver.bench.plan import Plan
from ombdriver.bench.planning import make_plan
from ombdriver.bench.result_parts import Standing
from ombdriver.bench.setup import Setup
from ombdriver.bench.workload import Workload


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks for.

    Attributes:
        workload: what to send and read.
        setup: against what.
        output: the folder of results.
        workers: how many processes; None chooses by the machine.
        cores: the processor cores of this machine.
        tags: the user's words for the result.
        command_line: as typed; passwords in it are hidden before it is stored.
        standing: where the run stands among those of its command; None when it is of none.
        sweep: the values that swept settings have in this run, by path.
        sweep_of: what the swept `workload` and `setup` call themselves without those values; empty without a sweep.
        force: a server is taken though the run may not fit into its memory.
        overrides: what the command line has put into the files, without passwords; workload and setup have it already.
    """

    workload: Workload
    setup: Setup
    output: Path
    workers: int | None
    cores: int
    tags: Mapping[str, str] = field(default_factory=dict)
    command_line: Sequence[str] = ()
    standing: Standing | None = None
    overrides: Sequence[str] = ()
    sweep: Mapping[str, object] = field(default_factory=dict)
    sweep_of: Mapping[str, str] = field(default_factory=dict)
    force: bool = False

    @property
    def expected_s(self) -> float:
        """How long its messages are due, in seconds; a search is not in it."""
        workload = self.workload
        readers = workload.consumer_per_subscription if self.setup.streams.read == "plain" else 1
        built = workload.backlog_bytes / workload.message_size / max(1, len(workload.groups) * readers)
        built_s = built / workload.producer_rate if built else 0.0
        return (workload.warmup_ns + workload.test_ns) / 1e9 + built_s


def plan_of(request: Request, run_id: str) -> Plan:
    """What would run.

    Raises:
        InputError: if that number of workers can't do it.
    """
    return make_plan(request.workload, request.setup, run_id, workers=request.workers, cores=request.cores)


def new_run_id() -> str:
    """A name for a run that no other has: 8 letters and digits, fit for a key and for a file's name."""
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(8))
