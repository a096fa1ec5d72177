"""What the user asks for: one run, and its plan.

What a user names and overrides -> requests that can be run, in their order; all faults of it in one error.

What a command has left to do: its runs without those that the folder of results has already.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.results.environment import usable_cores
from ombdriver.bench.results.result import Result, Standing
from ombdriver.bench.results.store import results_in
from ombdriver.bench.results.versions import content_sha256
from ombdriver.bench.run.run_order import MOST_REPEATS, ordered
from ombdriver.bench.spec.overrides import Assignment, Overrides, parse_all
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.sweep import each_made, named, setup_of, values_of, variants_of
from ombdriver.bench.spec.workload import Workload
from ombdriver.errors import InputError


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


def requests_of(
    *,
    workloads: Sequence[str],
    setups: Sequence[str],
    url: str | None,
    duration: int | None,
    warmup: int | None,
    rate: int | None,
    workers: int | None,
    output: Path,
    tags: Mapping[str, str],
    repeats: int = 1,
    assignments: Sequence[str] = (),
    sweeps: Sequence[str] = (),
    sweep_names: Sequence[str] = (),
    thresholds: Sequence[str] = (),
    abort_on_fail: bool = False,
    probe_rates: Sequence[int] = (),
    probe_steps: int | None = None,
    force: bool = False,
    command_line: Sequence[str] = (),
) -> list[Request]:
    """Every workload on every setup, in the order in which they are to run; see `series`.

    Args:
        workloads: names of shipped ones, or paths.
        setups: names of shipped ones, or paths.
        url: a server of the user's in place of the setup's.
        duration: measured time in nanoseconds, in place of each workload's; so are the next two.
        warmup: warm-up in nanoseconds.
        rate: messages per second.
        workers: how many processes; None chooses by the machine.
        output: the folder of results.
        tags: the user's words for the results.
        repeats: how often each workload meets each setup.
        assignments: `PATH=VALUE`, each, put into the files before they are validated.
        sweeps: `PATH=VALUE,VALUE`, each, besides those of the workload files; all combinations run.
        sweep_names: `PART=TEMPLATE`, each; see `sweep_names`.
        thresholds: conditions besides each workload's own.
        abort_on_fail: each run ends as soon as a threshold fails.
        probe_rates: rates to try, in place of a search for the highest.
        probe_steps: how many rates are tried after such a search.
        force: servers are taken though a run may not fit into their memory.
        command_line: as typed.

    Raises:
        InputError: if anything of it can't be; with the faults of all files and options.
    """
    faults: list[str] = []
    given: Sequence[Assignment] = ()
    try:
        given = parse_all(assignments)
    except InputError as error:
        faults += error.faults
    if not 1 <= repeats <= MOST_REPEATS:
        faults.append(f"--repeats: {repeats} is out of range; write 1 to {MOST_REPEATS}")
    faults += _faults_of_url(url, setups, given)
    one_url = url if len(setups) == 1 else None
    overrides = Overrides(duration, warmup, rate, probe_rates, probe_steps, thresholds, abort_on_fail)
    of_workloads: list[str] = []
    variants = [
        variant
        for found in each_made(
            workloads, lambda name: variants_of(name, given, sweeps, sweep_names, overrides), of_workloads
        )
        for variant in found or ()
    ]
    met = [(variant.setup_name, variant.setups) for variant in variants] or [(None, ((),))]
    wanted = {
        (name, template, named("", values)): values for name in setups for template, some in met for values in some
    }
    read = each_made(
        list(wanted.items()),
        lambda one: setup_of(one[0][0], one[1], one[0][1], one_url, given),
        faults,
        lambda one: one[0][0],
    )
    read_setups = dict(zip(wanted, read, strict=True))
    faults += of_workloads
    first = [next(made for (name, *_), made in read_setups.items() if name == word) for word in setups]
    faults += _called_alike(setups, [None if made is None else made.setup for made in first])
    texts = [str(one) for one in given]
    requests = [
        [
            Request(
                variant.workload,
                met_by.setup,
                output,
                workers,
                usable_cores(),
                tags,
                command_line,
                overrides=texts,
                sweep=values_of(values),
                sweep_of={"workload": variant.own_name, "setup": met_by.own_name} if values else {},
                force=force,
            )
            for name in setups
            for combination in variant.setups
            if (met_by := read_setups[name, variant.setup_name, named("", combination)])
            for values in [(*variant.combination, *combination)]
        ]
        for variant in variants
    ]
    every = [request for some in requests for request in some]
    each_made(every, lambda one: plan_of(one, "check"), faults, lambda one: f"{one.workload.name} x {one.setup.name}")
    if faults:
        raise InputError(faults)
    return [
        replace(requests[workload][setup], standing=standing)
        for workload, setup, standing in ordered(new_run_id(), [len(some) for some in requests], repeats)
    ]


def _faults_of_url(url: str | None, setups: Sequence[str], given: Sequence[Assignment]) -> list[str]:
    if url is None:
        return []
    if len(setups) > 1:
        return [
            f"--url: takes the place of one setup's server, and there are {len(setups)} setups;"
            " leave it out, or write it into a setup file as server: {url: ...}"
        ]
    moot = [one.option for one in given if one.part == "setup" and one.path[0] == "server"]
    return [f"{option}: has no effect, since --url takes the server's place; leave one of them out" for option in moot]


def _called_alike(given: Sequence[str], setups: Sequence[Setup | None]) -> list[str]:
    """Setups that are called like another one: their results could not be told apart."""
    faults: dict[str, None] = {}
    first: dict[str, str] = {}
    for word, setup in zip(given, setups, strict=True):
        if setup is None:
            continue
        if setup.name not in first:
            first[setup.name] = word
        elif first[setup.name] == word:
            faults[f"--setup: {word} is given twice; leave it out, --repeats 2 runs it twice"] = None
        else:
            other = f"has the name {setup.name!r}, as {first[setup.name]} has"
            faults[f"--setup: {word} {other}; give one of them another name"] = None
    return list(faults)


Key = tuple[str, str, int]
"""(hash of the workload, hash of the setup, number of the repeat)."""


def left_to_run(requests: Sequence[Request], folder: Path) -> list[Request]:
    """`requests` without those of which `folder` has a whole result, whatever its verdict.

    A run is known by its workload, its setup and the number of its repeat. What is left goes on in the series of the
    results that are there, so that a comparison pairs them within their blocks.

    Raises:
        InputError: if a result in the folder can't be read.
    """
    done = _done(folder)
    ours = {_key_of(one): one for one in requests}
    series = [result.standing.series for key, result in done.items() if key in ours and result.standing is not None]
    left = [one for key, one in ours.items() if key not in done]
    if not series:
        return left
    return [replace(one, standing=replace(one.standing, series=series[-1])) for one in left if one.standing is not None]


def _done(folder: Path) -> dict[Key, Result]:
    return {
        (result.workload_sha256, result.setup_sha256, result.standing.block): result
        for result in (each.result for each in results_in(folder))
        if result.standing is not None and not result.partial
    }


def _key_of(request: Request) -> Key:
    assert request.standing is not None
    setup = json.loads(json.dumps(request.setup.spec()))  # as a result has it
    return request.workload.sha256, content_sha256(setup), request.standing.block
