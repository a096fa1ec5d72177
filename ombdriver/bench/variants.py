"""What is swept, made: each combination of a workload and of a setup under its name, with the faults of all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from ombdriver.bench import catalogue
from ombdriver.bench.assignments import Assignment, assigned
from ombdriver.bench.driver import load_driver
from ombdriver.bench.login import connect_url
from ombdriver.bench.overrides import Overrides
from ombdriver.bench.setup import Setup
from ombdriver.bench.sweep_names import Templates, name_given, named, parse_templates
from ombdriver.bench.sweeps import Combination, combinations, parse_sweeps
from ombdriver.bench.workload import Workload
from ombdriver.bench.workload_fields import FIND_THE_MAXIMUM
from ombdriver.bench.yamlfile import parse_document, read_text
from ombdriver.errors import InputError

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Variant:
    """A workload with one combination of the values that are swept, and its name without these; the combinations of
    setups that it meets, and how those are named.
    """

    workload: Workload
    own_name: str
    combination: Combination
    setups: tuple[Combination, ...]
    setup_name: str | None


@dataclass(frozen=True, slots=True)
class SetupVariant:
    """A setup with one combination of the values that are swept, and its name without these."""

    setup: Setup
    own_name: str


def variants_of(
    name: str, given: Sequence[Assignment], sweeps: Sequence[str], sweep_names: Sequence[str], overrides: Overrides
) -> Sequence[Variant]:
    """All combinations of a workload, named or a path.

    Raises:
        InputError: with the faults of its file, and of the sweeps and names of the command line.
    """
    path = catalogue.resolve(name)
    if overrides.rate == FIND_THE_MAXIMUM:  # told first, since what is for a search has a meaning then
        given = [*given, Assignment("workload", ("producerRate",), "max", "--rate max", "--rate")]
    own = _ToldOfSweeps.read(path, given)
    swept = parse_sweeps(sweeps, own.sweep)
    overridden = overrides.fields() & {one.name.removeprefix("workload.") for one in swept}
    if overridden:
        raise InputError(f"--sweep workload.{min(overridden)}: leave out the option that gives it a single value")
    templates = parse_templates(sweep_names, own.sweep_name, swept)
    setups = tuple(combinations(swept, "setup"))
    faults: list[str] = []
    made = each_made(
        combinations(swept, "workload"),
        lambda values: Variant(
            *_workload(path, given, values, templates, overrides), values, setups, templates.get("setup")
        ),
        faults,
        lambda values: named(own.name, values),
    )
    if faults:
        raise InputError(faults)
    return [variant for variant in made if variant]


@dataclass(frozen=True, slots=True)
class _ToldOfSweeps:
    """What a file says of sweeps. Its other fields may lack what is swept, and are looked at with each combination."""

    name: str
    sweep: Mapping[str, list[object]] | None
    sweep_name: Templates | None

    @classmethod
    def read(cls, path: Path, given: Sequence[Assignment]) -> "_ToldOfSweeps":
        document = assigned(parse_document(read_text(path), str(path)), given, "workload")
        sweep, names = document.data.get("sweep"), document.data.get("sweepName")
        if not _holds(sweep, list) or not _holds(names, str) or document.faults:
            workload = Workload.load(path, given)  # which tells what is wrong
            return cls(workload.name, workload.sweep, workload.sweep_name)
        return cls(str(document.data.get("name", path.stem)), cast(Any, sweep), cast(Any, names))


def _holds(mapping: object, kind: type) -> bool:
    return mapping is None or (isinstance(mapping, dict) and all(isinstance(each, kind) for each in mapping.values()))


def _workload(
    path: Path, given: Sequence[Assignment], values: Combination, templates: Templates, overrides: Overrides
) -> tuple[Workload, str]:
    workload = Workload.load(path, [*given, *values])
    own_name = workload.name
    if values:
        name = named(workload.name, values, templates.get("workload"))
        workload = Workload.load(path, [*given, *values, name_given("workload", name)])
    return workload.with_overrides(overrides), own_name


def setup_of(
    name: str, values: Combination, template: str | None, url: str | None, given: Sequence[Assignment]
) -> SetupVariant:
    """A setup, named or a path, with one combination of values.

    Args:
        name: as given.
        values: of what is swept.
        template: how it is called; see `sweep_names`.
        url: a server of the user's in place of its own.
        given: what the command line puts into the file.

    Raises:
        InputError: with the faults of its file, or if its driver or its password can't be had.
    """
    setup = Setup.load(name, [*given, *values])
    own_name = setup.name
    if values:
        setup = Setup.load(name, [*given, *values, name_given("setup", named(setup.name, values, template))])
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
    return SetupVariant(setup, own_name)


def each_made(
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
