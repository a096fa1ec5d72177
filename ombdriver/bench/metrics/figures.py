"""How one figure of a run is written, and looked up: family, consumer group, statistic. Pure.

Thresholds, comparisons, the harness floor, tables and pages all name figures in this one form, as
`endToEnd[group-1].p99`, `delivery.lost` or `publishRate`. A `Source` has the values.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, Protocol

from ombdriver.bench.metrics.latency import REPORTED, LatencySummary
from ombdriver.bench.metrics.summary import (
    DELAY_PARTS,
    FAMILIES,
    GROUP_FAMILIES,
    FaultTotals,
    Totals,
    WindowDelivery,
)
from ombdriver.bench.units import camel_case, nearest, quoted

LATENCIES = (*FAMILIES, *DELAY_PARTS)
RATES = ("publishRate", "publishErrorRate", "consumeRate")
COUNTS: Mapping[str, Mapping[str, str]] = {
    "totals": {camel_case(each.name): each.name for each in fields(Totals)},
    "delivery": {camel_case(each.name): each.name for each in fields(WindowDelivery) if each.type not in (str, bool)},
    "faults": {camel_case(each.name): each.name for each in fields(FaultTotals)},
    "backlogDrain": {"drainSeconds": "drain_seconds", "drainRate": "drain_rate", "receiveRate": "receive_rate"},
}
"""What is counted, or is a plain number: how it is written, and the attribute that it means."""
DURATIONS = ("outage", "deliveryOutage", "detect", "recover", "catchUp")
"""What faults did, as times: the longest of all injections."""
OF_FAULTS = (*DURATIONS, "faults")
"""The families that only a run with faults has."""
OF_GROUP = (*GROUP_FAMILIES, "delivery", "backlogDrain", "consumeRate", "deliveryOutage", "catchUp")
"""The families that each consumer group has too."""
GRAMMAR: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(LATENCIES, REPORTED),
    **{name: tuple(counts) for name, counts in COUNTS.items()},
    **dict.fromkeys(RATES, ()),
    **dict.fromkeys(DURATIONS, ()),
}
"""Every family, and the statistics that it has; a rate or a duration is one number and has none."""

Kind = Literal["latency", "count", "rate", "duration"]
_FORM = re.compile(r"([A-Za-z]+)(?:\[([^\[\]]*)\])?(?:\.(.+))?")


class Source(Protocol):
    """Where the values of figures come from."""

    def latency(self, family: str, group: str | None) -> LatencySummary:
        """One of `LATENCIES`, over all groups or of one."""
        ...

    def count(self, family: str, group: str | None, attribute: str) -> float | None:
        """An attribute of one of `COUNTS`; None when it was not counted."""
        ...

    def rate(self, family: str, group: str | None) -> float | None:
        """One of `RATES`, in messages per second; None when there was no time."""
        ...

    def duration(self, family: str, group: str | None) -> float | None:
        """One of `DURATIONS`, in ns; None where there was no fault, or where it did not come to an end."""
        ...


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a run.

    Attributes:
        family: a latency, a rate, or what is counted; a key of `GRAMMAR`.
        statistic: which one of it; empty for a rate or a duration.
        group: of which consumer group; None for all of them together.
    """

    family: str
    statistic: str = ""
    group: str | None = None

    def __str__(self) -> str:
        """As it is written: `endToEndResponse.p99`, `endToEnd[group-1].p50`, `publishRate`."""
        of = self.family if self.group is None else f"{self.family}[{self.group}]"
        return f"{of}.{self.statistic}" if self.statistic else of

    @property
    def kind(self) -> Kind:
        """A latency and a duration are in ns, a rate in messages per second; a count is a number."""
        if self.family in DURATIONS:
            return "duration"
        return "count" if self.family in COUNTS else "rate" if self.family in RATES else "latency"

    @property
    def of_any_run(self) -> bool:
        """Whether a run that only reads has it too, since it is not of messages that a run sends itself."""
        return self.family in ("consumerAck", "consumeRate", "totals")

    def value(self, source: Source) -> float | None:
        """What `source` says of it; None without a sample."""
        if self.kind == "latency":
            return source.latency(self.family, self.group).ns(self.statistic)
        if self.kind == "rate":
            return source.rate(self.family, self.group)
        if self.kind == "duration":
            return source.duration(self.family, self.group)
        return source.count(self.family, self.group, COUNTS[self.family][self.statistic])

    @classmethod
    def parse(
        cls,
        text: str,
        grammar: Mapping[str, Sequence[str]] = GRAMMAR,
        groups: Sequence[str] | None = None,
        noun: str = "figure",
    ) -> "Figure":
        """Reads a figure as it is written.

        Args:
            text: the figure.
            grammar: which families and statistics may stand in it.
            groups: the names of the run's groups, if they are known; the group must be one of them then.
            noun: what messages call a figure.

        Raises:
            ValueError: if it is none; the message tells what is wrong with it, and what is known.
        """
        parts = _FORM.fullmatch(text)
        if not parts or parts[1] not in grammar:
            near = nearest(parts[1], grammar) if parts else None
            raise ValueError(f"there is no {noun} {quoted(text)}; {_hint(near, grammar)}")
        family, group, statistic = parts[1], parts[2], parts[3]
        if group is not None:
            if family not in OF_GROUP:
                those = ", ".join(each for each in OF_GROUP if each in grammar)
                raise ValueError(f"{family} is not told per group; leave out [{group}] (told so: {those})")
            if groups is not None and group not in groups:
                raise ValueError(f"there is no group {quoted(group)}; {_hint(nearest(group, groups), groups)}")
        if not grammar[family]:
            if statistic is not None:
                raise ValueError(f"{family} is one number; leave out .{statistic}")
            return cls(family, "", group)
        if statistic not in grammar[family]:
            near = nearest(statistic, grammar[family]) if statistic else None
            hint = _hint(near and f"{family}.{near}", grammar[family])
            raise ValueError(f"{family} has no figure {quoted(statistic or '')}; {hint}")
        return cls(family, statistic, group)


MAIN = tuple(
    Figure(family, statistic) for family in ("publishResponse", "endToEndResponse") for statistic in ("p50", "p99")
)
"""The figures that stand for a run where there is one row for each of many."""


def _hint(near: str | None, known: Iterable[str]) -> str:
    if near:
        return f"did you mean {near}?"
    there = ", ".join(known)
    return f"there are: {there}" if there else "this run has none"
