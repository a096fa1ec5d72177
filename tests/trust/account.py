"""Outcomes of cases -> how often the verdict was right: the account, and its table in Markdown. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ombdriver.bench.verdict.model import INVALID, VALID

OVERLOADED = "OVERLOADED"
MOST_OF_OTHERS = 0.05
"""The share of the machine that others may take; what goes wrong with more is told and not counted."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case.

    Attributes:
        case: to repeat it by.
        kind: what was done, in the words of the table.
        must: the statuses of which one had to come.
        status: that came; None when the situation could not be brought about.
        rules: the messages of the verdict's reasons, by rule.
        caveats: the kinds of the caveats.
        faults: what else was not as it had to be: the reason, or figures.
        others: the share of the machine that others took in the window.
        problem: why the situation could not be brought about.
        seconds: how long the case took.
        seed: what decided the details of the case, together with its name.
    """

    case: str
    kind: str
    must: tuple[str, ...]
    status: str | None = None
    rules: Mapping[str, str] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    others: float = 0.0
    problem: str | None = None
    seconds: float = 0.0
    seed: int = 1

    @property
    def right(self) -> bool:
        """Whether the status is one of those that had to come."""
        return self.status in self.must

    @property
    def false_valid(self) -> bool:
        """Whether bad figures were called good: the worst that can happen."""
        return self.status == VALID and not self.right

    @property
    def exact(self) -> bool:
        """Whether nothing at all was otherwise than it had to be."""
        return self.right and not self.faults

    def counts(self, most_of_others: float = MOST_OF_OTHERS) -> bool:
        """Whether it says something of the verdict.

        On a machine that others use a run is rightly called INVALID, so then neither right nor wrong is counted; but
        bad figures that are called good are so on any machine.
        """
        return self.status is not None and (self.others <= most_of_others or self.false_valid)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the cases of a kind of which the same had to come."""

    kind: str
    must: str
    cases: int
    right: int
    false_valid: int
    false_invalid: int
    false_overloaded: int
    other: int
    faulty: int


def rows(outcomes: Iterable[Outcome]) -> list[Row]:
    """The lines, in the order in which their kinds come first, and one of all together."""
    grouped: dict[tuple[str, str], list[Outcome]] = {}
    for each in outcomes:
        grouped.setdefault((each.kind, " or ".join(each.must)), []).append(each)
    order = {kind: at for at, (kind, _) in reversed(list(enumerate(grouped)))}
    found = [_row(*key, grouped[key]) for key in sorted(grouped, key=lambda key: order[key[0]])]
    return [*found, _row("all", "", [each for group in grouped.values() for each in group])]


def _row(kind: str, must: str, outcomes: Sequence[Outcome]) -> Row:
    wrong = [each.status for each in outcomes if not each.right]
    named = (VALID, INVALID, OVERLOADED)
    return Row(
        kind,
        must,
        len(outcomes),
        len(outcomes) - len(wrong),
        *(wrong.count(status) for status in named),
        other=sum(status not in named for status in wrong),
        faulty=sum(each.right and bool(each.faults) for each in outcomes),
    )


COUNTS = "cases | came | false `VALID` | false `INVALID` | false `OVERLOADED` | other | figures not as predicted"
HEAD = f"| what is done | must come | {COUNTS} |"


def markdown(outcomes: Iterable[Outcome]) -> str:
    """The table."""
    lines = [HEAD, "|---|---|--:|--:|--:|--:|--:|--:|--:|"]
    lines += [f"| {row.kind} | {_named(row.must)} | {_counts(row)} |" for row in rows(outcomes)]
    return "\n".join(lines) + "\n"


def by_verdict(outcomes: Iterable[Outcome]) -> str:
    """A line for each verdict that had to come, one of the cases in which several may, and one of all together."""
    grouped: dict[str, list[Outcome]] = {}
    for each in outcomes:
        grouped.setdefault(f"`{each.must[0]}`" if len(each.must) == 1 else "one of several", []).append(each)
    lines = [f"| must come | {COUNTS} |", "|---|--:|--:|--:|--:|--:|--:|--:|"]
    lines += [f"| {must} | {_counts(_row('', must, grouped[must]))} |" for must in sorted(grouped)]
    every = [each for group in grouped.values() for each in group]
    return "\n".join([*lines, f"| all | {_counts(_row('all', '', every))} |"]) + "\n"


def _named(must: str) -> str:
    return " or ".join(f"`{each}`" for each in must.split(" or ")) if must else ""


def _counts(row: Row) -> str:
    counts = (row.cases, row.right, row.false_valid, row.false_invalid, row.false_overloaded, row.other, row.faulty)
    return " | ".join(str(count) for count in counts)
