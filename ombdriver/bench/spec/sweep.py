"""Sweeps: values that settings take in turn, the combinations of them, and what each combination is called.

`--sweep PATH=VALUE,VALUE`, or a list below `sweep:` in a workload file, each PATH as for `--set`. A combination is
called after its values, or by a template: `--sweep-name PART=TEMPLATE`, or `sweepName: {workload: TEMPLATE, setup:
TEMPLATE}` in a workload file. A template has `{name}` for what the file calls itself, and a swept setting by its last
word or by its path: `{messageSize}`, `{workload.messageSize}`.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from ombdriver.bench.spec import catalog
from ombdriver.bench.spec.overrides import Assignment, Part, assigned, parse
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.spec.yaml_file import YamlDocument, parse_document, parse_value, read_text
from ombdriver.bench.units import quoted
from ombdriver.errors import InputError
from ombdriver.secrets import redact_argument

Given = TypeVar("Given")
Built = TypeVar("Built")

Combination = tuple[Assignment, ...]
"""One value of each setting that is swept."""

MOST_COMBINATIONS = 1000
_OPTION = "--sweep"
_AFTER_COMMA = re.compile("0[0-9]{2}")
"""The rest of a number such as 1,000."""


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
    def setting(self) -> str:
        """What is swept: `workload.messageSize`."""
        return self.points[0].setting

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
    def of(cls, name: str, values: object, by: str = _OPTION) -> "Sweep":
        """From a list, as a file has it; `by` is what messages call the place.

        Raises:
            ValueError: if it is none.
        """
        if not isinstance(values, list):
            raise ValueError(f"{by} {name}: must be a list, not {quoted(values)}; write [{quoted(values)}]")
        return cls._of_texts(name, [_written(value) for value in values], by)

    @classmethod
    def _of_texts(cls, name: str, texts: Sequence[str], by: str = _OPTION) -> "Sweep":
        if not any(text.strip() for text in texts):
            raise ValueError(f"{by} {name}: has no value to take; write workload.messageSize=100,1KiB")
        if any(_AFTER_COMMA.fullmatch(text) for text in texts[1:]):
            raise ValueError(f"{by} {name}: a comma parts two values; write digits only, or 1k for 1,000")
        if len(set(texts)) < len(texts):
            twice = next(text for text in texts if texts.count(text) > 1)
            raise ValueError(f"{by} {name}: {twice} is given twice; leave it out, --repeats 2 runs it twice")
        if redact_argument(f"{name}={texts[0]}") != f"{name}={texts[0]}":
            raise ValueError(f"{by} {name}: is a password, which would stand in the names of results; leave it out")
        return cls(tuple(parse(f"{name}={text.strip()}", by) for text in texts))


def parse_sweeps(
    texts: Iterable[str], in_file: Mapping[str, object] | None = None, source: str = "the file"
) -> list[Sweep]:
    """The sweeps of a command line, and of a workload file that messages call `source`.

    Raises:
        InputError: with the errors of all; or if two sweep the same setting.
    """
    found: dict[str, Sweep] = {}
    errors: list[str] = []
    if in_file == {}:
        errors.append(
            f"{source}: sweep: names no setting; leave it out, or write workload.messageSize: [100, 1KiB] below it"
        )

    def add(make: Callable[[], Sweep], by: str = _OPTION) -> None:
        try:
            one = make()
        except ValueError as error:
            errors.append(str(error))
            return
        if one.setting in found:
            errors.append(f"{by} {one.setting}: is swept twice; leave one of them out")
        found[one.setting] = one

    for text in texts:
        add(partial(Sweep.parse, text))
    for name, values in (in_file or {}).items():
        add(partial(Sweep.of, name, values, f"{source}: sweep"), f"{source}: sweep")
    if errors:
        raise InputError(errors)
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


def swept_values(combination: Combination) -> dict[str, object]:
    """The values by the names of their settings."""
    return {one.setting: one.value for one in combination}


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


def variant_name(name: str, combination: Combination, template: str | None = None) -> str:
    """What a workload or a setup is called with those values: `1kb-3groups-messageSize-100`, or by `template`."""
    if template is None:
        return "-".join((name, *(f"{one.path[-1]}-{_value(one)}" for one in combination)))
    values = {"name": name} | {word: _value(one) for one in combination for word in _words(one)}
    return _PLACEHOLDER.sub(lambda found: values[found[1]], template)


def parse_templates(texts: Iterable[str], in_file: Mapping[Part, str] | None, sweeps: Sequence[Sweep]) -> Templates:
    """The templates of a command line and of a workload file, which hold for `sweeps`.

    Raises:
        InputError: with the errors of all: one that is none, that has a placeholder for what isn't swept, or that
            gives two combinations the same name.
    """
    found: dict[Part, str] = {}
    errors: list[str] = []
    parts: tuple[Part, ...] = get_args(Part)
    for text in texts:
        word, _, template = text.partition("=")
        part = next((each for each in parts if each == word), None)
        if part is None or not template.strip():
            errors.append(f"{_NAME_OPTION}: {quoted(text)} is not PART=TEMPLATE; {_EXAMPLE}")
        elif part in found:
            errors.append(f"{_NAME_OPTION} {part}: is given twice; leave one of them out")
        else:
            found[part] = template.strip()
    templates = dict(in_file or {}) | found
    for part, template in templates.items():
        errors += _template_errors(part, template, sweeps)
    if errors:
        raise InputError(errors)
    return templates


def _template_errors(part: Part, template: str, sweeps: Sequence[Sweep]) -> list[str]:
    own = combinations(sweeps, part)
    if own == [()]:
        return [f"{_NAME_OPTION} {part}: no setting of a {part} is swept; leave it out, or add --sweep {part}.…"]
    words = {"name", *(word for one in own[0] for word in _words(one))}
    unknown = [word for word in _PLACEHOLDER.findall(template) if word not in words]
    if unknown or "{" in _PLACEHOLDER.sub("", template) or "}" in _PLACEHOLDER.sub("", template):
        wrong = f"{{{unknown[0]}}} is not swept" if unknown else "has a brace too many"
        known = ", ".join(f"{{{word}}}" for word in sorted(words))
        return [f"{_NAME_OPTION} {part}: {wrong}; there are {known}"]
    names = [variant_name("", combination, template) for combination in own]
    if len(set(names)) < len(names):
        absent = (sweep.setting for sweep in sweeps if sweep.part == part and not _tells_apart(template, sweep))
        missing = next(absent, own[0][0].setting)
        return [f"{_NAME_OPTION} {part}: gives several combinations one name; write {{{missing}}} into it"]
    return []


def _tells_apart(template: str, sweep: Sweep) -> bool:
    return len(sweep.points) == 1 or bool(set(_PLACEHOLDER.findall(template)) & set(_words(sweep.points[0])))


def _words(one: Assignment) -> tuple[str, str]:
    return one.path[-1], one.setting


def _value(one: Assignment) -> str:
    return _UNFIT.sub("-", one.text.partition("=")[2]).strip("-")


@dataclass(frozen=True, slots=True)
class WorkloadVariant:
    """A workload with one combination of the values that are swept.

    Attributes:
        workload: with these values, and called after them.
        own_name: what it calls itself.
        combination: the values.
        setups: the combinations of setups that it meets.
        setup_template: how these are called; None for after their values.
    """

    workload: Workload
    own_name: str
    combination: Combination
    setups: tuple[Combination, ...]
    setup_template: str | None


@dataclass(frozen=True, slots=True)
class SetupVariant:
    """A setup with one combination of the values that are swept, and what it calls itself without these."""

    setup: Setup
    own_name: str


def workload_variants(
    name: str, assignments: Sequence[Assignment], sweeps: Sequence[str], sweep_names: Sequence[str]
) -> Sequence[WorkloadVariant]:
    """All combinations of a workload.

    Args:
        name: of a shipped one, or a path.
        assignments: what the command line puts into its file.
        sweeps: `PATH=VALUE,VALUE`, each, besides those of the file.
        sweep_names: `PART=TEMPLATE`, each, likewise.

    Raises:
        InputError: with the errors of its file, and of the sweeps and names of the command line.
    """
    path = catalog.find_workload(name)
    document = parse_document(read_text(path), str(path))
    own = _SweepFields.of(document, path.parent, assignments)
    swept = parse_sweeps(sweeps, own.sweep, str(path))
    single = {one.setting for one in assignments if one.option.is_shorthand and not one.appends}
    if twice := single & {one.setting for one in swept}:
        raise InputError(f"{_OPTION} {min(twice)}: leave out the option that gives it a single value")
    templates = parse_templates(sweep_names, own.sweep_name, swept)
    setups = tuple(combinations(swept, "setup"))

    def variant(values: Combination) -> WorkloadVariant:
        load = partial(Workload.from_document, document, path.parent)
        workload, own_name = _renamed("workload", load, [*assignments, *values], values, templates.get("workload"))
        return WorkloadVariant(workload, own_name, values, setups, templates.get("setup"))

    errors: list[str] = []
    built = build_each(combinations(swept, "workload"), variant, errors, lambda values: variant_name(own.name, values))
    if errors:
        raise InputError(errors)
    return [each for each in built if each]


def setup_variant(
    name: str, values: Combination, template: str | None, assignments: Sequence[Assignment]
) -> SetupVariant:
    """A setup with one combination of values.

    Args:
        name: of a shipped one, or a path.
        values: of what is swept.
        template: how it is called; None for after the values.
        assignments: what the command line puts into its file.

    Raises:
        InputError: with the errors of its file.
    """
    load = partial(Setup.load, name)
    return SetupVariant(*_renamed("setup", load, [*assignments, *values], values, template))


Loaded = TypeVar("Loaded", Workload, Setup)


def _renamed(
    part: Part,
    load: Callable[[Sequence[Assignment]], Loaded],
    assignments: Sequence[Assignment],
    values: Combination,
    template: str | None,
) -> tuple[Loaded, str]:
    """What is loaded, called after its values, and what it calls itself."""
    loaded = load(assignments)
    if not values:
        return loaded, loaded.name
    name = variant_name(loaded.name, values, template)
    return load([*assignments, Assignment(part, ("name",), name, f"{part}.name={name}", _NAME_OPTION)]), loaded.name


@dataclass(frozen=True, slots=True)
class _SweepFields:
    """What a file says of sweeps. Its other fields may lack what is swept, and are checked with each combination."""

    name: str
    sweep: Mapping[str, list[object]] | None
    sweep_name: Templates | None

    @classmethod
    def of(cls, document: YamlDocument, folder: Path, assignments: Sequence[Assignment]) -> "_SweepFields":
        data = assigned(document, assignments, "workload").data
        sweep, names = data.get("sweep"), data.get("sweepName")
        if not _is_mapping_to(list, sweep) or not _is_mapping_to(str, names) or document.errors:
            workload = Workload.from_document(document, folder, assignments)  # which raises what is wrong
            return cls(workload.name, workload.sweep, workload.sweep_name)
        return cls(str(data.get("name", Path(document.source).stem)), cast(Any, sweep), cast(Any, names))


def _is_mapping_to(kind: type, value: object) -> bool:
    return value is None or (isinstance(value, dict) and all(isinstance(each, kind) for each in value.values()))


def build_each(
    given: Sequence[Given], build: Callable[[Given], Built], errors: list[str], name: Callable[[Given], str] = str
) -> list[Built | None]:
    """What is built of each, None where that fails.

    Args:
        given: what to build of.
        build: raises InputError if it can't.
        errors: gets each error once; one of an option that not all have is told with whose it is.
        name: what messages call one of `given`.
    """
    built: list[Built | None] = []
    by_error: dict[str, list[str]] = {}
    for one in given:
        try:
            built.append(build(one))
        except InputError as error:
            built.append(None)
            for message in error.messages:
                by_error.setdefault(message, []).append(name(one))
    for message, by in by_error.items():
        named = any(repr(name) in message for name in by)
        whose = message.startswith("--") and len(by) < len(given) and not named
        errors.append(f"{', '.join(dict.fromkeys(by))}: {message}" if whose else message)
    return built
