"""The verdicts and the table of all results, as text in cells. Pure; HTML and Markdown show the same."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ombdriver.bench.metrics.figures import MAIN, Figure
from ombdriver.bench.report import units
from ombdriver.bench.report.marks import mark, sentences, threshold_figure
from ombdriver.bench.report.page.runs import Repeats, Run
from ombdriver.bench.results.result import Result

INTERVALS = "In brackets: the 95 % interval of that run, by batch means."
PER_WRITE = "messages/write"
BUNCHED = f"{PER_WRITE}: how many left together, on average; loads that were bunched unlike are not the same load."

FIGURES = (*MAIN, Figure("endToEndResponse", "p99.9"), Figure("endToEndResponse", "max"))
COLUMNS = (
    "run",
    "verdict",
    "published",
    "of target",
    "received",
    PER_WRITE,
    *map(units.title, FIGURES),
    "lost",
)
"""Of `ResultRow.cells`. Latencies are response times: from the intended send."""
_LATENCIES = slice(COLUMNS.index(units.title(FIGURES[0])), -1)


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One result in the table: a cell for each of `COLUMNS`."""

    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerdictSummary:
    """What is said of a result as a whole.

    Attributes:
        run: its name.
        about: what ran, and when.
        status: in a word.
        reasons: rule and message of each, the gravest first; a status of its own stands before the rule.
        not_judged: the rules that could not be applied, with commas; may be empty.
        measured: what is known of this machine, where it was the bottleneck; else empty.
        advice: what would get a quiet run then.
        thresholds: of each whether it was met, its text, and the figure.
        caveats: kind and message of each.
    """

    run: str
    about: str
    status: str
    reasons: tuple[tuple[str, str], ...]
    not_judged: str
    measured: str
    advice: tuple[str, ...]
    thresholds: tuple[tuple[bool, str, str], ...]
    caveats: tuple[tuple[str, str], ...]


def tally(setups: Sequence[Repeats]) -> str:
    """How many results there are, and of what status: `4 results: 3 VALID, 1 UNSTEADY`."""
    statuses = [run.status for setup in setups for run in setup.runs]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    return f"{units.many(len(statuses), 'result')}: {counts}"


def summarise_verdict(run: Run) -> VerdictSummary:
    """What is said of the result as a whole."""
    result, verdict = run.result, run.result.verdict
    found = () if verdict is None else verdict.reasons
    reasons = [(_rule_label(each.status, run.status, each.rule), each.message) for each in found]
    if verdict is None and result.partial:
        reasons = [("partial", str(result.partial_reason))]
    return VerdictSummary(
        run.name,
        f"{result.workload}, run {result.run_id}, {units.duration(result.window_s)} measured from {result.begin_time}",
        run.status,
        tuple(reasons),
        ", ".join(one.rule for one in verdict.not_judged) if verdict else "",
        verdict.measured if verdict else "",
        tuple(one.message for one in verdict.advice) if verdict else (),
        tuple((check.passed, check.expression, threshold_figure(result, check)) for check in result.thresholds),
        tuple((caveat.kind, caveat.message) for caveat in result.caveats),
    )


def shared_caveats(
    verdicts: Sequence[VerdictSummary],
) -> tuple[tuple[tuple[str, str], ...], tuple[VerdictSummary, ...]]:
    """The caveats that all of several results have, and the results' verdicts with the others; none of one result."""
    if len(verdicts) < 2:
        return (), tuple(verdicts)
    first, *others = verdicts
    shared = tuple(each for each in first.caveats if all(each in other.caveats for other in others))
    return shared, tuple(
        replace(one, caveats=tuple(each for each in one.caveats if each not in shared)) for one in verdicts
    )


def result_row(run: Run) -> ResultRow:
    """The figures of the result that a reader compares first."""
    result = run.result
    published, target = result.mean_rate("publishRate"), result.target_publish_rate
    cells = [
        run.name,
        run.status,
        units.rate(published),
        units.percent(published / target) if target else units.NOTHING,
        units.rate(result.mean_rate("consumeRate")),
        units.NOTHING if result.messages_per_write is None else f"{result.messages_per_write['mean']:,.2f}",
        *(_latency(result, figure) for figure in FIGURES),
        _lost(result),
    ]
    return ResultRow(tuple(cells))


def legends(rows: Sequence[ResultRow]) -> list[str]:
    """What their marks and brackets mean, a sentence for each kind."""
    cells = [cell for row in rows for cell in row.cells[_LATENCIES]]
    return [*sentences(cells), *_bunched(rows)] + [INTERVALS] * any(cell.endswith(")") for cell in cells)


def _bunched(rows: Sequence[ResultRow]) -> list[str]:
    at = COLUMNS.index(PER_WRITE)
    return [BUNCHED] if any(row.cells[at] != units.NOTHING for row in rows) else []


def _rule_label(status: str, whole: str, rule: str) -> str:
    return rule if status == whole else f"{status}, {rule}"


def _latency(result: Result, figure: Figure) -> str:
    """With the 95 % interval behind it, where that is known."""
    ends = result.confidence.get(str(figure), ())
    return f"{units.latency(result.value(figure))}{mark(result, figure)}{f' ({units.span(ends)})' if ends else ''}"


def _lost(result: Result) -> str:
    """Messages that a group was not given and never will be, over all groups."""
    if not result.delivery:
        return units.NOTHING
    return units.count(sum(each.lost + each.trimmed for each in result.delivery))
