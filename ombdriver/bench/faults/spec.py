"""`faults` of a workload file: each entry read and checked, with all that is wrong with all of them. Pure.

An entry has a time (`at`, or `every` with `until`), how long the fault lasts (`for`), the key of one fault, and the
keys that this fault takes. Knows no single fault; how each is written is in its class.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ombdriver.bench.faults.api import Fault, FaultTypes, Site
from ombdriver.bench.units import format_duration, nearest, parse_duration, quoted

MOST_FAULTS = 1_000
"""Times that faults are injected in one run."""
_TIMES = ("at", "every", "until", "for")
_EXAMPLE = "{at: 10s, kill: primary, restartAfter: 2s}"

Problem = tuple[tuple[str | int, ...], str]
"""Where in the list something is wrong (the entry's place from 0, and a key of it), and what; then the way out."""


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One entry.

    Attributes:
        number: its place in the file, from 1.
        kind: the key of its fault.
        entry: that key and those that the fault takes besides, with their values, as JSON.
        at_ns: when it is injected for the first time, from the beginning of the measured window.
        every_ns: the time between two injections; None for a single one.
        until_ns: no injection after that; None where it is single.
        lasts_ns: how long until it is healed; None where it is not healed before the window ends.
    """

    number: int
    kind: str
    entry: str
    at_ns: int
    every_ns: int | None = None
    until_ns: int | None = None
    lasts_ns: int | None = None

    def make(self) -> Fault:
        """The fault itself, ready to be injected once."""
        entry = json.loads(self.entry)
        fault = FaultTypes.installed().load(self.kind)(entry.pop(self.kind), entry)
        fault.lasts_ns = self.lasts_ns
        return fault

    def __str__(self) -> str:
        """The fault in the file's words, without its times: `kill: primary, restartAfter: 2s`."""
        return ", ".join(f"{key}: {_word(each)}" for key, each in self.make().spec().items())

    def to_yaml(self) -> dict[str, object]:
        """The entry as a file has it."""
        times = {"at": self.at_ns, "every": self.every_ns, "until": self.until_ns}
        if self.every_ns is not None and self.at_ns == self.every_ns:
            del times["at"]
        fault = self.make()
        lasts = {} if fault.heals_after_ns is not None else {"for": self.lasts_ns}
        given = {name: each for name, each in {**times, **lasts}.items() if each is not None}
        return {name: format_duration(each) for name, each in given.items()} | dict(fault.spec())

    def injections(self, test_ns: int) -> Sequence[int]:
        """When it is injected, in a window of that length."""
        if self.every_ns is None:
            return [self.at_ns]
        end_ns = test_ns - 1 if self.until_ns is None else min(self.until_ns, test_ns - 1)
        return range(self.at_ns, end_ns + 1, self.every_ns)


def read_faults(given: object, test_ns: int | None = None) -> tuple[list[FaultSpec], list[Problem]]:
    """The entries of a list, and what is wrong with it.

    Args:
        given: as YAML has it.
        test_ns: the measured time; None where it is not known, and not checked against.
    """
    if not isinstance(given, list):
        return [], [((), f"must be a list of faults, not {quoted(given)}; write each after a dash as {_EXAMPLE}")]
    types = FaultTypes.installed()
    specs: list[FaultSpec] = []
    problems: list[Problem] = []
    for place, entry in enumerate(given):
        spec, found = _read_entry(place + 1, entry, types)
        problems += [((place, *path), message) for path, message in found]
        if spec is not None:
            specs.append(spec)
            if test_ns is not None:
                problems += [((place, *path), message) for path, message in _late(spec, test_ns)]
    if test_ns is not None and not problems:
        count = sum(len(spec.injections(test_ns)) for spec in specs)
        if count > MOST_FAULTS:
            problems.append(((), f"make {count:,} injections; write fewer, at most {MOST_FAULTS:,} in all"))
        problems += _overlaps(specs, test_ns)
    return specs, problems


def _read_entry(number: int, entry: object, types: FaultTypes) -> tuple[FaultSpec | None, list[Problem]]:
    if not isinstance(entry, Mapping):
        return None, [((), f"{quoted(entry)} holds no settings; write it as {_EXAMPLE}")]
    kinds = [str(key) for key in entry if key in types.names]
    if len(kinds) > 1:
        return None, [((kinds[1],), f"is given beside {kinds[0]}; write an entry for each")]
    if not kinds:
        return None, [_without_fault(entry, types)]
    kind = kinds[0]
    made = types.load(kind)
    own = [*_TIMES, kind, *made.OPTIONS]
    problems: list[Problem] = []
    for key in entry:
        if key not in own:
            near = nearest(str(key), own)
            hint = (
                f"did you mean {near}?" if near else f"{kind} takes {', '.join(each for each in own if each != kind)}"
            )
            problems.append(((str(key),), f"not known: {quoted(str(key))}; {hint}"))
    times, wrong = _times(entry)
    problems += wrong
    fault: Fault | None = None
    try:
        fault = made(entry[kind], {key: entry[key] for key in made.OPTIONS if key in entry})
    except ValueError as error:
        problems.append(((kind,), str(error)))
    problems += _lasting(kind, fault or made, entry, times.get("for"))
    if fault is None or problems:
        return None, problems
    every = times.get("every")
    spec = FaultSpec(
        number,
        kind,
        json.dumps(dict(fault.spec())),
        at_ns=times.get("at", every or 0),
        every_ns=every,
        until_ns=times.get("until"),
        lasts_ns=times.get("for", fault.heals_after_ns),
    )
    if every is not None and spec.lasts_ns is not None and spec.lasts_ns >= every:
        late = f"{format_duration(spec.lasts_ns)} later, after the next one begins ({format_duration(every)})"
        return None, [(("every",), f"heals {late}; write a longer every, or a shorter time")]
    return spec, []


def _without_fault(entry: Mapping[object, object], types: FaultTypes) -> Problem:
    unknown = [str(key) for key in entry if key not in _TIMES]
    names = ", ".join(types.names)
    if not unknown:
        return (), f"names no fault; add one as kill: primary (known are: {names})"
    near = nearest(unknown[0], types.names)
    hint = f"did you mean {near}?" if near else f"known are: {names}"
    return (unknown[0],), f"not known: {quoted(unknown[0])}; {hint}"


def _times(entry: Mapping[object, object]) -> tuple[dict[str, int], list[Problem]]:
    times: dict[str, int] = {}
    problems: list[Problem] = []
    for name in _TIMES:
        if name in entry:
            try:
                times[name] = parse_duration(entry[name])
            except ValueError as error:
                problems.append(((name,), str(error)))
                continue
            if not times[name] and name != "at":
                problems.append(((name,), "0s is too short; write 1ms or more"))
    if "at" not in entry and "every" not in entry:
        problems.append(((), "does not say when; add at: 10s, from the beginning of the measured time"))
    if "until" in entry and "every" not in entry:
        problems.append((("until",), "has no meaning without every; remove it, or add every: 30s"))
    if "until" in times and (first := times.get("at", times.get("every"))) is not None and times["until"] < first:
        problems.append((("until",), f"is before the first one, at {format_duration(first)}; write a later one"))
    return times, problems


def _lasting(
    kind: str, made: Fault | type[Fault], entry: Mapping[object, object], lasts_ns: int | None
) -> list[Problem]:
    if made.LASTS == "never" and "for" in entry:
        other = [name for name in made.OPTIONS if name == "restartAfter"]
        return [(("for",), f"{kind} does not last; {'write restartAfter' if other else 'remove it'}")]
    if isinstance(made, Fault) and "for" in entry and not made.heals:
        return [(("for",), f"{kind} has nothing to undo then; remove it, or add heal: COMMAND")]
    if made.LASTS == "always" and "for" not in entry:
        return [((kind,), "does not say for how long; add for: 3s")]
    if made.most_ns is not None and lasts_ns is not None and lasts_ns > made.most_ns:
        return [(("for",), f"{format_duration(lasts_ns)} is too long; write {format_duration(made.most_ns)} or less")]
    return []


def _late(spec: FaultSpec, test_ns: int) -> list[Problem]:
    """Times are of the measured window: what lies beyond it would not be seen."""
    test = format_duration(test_ns)
    if spec.at_ns >= test_ns:
        key = "at" if spec.every_ns is None or spec.at_ns != spec.every_ns else "every"
        return [((key,), f"{format_duration(spec.at_ns)} is not before the end of the test ({test}); write less")]
    last_ns = spec.injections(test_ns)[-1]
    if spec.lasts_ns is not None and last_ns + spec.lasts_ns > test_ns:
        ends = format_duration(last_ns + spec.lasts_ns)
        return [
            ((), f"is healed after {ends}, and the test ends after {test}; write an earlier time, or a longer test")
        ]
    return []


def _held(spec: FaultSpec) -> str:
    """Whom a fault holds until it is healed; empty where it holds nobody."""
    fault = spec.make()
    return " - ".join(map(str, fault.targets)) if fault.heals else ""


def _overlaps(specs: Sequence[FaultSpec], test_ns: int) -> list[Problem]:
    """Two faults of one kind on one target at a time: the heal of the first would end the second."""
    spans = sorted(
        (at_ns, at_ns + (test_ns if spec.lasts_ns is None else spec.lasts_ns), spec.number, (spec.kind, held))
        for spec in specs
        if (held := _held(spec))
        for at_ns in spec.injections(test_ns)
    )
    found: dict[int, Problem] = {}
    ends: dict[tuple[str, str], tuple[int, int]] = {}
    for begin_ns, end_ns, number, which in spans:
        before_ns, other = ends.get(which, (0, 0))
        if other and begin_ns < before_ns:
            message = f"begins while fault {other} does the same to the same; write another time, or an earlier end"
            found.setdefault(number, ((number - 1,), message))
        ends[which] = max((end_ns, number), ends.get(which, (0, 0)))
    return list(found.values())


def unsupported(specs: Sequence[FaultSpec], site: Site) -> list[str]:
    """What `site` lacks for these faults, one sentence for each."""
    found = ((spec, spec.make().missing(site)) for spec in specs)
    return [f"fault {spec.number} ({spec}): {message}" for spec, message in found if message]


# -- the schedule, and what became of it -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault at one time.

    Attributes:
        spec: which fault.
        at_ns: when it is to be injected, from the beginning of the measured window.
    """

    spec: FaultSpec
    at_ns: int

    @property
    def lasts_ns(self) -> int | None:
        """How long after the injection it is to be healed; None: at the end of the window."""
        return self.spec.lasts_ns

    @property
    def heal_ns(self) -> int | None:
        """When it is to be healed, if it is injected in time."""
        return None if self.lasts_ns is None else self.at_ns + self.lasts_ns


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """What became of one injection. Times are from the beginning of the measured window, in nanoseconds.

    Attributes:
        spec: which fault.
        hit: the names of those that were hit; none where it could not be injected.
        asked_ns: when it was to be injected.
        injected_ns: when it was.
        healed_ns: when it was healed; None where it was not, or there was nothing to heal.
        error: why it could not be injected, or not be healed; None when it could.
        data_lost: whether a server came back without anything of before.
    """

    spec: FaultSpec
    hit: Sequence[str]
    asked_ns: int
    injected_ns: int
    healed_ns: int | None = None
    error: str | None = None
    data_lost: bool = False


def schedule(specs: Sequence[FaultSpec], test_ns: int) -> list[Injection]:
    """All injections of a window, in their order."""
    found = [Injection(spec, at_ns) for spec in specs for at_ns in spec.injections(test_ns)]
    return sorted(found, key=lambda each: (each.at_ns, each.spec.number))


def _word(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_word(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_word, value)) + "]"
    return value if isinstance(value, str) else quoted(value)
