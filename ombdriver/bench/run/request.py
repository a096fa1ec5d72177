"""What a command asks for: runs, each a workload on a setup, in the order in which they are to run.

All that is wrong with files and options is in one error, before anything starts. Knows no server and no worker.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from ombdriver.bench.drivers.api import load_driver
from ombdriver.bench.hosts.cluster import Cluster, unfit_for_a_host, unreachable
from ombdriver.bench.plan.host_layout import told_layout
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.results.result import Result, Standing
from ombdriver.bench.results.store import results_in
from ombdriver.bench.results.versions import content_sha256
from ombdriver.bench.run.run_order import MOST_REPEATS, ordered
from ombdriver.bench.spec.credentials import connect_url
from ombdriver.bench.spec.overrides import Assignment, parse_all
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.sweep import (
    Combination,
    SetupVariant,
    WorkloadVariant,
    build_each,
    setup_variant,
    swept_values,
    variant_name,
    workload_variants,
)
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.telemetry.installation import usable_cores
from ombdriver.errors import InputError
from ombdriver.secrets import redact_text


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
        cluster: the hosts that its workers are on; None for this machine.
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
    cluster: Cluster | None = None

    @property
    def expected_s(self) -> float:
        """How long its messages are due, in seconds; a search is not in it."""
        plan = plan_of(self, "expected")
        return (plan.warmup_ns + plan.build_ns + plan.test_ns) / 1e9


def plan_of(request: Request, run_id: str) -> Plan:
    """What would run.

    Raises:
        InputError: if that number of workers can't do it.
    """
    layout = None if request.cluster is None else request.cluster.layout
    return make_plan(
        request.workload, request.setup, run_id, workers=request.workers, cores=request.cores, layout=layout
    )


def new_run_id() -> str:
    """A name for a run that no other has: 8 letters and digits, fit for a key and for a file's name."""
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(8))


def build_requests(
    *,
    workloads: Sequence[str],
    setups: Sequence[str],
    url: str | None,
    workers: int | None,
    output: Path,
    tags: Mapping[str, str],
    repeats: int = 1,
    assignments: Sequence[str] = (),
    options: Sequence[Assignment] = (),
    sweeps: Sequence[str] = (),
    sweep_names: Sequence[str] = (),
    force: bool = False,
    cluster: Cluster | None = None,
    is_named: bool = True,
    command_line: Sequence[str] = (),
) -> list[Request]:
    """Every workload on every setup, in the order of `run_order`.

    Args:
        workloads: names of shipped ones, or paths.
        setups: names of shipped ones, or paths.
        url: a server of the user's in place of the setup's.
        workers: how many processes; None chooses by the machine.
        output: the folder of results.
        tags: the user's words for the results.
        repeats: how often each workload meets each setup.
        assignments: `PATH=VALUE`, each, put into the files before they are validated.
        options: what options of one field put there after those; see `overrides.option_assignments`.
        sweeps: `PATH=VALUE,VALUE`, each, besides those of the workload files; all combinations run.
        sweep_names: `PART=TEMPLATE`, each; see `sweep`.
        force: servers are taken though a run may not fit into their memory.
        cluster: the hosts that workers are on; None for this machine.
        is_named: whether the user named the setups; such a one keeps its name on the server at `url`.
        command_line: as typed.

    Raises:
        InputError: if anything of it can't be; with the errors of all files and options.
    """
    errors: list[str] = []
    given: Sequence[Assignment] = ()
    try:
        given = parse_all(assignments)
    except InputError as error:
        errors += error.messages
    errors += repeats_errors(repeats)
    errors += _url_errors(url, setups, given)
    if cluster is not None:
        errors += cluster.errors()
        if workers is not None:
            errors.append("--workers: is of one machine; with --scheduler, say --workers-per-host")
        if errors:
            raise InputError(errors)
    of_workloads: list[str] = []
    variants = [
        variant
        for found in build_each(
            workloads, lambda name: workload_variants(name, [*given, *options], sweeps, sweep_names), of_workloads
        )
        for variant in found or ()
    ]
    there = None if url is None or len(setups) > 1 else _Url(url, keeps_name=is_named)
    met = _setups(setups, variants, given, there, errors)
    errors += of_workloads
    errors += _name_errors(setups, [next(each for (name, *_), each in met.items() if name == one) for one in setups])
    requests = [
        [
            Request(
                workload=variant.workload,
                setup=setup.setup,
                output=output,
                workers=workers,
                cores=usable_cores(),
                tags=tags,
                command_line=command_line,
                overrides=[str(one) for one in given],
                sweep=swept_values(values),
                sweep_of={"workload": variant.own_name, "setup": setup.own_name} if values else {},
                force=force,
                cluster=cluster,
            )
            for name in setups
            for combination in variant.setups
            if (setup := met[_key(name, variant, combination)])
            for values in [(*variant.combination, *combination)]
        ]
        for variant in variants
    ]
    every = [request for some in requests for request in some]
    if cluster is not None:
        errors += dict.fromkeys(error for one in every for error in _host_errors(one.setup, cluster))
    build_each(every, lambda one: plan_of(one, "check"), errors, lambda one: f"{one.workload.name} x {one.setup.name}")
    if errors:
        raise InputError(errors)
    return [
        replace(requests[workload][setup], standing=standing)
        for workload, setup, standing in ordered(new_run_id(), [len(some) for some in requests], repeats)
    ]


SetupKey = tuple[str, str | None, str]
"""(name or path as given, template of its name, name of a combination of swept values)."""


def _key(name: str, variant: WorkloadVariant, combination: Combination) -> SetupKey:
    return name, variant.setup_template, variant_name("", combination)


def _setups(
    setups: Sequence[str],
    variants: Sequence[WorkloadVariant],
    assignments: Sequence[Assignment],
    url: "_Url | None",
    errors: list[str],
) -> Mapping[SetupKey, SetupVariant | None]:
    """Every setup that a workload meets, read once; None where that fails, which is added to `errors`."""
    wanted: dict[SetupKey, Combination] = {
        _key(name, variant, combination): combination
        for name in setups
        for variant in variants
        for combination in variant.setups
    }
    if not variants:  # what is wrong with setups is reported beside what is wrong with workloads
        wanted = {(name, None, variant_name("", ())): () for name in setups}
    built = build_each(
        list(wanted.items()),
        lambda one: _setup(one[0][0], one[1], one[0][1], url, assignments),
        errors,
        lambda one: one[0][0],
    )
    return dict(zip(wanted, built, strict=True))


class _Url(NamedTuple):
    """A server in place of a setup's own, and whether the setup is still called as before."""

    url: str
    keeps_name: bool


def _setup(
    name: str, values: Combination, template: str | None, url: _Url | None, assignments: Sequence[Assignment]
) -> SetupVariant:
    """Raises InputError with the errors of its file, or if its driver or its password can't be had."""
    variant = setup_variant(name, values, template, assignments)
    if url is not None:
        variant = replace(variant, setup=variant.setup.with_url(url.url, keep_name=url.keeps_name))
    setup = variant.setup
    try:
        load_driver(setup.driver_used)
    except InputError as error:
        raise InputError([f"{name}: driver: {message}" for message in error.messages]) from error
    if setup.server is not None and setup.server.url is not None:
        try:
            connect_url(setup.server)  # only to find what is missing
        except InputError as error:
            raise InputError([f"{'--url' if url else name}: {message}" for message in error.messages]) from error
    return variant


def _host_errors(setup: Setup, cluster: Cluster) -> list[str]:
    """Why workers on the hosts of `cluster` can't use this setup."""
    if setup.loopback:
        return [f"{setup.name}: its driver lives in one process, and a cluster has many; choose another --setup"]
    if setup.server is None:
        return []
    errors = []
    if setup.server.engine is None and cluster.server_host is not None:
        errors.append(f"--server-host: {setup.name} names a server that runs already; leave one of the two out")
    elif setup.server.engine is not None and cluster.server_host is None:
        errors.append(
            f"{setup.name}: starts a server of this machine's own, which other hosts can't reach; give --server-host"
            " first to start it on one of them, or --url"
        )
    elif setup.server.engine is not None and (why_not := unfit_for_a_host(setup.server.plan)) is not None:
        errors.append(f"--server-host: {setup.name}: {why_not}")
    if setup.client.pacing == "spin":
        errors.append(f"{setup.name}: client.pacing: spin is for one machine, whose cores are known; write adaptive")
    if cluster.scheduler is not None and not cluster.on_this_machine and (here := unreachable(setup.server.urls)):
        what = "it means" if len(here) == 1 else "they mean"
        named = redact_text(", ".join(here))
        errors.append(f"{setup.name}: {named}: {what} another machine on each host; give the address of this one")
    return errors


def repeats_errors(repeats: int) -> list[str]:
    """What is wrong with so many repeats."""
    if 1 <= repeats <= MOST_REPEATS:
        return []
    return [f"--repeats: {repeats} is out of range; write 1 to {MOST_REPEATS}"]


def _url_errors(url: str | None, setups: Sequence[str], assignments: Sequence[Assignment]) -> list[str]:
    if url is None:
        return []
    if len(setups) > 1:
        return [
            f"--url: takes the place of one setup's server, and there are {len(setups)} setups;"
            " leave it out, or write it into a setup file as server: {url: ...}"
        ]
    moot = [one.option.name for one in assignments if one.part == "setup" and one.path[0] == "server"]
    return [f"{name}: has no effect, since --url takes the server's place; leave one of them out" for name in moot]


def _name_errors(given: Sequence[str], setups: Sequence[SetupVariant | None]) -> list[str]:
    """Of setups that are called like another one: their results could not be told apart."""
    errors: dict[str, None] = {}
    first: dict[str, str] = {}
    for word, variant in zip(given, setups, strict=True):
        if variant is None:
            continue
        name = variant.setup.name
        if name not in first:
            first[name] = word
        elif first[name] == word:
            errors[f"--setup: {word} is given twice; leave it out, --repeats 2 runs it twice"] = None
        else:
            other = f"has the name {name!r}, as {first[name]} has"
            errors[f"--setup: {word} {other}; give one of them another name"] = None
    return list(errors)


RunKey = tuple[str, str, int, str]
"""(hash of the workload, hash of the setup, number of the repeat, where the workers are)."""


def remaining_runs(requests: Sequence[Request], folder: Path) -> list[Request]:
    """`requests` without those of which `folder` has a whole result, whatever its verdict.

    A run is known by its workload, its setup, the number of its repeat, and the hosts that it asks for. What is left
    goes on in the series of the results that are there, so that a comparison pairs them within their blocks.

    Raises:
        InputError: if a result in the folder can't be read.
    """
    done = _done(folder)
    wanted = {_run_key(one): one for one in requests}
    series = [result.standing.series for key, result in done.items() if key in wanted and result.standing is not None]
    left = [one for key, one in wanted.items() if key not in done]
    if not series:
        return left
    return [replace(one, standing=replace(one.standing, series=series[-1])) for one in left if one.standing is not None]


def _done(folder: Path) -> dict[RunKey, Result]:
    return {
        (
            result.workload_sha256,
            result.setup_sha256,
            result.standing.block,
            told_layout(result.environment.get("layout")),
        ): result
        for result in (each.result for each in results_in(folder))
        if result.standing is not None and not result.partial
    }


def _run_key(request: Request) -> RunKey:
    assert request.standing is not None
    setup = json.loads(json.dumps(request.setup.spec()))  # as a result has it
    layout = told_layout(None if request.cluster is None else request.cluster.layout.to_json())
    return request.workload.sha256, content_sha256(setup), request.standing.block, layout
