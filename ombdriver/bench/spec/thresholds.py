"""Thresholds that a user sets for a run: `FIGURE OP VALUE`, as `endToEndResponse.p99 < 5ms`. Pure.

Knows operators, units and limits. How a figure is written, and where its value comes from, is for `figures`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ombdriver.bench.metrics.figures import Figure, Source
from ombdriver.bench.units import quoted


@dataclass(frozen=True, slots=True)
class Check:
    """What became of one threshold.

    Attributes:
        expression: as the user wrote it.
        value: the figure, in `unit`; None when there was no sample.
        limit: what it was compared with, in `unit`.
        unit: `ms`, `messages/s`, or empty for a number.
        passed: whether it was met; a figure without a sample never meets it.
    """

    expression: str
    value: float | None
    limit: float
    unit: str
    passed: bool


OPERATORS = {"<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__}
UNITS_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9}
_CHECK_UNITS = {"latency": "ms", "duration": "ms", "count": "", "rate": "messages/s"}

_TIMES = ("latency", "duration")
_FORM = re.compile(r"\s*([^<>=\s]+)\s*(<=|>=|<|>)\s*(\S+)\s*")
_VALUE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([A-Za-zµ]*)")
EXAMPLE = "write it as 'endToEndResponse.p99 < 5ms'"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A condition that a run is to meet.

    Attributes:
        expression: as written, with single spaces.
        figure: what is checked.
        operator: one of `OPERATORS`.
        limit: what it is compared with: ns for a latency or a duration, else the number.
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
            ValueError: if it is none; the message says what is wrong with it, and what is known.
        """
        parts = _FORM.fullmatch(text)
        if not parts:
            raise ValueError(f"{quoted(text)} is not FIGURE OP VALUE, where OP is <, <=, > or >=; {EXAMPLE}")
        figure = Figure.parse(parts[1], groups=groups)
        return cls(f"{parts[1]} {parts[2]} {parts[3]}", figure, parts[2], _limit(parts[3], figure, text))

    def is_met(self, value: float | None) -> bool:
        """Whether `value` meets the condition; a figure without a sample never does."""
        return value is not None and bool(OPERATORS[self.operator](float(value), self.limit))

    def check(self, source: Source) -> Check:
        """What became of it, in the units of a result."""
        value = self.figure.value(source)
        scale = 1e6 if self.figure.kind in _TIMES else 1.0
        return Check(
            self.expression,
            None if value is None else round(value / scale, 6),
            self.limit / scale,
            _CHECK_UNITS[self.figure.kind],
            self.is_met(value),
        )


_THOUSANDS = {"k": 10**3, "K": 10**3, "M": 10**6}
"""As of a rate in a workload."""


def _limit(text: str, figure: Figure, whole: str) -> float:
    parts = _VALUE.fullmatch(text)
    if not parts:
        raise ValueError(f"{quoted(whole)}: {quoted(text)} is not a value; {EXAMPLE}")
    number, unit = Decimal(parts[1]), parts[2]
    if figure.kind not in _TIMES:
        if unit in _THOUSANDS:
            return float(number * _THOUSANDS[unit])
        if unit:
            raise ValueError(
                f"{quoted(whole)}: {figure.family} is a number; leave out {quoted(unit)}, or write 1k for 1,000"
            )
        return float(number)
    if unit not in UNITS_NS:
        fault = f"{quoted(unit)} is not a unit of a latency" if unit else f"{parts[1]} has no unit"
        raise ValueError(f"{quoted(whole)}: {fault}; write {parts[1]}ms (units: {', '.join(UNITS_NS)})")
    return float(number * UNITS_NS[unit])
