"""What is said of a result as a whole, as it stands at the top of its report: verdict, reasons, thresholds."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ombdriver.bench.judgement import Verdict
from ombdriver.bench.report import units
from ombdriver.bench.result import Result

_STYLES = {"VALID": "bold green", "LOSS": "bold red", "INVALID": "bold red"}
_OTHERS = "bold yellow"


def headline(result: Result) -> Iterator[RenderableType]:
    """The verdict first, then why, then the thresholds; nothing for a result that was not judged."""
    if result.verdict is not None:
        yield Text(result.verdict.status, style=_STYLES.get(result.verdict.status, _OTHERS))
        yield from _reasons(result.verdict)
    elif result.partial:
        yield Text(f"PARTIAL: {result.partial_reason}", style=_OTHERS)
    if result.thresholds:
        yield _thresholds(result)
    if result.verdict is not None or result.partial or result.thresholds:
        yield Text()


def _reasons(verdict: Verdict) -> Iterator[RenderableType]:
    for reason in verdict.reasons:
        other = "" if reason.status == verdict.status else f"{reason.status}, "
        yield _indented(Text.assemble((f"{other}{reason.rule}: ", "bold"), reason.message))
    if verdict.not_judged:
        rules = ", ".join(each.rule for each in verdict.not_judged)
        yield _indented(Text(f"not judged (why: verdict.notJudged of the result): {rules}", style="dim"))


def _indented(text: Text) -> Padding:
    return Padding(text, (0, 0, 0, 2), expand=False)


def _thresholds(result: Result) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True, justify="right")
    for check in result.thresholds:
        word = Text("  pass", style="green") if check.passed else Text("  FAIL", style="bold red")
        table.add_row(word, Text(check.expression), units.figure(check.value, check.unit))
    return table
