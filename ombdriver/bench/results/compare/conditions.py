"""Conditions that a comparison fails on: `METRIC worse than N%`, as `endToEndResponse.p99 worse than 10%`. Pure.

Worse is more of a latency and less of a rate. A condition is met when the ratio to the baseline is worse by more than
N %, and its interval, where there is one, leaves out 1: so chance alone seldom meets it. With too few repeats for an
interval, and for `max`, the ratio alone decides, and the message says so. What can't be judged, for want of figures, is
met: a check that could not be made has not been passed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.results.compare.comparison import Comparison, Effect
from ombdriver.bench.results.compare.metrics import parse
from ombdriver.bench.units import nearest, quoted
from ombdriver.errors import InputError

EXAMPLE = "write it as 'endToEndResponse.p99 worse than 10%'"
_FORM = re.compile(r"\s*(\S|\S.*?\S)\s+worse\s+than\s+(\S+?)\s*(%?)\s*")
_NUMBER = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Condition:
    """What is not to be.

    Attributes:
        expression: as messages have it.
        figure: of which figure.
        share: by how much worse, as a share: 0.1 is 10 %.
    """

    expression: str
    figure: Figure
    share: float

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Reads a condition.

        Raises:
            ValueError: if it is none; the message tells what is wrong with it, and what is known.
        """
        parts = _FORM.fullmatch(text)
        if not parts:
            raise ValueError(f"{quoted(text)} is not METRIC worse than N%; {EXAMPLE}")
        figure = parse(parts[1])
        if not _NUMBER.fullmatch(parts[2]):
            raise ValueError(
                f"{quoted(text)}: {quoted(parts[2])} is not a number of 0 or more in plain digits; {EXAMPLE}"
            )
        if not parts[3]:
            raise ValueError(f"{quoted(text)}: {parts[2]} has no unit; write {parts[2]}%")
        if figure.kind == "rate" and Decimal(parts[2]) >= 100:
            raise ValueError(f"{quoted(text)}: no rate falls by more than 100 %; write a smaller number")
        return cls(f"{figure} worse than {parts[2]}%", figure, float(Decimal(parts[2]) / 100))

    def met(self, effect: Effect) -> bool:
        """Whether `effect` is that bad, or can't be judged."""
        if effect.ratio is None:
            return True
        worse = effect.ratio < 1 - self.share if self.figure.kind == "rate" else effect.ratio > 1 + self.share
        return worse and not (effect.low is not None and effect.high is not None and effect.low <= 1 <= effect.high)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a condition for one setup.

    Attributes:
        condition: which.
        workload, setup: where.
        effect: what it was checked against.
        met: whether the comparison fails on it, or can't be judged.
        fit: whether it could be judged: both setups have VALID runs.
    """

    condition: Condition
    workload: str
    setup: str
    effect: Effect
    met: bool
    fit: bool = True


def outcomes(conditions: Sequence[Condition], comparisons: Sequence[Comparison]) -> list[Outcome]:
    """Of each condition for each setup of each comparison.

    Raises:
        InputError: if a condition is of a group that no run has; the comparisons must have been made per group.
    """
    found = []
    faults = []
    for condition in conditions:
        known: dict[str, None] = {}
        for comparison in comparisons:
            for compared in comparison.setups:
                known |= {each.figure.group: None for each in compared.effects if each.figure.group is not None}
                found += [
                    Outcome(
                        condition,
                        comparison.workload,
                        compared.setup,
                        each,
                        condition.met(each) or not compared.fit,
                        compared.fit,
                    )
                    for each in compared.effects
                    if each.figure == condition.figure
                ]
        group = condition.figure.group
        if group is not None and group not in known:
            near = nearest(group, known)
            hint = f"did you mean {near}?" if near else f"there are: {', '.join(known) or 'none'}"
            faults.append(f"--fail-if: there is no group {quoted(group)}; {hint}")
    if faults:
        raise InputError(faults)
    return found
