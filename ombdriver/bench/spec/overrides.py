"""`--set PATH=VALUE`: what the command line puts into files, after they are read and before they are validated. Pure.

So a value has the types, units and limits that it has in the file, and faults of it are those of the file; they name
the option where others name a line. Knows no field of a workload or a setup.

What the command line gives in place of a workload's own values, or besides them; faults are named by its options.

Pure; knows how a workload is written in a file, and not how it is validated.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ombdriver.bench.spec.errors import FieldError, FieldPath, Location
from ombdriver.bench.spec.yaml_file import YamlDocument, parse_value
from ombdriver.bench.units import format_duration, nearest, quoted
from ombdriver.errors import InputError
from ombdriver.secrets import redact_argument, redact_text

Part = Literal["workload", "setup"]
_PARTS: tuple[Part, ...] = ("workload", "setup")
_EXAMPLE = "write it as workload.messageSize=4KiB, or setup.streams.retention=none"


@dataclass(frozen=True, slots=True)
class Assignment:
    """One `--set`.

    Attributes:
        part: whether workloads or setups are meant; all of them are.
        path: the key in such a file, from its top.
        value: as YAML has it.
        text: as typed.
        by: the option that it was given by.
    """

    part: Part
    path: tuple[str, ...]
    value: object
    text: str
    by: str = "--set"

    @property
    def option(self) -> str:
        """What messages call it: `--set workload.messageSize`."""
        return f"{self.by} {'.'.join((self.part, *self.path))}"

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
        value = parse_value(written)
    except ValueError as error:
        if redact_argument(text) != text:  # the error quotes the value
            raise ValueError(f"{by} {name}: is no single value of YAML; put it in quotes if it is text") from None
        raise ValueError(f"{by} {name}: {error}") from error
    return Assignment(part, tuple(keys[1:]), value, text, by)


def parse_all(texts: Iterable[str]) -> list[Assignment]:
    """The assignments, in their order.

    Raises:
        InputError: if one is none, or takes the place of one before it; with the faults of all.
    """
    found: list[Assignment] = []
    faults: list[str] = []
    for text in texts:
        try:
            one = parse(text)
        except ValueError as error:
            faults.append(str(error))
            continue
        for other in found:
            if other.part == one.part and other.path[: len(one.path)] == one.path:
                same = "is given twice" if other.path == one.path else f"takes the place of {other.option} before it"
                faults.append(f"{one.option}: {same}; leave one of them out")
        found.append(one)
    if faults:
        raise InputError(faults)
    return found


def assigned(document: YamlDocument, assignments: Sequence[Assignment], part: Part) -> YamlDocument:
    """`document` with what is meant for `part` in it; places of faults tell the option in place of a line."""
    data, places = document.data, dict(document.lines)
    for one in assignments:
        if one.part == part:
            data = _with(data, one, (), places, document.source)
    return replace(document, data=data, lines=places)


def _with(
    data: dict[str, object], one: Assignment, above: FieldPath, places: dict[FieldPath, Location], source: str
) -> dict[str, object]:
    """`data`, the mapping at `above`, with `one` in it; what is no mapping on the way gives way to one."""
    key, rest = one.path[len(above)], one.path[len(above) + 1 :]
    where = (*above, key)
    if not rest:
        for each in (where, *_below(one.value, where)):
            places[each] = one.option
        return data | {key: one.value}
    inner = data.get(key)
    if isinstance(inner, dict):
        # What is wrong with the whole of it may be due to the line, or to the option.
        place = places.get(where, 0)
        before = f"{source}:{place} with" if isinstance(place, int) else f"{place} and"
        places[where] = f"{before} {one.option}"
    else:
        inner, places[where] = {}, one.option
    return data | {key: _with(inner, one, where, places, source)}


def _below(value: object, where: FieldPath) -> Iterator[FieldPath]:
    """The paths of all keys within `value`, which is at `where`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*where, key)
            yield from _below(inner, (*where, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _below(inner, (*where, number))


_OPTIONS = {
    "testDuration": "--duration",
    "warmupDuration": "--warmup",
    "producerRate": "--rate",
    "probeRates": "--rates",
    "probeSteps": "--steps",
    "thresholds": "--threshold",
}


@dataclass(frozen=True, slots=True)
class Overrides:
    """What was given; None leaves a field as it is.

    Attributes:
        duration_ns: the measured time.
        warmup_ns: the warm-up.
        rate: messages per second; 0 finds the highest that is sustained.
        probe_rates: rates to try in place of a search.
        probe_steps: how many rates are tried after one.
        thresholds: conditions besides the workload's own.
        abort_on_fail: the run ends as soon as a threshold fails, even if the workload does not say so.
    """

    duration_ns: int | None = None
    warmup_ns: int | None = None
    rate: int | None = None
    probe_rates: Sequence[int] = ()
    probe_steps: int | None = None
    thresholds: Sequence[str] = ()
    abort_on_fail: bool = False

    def fields(self) -> set[str]:
        """The fields of a workload that are given another value."""
        given = {"testDuration": self.duration_ns, "warmupDuration": self.warmup_ns, "producerRate": self.rate}
        return {name for name, value in given.items() if value is not None}

    def applied(self, spec: dict[str, Any], own_interval: bool) -> dict[str, Any]:
        """`spec` with what was given; with `own_interval` the workload says itself how long a sample is."""
        data = dict(spec)
        if self.duration_ns is not None:
            data["testDuration"] = format_duration(self.duration_ns)
            if not own_interval:
                del data["sampleInterval"]
        if self.warmup_ns is not None:
            data["warmupDuration"] = format_duration(self.warmup_ns)
        if self.rate is not None:
            data["producerRate"] = self.rate
            if self.rate:  # how the highest one was to be found has no meaning any longer
                for name in ("slo", "probeDuration", "probeRates", "probeSteps"):
                    data.pop(name, None)
        if self.probe_rates or self.probe_steps:
            data = {name: value for name, value in data.items() if name not in ("probeRates", "probeSteps")}
            data |= {"probeRates": list(self.probe_rates)} if self.probe_rates else {"probeSteps": self.probe_steps}
        data["thresholds"] = [*spec["thresholds"], *self.thresholds]
        data["abortOnFail"] = spec["abortOnFail"] or self.abort_on_fail
        return data

    def told(self, faults: Sequence[FieldError], workload: str) -> list[str]:
        """`faults` as sentences, each beginning with the option, or with the workload, the options and the field."""
        given = (("--duration", self.duration_ns), ("--warmup", self.warmup_ns), ("--rate", self.rate))
        names = ", ".join(option for option, value in given if value is not None)
        others = f"{workload} with {names}: "
        return [f"{_OPTIONS.get(each.field, others + each.field)}: {each.message}" for each in faults]
