"""Sweeps: values that a setting takes in turn, and all combinations of them. Pure.

`--sweep PATH=VALUE,VALUE`, or a list below `sweep:` in a workload file, each PATH as for `--set`.

What the combinations of a sweep are called: after their values, or by a template. Pure.

`--sweep-name PART=TEMPLATE`, or `sweepName: {workload: TEMPLATE, setup: TEMPLATE}` in a workload file. A template has
`{name}` for what the file calls itself, and a swept setting by its last word or by its path: `{messageSize}`,
`{workload.messageSize}`.

What is swept, made: each combination of a workload and of a setup under its name, with the faults of all.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from ombdriver.bench.drivers.api import load_driver
from ombdriver.bench.spec import catalog
from ombdriver.bench.spec.credentials import connect_url
from ombdriver.bench.spec.fields import FIND_THE_MAXIMUM
from ombdriver.bench.spec.overrides import Assignment, Overrides, Part, assigned, parse
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.spec.yaml_file import parse_document, parse_value, read_text
from ombdriver.bench.units import quoted
from ombdriver.errors import InputError
from ombdriver.secrets import redact_argument

Combination = tuple[Assignment, ...]
"""One value of each setting that is swept."""

MOST_COMBINATIONS = 1000
_OPTION = "--sweep"


@dataclass(frozen=True, slots=True)
class Sweep:
    """One setting and its values.

    Attributes:
        points: each value as what puts it into a file; one or more, all of one path.
    """

    points: tuple[Assignment, ...]

    @property
    def part(self) -> Part:
        """Whether workloads or setups are swept."""
        return self.points[0].part

    @property
    def name(self) -> str:
        """The setting, as `workload.messageSize`."""
        return ".".join((self.part, *self.points[0].path))

    @classmethod
    def parse(cls, text: str) -> "Sweep":
        """Reads `PATH=VALUE,VALUE`, or `PATH=[VALUE, VALUE]`.

        Raises:
            ValueError: if it is none.
        """
        name, equals, written = text.partition("=")
        if not equals:
            raise ValueError(f"{_OPTION}: {quoted(text)} is not PATH=VALUE,VALUE; write workload.messageSize=100,1KiB")
        if written.startswith("["):
            values = parse_value(written)
            assert isinstance(values, list)
            return cls.of(name, values)
        return cls._of_texts(name, written.split(","))

    @classmethod
    def of(cls, name: str, values: object) -> "Sweep":
        """From a list, as a file has it.

        Raises:
            ValueError: if it is none.
        """
        if not isinstance(values, list):
            raise ValueError(f"{_OPTION} {name}: must be a list, not {quoted(values)}; write [{quoted(values)}]")
        return cls._of_texts(name, [_written(value) for value in values])

    @classmethod
    def _of_texts(cls, name: str, texts: Sequence[str]) -> "Sweep":
        if not any(text.strip() for text in texts):
            raise ValueError(f"{_OPTION} {name}: has no value to take; write workload.messageSize=100,1KiB")
        if len(set(texts)) < len(texts):
            twice = next(text for text in texts if texts.count(text) > 1)
            raise ValueError(f"{_OPTION} {name}: {twice} is given twice; leave it out, --repeats 2 runs it twice")
        if redact_argument(f"{name}={texts[0]}") != f"{name}={texts[0]}":
            raise ValueError(
                f"{_OPTION} {name}: is a password, which would stand in the names of results; leave it out"
            )
        return cls(tuple(parse(f"{name}={text.strip()}", _OPTION) for text in texts))


def parse_sweeps(texts: Iterable[str], in_file: Mapping[str, object] | None = None) -> list[Sweep]:
    """The sweeps of a command line and of a workload file.

    Raises:
        InputError: with the faults of all; or if two sweep the same setting.
    """
    found: dict[str, Sweep] = {}
    faults: list[str] = []
    if in_file == {}:
        faults.append("sweep: names no setting; leave it out, or write workload.messageSize: [100, 1KiB] below it")

    def add(make: Callable[[], Sweep]) -> None:
        try:
            one = make()
        except ValueError as error:
            faults.append(str(error))
            return
        if one.name in found:
            faults.append(f"{_OPTION} {one.name}: is swept twice; leave one of them out")
        found[one.name] = one

    for text in texts:
        add(partial(Sweep.parse, text))
    for name, values in (in_file or {}).items():
        add(partial(Sweep.of, name, values))
    if faults:
        raise InputError(faults)
    return list(found.values())


def combinations(sweeps: Sequence[Sweep], part: Part) -> list[Combination]:
    """All combinations of the values of those sweeps that are of `part`, the last one changing fastest.

    One empty combination when there is none.

    Raises:
        InputError: if there are more than `MOST_COMBINATIONS`.
    """
    own = [sweep.points for sweep in sweeps if sweep.part == part]
    found = list(itertools.islice(itertools.product(*own), MOST_COMBINATIONS + 1))
    if len(found) > MOST_COMBINATIONS:
        raise InputError([f"{_OPTION}: there are more than {MOST_COMBINATIONS:,} combinations; sweep fewer values"])
    return found


def values_of(combination: Combination) -> dict[str, object]:
    """The values by the names of their settings."""
    return {".".join((one.part, *one.path)): one.value for one in combination}


def _written(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


_NAME_OPTION = "--sweep-name"
_EXAMPLE = "write it as 'workload={name}-{messageSize}'"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_UNFIT = re.compile(r"[^A-Za-z0-9.]+")

Templates = Mapping[Part, str]
"""How workloads and setups are called, where it isn't after their values."""


def named(name: str, combination: Combination, template: str | None = None) -> str:
    """What a workload or a setup is called with those values: `1kb-3groups-messageSize-100`, or by `template`."""
    if template is None:
        return "-".join((name, *(f"{one.path[-1]}-{_value(one)}" for one in combination)))
    values = {"name": name} | {word: _value(one) for one in combination for word in _words(one)}
    return _PLACEHOLDER.sub(lambda found: values[found[1]], template)


def name_given(part: Part, name: str) -> Assignment:
    """What gives a workload or a setup that name."""
    return Assignment(part, ("name",), name, f"{part}.name={name}", _NAME_OPTION)


def parse_templates(texts: Iterable[str], in_file: Mapping[Part, str] | None, sweeps: Sequence[Sweep]) -> Templates:
    """The templates of a command line and of a workload file, which hold for `sweeps`.

    Raises:
        InputError: with the faults of all: one that is none, that has a placeholder for what isn't swept, or that
            gives two combinations the same name.
    """
    found: dict[Part, str] = {}
    faults: list[str] = []
    parts: tuple[Part, ...] = get_args(Part)
    for text in texts:
        word, _, template = text.partition("=")
        part = next((each for each in parts if each == word), None)
        if part is None or not template.strip():
            faults.append(f"{_NAME_OPTION}: {quoted(text)} is not PART=TEMPLATE; {_EXAMPLE}")
        elif part in found:
            faults.append(f"{_NAME_OPTION} {part}: is given twice; leave one of them out")
        else:
            found[part] = template.strip()
    templates = dict(in_file or {}) | found
    for part, template in templates.items():
        faults += _faults_of(part, template, sweeps)
    if faults:
        raise InputError(faults)
    return templates


def _faults_of(part: Part, template: str, sweeps: Sequence[Sweep]) -> list[str]:
    own = combinations(sweeps, part)
    if own == [()]:
        return [f"{_NAME_OPTION} {part}: no setting of a {part} is swept; leave it out, or add --sweep {part}.…"]
    words = {"name", *(word for one in own[0] for word in _words(one))}
    unknown = [word for word in _PLACEHOLDER.findall(template) if word not in words]
    if unknown or "{" in _PLACEHOLDER.sub("", template) or "}" in _PLACEHOLDER.sub("", template):
        wrong = f"{{{unknown[0]}}} is not swept" if unknown else "has a brace too many"
        known = ", ".join(f"{{{word}}}" for word in sorted(words))
        return [f"{_NAME_OPTION} {part}: {wrong}; there are {known}"]
    names = [named("", combination, template) for combination in own]
    if len(set(names)) < len(names):
        untold = (sweep.name for sweep in sweeps if sweep.part == part and not _tells(template, sweep))
        missing = next(untold, own[0][0].option.rpartition(" ")[2])
        return [f"{_NAME_OPTION} {part}: gives several combinations one name; write {{{missing}}} into it"]
    return []


def _tells(template: str, sweep: Sweep) -> bool:
    return len(sweep.points) == 1 or bool(set(_PLACEHOLDER.findall(template)) & set(_words(sweep.points[0])))


def _words(one: Assignment) -> tuple[str, str]:
    return one.path[-1], ".".join((one.part, *one.path))


def _value(one: Assignment) -> str:
    return _UNFIT.sub("-", one.text.partition("=")[2]).strip("-")


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
    path = catalog.find_workload(name)
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
