"""What a user names and overrides -> requests that can be run, in their order; all faults of it in one error."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ombdriver.bench import catalogue
from ombdriver.bench.assignments import Assignment, parse_all
from ombdriver.bench.benchmark import Request, new_run_id, plan_of
from ombdriver.bench.driver import load_driver
from ombdriver.bench.environment import usable_cores
from ombdriver.bench.login import connect_url
from ombdriver.bench.overrides import Overrides
from ombdriver.bench.series import MOST_REPEATS, ordered
from ombdriver.bench.setup import Setup
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
    thresholds: Sequence[str] = (),
    abort_on_fail: bool = False,
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
        thresholds: conditions besides each workload's own.
        abort_on_fail: each run ends as soon as a threshold fails.
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
    overrides = Overrides(duration, warmup, rate, thresholds, abort_on_fail)
    read_setups = _each(setups, lambda name: _setup(name, one_url, given), faults)
    read = _each(
        workloads, lambda name: Workload.load(catalogue.resolve(name), given).with_overrides(overrides), faults
    )
    faults += _called_alike(setups, read_setups)
    texts = [str(one) for one in given]
    requests = [
        Request(workload, setup, output, workers, usable_cores(), tags, command_line, overrides=texts)
        for workload in read
        for setup in read_setups
        if workload and setup
    ]
    _each(requests, lambda one: plan_of(one, "check"), faults, lambda one: f"{one.workload.name} x {one.setup.name}")
    if faults:
        raise InputError(faults)
    return [
        replace(requests[workload * len(setups) + setup], standing=standing)
        for workload, setup, standing in ordered(new_run_id(), len(workloads), len(setups), repeats)
    ]


def _setup(name: str, url: str | None, given: Sequence[Assignment]) -> Setup:
    setup = Setup.load(name, given)
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
        faults.append(f"{', '.join(by)}: {fault}" if whose else fault)
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
