"""A short form of a page for a pull request: verdicts and the table, as Markdown of GitHub's kind. Pure."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ombdriver.bench.report.chaos import HEAD, ORDER
from ombdriver.bench.report.page.content import ChaosTable, summary
from ombdriver.bench.report.page.summary import COLUMNS, VerdictSummary, legends

if TYPE_CHECKING:
    from ombdriver.bench.results.store import ResultFile

_FIGURES_FROM = 2
"""The first column that is a figure."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]|~])")
_LINKED = re.compile(r"([@#])(?=\w)")
_MARKS = {"VALID": "✅", "LOSS": "❌", "CORRUPT": "❌", "INVALID": "❌"}
_OTHERS = "⚠️"


def render(files: Sequence["ResultFile"]) -> str:
    """The text; what comes from results stands in it letter by letter, never as markup or as a mention."""
    tally, verdicts, rows, chaos = summary(files)
    lines = ["### ombdriver: " + _plain(tally), ""]
    for each in verdicts:
        lines += _verdict(each)
    if verdicts:
        lines.append("")
    lines += _table(COLUMNS, [row.cells for row in rows])
    lines += ["", "Latencies are response times, counted from the intended send."]
    lines[-1] += "".join(" " + each.replace("*", "\\*") for each in legends(rows))
    if chaos is not None:
        lines += _chaos(chaos)
    return "\n".join(lines) + "\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    head = [
        f"| {' | '.join(columns)} |",
        f"|{'|'.join('---' if at < _FIGURES_FROM else '---:' for at in range(len(columns)))}|",
    ]
    return [*head, *(f"| {' | '.join(map(_plain, cells))} |" for cells in rows)]


def _chaos(chaos: ChaosTable) -> list[str]:
    lines = ["", "What was lost by standard faults:", "", *_table(HEAD, chaos.rows), "", ORDER]
    return lines + [f"- {_plain(note)}" for note in chaos.notes]


def _verdict(verdict: VerdictSummary) -> list[str]:
    mark = _MARKS.get(verdict.status, _OTHERS)
    lines = [f"- {mark} **{_plain(verdict.status)}** {_plain(verdict.run)}: {_plain(verdict.about)}"]
    lines += [f"  - {_plain(rule)}: {_plain(message)}" for rule, message in verdict.reasons]
    lines += [f"  - this machine: {_plain(verdict.measured)}"] if verdict.measured else []
    lines += [f"  - for a quiet run: {_plain(message)}" for message in verdict.advice]
    for passed, expression, value in verdict.thresholds:
        lines.append(f"  - {'pass' if passed else '**FAIL**'} {_plain(expression)}: {_plain(value)}")
    if verdict.caveats:
        kinds = dict.fromkeys(kind for kind, _ in verdict.caveats)
        lines.append(f"  - caveats: {', '.join(_plain(kind) for kind in kinds)}")
    return lines


def _plain(text: str) -> str:
    """`text` as it is, on one line: no markup, no HTML, no mention of a person."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # GitHub looks for mentions and numbers of issues in what it has rendered, so that a backslash would not help.
    return _LINKED.sub(r"\1&#8203;", _SPECIAL.sub(r"\\\1", text))
