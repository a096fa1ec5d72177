"""What a user names and overrides -> requests that can be run, in their order; all faults of it in one error."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from ombdriver.bench import catalogue
from ombdriver.bench.assignments import Assignment, parse_all
from ombdriver.bench.driver import load_driver
from ombdriver.bench.environment import usable_cores
from ombdriver.bench.login import connect_url
from ombdriver.bench.overrides import Overrides
from ombdriver.bench.request import Request, new_run_id, plan_of
from ombdriver.bench.series import MOST_REPEATS, ordered
from ombdriver.bench.setup import Setup
from ombdriver.bench.sweeps import Combination, combinations, name_given, named, parse_sweeps, values_of
from ombdriver.bench.workload import Workload
from ombdriver.errors import InputError

Given = TypeVar("Given")
Made = TypeVar("Made")


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
    thresholds: Sequence[str] = (),
    abort_on_fail: bool = False,
    probe_rates: Sequence[int] = (),
    probe_steps: int | None = None,
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
        thresholds: conditions besides each workload's own.
        abort_on_fail: each run ends as soon as a threshold fails.
        probe_rates: rates to try, in place of a search for the highest.
        probe_steps: how many rates are tried after such a search.
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
        for found in _each(workloads, lambda name: _variants(name, given, sweeps, overrides), of_workloads)
        for variant in found or ()
    ]
    wanted = {
        (name, named("", values)): values
        for name in setups
        for values in [values for variant in variants for values in variant.setups] or [()]
    }
    read = _each(
        list(wanted.items()), lambda one: _setup(one[0][0], one[1], one_url, given), faults, lambda one: one[0][0]
    )
    read_setups = dict(zip(wanted, read, strict=True))
    faults += of_workloads
    first = [next(made for (name, _), made in read_setups.items() if name == word) for word in setups]
    faults += _called_alike(setups, first)
    texts = [str(one) for one in given]
    requests = [
        [
            Request(
                variant.workload,
                setup,
                output,
                workers,
                usable_cores(),
                tags,
                command_line,
                overrides=texts,
                sweep=values_of((*variant.combination, *combination)),
            )
            for name in setups
            for combination in variant.setups
            if (setup := read_setups[name, named("", combination)])
        ]
        for variant in variants
    ]
    every = [request for some in requests for request in some]
    _each(every, lambda one: plan_of(one, "check"), faults, lambda one: f"{one.workload.name} x {one.setup.name}")
    if faults:
        raise InputError(faults)
    return [
        replace(requests[workload][setup], standing=standing)
        for workload, setup, standing in ordered(new_run_id(), [len(some) for some in requests], repeats)
    ]


@dataclass(frozen=True, slots=True)
class _Variant:
    """A workload with one combination of the values that are swept, and those of the setups that it meets."""

    workload: Workload
    combination: Combination
    setups: tuple[Combination, ...]


def _variants(
    name: str, given: Sequence[Assignment], sweeps: Sequence[str], overrides: Overrides
) -> Sequence[_Variant]:
    path = catalogue.resolve(name)
    base = Workload.load(path, given)
    swept = parse_sweeps(sweeps, base.sweep)
    overridden = overrides.fields() & {one.name.removeprefix("workload.") for one in swept}
    if overridden:
        raise InputError(f"--sweep workload.{min(overridden)}: leave out the option that gives it a single value")
    setups = tuple(combinations(swept, "setup"))
    faults: list[str] = []
    made = _each(
        combinations(swept, "workload"),
        lambda values: _Variant(_workload(path, given, values, overrides), values, setups),
        faults,
        lambda values: named(base.name, values),
    )
    if faults:
        raise InputError(faults)
    return [variant for variant in made if variant]


def _workload(path: Path, given: Sequence[Assignment], values: Combination, overrides: Overrides) -> Workload:
    workload = Workload.load(path, [*given, *values])
    if values:
        workload = Workload.load(path, [*given, *values, name_given("workload", named(workload.name, values))])
    return workload.with_overrides(overrides)


def _setup(name: str, values: Combination, url: str | None, given: Sequence[Assignment]) -> Setup:
    setup = Setup.load(name, [*given, *values])
    if values:
        setup = Setup.load(name, [*given, *values, name_given("setup", named(setup.name, values))])
    if url is not None:
        setup = setup.with_url(url)
    try:
        load_driver(setup.driver_used)
    except InputError as error:
        raise InputError([f"{name}: driver: {fault}" for fault in error.faults]) from error
    if setup.server is not None and setup.server.url is not None:
        try:
            connect_url(setup.server)  # only to find what is missing
        except InputError as error:
            raise InputError([f"{'--url' if url else name}: {fault}" for fault in error.faults]) from error
    return setup


def _each(
    given: Sequence[Given], make: Callable[[Given], Made], faults: list[str], name: Callable[[Given], str] = str
) -> list[Made | None]:
    """What is made of each; a fault is told once, and one of an option says whose it is if not all have it."""
    made: list[Made | None] = []
    told: dict[str, list[str]] = {}
    for one in given:
        try:
            made.append(make(one))
        except InputError as error:
            made.append(None)
            for fault in error.faults:
                told.setdefault(fault, []).append(name(one))
    for fault, by in told.items():
        whose = fault.startswith("--") and len(by) < len(given) and not any(repr(name) in fault for name in by)
        faults.append(f"{', '.join(dict.fromkeys(by))}: {fault}" if whose else fault)
    return made


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
