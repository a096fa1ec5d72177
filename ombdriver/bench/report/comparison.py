"""Comparisons in words and figures, as table and page show them too; and as Markdown for a pull request. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.report import units
from ombdriver.bench.report.marks import LEGENDS, legends, mark_of, marked
from ombdriver.bench.results.compare.comparison import Comparison, Effect, SetupComparison, Spread
from ombdriver.bench.results.compare.conditions import Outcome
from ombdriver.bench.results.compare.faults import FaultSpread
from ombdriver.bench.results.compare.metrics import DECLARED
from ombdriver.bench.results.compare.trial import Trial

NOTES = (
    "Medians over the runs of each run's own figure; spread: (most - least) / median.",
    "Ratios are to the baseline, with a 95 % interval each, of the runs' ratios and not of the medians.",
    "What is claimed is tested by permutations, corrected by Holm; all other figures are exploratory.",
)
NOT_ENDED = "not yet"
"""In place of a time that had not come to its end when the run had."""
FAULT_COLUMNS = ("", "baseline", "between", "setup", "between")


def title(comparison: Comparison, compared: SetupComparison) -> str:
    """`1kb-3groups: valkey-aof-always against valkey-no-persistence`."""
    return f"{comparison.workload}: {compared.setup} against {comparison.baseline}"


def basis(compared: SetupComparison) -> str:
    """What was compared with what: `10 blocks, compared within each`."""
    if not compared.paired:
        runs = f"{units.many(compared.runs, 'run')} against {units.many(compared.baseline_runs, 'run')}"
        return f"{runs}, which have no block in common"
    left_out = compared.without_partner
    without_partner = f"; left out: {units.many(left_out, 'run')} without a partner" if left_out else ""
    return f"{units.many(compared.runs, 'block')}, compared within each{without_partner}"


def findings(compared: SetupComparison) -> list[tuple[str, str]]:
    """Each metric that is tested, and what is said of it; none when no claim can be made."""
    if compared.no_claim is not None:
        return []
    return [(str(each.figure), _finding(each)) for each in compared.effects if each.figure in DECLARED]


def _finding(effect: Effect) -> str:
    if effect.conclusion is None:
        return "not tested: too few runs have it" if effect.ratio is not None else "not tested: no samples"
    return f"{effect.conclusion}: {times(effect)}, {_p(effect.corrected_p or 0.0)}"


def times(effect: Effect) -> str:
    """`1.203 times (1.102 to 1.310)`."""
    between = interval(effect)
    return f"{ratio(effect.ratio)} times{'' if between == units.NOTHING else f' ({between})'}"


def interval(effect: Effect) -> str:
    """`1.102 to 1.310`; `-` without one."""
    if effect.low is None or effect.high is None:
        return units.NOTHING
    return f"{ratio(effect.low)} to {ratio(effect.high)}"


def ratio(value: float | None) -> str:
    """Three decimals, and fewer from 10 on; `-` for none."""
    if value is None:
        return units.NOTHING
    return f"{value:.3f}" if value < 9.9995 else f"{value:.1f}" if value < 999.95 else units.count(round(value))


def figure_value(figure: Figure, value: float | None) -> str:
    """A value of it with its unit."""
    if value is None:
        return units.NOTHING
    return units.rate(value) if figure.kind == "rate" else units.latency(value)


def median_of(figure: Figure, spread: Spread) -> str:
    """The median of it with its unit, and with a mark where it says more of the harness than of the system."""
    return marked(figure_value(figure, spread.median), mark_of(spread.harness_share))


def marks_of(comparison: Comparison) -> list[str]:
    """What the marks of its medians mean."""
    effects = [effect for compared in comparison.setups for effect in compared.effects]
    return legends(mark_of(spread.harness_share) for each in effects for spread in (each.baseline, each.other))


def marked_medians(comparison: Comparison) -> list[str]:
    """The same in words, of the tested figures, for where the medians themselves are not shown."""
    found: dict[str, dict[str, None]] = {}
    for compared in comparison.setups:
        for effect in compared.effects:
            for setup, spread in ((comparison.baseline, effect.baseline), (compared.setup, effect.other)):
                if effect.figure in DECLARED and spread.harness_share is not None:
                    found.setdefault(LEGENDS[mark_of(spread.harness_share)], {})[f"{effect.figure} of {setup}"] = None
    return [f"{', '.join(names)}: {what}" for what, names in found.items()]


def families(effects: Sequence[Effect]) -> list[tuple[str, list[Effect]]]:
    """Latencies by family and group, each under the name that stands above them; rates have no name above them."""
    found: dict[str, list[Effect]] = {}
    for effect in effects:
        above = "" if effect.figure.kind == "rate" else str(replace(effect.figure, statistic=""))
        found.setdefault(above, []).append(effect)
    return list(found.items())


def caveats_of(comparison: Comparison) -> list[str]:
    """What has to be known with the figures of a comparison."""
    caveats = [f"not alike, and compared all the same: {each}" for each in comparison.differences]
    caveats += [f"{each.setup}: claimed by --force, though {each.forced}" for each in comparison.setups if each.forced]
    if comparison.unevenly_bunched:
        told = ", ".join(f"{setup} {mean:,.2f}" for setup, mean in comparison.messages_per_write.items())
        caveats.append(
            f"not bunched alike: messages per write {told}; what leaves together is cheaper for a server, so look at"
            " client.pacing, and at which workers had no core to spare"
        )
    if comparison.without_verdict:
        first, count = comparison.without_verdict[0], len(comparison.without_verdict)
        files = first if count == 1 else f"{count} results ({first} ...)"
        caveats.append(f"without a verdict, since OMB gives none: {files}")
    return caveats


def fault_rows(compared: SetupComparison) -> list[tuple[str, ...]]:
    """Of each figure of faults a cell for each of `FAULT_COLUMNS`."""
    return [
        (
            f"{each.name}, s" if each.unit == "s" else each.name,
            *_fault_cells(each.baseline, each.unit),
            *_fault_cells(each.other, each.unit),
        )
        for each in compared.faults
    ]


def _fault_cells(spread: FaultSpread, unit: str) -> tuple[str, str]:
    def told(value: float | None) -> str:
        if value is None:
            return NOT_ENDED
        return f"{value:.2f}" if unit == "s" and value else f"{value:,.15g}"  # a median may be half a message

    return told(spread.median), units.NOTHING if spread.count < 2 else f"{told(spread.least)} to {told(spread.most)}"


def fault_title(compared: SetupComparison) -> str:
    """What these rows are of."""
    first = compared.faults[0]
    runs = f"{units.many(first.other.count, 'whole run')} against {first.baseline.count}"
    return f"Faults, the worst of each run: medians of {runs}, VALID or not; nothing is claimed of them"


def left_out_lines(trials: Sequence[Trial]) -> list[str]:
    """The runs that were not compared, by name: a line for those of each workload, setup and reason."""
    named: dict[tuple[str, str, str | None], list[str]] = {}
    for each in trials:
        named.setdefault((each.workload, each.setup, each.excluded), []).append(each.source)
    return [
        f"left out, {workload} x {setup}, {reason}: {', '.join(sources)}"
        for (workload, setup, reason), sources in named.items()
    ]


def outcome(found: Outcome) -> str:
    """What became of a condition, in one sentence."""
    where = f"{found.workload} x {found.setup}"
    if not found.fit:
        return f"{found.condition.expression}: FAILED for {where}: it can't be judged, since a setup has no VALID run"
    if found.effect.ratio is None:
        return f"{found.condition.expression}: FAILED for {where}: it can't be judged, since a setup has no samples"
    alone = "" if found.effect.low is not None else "; by the ratio alone, more repeats would tell it from chance"
    word = "FAILED" if found.met else "passed"
    return f"{found.condition.expression}: {word} for {where}: {times(found.effect)}{alone if found.met else ''}"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def render(comparisons: Sequence[Comparison], left_out: Sequence[Trial], outcomes: Sequence[Outcome]) -> str:
    """As text, ended by a line feed.

    Args:
        comparisons: what was found.
        left_out: the runs that were not compared.
        outcomes: of the conditions.
    """
    parts = [part for comparison in comparisons for part in _parts(comparison)]
    parts.append("\n".join(f"- {_safe(line)}" for line in (*NOTES, *left_out_lines(left_out))))
    if outcomes:
        parts.append("\n".join(f"- {_safe(outcome(each))}" for each in outcomes))
    return "\n\n".join(parts) + "\n"


def _parts(comparison: Comparison) -> Iterator[str]:
    for compared in comparison.setups:
        yield f"### {_safe(title(comparison, compared))}"
        yield _safe(basis(compared))
        if compared.no_claim is not None:
            yield f"**{_safe(compared.no_claim)}**"
        else:
            yield "\n".join(f"- `{name}`: {_bold(finding)}" for name, finding in findings(compared))
        head = (
            "metric",
            _safe(comparison.baseline),
            "spread",
            _safe(compared.setup),
            "spread",
            "ratio",
            "95 % interval",
        )
        yield "\n".join([_row(head), _row(["---", *["---:"] * 6]), *(_row(_cells(each)) for each in compared.effects)])
        if compared.faults:
            yield f"{fault_title(compared)}:"
            of_faults = ("faults", _safe(comparison.baseline), "between", _safe(compared.setup), "between")
            told = [[f"`{each[0]}`", *each[1:]] for each in fault_rows(compared)]
            yield "\n".join([_row(of_faults), _row(["---", *["---:"] * 4]), *map(_row, told)])
    if caveats := [*marks_of(comparison), *caveats_of(comparison)]:
        yield "\n".join(f"- {_safe(caveat)}" for caveat in caveats)


def _cells(effect: Effect) -> list[str]:
    return [
        f"`{str(effect.figure).replace('|', '&#124;')}`",
        _safe(median_of(effect.figure, effect.baseline)),
        units.percent(effect.baseline.relative),
        _safe(median_of(effect.figure, effect.other)),
        units.percent(effect.other.relative),
        ratio(effect.ratio),
        interval(effect),
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _bold(finding: str) -> str:
    word, colon, rest = finding.partition(":")
    return f"**{word}**{colon}{rest}"


def _safe(part: str) -> str:
    """`part` with what Markdown and tables would take for their own marked as text."""
    return "".join(f"\\{each}" if each in "\\`*_[]<>|" else each for each in part)
