"""What the combinations of a sweep are called: after their values, or by a template. Pure.

`--sweep-name PART=TEMPLATE`, or `sweepName: {workload: TEMPLATE, setup: TEMPLATE}` in a workload file. A template has
`{name}` for what the file calls itself, and a swept setting by its last word or by its path: `{messageSize}`,
`{workload.messageSize}`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from ombdriver.bench.assignments import Assignment, Part
from ombdriver.bench.sweeps import Combination, Sweep, combinations
from ombdriver.bench.text import shown
from ombdriver.errors import InputError

_OPTION = "--sweep-name"
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
    return Assignment(part, ("name",), name, f"{part}.name={name}", _OPTION)


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
            faults.append(f"{_OPTION}: {shown(text)} is not PART=TEMPLATE; {_EXAMPLE}")
        elif part in found:
            faults.append(f"{_OPTION} {part}: is given twice; leave one of them out")
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
        return [f"{_OPTION} {part}: no setting of a {part} is swept; leave it out, or add --sweep {part}.…"]
    words = {"name", *(word for one in own[0] for word in _words(one))}
    unknown = [word for word in _PLACEHOLDER.findall(template) if word not in words]
    if unknown or "{" in _PLACEHOLDER.sub("", template) or "}" in _PLACEHOLDER.sub("", template):
        wrong = f"{{{unknown[0]}}} is not swept" if unknown else "has a brace too many"
        known = ", ".join(f"{{{word}}}" for word in sorted(words))
        return [f"{_OPTION} {part}: {wrong}; there are {known}"]
    names = [named("", combination, template) for combination in own]
    if len(set(names)) < len(names):
        untold = (sweep.name for sweep in sweeps if sweep.part == part and not _tells(template, sweep))
        missing = next(untold, own[0][0].option.rpartition(" ")[2])
        return [f"{_OPTION} {part}: gives several combinations one name; write {{{missing}}} into it"]
    return []


def _tells(template: str, sweep: Sweep) -> bool:
    return len(sweep.points) == 1 or bool(set(_PLACEHOLDER.findall(template)) & set(_words(sweep.points[0])))


def _words(one: Assignment) -> tuple[str, str]:
    return one.path[-1], ".".join((one.part, *one.path))


def _value(one: Assignment) -> str:
    return _UNFIT.sub("-", one.text.partition("=")[2]).strip("-")
