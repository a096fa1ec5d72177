"""Sweeps: values that a setting takes in turn, and all combinations of them. Pure.

`--sweep PATH=VALUE,VALUE`, or a list below `sweep:` in a workload file, each PATH as for `--set`.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ombdriver.bench.assignments import Assignment, Part, parse
from ombdriver.bench.text import shown
from ombdriver.bench.yamlfile import parse_value
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
            raise ValueError(f"{_OPTION}: {shown(text)} is not PATH=VALUE,VALUE; write workload.messageSize=100,1KiB")
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
            raise ValueError(f"{_OPTION} {name}: must be a list, not {shown(values)}; write [{shown(values)}]")
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
