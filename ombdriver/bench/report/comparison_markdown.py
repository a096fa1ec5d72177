"""Comparisons as Markdown, for a pull request: claims, and all figures in a table. Pure."""

from collections.abc import Iterator, Sequence

from ombdriver.bench.compare.comparison import Comparison, Effect
from ombdriver.bench.compare.conditions import Outcome
from ombdriver.bench.compare.trial import Trial
from ombdriver.bench.report import comparison_text as text
from ombdriver.bench.report import units


def render(comparisons: Sequence[Comparison], left_out: Sequence[Trial], outcomes: Sequence[Outcome]) -> str:
    """As text, ended by a line feed.

    Args:
        comparisons: what was found.
        left_out: the runs that were not compared.
        outcomes: of the conditions.
    """
    parts = [part for comparison in comparisons for part in _parts(comparison)]
    parts.append("\n".join(f"- {_safe(line)}" for line in (*text.NOTES, *text.left_out(left_out))))
    if outcomes:
        parts.append("\n".join(f"- {_safe(text.outcome(each))}" for each in outcomes))
    return "\n\n".join(parts) + "\n"


def _parts(comparison: Comparison) -> Iterator[str]:
    for versus in comparison.versus:
        yield f"### {_safe(text.title(comparison, versus))}"
        yield _safe(text.basis(versus))
        if versus.no_claim is not None:
            yield f"**{_safe(versus.no_claim)}**"
        else:
            yield "\n".join(f"- `{name}`: {_bold(finding)}" for name, finding in text.findings(versus))
        head = ("metric", _safe(comparison.baseline), "spread", _safe(versus.setup), "spread", "ratio", "95 % interval")
        yield "\n".join([_row(head), _row(["---", *["---:"] * 6]), *(_row(_cells(each)) for each in versus.effects)])
    if remarks := text.remarks(comparison):
        yield "\n".join(f"- {_safe(remark)}" for remark in remarks)


def _cells(effect: Effect) -> list[str]:
    return [
        f"`{effect.metric.name.replace('|', '&#124;')}`",
        text.figure(effect.metric, effect.baseline.median),
        units.percent(effect.baseline.relative),
        text.figure(effect.metric, effect.other.median),
        units.percent(effect.other.relative),
        text.ratio(effect.ratio),
        text.interval(effect),
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _bold(finding: str) -> str:
    word, colon, rest = finding.partition(":")
    return f"**{word}**{colon}{rest}"


def _safe(part: str) -> str:
    """`part` with what Markdown and tables would take for their own marked as text."""
    return "".join(f"\\{each}" if each in "\\`*_[]<>|" else each for each in part)
