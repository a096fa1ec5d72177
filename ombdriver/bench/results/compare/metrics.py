"""What is compared: metrics, how they are written, and which of them are tested. Pure.

Latencies are in ms, lower is better; rates in messages per second, higher is better.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ombdriver.bench.metrics.summary import GROUP_FAMILIES
from ombdriver.bench.units import nearest, quoted

FAMILIES = ("publish", "endToEnd", "publishResponse", "endToEndResponse")
STATISTICS = {"p50": "p50", "p95": "p95", "p99": "p99", "p99.9": "p999", "max": "max"}
"""How a statistic is written, and the attribute of a `LatencySummary` that it means."""
RATES = ("publishRate", "consumeRate")
GROUP_RATES = ("consumeRate",)
DECLARED = ("publishResponse.p50", "publishResponse.p99", "endToEndResponse.p50", "endToEndResponse.p99")
"""The metrics that are tested. They were chosen before there was anything to look at; all others are exploratory."""
UNTESTED = "max"
"""One sample of a whole run: never tested, and given no interval."""

_NAME = re.compile(r"([A-Za-z]+)(?:\[([^\[\]]+)\])?(?:\.(.+))?")


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure that every run has.

    Attributes:
        family: one of `FAMILIES` or of `RATES`.
        statistic: one of `STATISTICS`, as written; empty for a rate.
        group: of which consumer group; None for all of them together.
    """

    family: str
    statistic: str = ""
    group: str | None = None

    @property
    def name(self) -> str:
        """As it is written: `endToEndResponse.p99`, `endToEnd[group-1].p50`, `publishRate`."""
        of = self.family if self.group is None else f"{self.family}[{self.group}]"
        return f"{of}.{self.statistic}" if self.statistic else of

    @property
    def is_rate(self) -> bool:
        """Whether it is in messages per second, and more is better."""
        return self.family in RATES

    @property
    def declared(self) -> bool:
        """Whether a claim may be made of it."""
        return self.name in DECLARED

    @property
    def has_interval(self) -> bool:
        """Whether its ratio is given an interval."""
        return self.statistic != UNTESTED

    @classmethod
    def parse(cls, text: str) -> "Metric":
        """Reads `name`.

        Raises:
            ValueError: if there is no such metric; the message tells what there is.
        """
        parts = _NAME.fullmatch(text)
        known = (*FAMILIES, *RATES)
        if not parts or parts[1] not in known:
            raise ValueError(f"there is no metric {quoted(text)}; {_hint(parts and nearest(parts[1], known), known)}")
        family, group, statistic = parts[1], parts[2], parts[3]
        if group is not None and family not in (*GROUP_FAMILIES, *GROUP_RATES):
            told = ", ".join((*GROUP_FAMILIES, *GROUP_RATES))
            raise ValueError(f"{family} is not told per group; leave out [{group}] (told so: {told})")
        if family in RATES:
            if statistic is not None:
                raise ValueError(f"{family} is one number; leave out .{statistic}")
            return cls(family, "", group)
        if statistic not in STATISTICS:
            near = nearest(statistic, STATISTICS) if statistic else None
            hint = _hint(near and f"{family}.{near}", tuple(STATISTICS))
            raise ValueError(f"{family} has no figure {quoted(statistic or '')}; {hint}")
        return cls(family, statistic, group)


def overall() -> list[Metric]:
    """The metrics over all groups together, in the order in which they are told."""
    rates = [Metric(rate) for rate in RATES]
    return rates + [Metric(family, statistic) for family in FAMILIES for statistic in STATISTICS]


def of_groups(groups: Sequence[str]) -> list[Metric]:
    """The metrics of each of these groups."""
    found = []
    for group in groups:
        found += [Metric(rate, "", group) for rate in GROUP_RATES]
        found += [Metric(family, statistic, group) for family in GROUP_FAMILIES for statistic in STATISTICS]
    return found


def _hint(near: str | None, known: Sequence[str]) -> str:
    return f"did you mean {near}?" if near else f"there are: {', '.join(known)}"
