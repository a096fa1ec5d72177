"""Thresholds that a user sets for a run: `FIGURE OP VALUE`, as `endToEndResponse.p99 < 5ms`. Pure.

Knows how figures are called and written; where their values come from is told by a `Source`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Literal, Protocol

from ombdriver.bench.metrics.summary import DELAY_PARTS, FAMILIES, GROUP_FAMILIES, Delivery, LatencySummaryNs, Totals
from ombdriver.bench.units import nearest, quoted


@dataclass(frozen=True, slots=True)
class Check:
    """What became of one threshold.

    Attributes:
        expression: as the user wrote it.
        value: the figure, in `unit`; None when there was no sample.
        limit: what it was held against, in `unit`.
        unit: `ms`, `messages/s`, or `` for a number.
        passed: whether it held; a figure without a sample never does.
    """

    expression: str
    value: float | None
    limit: float
    unit: str
    passed: bool

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Check":
        """Reads what a result's JSON holds; a missing key is a KeyError."""
        return cls(data["expression"], data["value"], data["limit"], data["unit"], data["passed"])


OPERATORS = {"<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__}
STATISTICS = {
    **{name: name for name in ("min", "avg", "p50", "p75", "p95", "p99")},
    "p99.9": "p999",
    "p99.99": "p9999",
    "max": "max",
}
"""How a statistic is written, and the attribute of a `LatencySummaryNs` that it means."""
BEYOND = {"p50": 0.5, "p75": 0.25, "p95": 0.05, "p99": 0.01, "p99.9": 0.001, "p99.99": 0.0001}
"""The share of the samples that lies beyond a percentile."""
ENOUGH_BEYOND = 10
"""A percentile is worth telling from so many samples beyond it on: 1,000 samples for the p99."""
UNITS_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9}
RATES = ("publishRate", "publishErrorRate", "consumeRate")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


COUNTS = {
    "totals": {_camel(each.name): each.name for each in fields(Totals)},
    "delivery": {_camel(each.name): each.name for each in fields(Delivery) if each.type not in (str, bool)},
    "backlogDrain": {"drainSeconds": "drain_seconds", "drainRate": "drain_rate", "receiveRate": "receive_rate"},
}
"""What is counted, or is a plain number: how it is written, and the attribute that it means."""
FAMILY_NAMES = (*FAMILIES, *DELAY_PARTS)
OF_GROUP = (*GROUP_FAMILIES, "delivery", "backlogDrain", "consumeRate")
"""What `[GROUP]` may stand behind."""

Kind = Literal["latency", "count", "rate"]
_UNIT_TOLD = {"latency": "ms", "count": "", "rate": "messages/s"}

_FORM = re.compile(r"\s*([^<>=\s]+)\s*(<=|>=|<|>)\s*(\S+)\s*")
_FIGURE = re.compile(r"([A-Za-z]+)(?:\[([^\[\]]*)\])?(?:\.(.+))?")
_VALUE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([A-Za-zµ]*)")
EXAMPLE = "write it as 'endToEndResponse.p99 < 5ms'"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a run.

    Attributes:
        kind: what sort of figure.
        name: the family, one of `COUNTS`, or the rate.
        group: of which subscription; None for all of them together.
        statistic: which one of it, as written; empty for a rate.
    """

    kind: Kind
    name: str
    group: str | None
    statistic: str

    @property
    def of_any_run(self) -> bool:
        """Whether a run that only reads has it too, since it is not of messages that a run sends itself."""
        return self.name in ("consumerAck", "consumeRate", "totals")


class Source(Protocol):
    """FieldPath the values of figures come from."""

    def latency(self, name: str, group: str | None) -> LatencySummaryNs:
        """Of one of `FAMILY_NAMES`, over all groups or of one."""
        ...

    def count(self, name: str, group: str | None, attribute: str) -> float | None:
        """Of one of `COUNTS`; None when it was not counted."""
        ...

    def rate(self, name: str, group: str | None) -> float | None:
        """One of `RATES`, in messages per second; None when there was no time."""
        ...


@dataclass(frozen=True, slots=True)
class Threshold:
    """A condition that a run is to meet.

    Attributes:
        expression: as written, with single spaces.
        figure: what is looked at.
        operator: one of `OPERATORS`.
        limit: what it is held against: ns for a latency, else the number.
    """

    expression: str
    figure: Figure
    operator: str
    limit: float

    @classmethod
    def parse(cls, text: str, groups: Sequence[str] | None = None) -> "Threshold":
        """Reads a threshold.

        Args:
            text: `FIGURE OP VALUE`.
            groups: the names of the run's groups, if they are known; `[GROUP]` must be one of them then.

        Raises:
            ValueError: if it is none; the message tells what is wrong with it, and what is known.
        """
        parts = _FORM.fullmatch(text)
        if not parts:
            raise ValueError(f"{quoted(text)} is not FIGURE OP VALUE, where OP is <, <=, > or >=; {EXAMPLE}")
        figure = _figure(parts[1], groups)
        return cls(f"{parts[1]} {parts[2]} {parts[3]}", figure, parts[2], _limit(parts[3], figure, text))

    def value(self, source: Source) -> float | None:
        """The figure's value, in ns for a latency; None when there was no sample."""
        figure = self.figure
        if figure.kind == "latency":
            summary = source.latency(figure.name, figure.group)
            return float(getattr(summary, STATISTICS[figure.statistic])) if summary.count else None
        if figure.kind == "rate":
            return source.rate(figure.name, figure.group)
        counted = source.count(figure.name, figure.group, COUNTS[figure.name][figure.statistic])
        return None if counted is None else float(counted)

    def holds(self, value: float | None) -> bool:
        """Whether `value` meets the condition; what has no sample never does."""
        return value is not None and bool(OPERATORS[self.operator](float(value), self.limit))

    def check(self, source: Source) -> Check:
        """What became of it, in the units of a result."""
        value = self.value(source)
        scale = 1e6 if self.figure.kind == "latency" else 1.0
        return Check(
            self.expression,
            None if value is None else round(value / scale, 6),
            self.limit / scale,
            _UNIT_TOLD[self.figure.kind],
            self.holds(value),
        )


def _figure(text: str, groups: Sequence[str] | None) -> Figure:
    parts = _FIGURE.fullmatch(text)
    known = (*FAMILY_NAMES, *COUNTS, *RATES)
    if not parts or parts[1] not in known:
        near = nearest(parts[1], known) if parts else None
        raise ValueError(f"there is no figure {quoted(text)}; {_hint(near, known)}")
    name, group, statistic = parts[1], parts[2], parts[3]
    if group is not None:
        if name not in OF_GROUP:
            raise ValueError(f"{name} is not told per group; leave out [{group}] (told so: {', '.join(OF_GROUP)})")
        if groups is not None and group not in groups:
            raise ValueError(f"there is no group {quoted(group)}; {_hint(nearest(group, groups), groups)}")
    if name in RATES:
        if statistic is not None:
            raise ValueError(f"{name} is one number; leave out .{statistic}")
        return Figure("rate", name, group, "")
    valid = STATISTICS if name in FAMILY_NAMES else COUNTS[name]
    if statistic not in valid:
        near = nearest(statistic, valid) if statistic else None
        raise ValueError(f"{name} has no figure {quoted(statistic or '')}; {_hint(near and f'{name}.{near}', valid)}")
    return Figure("latency" if name in FAMILY_NAMES else "count", name, group, statistic)


def _hint(near: str | None, known: Sequence[str] | dict[str, str]) -> str:
    if near:
        return f"did you mean {near}?"
    return f"there are: {', '.join(known)}" if known else "this run has none"


def _limit(text: str, figure: Figure, whole: str) -> float:
    parts = _VALUE.fullmatch(text)
    if not parts:
        raise ValueError(f"{quoted(whole)}: {quoted(text)} is not a value; {EXAMPLE}")
    number, unit = Decimal(parts[1]), parts[2]
    if figure.kind != "latency":
        if unit:
            raise ValueError(f"{quoted(whole)}: {figure.name} is a plain number; leave out {quoted(unit)}")
        return float(number)
    if unit not in UNITS_NS:
        fault = f"{quoted(unit)} is not a unit of a latency" if unit else f"{parts[1]} has no unit"
        raise ValueError(f"{quoted(whole)}: {fault}; write {parts[1]}ms (units: {', '.join(UNITS_NS)})")
    return float(number * UNITS_NS[unit])
