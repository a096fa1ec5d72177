"""What the command line puts into files, after they are read and before they are validated. Pure.

`--set PATH=VALUE`, and the options that are of one field, as `--rate`. So a value has the types, units and limits that
it has in the file, and its errors are those of the file, with the option in place of a line. Knows no field of a setup,
and those of a workload that have an option of their own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ombdriver.bench.spec.errors import FieldPath, Location, Option
from ombdriver.bench.spec.yaml_file import YamlDocument, parse_value_and_numbers
from ombdriver.bench.units import nearest, quoted
from ombdriver.errors import InputError
from ombdriver.secrets import redact_argument, redact_text

Part = Literal["workload", "setup"]
_PARTS: tuple[Part, ...] = ("workload", "setup")
_EXAMPLE = "write it as workload.messageSize=4KiB, or setup.streams.retention=none"
_SEARCH_FIELDS = ("slo", "probeDuration", "probeRates", "probeSteps")


@dataclass(frozen=True, slots=True)
class Assignment:
    """A value for one key of all workload files, or of all setup files.

    Attributes:
        part: which files are meant.
        path: the key in such a file, from its top.
        value: as YAML has it.
        text: `PATH=VALUE` as typed; empty for an option of one field.
        by: the option that it was given by.
        appends: the value is a list, which comes after that of the file.
        clears: keys at the top of a file that have no meaning beside this one, and give way.
        numbers: each number of the value as it is written, by its path within the value.
    """

    part: Part
    path: tuple[str, ...]
    value: object
    text: str = ""
    by: str = "--set"
    appends: bool = False
    clears: tuple[str, ...] = ()
    numbers: Mapping[FieldPath, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def setting(self) -> str:
        """What is set: `workload.messageSize`."""
        return ".".join((self.part, *self.path))

    @property
    def option(self) -> Option:
        """Where the value stands: `--set workload.messageSize`, or `--rate`."""
        return Option(f"{self.by} {self.setting}" if self.text else self.by, ".".join(self.path))

    def __str__(self) -> str:
        """As typed, without a password."""
        return redact_text(redact_argument(self.text))


def parse(text: str, by: str = "--set") -> Assignment:
    """An assignment from `PATH=VALUE`, the value being a scalar of YAML, or a list or mapping on one line.

    Args:
        text: as typed.
        by: the option that it was given by.

    Raises:
        ValueError: if it is none.
    """
    name, equals, written = text.partition("=")
    keys = name.split(".")
    if not equals or not all(keys):
        raise ValueError(f"{by}: {quoted(redact_text(redact_argument(text)))} is not PATH=VALUE; {_EXAMPLE}")
    part = next((each for each in _PARTS if each == keys[0]), None)
    if part is None:
        near = nearest(keys[0], _PARTS)
        hint = f"did you mean {'.'.join((near, *keys[1:]))}?" if near else _EXAMPLE
        raise ValueError(f"{by} {name}: begins with neither workload. nor setup.; {hint}")
    if len(keys) == 1:
        raise ValueError(f"{by} {name}: names no setting of the {part}; {_EXAMPLE}")
    try:
        value, numbers = parse_value_and_numbers(written)
    except ValueError as error:
        if redact_argument(text) != text:  # the error quotes the value
            raise ValueError(f"{by} {name}: is no single value of YAML; put it in quotes if it is text") from None
        raise ValueError(f"{by} {name}: {error}") from error
    return Assignment(part, tuple(keys[1:]), value, text, by, numbers=numbers)


def parse_all(texts: Iterable[str]) -> list[Assignment]:
    """The assignments of all `--set`, in their order.

    Raises:
        InputError: if one is none, or takes the place of one before it; with the errors of all.
    """
    found: list[Assignment] = []
    errors: list[str] = []
    for text in texts:
        try:
            one = parse(text)
        except ValueError as error:
            errors.append(str(error))
            continue
        for other in found:
            if other.part == one.part and other.path[: len(one.path)] == one.path:
                twice = (
                    "is given twice" if other.path == one.path else f"takes the place of {other.option.name} before it"
                )
                errors.append(f"{one.option.name}: {twice}; leave one of them out")
        found.append(one)
    if errors:
        raise InputError(errors)
    return found


def option_assignments(
    *,
    duration: str | None = None,
    warmup: str | None = None,
    rate: int | str | None = None,
    rates: Sequence[int] = (),
    steps: int | None = None,
    thresholds: Sequence[str] = (),
    abort_on_fail: bool = False,
) -> list[Assignment]:
    """What the options of one field put into workloads; each is named like its option, and None or empty is left out.

    Args:
        duration: the measured time, with its unit.
        warmup: the warm-up, likewise.
        rate: messages per second; `max` or 0 finds the highest that is sustained, and any other ends such a search.
        rates: those to try in place of a search.
        steps: how many rates are tried after one.
        thresholds: conditions besides the workload's own.
        abort_on_fail: the run ends as soon as a threshold fails; False leaves it to the workload.
    """
    given: tuple[tuple[str, str, object, tuple[str, ...]], ...] = (
        ("--duration", "testDuration", duration, ("testDurationMinutes",)),
        ("--warmup", "warmupDuration", warmup, ("warmupDurationMinutes",)),
        ("--rate", "producerRate", rate, _SEARCH_FIELDS if rate not in (0, "max") else ()),
        ("--rates", "probeRates", list(rates) or None, ("probeSteps",)),
        ("--steps", "probeSteps", steps, ("probeRates",)),
        ("--threshold", "thresholds", list(thresholds) or None, ()),
        ("--abort-on-fail", "abortOnFail", abort_on_fail or None, ()),
    )
    return [
        Assignment("workload", (key,), value, by=by, appends=by == "--threshold", clears=clears)
        for by, key, value, clears in given
        if value is not None
    ]


def assigned(document: YamlDocument, assignments: Sequence[Assignment], part: Part) -> YamlDocument:
    """`document` with what is meant for `part` in it, in that order; options are the locations of these keys."""
    data, locations, numbers = document.data, dict(document.locations), dict(document.numbers)
    for one in assignments:
        if one.part != part:
            continue
        for key in one.clears:
            if isinstance(locations.get((key,)), int):  # what another option gives does not give way
                data = {name: value for name, value in data.items() if name != key}
        data = _with(data, one, (), locations, document.source)
        numbers = {path: text for path, text in numbers.items() if path[: len(one.path)] != one.path or one.appends}
        numbers |= {(*one.path, *path): text for path, text in one.numbers.items()}
    return replace(document, data=data, locations=locations, numbers=numbers)


def _with(
    data: dict[str, object], one: Assignment, above: FieldPath, locations: dict[FieldPath, Location], source: str
) -> dict[str, object]:
    """`data`, the mapping at `above`, with `one` in it; what is no mapping on the way gives way to one."""
    key, rest = one.path[len(above)], one.path[len(above) + 1 :]
    path, before = (*above, key), data.get(key)
    if rest and isinstance(before, dict):
        _share(path, one, locations, source)
        return data | {key: _with(before, one, path, locations, source)}
    if rest:
        locations[path] = one.option
        return data | {key: _with({}, one, path, locations, source)}
    if one.appends and before:
        if not isinstance(before, list) or not isinstance(one.value, list):
            return data  # the file's value is wrong, which is an error of its own
        _share(path, one, locations, source)
        return data | {key: [*before, *one.value]}
    for each in (path, *_below(one.value, path)):
        locations[each] = one.option
    return data | {key: one.value}


def _share(path: FieldPath, one: Assignment, locations: dict[FieldPath, Location], source: str) -> None:
    """Notes that what is wrong with the whole of a value may be due to what was there, or to the option."""
    before = locations.get(path, 0)
    if isinstance(before, int):
        locations[path] = f"{source}:{before} with {one.option.name}"
    else:
        locations[path] = f"{before.name if isinstance(before, Option) else before} and {one.option.name}"


def _below(value: object, path: FieldPath) -> Iterator[FieldPath]:
    """The paths of all keys within `value`, which is at `path`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from _below(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _below(inner, (*path, number))
