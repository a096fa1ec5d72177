"""The types of a workload's fields: how each is written, and within which limits. Pure.

Knows one field at a time; what fields must agree on is in `workload_rules`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from ombdriver.bench.faults.spec import read_faults
from ombdriver.bench.load.message import MOST_WEIGHT, STAMP, parse_distribution
from ombdriver.bench.load.processing_time import PROCESSING_TIME_PATTERN, ProcessingTime
from ombdriver.bench.spec.rate_profile import CONSTANT, parse_profile
from ombdriver.bench.spec.thresholds import EXAMPLE, Threshold
from ombdriver.bench.units import (
    DURATION_PATTERN,
    HOUR,
    MINUTE,
    MS,
    RATE_PATTERN,
    SECOND,
    SIZE_PATTERN,
    format_duration,
    is_maximum,
    parse_duration,
    parse_rate,
    parse_size,
    quoted,
)

MAX_MESSAGE_BYTES = 512 << 20
"""The largest value that a server takes by default (`proto-max-bulk-len`)."""
MAX_STREAMS = 100_000
"""Topics times partitions: more streams than that are a slip of the keyboard."""
MAX_READERS = 10_000
"""Groups times consumers: each reader blocks on a connection of its own, and servers take 10,000 by default."""

DURATION_SCHEMA = {"type": "string", "pattern": DURATION_PATTERN}
SIZE_SCHEMA = {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": SIZE_PATTERN}]}


@dataclass(frozen=True, slots=True)
class Form:
    """How the reference says that a value is written; where a type has none, its JSON Schema tells. Checks nothing."""

    text: str


@dataclass(frozen=True, slots=True)
class Within:
    """Checks that a duration is within bounds, which are nanoseconds."""

    least_ns: int
    most_ns: int

    def __call__(self, duration_ns: int) -> int:
        """The duration.

        Raises:
            ValueError: if it is too short or too long.
        """
        text = format_duration(duration_ns)
        if duration_ns < self.least_ns:
            raise ValueError(f"{text} is too short; write {format_duration(self.least_ns)} or more")
        if duration_ns > self.most_ns:
            raise ValueError(f"{text} is too long; write {format_duration(self.most_ns)} or less")
        return duration_ns

    @property
    def text(self) -> str:
        """As `Form.text`."""
        return f"duration, {format_duration(self.least_ns)} to {format_duration(self.most_ns)}"


def _message_size(size: int) -> int:
    if size < STAMP.size:
        raise ValueError(
            f"{size} bytes are too few: the stamp takes the first {STAMP.size} of each message; "
            f"write {STAMP.size} or more"
        )
    if size > MAX_MESSAGE_BYTES:
        raise ValueError(f"{size} bytes are more than a server takes; write {MAX_MESSAGE_BYTES >> 20}MiB or less")
    return size


def _one_line(name: str) -> str:
    if not name.isprintable() or not name.strip():
        raise ValueError(f"{quoted(name)} is not a name; write one line of visible characters")
    return name


def _distribution(given: object) -> dict[str, int]:
    parse_distribution(given, STAMP.size, MAX_MESSAGE_BYTES)
    assert isinstance(given, dict)
    return {str(text): weight for text, weight in given.items()}


SizeDistribution = Annotated[
    dict[str, int],
    BeforeValidator(_distribution),
    WithJsonSchema(
        {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1, "maximum": MOST_WEIGHT}},
        mode="validation",
    ),
    Form("ranges with weights, as `{100-1KiB: 3, 1KiB-64KiB: 1}`"),
]
"""Ranges of sizes and their weights."""

Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_one_line)]
"""One line of visible characters."""


def _topic_names(names: list[str]) -> list[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{quoted(name)} is named twice; remove one")
        seen.add(name)
    return names


TopicList = Annotated[
    list[Name], Field(min_length=1, max_length=10_000), AfterValidator(_topic_names), Form("up to 10,000 names")
]
"""Names of topics that exist, each once."""

MessageSize = Annotated[
    int,
    BeforeValidator(parse_size),
    AfterValidator(_message_size),
    WithJsonSchema(SIZE_SCHEMA, mode="validation"),
    Form(f"size, {STAMP.size}B to {MAX_MESSAGE_BYTES >> 20}MiB"),
]
"""Bytes, from the stamp's size to 512 MiB."""

_Duration = Annotated[int, BeforeValidator(parse_duration), WithJsonSchema(DURATION_SCHEMA, mode="validation")]

MAX_RATE = 10_000_000
"""Messages per second."""
FIND_THE_MAXIMUM = 0
"""In place of a rate: OMB's way to say that the highest one is to be found."""


def _rate(value: object) -> object:
    if is_maximum(value):
        return FIND_THE_MAXIMUM
    try:
        return parse_rate(value)
    except ValueError as error:
        raise ValueError(f"{error}, or max for the highest that is sustained") from None


def _known_rate(rate: int) -> int:
    if rate < 0:
        raise ValueError(f"{rate} is too small; write 1 or more, or max for the highest that is sustained")
    return rate


ProducerRate = Annotated[
    int,
    Field(le=MAX_RATE),
    BeforeValidator(_rate),
    AfterValidator(_known_rate),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MAX_RATE},
                {"type": "string", "pattern": RATE_PATTERN},
                {"enum": ["max", "MAX"]},
            ]
        },
        mode="validation",
    ),
    Form(f"rate, 1 to {MAX_RATE:,}; 0 or `max`"),
]
"""Messages per second; 0, or `max`, to find the highest that is sustained."""


def _processing_time(text: object) -> str:
    return str(ProcessingTime.parse(text))


ProcessingTimeText = Annotated[
    str,
    BeforeValidator(_processing_time),
    WithJsonSchema({"type": "string", "pattern": PROCESSING_TIME_PATTERN}, mode="validation"),
    Form("`1us` to `60s`, or as `2ms exponential`"),
]
"""A time per message, as `1ms` or `2ms exponential`."""

MAX_BACKLOG_GB = 100_000


def _backlog_size(size: object) -> int | float:
    if isinstance(size, int | float) and not isinstance(size, bool) and not 0 <= size <= MAX_BACKLOG_GB:
        raise ValueError(f"{quoted(size)} is out of range; write 0 for no backlog, up to {MAX_BACKLOG_GB} (GB)")
    if isinstance(size, bool) or not isinstance(size, int | float):
        raise ValueError(f"{quoted(size)} is not a number of GB; write 0 for no backlog, or a number such as 1 or 0.5")
    return int(size) if size == int(size) else size


BacklogSize = Annotated[
    int | float,
    BeforeValidator(_backlog_size),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": MAX_BACKLOG_GB}, mode="validation"),
]
"""GiB, which OMB calls GB; what is whole is an int, as files of OMB have it."""


def _profile(given: object) -> object:
    return None if given is None else parse_profile(given, MAX_RATE)


_RATE_SCHEMA = {
    "anyOf": [{"type": "integer", "minimum": 0, "maximum": MAX_RATE}, {"type": "string", "pattern": RATE_PATTERN}]
}
_STAGE_SCHEMA = {
    "type": "object",
    "properties": {"duration": DURATION_SCHEMA, **dict.fromkeys(("rate", "from", "to"), _RATE_SCHEMA)},
    "required": ["duration"],
    "additionalProperties": False,
}


def _shape_schema(name: str, **fields: object) -> dict[str, Any]:
    inner = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    return {"type": "object", "properties": {name: inner}, "required": [name], "additionalProperties": False}


_STEPS_SCHEMA = {"type": "array", "items": _RATE_SCHEMA, "minItems": 2}
RateProfileField = Annotated[
    list[dict[str, Any]] | dict[str, Any] | None,
    BeforeValidator(_profile),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": CONSTANT},
                {"type": "array", "items": _STAGE_SCHEMA, "minItems": 1},
                _shape_schema("ramp", **{"from": _RATE_SCHEMA, "to": _RATE_SCHEMA}),
                {
                    "type": "object",
                    "properties": {"steps": _STEPS_SCHEMA},
                    "required": ["steps"],
                    "additionalProperties": False,
                },
                _shape_schema(
                    "spike", base=_RATE_SCHEMA, peak=_RATE_SCHEMA, at=DURATION_SCHEMA, **{"for": DURATION_SCHEMA}
                ),
            ]
        },
        mode="validation",
    ),
    Form("a list of stages, a ramp, steps, a spike"),
]
"""Stages, or a shape that is laid over the measured time; see `rate_profile`."""

ProbeRate = Annotated[
    int,
    Field(ge=1, le=MAX_RATE),
    BeforeValidator(parse_rate),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MAX_RATE},
                {"type": "string", "pattern": RATE_PATTERN},
            ]
        },
        mode="validation",
    ),
    Form(f"rate, 1 to {MAX_RATE:,}"),
]
"""Messages per second."""

ProbeDuration = Annotated[_Duration, AfterValidator(Within(2 * SECOND, 10 * MINUTE))]
"""Nanoseconds, from 2 s to 10 min."""

TestDuration = Annotated[_Duration, AfterValidator(Within(100 * MS, 31 * 24 * HOUR))]
"""Nanoseconds, from 100 ms to 31 days."""
WarmupDuration = Annotated[_Duration, AfterValidator(Within(0, 24 * HOUR))]
"""Nanoseconds, up to a day; 0 for none."""
SampleInterval = Annotated[_Duration, AfterValidator(Within(100 * MS, HOUR))]
"""Nanoseconds, from 100 ms to an hour."""
DrainTimeout = Annotated[_Duration, AfterValidator(Within(100 * MS, 24 * HOUR))]
"""Nanoseconds, from 100 ms to a day."""


def _list_of_text(value: object) -> object:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"must be a list of conditions, not {quoted(value)}; {EXAMPLE}, each after a dash")
    return value


def check_conditions(texts: list[str], groups: Sequence[str] | None = None) -> list[str]:
    """`texts`, if each is a threshold of a run with these groups; with None any group may be named.

    Raises:
        ValueError: with what is wrong with each.
    """
    errors = []
    for text in texts:
        try:
            Threshold.parse(text, groups)
        except ValueError as error:
            errors.append(str(error))
    if errors:
        raise ValueError("; and ".join(errors))
    return texts


Thresholds = Annotated[
    list[str], BeforeValidator(_list_of_text), AfterValidator(check_conditions), Form("a list of conditions")
]
"""Conditions as `endToEndResponse.p99 < 5ms`; which groups there are is for the workload to say."""


def _faults(given: object) -> list[dict[str, object]] | None:
    if given is None:
        return None
    specs, problems = read_faults(given)
    if problems:
        path, message = problems[0]
        raise ValueError(f"fault {int(path[0]) + 1}: {message}" if path else message)
    return [spec.to_yaml() for spec in specs] or None


Faults = Annotated[
    list[dict[str, Any]] | None,
    BeforeValidator(_faults),
    WithJsonSchema(
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": dict.fromkeys(("at", "every", "until", "for", "restartAfter"), DURATION_SCHEMA),
            },
        },
        mode="validation",
    ),
    Form("a list of faults"),
]
"""What is broken when: entries as `{at: 10s, kill: primary, restartAfter: 2s}`; see `bench.faults`."""


def group_names(groups: int, consumers: int) -> tuple[str, ...]:
    """What the groups of a run are called; where nobody reads there are none."""
    return tuple(f"group-{number + 1}" for number in range(groups if consumers else 0))
